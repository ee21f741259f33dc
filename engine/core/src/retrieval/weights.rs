//! Weights of the ranking features. Weights are data: readable, replaceable while an engine runs, stored in the log,
//! and identified by their version in every response.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::features::NAMES;

/// Default weights, learned by `scripts/retrieval/learn.py`.
const LEARNED: &str = include_str!("weights.json");
/// Weight of a match of id, citation or title, as a share of the sum of all other weights. With a share of 1, a memory
/// with such a match ranks first.
const EXACT_SHARE: f64 = 1.0;
/// Weight of the proximity to a named entity, as a share of the sum of all other weights.
const GRAPH_SHARE: f64 = 0.05;
/// Largest absolute weight. With larger weights, features with small weights are lost in floating-point sums.
pub const WEIGHT_MAX: f64 = 1e6;

/// Weights by feature name, with their version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Version: `default-N` for built-in weights, otherwise the id of the event that set them.
    pub version: String,
    /// Weight by feature name; a feature without a weight does not count. Weights are divided by their sum before use.
    pub weights: BTreeMap<String, f64>,
}

/// The file that `learn.py` writes.
#[derive(Deserialize)]
struct Learned {
    version: u32,
    weights: BTreeMap<String, f64>,
}

/// Why weights cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadWeights {
    /// No feature has this name.
    #[error("a name is not the name of a feature; known are {}", NAMES.join(", "))]
    Unknown(String),
    /// The weight is infinite, NaN or out of range.
    #[error("the weight of {0} must be a number from -{WEIGHT_MAX} to {WEIGHT_MAX}")]
    Range(String),
    /// The sum of the weights is 0 or negative: dividing by it would give infinities or reverse the order.
    #[error("the sum of the weights must be more than 0")]
    Sum,
}

impl Weights {
    /// The built-in weights.
    pub fn learned() -> Weights {
        let Learned { version, weights, .. } =
            serde_json::from_str(LEARNED).expect("a test covers the built-in weights");
        let mut weights = Weights { version: format!("default-{version}"), weights };
        let all: f64 = weights.weights.values().map(|weight| weight.abs()).sum();
        weights.weights.insert("exact".into(), all * EXACT_SHARE);
        weights.weights.insert("graph".into(), all * GRAPH_SHARE);
        weights
    }

    /// Validates weights from a request.
    pub fn check(weights: &BTreeMap<String, f64>) -> Result<(), BadWeights> {
        for (name, weight) in weights {
            if !NAMES.contains(&name.as_str()) {
                return Err(BadWeights::Unknown(name.clone()));
            }
            if !(-WEIGHT_MAX..=WEIGHT_MAX).contains(weight) {
                return Err(BadWeights::Range(name.clone()));
            }
        }
        if weights.values().sum::<f64>() > 0.0 { Ok(()) } else { Err(BadWeights::Sum) }
    }

    /// Weights in the order of [`NAMES`], divided by their sum.
    pub fn normalised(&self) -> [f64; NAMES.len()] {
        let sum: f64 = self.weights.values().sum();
        NAMES.map(|name| self.weights.get(name).map_or(0.0, |weight| weight / sum))
    }
}

/// The weighted sum.
pub fn score(features: &[f64; NAMES.len()], weights: &[f64; NAMES.len()]) -> f64 {
    features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, f64)]) -> Result<(), BadWeights> {
        Weights::check(&pairs.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect())
    }

    #[test]
    fn the_learned_weights_can_be_used() {
        let learned = Weights::learned();
        assert_eq!(Weights::check(&learned.weights), Ok(()));
        let sum: f64 = learned.normalised().iter().sum();
        assert!((sum - 1.0).abs() < 1e-9 && learned.version.starts_with("default-"));
    }

    #[test]
    fn an_exact_match_stands_before_everything() {
        let (learned, mut worst, mut best) = (Weights::learned(), [0.0; NAMES.len()], [0.0; NAMES.len()]);
        for (at, weight) in learned.normalised().into_iter().enumerate() {
            let exact = NAMES[at] == "exact";
            (worst[at], best[at]) =
                (f64::from(u8::from(exact || weight < 0.0)), f64::from(u8::from(!exact && weight > 0.0)));
        }
        let weights = learned.normalised();
        assert!(score(&worst, &weights) >= score(&best, &weights) * 0.9);
    }

    #[test]
    fn weights_that_cannot_be_used_are_refused() {
        assert_eq!(check(&[("lexical", 2.0), ("static", -1.0)]), Ok(()));
        assert_eq!(check(&[("meaning", 1.0)]), Err(BadWeights::Unknown("meaning".into())));
        assert_eq!(check(&[("lexical", f64::NAN)]), Err(BadWeights::Range("lexical".into())));
        assert_eq!(check(&[("lexical", 2e6)]), Err(BadWeights::Range("lexical".into())));
        assert_eq!(check(&[("lexical", 1.0), ("static", -1.0)]), Err(BadWeights::Sum));
        assert_eq!(check(&[]), Err(BadWeights::Sum));
    }
}
