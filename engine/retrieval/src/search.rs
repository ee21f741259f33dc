//! Search for memories: the lanes select candidates, all candidates are ranked together, and the best are returned.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine_core::event::RETRIEVAL_WEIGHTS_SET;
use engine_core::retrieval::features::{Counted, NAMES};
use engine_core::retrieval::question::AnalysedQuery;
use engine_core::retrieval::weights::Weights;
use engine_core::wire::{Degraded, FeatureView, SearchAnswer, SearchHit, SearchMode};
use engine_core::words::terms::Terms;
use rusqlite::Connection;
use serde::Deserialize;

use super::catalog_cache::{CatalogCache, Missing};
use super::provider_results::ProviderResults;
use super::query::{Filters, Found, Query, Ranked};
use super::rank::LANE_TOP;
use super::shared_catalog::{CatalogKey, Extent, SharedCatalog};
use super::stages::{Stage, StageTimes};
use crate::metrics::RetrievalMetrics;
use engine_projection::{
    Bounds, Search, applied_seq, exactly, full_memories, having_any, is_damage, memories_near_at, projects,
    setting, titled, without_data,
};

/// Maximum number of projects that are searched one by one if the request names no project. With more, the full-text
/// index ranks by words alone.
const PROJECTS_MAX: usize = 64;

/// Maximum number of relations between an entity that the query names and an entity that a memory is about.
const GRAPH_DEPTH: u32 = 2;
/// Maximum number of candidates from the graph lane.
const GRAPH_TOP: u32 = 100;

/// Shared state of all searches.
#[derive(Debug)]
pub struct Retrieval {
    pub(super) catalogs: Arc<CatalogCache>,
    pub(super) metrics: Arc<RetrievalMetrics>,
    /// The cached weights, and the sequence number of the event that set them (0 for the learned defaults).
    weights: Mutex<(i64, Arc<Weights>)>,
}

/// The part of a weights event that is needed here.
#[derive(Deserialize)]
struct WeightsSet {
    weights: BTreeMap<String, f64>,
}

/// The inputs of one search.
pub(super) struct Scope<'a> {
    pub(super) connection: &'a Connection,
    pub(super) search: &'a Search,
    pub(super) question: &'a AnalysedQuery,
    pub(super) bounds: Bounds,
    asked: &'a ProviderResults,
    times: &'a StageTimes,
    /// Whether a checkout uses the results.
    for_context: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn filters(&self) -> Filters<'a> {
        let Search { kind, session, tags, .. } = self.search;
        Filters {
            kind: kind.as_deref(),
            session: session.as_deref(),
            tags,
            below: None,
            among: None,
            bounds: self.bounds,
            for_context: self.for_context,
        }
    }
}

/// Number of bytes of a memory that are sent to a reranker: about as much as most rerankers read of a document.
const RERANKED_BYTES_MAX: usize = 4 << 10;

impl Retrieval {
    pub fn new(catalogs: Arc<CatalogCache>, metrics: Arc<RetrievalMetrics>) -> Retrieval {
        Retrieval { catalogs, metrics, weights: Mutex::new((0, Arc::new(Weights::learned()))) }
    }

    /// The ranking weights in the snapshot that the connection reads.
    ///
    /// # Errors
    /// If the projection cannot be read.
    pub fn weights(&self, connection: &Connection) -> rusqlite::Result<Arc<Weights>> {
        let set = setting(connection, RETRIEVAL_WEIGHTS_SET)?;
        let mut known = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = set.as_ref().map_or(0, |(seq, ..)| *seq);
        if known.0 != seq {
            let parsed = set.and_then(|(_, version, payload)| {
                let set: WeightsSet = serde_json::from_str(&payload).ok()?;
                // The weights were checked when they were set, but another version of the engine may know other
                // features.
                Weights::check(&set.weights).ok()?;
                Some(Weights { version, weights: set.weights })
            });
            *known = (seq, Arc::new(parsed.unwrap_or_else(Weights::learned)));
        }
        Ok(Arc::clone(&known.1))
    }

    /// Version of the weights that the last search used.
    pub fn weights_version(&self) -> Arc<str> {
        self.weights.lock().unwrap_or_else(PoisonError::into_inner).1.version.as_str().into()
    }

    /// Answers a search from one snapshot of the projection. Also returns the time until which the answer stays valid
    /// if nothing is written, in microseconds since 1970.
    ///
    /// # Errors
    /// If the projection cannot be read or is damaged; other failures of a lane only leave the lane out.
    pub fn search(
        &self,
        connection: &Connection,
        search: &Search,
        asked: &ProviderResults,
    ) -> rusqlite::Result<(SearchAnswer, i64)> {
        let times = asked.times();
        let found = times.measure(Stage::Total, || self.searched(connection, search, asked, &times));
        times.count(&self.metrics.stages);
        found
    }

    fn searched(
        &self,
        connection: &Connection,
        search: &Search,
        asked: &ProviderResults,
        times: &StageTimes,
    ) -> rusqlite::Result<(SearchAnswer, i64)> {
        let question = AnalysedQuery::read(&search.words);
        let moment = connection.unchecked_transaction()?;
        let until = self.right_until(&moment, search)?;
        let bounds = search.moment.bounds(&moment)?;
        if search.mode == SearchMode::Lexical || question.words.is_empty() {
            let nobody = ProviderResults::default();
            let scope = Scope {
                connection: &moment,
                search,
                question: &question,
                bounds,
                asked: &nobody,
                times,
                for_context: false,
            };
            return Ok((times.measure(Stage::Retrieve, || self.lexical(&scope))?, until));
        }
        let weights = self.weights(&moment)?;
        let scope = Scope {
            connection: &moment,
            search,
            question: &question,
            bounds,
            asked,
            times,
            for_context: false,
        };
        let mut degraded = asked.degraded.clone();
        let mut ranked = self.ranked(&scope, &weights.normalised(), &mut degraded)?;
        let total = ranked.len() as u64;
        let from = (search.offset as usize).min(ranked.len());
        ranked.drain(..from);
        ranked.truncate(search.limit as usize);
        self.count("search", &degraded);
        let answer = SearchAnswer {
            items: self.shown(&scope, &ranked, &weights)?,
            total,
            // The vector lane considers only its best candidates, so more memories may match.
            total_is_bound: total >= LANE_TOP as u64,
            applied_seq: applied_seq(&moment)?.unsigned_abs(),
            mode: SearchMode::Hybrid,
            weights: weights.version.clone(),
            degraded,
        };
        Ok((answer, until))
    }

    /// The first time after now at which a memory of the project becomes valid or stops being valid. Without a catalog
    /// the result is now, so that the answer is not cached.
    pub(super) fn right_until(&self, connection: &Connection, search: &Search) -> rusqlite::Result<i64> {
        let now = search.moment.bounds(connection)?.as_of;
        if search.moment.as_of.is_some() {
            return Ok(i64::MAX);
        }
        let Some(project) = &search.project else { return Ok(now) };
        let held = self.catalogs.current(connection, &CatalogKey::memories(project))?;
        Ok(held.map_or(now, |held| held.read().catalog.next_boundary(now).unwrap_or(i64::MAX)))
    }

    /// Returns all ranked memories of a search, best first, the version of the weights, and the lanes that were left
    /// out.
    pub(super) fn best(
        &self,
        moment: &Connection,
        search: &Search,
        asked: &ProviderResults,
        times: &StageTimes,
    ) -> rusqlite::Result<(Vec<Ranked>, String, Vec<Degraded>)> {
        let question = AnalysedQuery::read(&search.words);
        let bounds = search.moment.bounds(moment)?;
        let weights = self.weights(moment)?;
        let scope = Scope {
            connection: moment,
            search,
            question: &question,
            bounds,
            asked,
            times,
            for_context: true,
        };
        let mut degraded = asked.degraded.clone();
        let ranked = self.ranked(&scope, &weights.normalised(), &mut degraded)?;
        Ok((ranked, weights.version.clone(), degraded))
    }

    pub(super) fn count(&self, operation: &str, degraded: &[Degraded]) {
        for Degraded { reason, .. } in degraded {
            self.metrics.degraded.with_label_values(&[operation, reason]).inc();
        }
    }

    /// The best `top` memories of a search, for a reranker: sequence number and text, best first.
    ///
    /// # Errors
    /// If the projection cannot be read or is damaged.
    pub fn documents(
        &self,
        connection: &Connection,
        search: &Search,
        asked: &ProviderResults,
        top: usize,
    ) -> rusqlite::Result<Vec<(i64, String)>> {
        let moment = connection.unchecked_transaction()?;
        // These stages are part of the time of the reranking, and are not counted by themselves.
        let (ranked, ..) = self.best(&moment, search, asked, &StageTimes::default())?;
        let mut documents = Vec::with_capacity(top.min(ranked.len()));
        for found in ranked.iter().take(top) {
            if let Some(shown) = full_memories(&moment, found.seq)? {
                let mut text = match shown.title.is_empty() {
                    true => shown.content,
                    false => format!("{}\n{}", shown.title, shown.content),
                };
                text.truncate(text.floor_char_boundary(RERANKED_BYTES_MAX));
                documents.push((found.seq, text));
            }
        }
        Ok(documents)
    }

    fn ranked(
        &self,
        scope: &Scope<'_>,
        weights: &[f64; NAMES.len()],
        degraded: &mut Vec<Degraded>,
    ) -> rusqlite::Result<Vec<Ranked>> {
        let searched = match &scope.search.project {
            Some(project) => vec![project.clone()],
            None => projects(scope.connection, PROJECTS_MAX + 1)?.into_iter().map(|(name, _)| name).collect(),
        };
        if searched.len() > PROJECTS_MAX {
            degraded.extend(without_catalogs("too_many_projects"));
            return scope.times.measure(Stage::Retrieve, || self.by_words(scope));
        }
        let counted = Counted::by(weights);
        let exact = match counted.exact {
            true => lane("exact", exactly(scope.connection, &scope.search.words), degraded)?,
            false => Vec::new(),
        };
        let answering = self.catalogs.answering();
        let vector = scope.asked.vector.as_ref();
        let external = vector.zip(answering.as_ref().map(|(_, store)| store.as_ref()));
        let mut ranked = Vec::new();
        for project in &searched {
            match self.current_catalog(scope.connection, &CatalogKey::memories(project))? {
                Ok(held) => {
                    let state = held.read();
                    if state.extent == Extent::Words && degraded.iter().all(|d| d.reason != MEMORY) {
                        degraded.push(Degraded { lane: "vector".to_owned(), reason: MEMORY.to_owned() });
                    }
                    let compares_tokens = counted.compares_tokens() || scope.for_context;
                    let mut query = scope.times.measure(Stage::Embed, || {
                        Query::new(&state.catalog, scope.question, external, compares_tokens)
                    });
                    if external.is_some()
                        && !query.uses_external_vectors()
                        && degraded.iter().all(|d| d.reason != FEW)
                    {
                        degraded.push(Degraded { lane: "vector".to_owned(), reason: FEW.to_owned() });
                    }
                    let filters = scope.filters();
                    let found = scope.times.measure(Stage::Retrieve, || {
                        self.found(scope, (project, &exact), &query, &counted, degraded)
                    })?;
                    ranked.extend(query.rank(&found, &filters, weights, scope.times));
                }
                Err(missing) => {
                    degraded.extend(without_catalogs(missing.reason()));
                    return scope.times.measure(Stage::Retrieve, || self.by_words(scope));
                }
            }
        }
        scope.times.measure(Stage::Fusion, || {
            if searched.len() > 1 {
                ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.seq.cmp(&a.seq)));
            }
            scope.asked.reorder(&mut ranked);
        });
        Ok(ranked)
    }

    /// The catalog of a project in the state of the connection; counts whether there is one.
    pub(super) fn current_catalog(
        &self,
        connection: &Connection,
        key: &CatalogKey,
    ) -> rusqlite::Result<Result<Arc<SharedCatalog>, Missing>> {
        let found = self.catalogs.current(connection, key)?;
        let outcome = match &found {
            Ok(_) => "hit",
            Err(Missing::Loading) => "loading",
            Err(Missing::TooLarge) => "too_large",
        };
        self.metrics.cache.with_label_values(&["catalog", outcome]).inc();
        Ok(found)
    }

    /// Candidates of a project from all lanes other than the vector lane.
    fn found(
        &self,
        scope: &Scope<'_>,
        (project, exact): (&str, &[i64]),
        query: &Query<'_>,
        counted: &Counted,
        degraded: &mut Vec<Degraded>,
    ) -> rusqlite::Result<Found> {
        let Scope { connection, search, .. } = *scope;
        let terms = if counted.by_words { query.selective_terms() } else { Vec::new() };
        let lexical = query.best_by_words(&scope.filters(), |each| having_any(connection, &terms, each));
        let mut found = Found { lexical: lane("lexical", lexical, degraded)?, ..Found::default() };
        if counted.exact {
            found.exact = exact.to_vec();
            let titled = titled(connection, &search.words, query.catalog.titled(search.words.trim()));
            found.exact.extend(lane("exact", titled, degraded)?);
        }
        if counted.graph {
            found.graph = lane("graph", near_in_graph(scope, project), degraded)?;
        }
        Ok(found)
    }

    /// Ranks by words alone, for searches without a usable catalog.
    fn by_words(&self, scope: &Scope<'_>) -> rusqlite::Result<Vec<Ranked>> {
        let (known, mut terms) = (Terms::default(), Vec::new());
        let kept = scope.question.kept(&[]);
        kept.iter().for_each(|word| known.of_word(word, |term| terms.push(term.to_owned())));
        let found = scope.search.best_having_any(scope.connection, &terms, scope.bounds, LANE_TOP)?;
        #[expect(clippy::cast_precision_loss, reason = "places of a few hundred")]
        let by_place = |(place, seq): (usize, i64)| Ranked {
            seq,
            score: 1.0 / (1.0 + place as f64),
            features: [0.0; NAMES.len()],
            coverage: 0.0,
            similarity: 0.0,
            reranked: None,
        };
        Ok(found.into_iter().enumerate().map(by_place).collect())
    }

    fn shown(
        &self,
        scope: &Scope<'_>,
        ranked: &[Ranked],
        weights: &Weights,
    ) -> rusqlite::Result<Vec<SearchHit>> {
        let scores: Vec<(i64, f64)> = ranked.iter().map(|ranked| (ranked.seq, ranked.score)).collect();
        let mut hits = scope.search.shown(scope.connection, scope.bounds, &scores)?;
        if scope.search.explain {
            let weights = weights.normalised();
            for hit in &mut hits {
                let features = ranked.iter().find(|ranked| ranked.seq.unsigned_abs() == hit.seq);
                hit.breakdown = features.map(|ranked| {
                    let each = NAMES.iter().zip(ranked.features).zip(weights);
                    let reranked = ranked.reranked.map(|(value, points)| FeatureView { value, points });
                    each.filter(|((_, value), weight)| *value != 0.0 && *weight != 0.0)
                        .map(|((name, value), weight)| {
                            ((*name).to_owned(), FeatureView { value, points: value * weight })
                        })
                        .chain(reranked.map(|view| ("rerank".to_owned(), view)))
                        .collect()
                });
            }
        }
        Ok(hits)
    }
}

fn near_in_graph(scope: &Scope<'_>, project: &str) -> rusqlite::Result<BTreeMap<i64, f64>> {
    let Search { words, moment, .. } = scope.search;
    let near = memories_near_at(scope.connection, Some(project), words, GRAPH_DEPTH, moment, GRAPH_TOP)?;
    Ok(near.into_iter().collect())
}

/// Returns the result of a lane. A lane that fails is left out and listed in `degraded`. Only a damaged projection
/// fails the search, so that the projection is rebuilt.
pub(super) fn lane<T: Default>(
    name: &str,
    found: rusqlite::Result<T>,
    degraded: &mut Vec<Degraded>,
) -> rusqlite::Result<T> {
    found.or_else(|fault| {
        if is_damage(&fault) {
            return Err(fault);
        }
        let interrupted = fault.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted);
        let fault = without_data(&fault);
        tracing::warn!(lane = name, fault, "a retrieval method failed; the search is answered without it");
        let reason = if interrupted { "timeout" } else { "failed" };
        degraded.push(Degraded { lane: name.to_owned(), reason: reason.to_owned() });
        Ok(T::default())
    })
}
/// Reason in `degraded`: too few memories have a vector of the external model, so the built-in vectors were used.
const FEW: &str = "embedding";
/// Reason in `degraded`: the project does not fit into the memory limit of the catalogs.
pub(super) const MEMORY: &str = "memory";

impl Missing {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Missing::Loading => "loading",
            Missing::TooLarge => MEMORY,
        }
    }
}

pub(super) fn without_catalogs(reason: &str) -> impl Iterator<Item = Degraded> + use<'_> {
    ["vector", "structure"]
        .into_iter()
        .map(move |lane| Degraded { lane: lane.to_owned(), reason: reason.to_owned() })
}
