//! Results of external providers for a search. They are requested before the search, so that the threads that read the
//! projection never wait for the network.

use std::collections::HashMap;
use std::time::Duration;

use engine_core::wire::Degraded;

use super::query::Ranked;
use super::stages::{Stage, StageTimes};
use crate::embeddings::ExternalQueryVector;

/// Results of providers, and the reasons why some are missing.
#[derive(Debug, Clone, Default)]
pub struct ProviderResults {
    /// The vector of the query, made by an external model.
    pub vector: Option<ExternalQueryVector>,
    /// Sequence numbers in the order of the reranker, each with its relevance score.
    pub reranked: Vec<(i64, f64)>,
    /// Lanes that were left out because a provider failed.
    pub degraded: Vec<Degraded>,
    /// How long the vector of the query took.
    pub embed_time: Duration,
    /// How long the reranking took.
    pub rerank_time: Duration,
}

impl ProviderResults {
    /// The stages of a search that begins with these results.
    pub(super) fn times(&self) -> StageTimes {
        let times = StageTimes::default();
        times.add(Stage::Embed, self.embed_time);
        times.add(Stage::Fusion, self.rerank_time);
        times.add(Stage::Total, self.embed_time + self.rerank_time);
        times
    }

    /// Reorders the memories that the reranker ranked, within the positions that they have in `ranked`. Scores stay at
    /// their positions, so they still descend and remain comparable with the scores of the other memories.
    pub(super) fn reorder(&self, ranked: &mut [Ranked]) {
        let order: HashMap<i64, (usize, f64)> = self
            .reranked
            .iter()
            .enumerate()
            .map(|(place, (seq, relevance))| (*seq, (place, *relevance)))
            .collect();
        let places: Vec<usize> =
            (0..ranked.len()).filter(|place| order.contains_key(&ranked[*place].seq)).collect();
        let mut moved: Vec<Ranked> = places.iter().map(|place| ranked[*place].clone()).collect();
        let scores: Vec<f64> = moved.iter().map(|ranked| ranked.score).collect();
        moved.sort_by_key(|ranked| order.get(&ranked.seq).map_or(usize::MAX, |(place, _)| *place));
        for ((place, score), mut found) in places.into_iter().zip(scores).zip(moved) {
            found.reranked = order.get(&found.seq).map(|(_, relevance)| (*relevance, score - found.score));
            found.score = score;
            ranked[place] = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use engine_core::retrieval::features::NAMES;

    use super::*;

    fn ranked(seq: i64, score: f64) -> Ranked {
        let features = [0.0; NAMES.len()];
        Ranked { seq, score, features, coverage: 0.0, similarity: 0.0, reranked: None }
    }

    #[test]
    fn what_was_reranked_changes_places_and_nothing_else_does() {
        let mut all = [ranked(1, 0.9), ranked(2, 0.8), ranked(3, 0.7), ranked(4, 0.6), ranked(5, 0.5)];
        // Since the request, one memory was forgotten, and a new one was ranked between the others.
        let asked = ProviderResults {
            reranked: vec![(4, 0.99), (9, 0.5), (1, 0.2), (3, 0.1)],
            ..ProviderResults::default()
        };
        asked.reorder(&mut all);
        let order: Vec<(i64, f64)> = all.iter().map(|ranked| (ranked.seq, ranked.score)).collect();
        assert_eq!(order, [(4, 0.9), (2, 0.8), (1, 0.7), (3, 0.6), (5, 0.5)]);
        let (relevance, points) = all[0].reranked.unwrap();
        assert!((relevance - 0.99).abs() < 1e-9 && (points - 0.3).abs() < 1e-9);
        assert!(all[1].reranked.is_none());
        let before: Vec<i64> = all.iter().map(|ranked| ranked.seq).collect();
        ProviderResults::default().reorder(&mut all);
        assert_eq!(all.iter().map(|ranked| ranked.seq).collect::<Vec<_>>(), before);
    }
}
