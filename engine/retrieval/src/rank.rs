//! Selects and ranks the memories of one project for a query.

use std::collections::HashMap;

use engine_core::retrieval::bm25::{QueryTerms, idf};
use engine_core::retrieval::features::{self, AROUND, AROUND_LANES, Counted, Evidence, NAMES};
use engine_core::retrieval::question::AnalysedQuery;
use engine_core::retrieval::weights::score;
use engine_core::words::terms::{Term, characters, is_joined, number};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::catalog::Catalog;
use super::lanes::{Lanes, NEAR_MATCH};
use super::late_interaction::LateInteraction;
use super::query::{Filters, Found, Query, Ranked, ResolvedFilters};
use super::rows::QueryVector;
use super::stages::stage;
use crate::embeddings::{ExternalQueryVector, VectorStore};
use engine_projection::Best;

/// Maximum number of candidates that each lane selects.
pub(super) const LANE_TOP: usize = 250;
/// Only for external vectors: this many times more candidates are compared with their unquantised vectors, to recover
/// candidates that quantisation ranked too low.
const UNROUNDED_FACTOR: usize = 2;
/// Lower bound of the factor on the scores of vector lanes.
const VECTOR_WEIGHT_MIN: f64 = 0.5;
/// The `[UNK]` token of the built-in table, which stands for an unknown word.
const UNKNOWN_TOKEN: u32 = 100;
/// Maximum number of postings that the full-text index reads for one query. A word that occurs in more memories than
/// this selects no candidates; it only contributes to scores.
const POSTINGS_MAX: u64 = 16_384;

impl<'a> Query<'a> {
    /// `external` is the vector of the query, made by an external model, and the store with the vectors of memories. If
    /// too few memories have such a vector, the built-in vectors are compared.
    pub(super) fn new(
        catalog: &'a Catalog,
        question: &'a AnalysedQuery,
        external: Option<(&ExternalQueryVector, &'a VectorStore)>,
        compares_tokens: bool,
    ) -> Query<'a> {
        let actors = catalog.actor_words();
        let named: Vec<bool> =
            actors.iter().map(|(words, is_capitalised)| question.names(words, *is_capitalised)).collect();
        let spoken: Vec<String> = actors
            .iter()
            .zip(&named)
            .filter(|(_, named)| **named)
            .flat_map(|((words, _), _)| words.clone())
            .collect();
        let kept = question.kept(&spoken);
        let mut terms = Vec::with_capacity(kept.len());
        kept.iter().for_each(|word| terms.extend(terms_of(catalog, word)));
        let term_sequence: Vec<Term> = terms.iter().map(|term| number(term)).collect();
        let count = catalog.count() as u64;
        let asked =
            QueryTerms::new(term_sequence.iter().copied(), |term| idf(count, catalog.texts.frequency(term)));
        let known = |term: &Term| catalog.texts.number(*term);
        let words = asked.terms().iter().map(|(term, _)| known(term)).collect();
        let term_sequence = term_sequence.iter().map(known).collect();
        let text = kept.join(" ");
        let late = compares_tokens.then(|| LateInteraction::new(catalog, &text));
        let rows = external.and_then(|(asked, store)| {
            let rows = catalog.external.as_ref()?.rows(asked.model)?;
            let mut vector = asked.vector.clone();
            engine_core::embedding::normalise(&mut vector);
            Some((QueryVector::new(vector), rows, Some((asked.model, store))))
        });
        let (vector, rows, external_store) =
            rows.unwrap_or_else(|| (catalog.vectors.ask(&text), catalog.vectors.rows(), None));
        let exact = HashMap::new();
        let vector_weight = if external_store.is_some() { 1.0 } else { vector_weight(catalog, &kept) };
        Query {
            catalog,
            question,
            named,
            terms,
            term_sequence,
            asked,
            words,
            vector,
            vector_weight,
            rows,
            external_store,
            exact,
            late,
        }
    }

    /// Whether the query is compared with vectors of the external model.
    pub(super) fn uses_external_vectors(&self) -> bool {
        self.external_store.is_some()
    }

    /// Terms that select candidates: the rarest terms first, as many as the postings limit allows.
    pub(super) fn selective_terms(&self) -> Vec<String> {
        let frequency = |term: &str| self.catalog.texts.frequency(number(term));
        let mut words: Vec<(u64, &String)> = self.terms.iter().map(|term| (frequency(term), term)).collect();
        words.sort_unstable();
        words.dedup();
        let mut walked = 0;
        let fits = |(frequency, _): &(u64, &String)| {
            walked += frequency;
            walked <= POSTINGS_MAX
        };
        let selective: Vec<String> =
            words.iter().copied().take_while(fits).map(|(_, term)| term.clone()).collect();
        // At least one term is used, even if it exceeds the limit; the time of a read is limited anyway.
        if selective.is_empty() {
            words.first().map(|(_, term)| (*term).clone()).into_iter().collect()
        } else {
            selective
        }
    }

    /// The best memories by BM25 among those that the full-text index returns. `walk` lists the matches without ranking
    /// them: the index would read its own tables to rank each match, while the catalog has the needed statistics in
    /// memory.
    pub(super) fn best_by_words(
        &self,
        filters: &Filters<'_>,
        walk: impl FnOnce(&mut dyn FnMut(i64)) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<Vec<i64>> {
        let (catalog, admission) = (self.catalog, ResolvedFilters::new(self.catalog, filters));
        let (mut best, mut from, mean) = (Best::of(LANE_TOP), 0, catalog.mean_words());
        let mut counts = vec![0.0; self.asked.terms().len()];
        walk(&mut |seq| {
            let Some(number) = catalog.number_from(&mut from, seq) else { return };
            if admission.admits(number) {
                counts.fill(0.0);
                catalog.texts.count(number, &self.words, &mut counts);
                best.put(seq, self.asked.score(&counts, catalog.words[number as usize].into(), mean));
            }
        })?;
        Ok(best.in_order().map(|(seq, _)| seq).collect())
    }

    /// Numbers of all candidates and of their neighbours, sorted.
    fn candidates(&mut self, found: &Found, filters: &Filters<'_>, counted: &Counted) -> Vec<u32> {
        let admission = ResolvedFilters::new(self.catalog, filters);
        let admits = |number: u32| admission.admits(number);
        let seqs = found.lexical.iter().chain(&found.exact).chain(found.graph.keys());
        let mut chosen: Vec<u32> =
            seqs.filter_map(|seq| self.catalog.number(*seq)).filter(|n| admits(*n)).collect();
        let (nearest, exact) = if counted.by_direction { self.nearest(admits) } else { Default::default() };
        chosen.extend(nearest);
        let distances = (1..=AROUND as i64).flat_map(|distance| [-distance, distance]);
        let around: Vec<u32> = chosen
            .iter()
            .flat_map(|number| {
                distances.clone().filter_map(|distance| self.catalog.neighbour(*number, distance))
            })
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        let mut around = around;
        around.sort_unstable();
        around.dedup();
        around.retain(|number| chosen.binary_search(number).is_err() && admits(*number));
        chosen.extend(around);
        chosen.sort_unstable();
        self.exact = exact;
        chosen
    }

    /// Returns the candidates of the vector lane, and the exact cosines that were computed from unquantised vectors.
    fn nearest(&self, admits: impl Fn(u32) -> bool + Sync) -> (Vec<u32>, HashMap<u32, f32>) {
        let Some(vector) = &self.vector else { return Default::default() };
        let numbers = |found: Vec<(u32, f32)>| found.into_iter().map(|(number, _)| number).collect();
        let Some((model, store)) = self.external_store else {
            return (numbers(self.rows.nearest(vector, LANE_TOP, admits)), HashMap::new());
        };
        let mut found = self.rows.nearest(vector, LANE_TOP * UNROUNDED_FACTOR, admits);
        let seqs: Vec<i64> = found.iter().map(|(number, _)| self.catalog.seq(*number)).collect();
        // If the vector file cannot be read, the ranking by quantised vectors stands.
        let unrounded = store.exact(model, &seqs).unwrap_or_default();
        let mut exact = HashMap::with_capacity(found.len());
        for ((number, score), seq) in found.iter_mut().zip(seqs) {
            if let Some(unrounded) = unrounded.get(&seq).filter(|unrounded| !unrounded.is_empty()) {
                *score = vector.cosine(unrounded);
                exact.insert(*number, *score);
            }
        }
        found.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        found.truncate(LANE_TOP);
        (numbers(found), exact)
    }

    /// All candidates with their scores, best first.
    pub(super) fn rank(
        &mut self,
        found: &Found,
        filters: &Filters<'_>,
        weights: &[f64; NAMES.len()],
    ) -> Vec<Ranked> {
        let counted = Counted::by(weights);
        let stages = stage("features").entered();
        let chosen = self.candidates(found, filters, &counted);
        let mut lanes = self.lanes(&chosen, filters, &counted);
        let [.., coverage, _, _] = &lanes;
        let (coverage, similarity) = (coverage.clone(), lanes[NEAR_MATCH].clone());
        self.scale(&mut lanes, &chosen);
        drop(stages);
        let _ranks = stage("rank").entered();
        let ranked: Vec<Ranked> = chosen
            .iter()
            .enumerate()
            .map(|(at, number)| {
                let evidence = self.evidence(&chosen, &lanes, at, *number, found);
                let features = features::features(self.question, &evidence);
                Ranked {
                    seq: self.catalog.seq(*number),
                    score: score(&features, weights),
                    features,
                    coverage: coverage[at],
                    similarity: similarity[at],
                    reranked: None,
                }
            })
            .collect();
        in_order(&ranked)
    }

    fn evidence(&self, chosen: &[u32], lanes: &Lanes, at: usize, number: u32, found: &Found) -> Evidence {
        let catalog = self.catalog;
        let seq = catalog.seq(number);
        let actor = catalog.actor[number as usize];
        let somebody = self.named.iter().any(|named| *named);
        let mut evidence = Evidence {
            lanes: std::array::from_fn(|lane| lanes[lane][at]),
            exact: found.exact.contains(&seq),
            graph: found.graph.get(&seq).copied().unwrap_or(0.0),
            turn: catalog.session_of(number).is_some() && catalog.is_somebody(actor),
            voice: catalog.styles[number as usize],
            words: catalog.words[number as usize],
            actor: (somebody && catalog.is_somebody(actor)).then(|| self.named[actor as usize]),
            date: self.date(number),
            ..Evidence::default()
        };
        let place_of = |near: u32| chosen.binary_search(&near).ok();
        for (slot, distance) in (-3..=3_i64).filter(|distance| *distance != 0).enumerate() {
            let Some(near) = catalog.neighbour(number, distance) else { continue };
            let Some(place) = place_of(near) else { continue };
            for (around, lane) in AROUND_LANES.into_iter().enumerate() {
                evidence.around[around][slot] = lanes[lane][place];
                if distance == -1 && catalog.is_question(near) {
                    evidence.asked[around] = lanes[lane][place];
                }
            }
        }
        evidence
    }

    fn date(&self, number: u32) -> f64 {
        // For a note outside a session, the date of writing is no evidence of its subject.
        if self.question.dates.is_empty() || self.catalog.session_of(number).is_none() {
            return 0.0;
        }
        let occurred = Timestamp::from_microsecond(self.catalog.occurred[number as usize]);
        occurred.map_or(0.0, |time| self.question.dates.fit(time.to_zoned(TimeZone::UTC).date()))
    }
}

/// Sorts by score, and equal scores newest first. The function sorts references, because each element has half a
/// kilobyte.
fn in_order(ranked: &[Ranked]) -> Vec<Ranked> {
    let mut order: Vec<&Ranked> = ranked.iter().collect();
    order.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(b.seq.cmp(&a.seq)));
    order.into_iter().cloned().collect()
}

/// Returns the index terms of a word. In scripts without spaces a word is indexed as pairs of characters. If no memory
/// has any of the pairs, the single characters are used, because they may be apart in a text (归还…书 for 还书).
fn terms_of(catalog: &Catalog, word: &str) -> Vec<String> {
    let mut terms = Vec::new();
    catalog.terms().of_word(word, |term| terms.push(term.to_owned()));
    if is_joined(word) && terms.iter().all(|term| catalog.texts.frequency(number(term)) == 0) {
        terms = characters(word).map(str::to_owned).collect();
    }
    terms
}

/// Returns the factor on vector lanes: the share of the query's words that are one token in the built-in table, but at
/// least a half. A query in another language or of identifiers is ranked more by its words.
fn vector_weight(catalog: &Catalog, kept: &[&str]) -> f64 {
    let whole =
        |word: &&&str| matches!(catalog.vectors.tokens(word).as_slice(), [token] if *token != UNKNOWN_TOKEN);
    if kept.is_empty() || !catalog.vectors.has_tokens() {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "words of one query")]
    let share = kept.iter().filter(whole).count() as f64 / kept.len() as f64;
    share.max(VECTOR_WEIGHT_MIN)
}
