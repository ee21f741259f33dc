//! What services outside have said about a search before it is run: they are asked off the threads that read.

use std::collections::HashMap;

use engine_core::wire::Degraded;

use super::query::Ranked;
use crate::embeddings::AskedOutside;

/// Answers of services, and why there are none.
#[derive(Debug, Clone, Default)]
pub struct ProviderResults {
    /// The vector of what is looked for.
    pub vector: Option<AskedOutside>,
    /// Memories in the order of the reranker, each with its score.
    pub reranked: Vec<(i64, f64)>,
    pub degraded: Vec<Degraded>,
}

impl ProviderResults {
    /// Brings what the reranker has ranked into its order. The scores there were stay, the best for its best, so that
    /// they still fall from first to last and compare with those of the others.
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
        Ranked { seq, score, features, coverage: 0.0, alike: 0.0, reranked: None }
    }

    #[test]
    fn what_was_reranked_changes_places_and_nothing_else_does() {
        let mut all = [ranked(1, 0.9), ranked(2, 0.8), ranked(3, 0.7), ranked(4, 0.6), ranked(5, 0.5)];
        // One was forgotten since, and a new one came in between.
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
