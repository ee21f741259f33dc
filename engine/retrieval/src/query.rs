//! A query as one project understands it, and what narrows it.

use std::collections::{BTreeMap, HashMap};

use engine_core::retrieval::bm25::Asked;
use engine_core::retrieval::features::NAMES;
use engine_core::retrieval::question::Question;
use engine_core::tags::Tags;
use engine_projection::Bounds;

use super::catalog::Catalog;
use super::late_interaction::Late;
use super::names::NONE;
use super::rows::{AskedVector, Rows};
use crate::embeddings::VectorStore;

/// A memory and its score.
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    pub(super) seq: i64,
    pub(super) score: f64,
    pub(super) features: [f64; NAMES.len()],
    /// Share of what the query asks for that occurs in it and its neighbours, 0 to 1.
    pub(super) coverage: f64,
    /// Best likenesses of the query's tokens in it and its neighbours, on average, 0 to 1.
    pub(super) alike: f64,
    /// What the reranker said of it, and what that changed of the score.
    pub(super) reranked: Option<(f64, f64)>,
}

/// What narrows a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow<'a> {
    pub(super) kind: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) tags: &'a Tags,
    /// Of items: what their namespaces begin with, and which of them, in order, are what a filter asks for.
    pub(super) below: Option<&'a str>,
    pub(super) among: Option<&'a [i64]>,
    pub(super) bounds: Bounds,
    /// Whether a context is chosen from what is found, which asks how alike each is.
    pub(super) for_context: bool,
}

/// The same in the numbers of a catalog.
pub(super) struct Admission<'a> {
    catalog: &'a Catalog,
    kind: Option<u32>,
    session: Option<u32>,
    tags_any: Vec<u32>,
    tags_all: Vec<u32>,
    below: Option<Vec<bool>>,
    among: Option<&'a [i64]>,
    bounds: Bounds,
}

impl<'a> Admission<'a> {
    pub(super) fn new(catalog: &'a Catalog, narrow: &Narrow<'a>) -> Admission<'a> {
        // What nothing is called narrows to nothing.
        let kind = narrow.kind.map(|kind| catalog.kind_number(kind).unwrap_or(NONE));
        let session = narrow.session.map(|session| catalog.session_number(session).unwrap_or(NONE));
        let numbers = |tags: &[String]| tags.iter().map(|tag| catalog.tag_number(tag)).collect();
        Admission {
            catalog,
            kind,
            session,
            tags_any: numbers(narrow.tags.any()),
            tags_all: numbers(narrow.tags.all()),
            below: narrow.below.map(|prefix| catalog.kinds_below(prefix)),
            among: narrow.among,
            bounds: narrow.bounds,
        }
    }

    pub(super) fn admits(&self, number: u32) -> bool {
        self.catalog.is_true(number, &self.bounds)
            && self.kind.is_none_or(|kind| self.catalog.is_of_kind(number, kind))
            && self.session.is_none_or(|session| self.catalog.session_of(number) == Some(session))
            && self.is_tagged(number)
            && self.below.as_ref().is_none_or(|below| below[self.catalog.kind_of(number) as usize])
            && self.among.is_none_or(|among| among.binary_search(&self.catalog.seq(number)).is_ok())
    }

    fn is_tagged(&self, number: u32) -> bool {
        let has = |tag: &u32| self.catalog.tags_of(number).contains(tag);
        (self.tags_any.is_empty() || self.tags_any.iter().any(has)) && self.tags_all.iter().all(has)
    }
}

/// What other lanes have found, by sequence number.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lexical: Vec<i64>,
    pub(super) exact: Vec<i64>,
    pub(super) graph: BTreeMap<i64, f64>,
}

/// A query as the memories of one project understand it.
pub(super) struct Query<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) question: &'a Question,
    /// Whether it names the actor of this number.
    pub(super) named: Vec<bool>,
    /// What its words are found by.
    pub(super) terms: Vec<String>,
    /// Terms in the order of the query, each as often as it is there, as the catalog numbers them.
    pub(super) stems: Vec<u32>,
    pub(super) asked: Asked,
    /// The numbers of its terms.
    pub(super) words: Vec<u32>,
    pub(super) vector: Option<AskedVector>,
    /// What lanes of meaning count beside those of words, 0.5 to 1.
    pub(super) trust: f64,
    /// What the vector is compared with.
    pub(super) rows: &'a Rows,
    /// Where these are kept unrounded, and by which model.
    pub(super) kept_by: Option<(i64, &'a VectorStore)>,
    /// Cosines that were computed of those, by number.
    pub(super) exact: HashMap<u32, f32>,
    /// Where tokens are compared one by one.
    pub(super) late: Option<Late>,
}
