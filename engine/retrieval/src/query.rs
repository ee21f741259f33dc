//! A query that is resolved against the catalog of one project, and the filters of a search.

use std::collections::{BTreeMap, HashMap};

use engine_core::retrieval::bm25::QueryTerms;
use engine_core::retrieval::features::NAMES;
use engine_core::retrieval::question::AnalysedQuery;
use engine_core::tags::Tags;
use engine_projection::Bounds;

use super::catalog::Catalog;
use super::late_interaction::LateInteraction;
use super::names::NONE;
use super::rows::{QueryVector, Rows};
use crate::embeddings::VectorStore;

/// A memory and its score.
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    pub(super) seq: i64,
    pub(super) score: f64,
    pub(super) features: [f64; NAMES.len()],
    /// IDF-weighted share of the query terms that occur in the memory and its neighbours, 0 to 1.
    pub(super) coverage: f64,
    /// Late-interaction score of the memory and its neighbours: mean best similarity of the query tokens, 0 to 1.
    pub(super) similarity: f64,
    /// The score that the reranker gave, and by how much it changed `score`.
    pub(super) reranked: Option<(f64, f64)>,
}

/// Filters of a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filters<'a> {
    pub(super) kind: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) tags: &'a Tags,
    /// Only for items: the namespace prefix.
    pub(super) below: Option<&'a str>,
    /// Only for items: the sorted sequence numbers of the items that match the field filter.
    pub(super) among: Option<&'a [i64]>,
    pub(super) bounds: Bounds,
    /// Whether a checkout uses the results. A checkout also needs the coverage and the late-interaction score of each
    /// memory.
    pub(super) for_context: bool,
}

/// The filters of a search, with names resolved to the numbers of a catalog.
pub(super) struct ResolvedFilters<'a> {
    catalog: &'a Catalog,
    kind: Option<u32>,
    session: Option<u32>,
    tags_any: Vec<u32>,
    tags_all: Vec<u32>,
    below: Option<Vec<bool>>,
    among: Option<&'a [i64]>,
    bounds: Bounds,
}

impl<'a> ResolvedFilters<'a> {
    pub(super) fn new(catalog: &'a Catalog, filters: &Filters<'a>) -> ResolvedFilters<'a> {
        // A name that no memory has resolves to `NONE`, which matches nothing.
        let kind = filters.kind.map(|kind| catalog.kind_number(kind).unwrap_or(NONE));
        let session = filters.session.map(|session| catalog.session_number(session).unwrap_or(NONE));
        let numbers = |tags: &[String]| tags.iter().map(|tag| catalog.tag_number(tag)).collect();
        ResolvedFilters {
            catalog,
            kind,
            session,
            tags_any: numbers(filters.tags.any()),
            tags_all: numbers(filters.tags.all()),
            below: filters.below.map(|prefix| catalog.kinds_below(prefix)),
            among: filters.among,
            bounds: filters.bounds,
        }
    }

    pub(super) fn admits(&self, number: u32) -> bool {
        self.catalog.is_valid_and_known(number, &self.bounds)
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

/// Candidates that the lanes other than the vector lane selected, as sequence numbers.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lexical: Vec<i64>,
    /// Memories whose id, citation or title equals the query.
    pub(super) exact: Vec<i64>,
    /// Graph scores of memories about entities that are near an entity that the query names.
    pub(super) graph: BTreeMap<i64, f64>,
}

/// A query resolved against the catalog of one project.
pub(super) struct Query<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) question: &'a AnalysedQuery,
    /// For each actor number, whether the query names the actor.
    pub(super) named: Vec<bool>,
    /// The terms of the query's words.
    pub(super) terms: Vec<String>,
    /// Term numbers in query order, repetitions included.
    pub(super) term_sequence: Vec<u32>,
    /// Distinct terms of the query with their IDF.
    pub(super) asked: QueryTerms,
    /// Numbers of the distinct terms, in the order of `asked`.
    pub(super) words: Vec<u32>,
    /// `None` if the model makes no vector of the query.
    pub(super) vector: Option<QueryVector>,
    /// Factor on the scores of vector lanes, 0.5 to 1.
    pub(super) vector_weight: f64,
    /// Quantised vectors of the memories.
    pub(super) rows: &'a Rows,
    /// Only for external vectors: the id of the model, and the store that holds the unquantised vectors.
    pub(super) external_store: Option<(i64, &'a VectorStore)>,
    /// Exact cosines computed from the unquantised vectors, by memory number.
    pub(super) exact: HashMap<u32, f32>,
    /// State of the late interaction, if a lane needs it.
    pub(super) late: Option<LateInteraction>,
}
