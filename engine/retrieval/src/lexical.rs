//! Lexical search: every word of the query must occur; BM25 ranks with the statistics of the project.

use engine_core::limits::SEARCH_TOTAL_MAX;
use engine_core::retrieval::bm25::{QueryTerms, idf};
use engine_core::wire::{SearchAnswer, SearchMode};
use engine_core::words::terms::number;

use super::catalog::Catalog;
use super::query::ResolvedFilters;
use super::search::{Retrieval, Scope};
use super::shared_catalog::{CatalogKey, Extent};
use engine_projection::{Best, applied_seq};

impl Retrieval {
    /// Answers a search by words alone. Without a catalog, or over all projects, the full-text index ranks the
    /// memories.
    pub(super) fn lexical(&self, scope: &Scope<'_>) -> rusqlite::Result<SearchAnswer> {
        let Scope { connection, search, .. } = *scope;
        let Some(project) = search.project.as_deref().filter(|_| !scope.question.words.is_empty()) else {
            return search.run(connection);
        };
        let Ok(held) = self.catalogs.current(connection, &CatalogKey::memories(project))? else {
            return search.run(connection);
        };
        let state = held.read();
        if state.extent == Extent::Nothing {
            return search.run(connection);
        }
        let best = ranked(scope, &state.catalog)?;
        drop(state);
        let (total, total_max) = (best.total(), u64::from(SEARCH_TOTAL_MAX));
        let told: Vec<(i64, f64)> = best.in_order().skip(search.offset as usize).collect();
        Ok(SearchAnswer {
            items: search.shown(connection, scope.bounds, &told)?,
            total: total.min(total_max),
            total_is_bound: total > total_max,
            applied_seq: applied_seq(connection)?.unsigned_abs(),
            mode: SearchMode::Lexical,
            weights: String::new(),
            degraded: Vec::new(),
        })
    }
}

/// Finds all memories that contain every word. Only the best, up to the end of the requested page, are sorted.
fn ranked(scope: &Scope<'_>, catalog: &Catalog) -> rusqlite::Result<Best> {
    let Scope { connection, search, question, .. } = *scope;
    let filters = scope.filters();
    let admission = ResolvedFilters::new(catalog, &filters);
    let mut terms = Vec::new();
    question.words.iter().for_each(|word| catalog.terms().required(word, |term| terms.push(number(term))));
    let count = catalog.count() as u64;
    let asked = QueryTerms::new(terms, |term| idf(count, catalog.texts.frequency(term)));
    let words: Vec<u32> = asked.terms().iter().map(|(term, _)| catalog.texts.number(*term)).collect();
    let (mut from, mean, mut counts) = (0, catalog.mean_words(), vec![0.0; words.len()]);
    let mut best = Best::of((search.offset + search.limit) as usize);
    search.having_all(connection, &mut |seq| {
        let Some(number) = catalog.number_from(&mut from, seq) else { return };
        if admission.admits(number) {
            counts.fill(0.0);
            catalog.count_weighed(number, &words, &mut counts);
            best.put(seq, asked.score(&counts, catalog.words[number as usize].into(), mean));
        }
    })?;
    Ok(best)
}
