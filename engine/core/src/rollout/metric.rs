//! What is judged, and with which margins.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is compared between the canary and the stable revision. Each is a gate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// The read ended with an error.
    Error,
    /// The read did not end in time.
    Timeout,
    /// The read was answered by a fallback.
    Fallback,
    /// The answer says that it is degraded.
    Degraded,
    /// The answer took longer than half of the stable's answers.
    AboveMedian,
    /// The answer took longer than 95 in 100 of the stable's answers.
    AboveP95,
    /// The answer took longer than the absolute limit.
    OverLimit,
    /// The answer did not come from the cache.
    CacheMiss,
    /// A question with a known answer: it was not among the first five.
    KnownItemMissed,
    /// Fewer than 8 of the first 10 results are the same.
    Disagreement,
    /// The projections have different digests at the same event.
    Digest,
    /// The chain of hashes is broken.
    Chain,
    /// A text that the policy removes was returned.
    Redaction,
    /// The guard turned reads off.
    Downgrade,
    /// The canary was ready, and then was not.
    Readiness,
}

/// How a metric is judged. Margins are per mille of the pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Pairs: harm is how much more often the canary is bad than the stable.
    Paired {
        /// Harm that is tolerated: up to here a rollback is a false one.
        tolerated: u32,
        /// Harm that must not pass.
        refused: u32,
        /// Whether it can fail. Otherwise it passes or holds.
        can_fail: bool,
    },
    /// How often the canary alone is bad, compared with a fixed share. It fails only if the canary is also worse than
    /// the stable by more than `tolerated`, so that the faults of the stable do not count.
    Absolute {
        /// The share of bad reads that is the limit.
        share: u32,
        /// Harm that is tolerated, as in `Paired`.
        tolerated: u32,
    },
    /// One pair in which only the canary is bad fails.
    OneEvent,
    /// More than so many gaps in the readiness of the canary fail.
    Gaps(u64),
}

/// Gaps in the readiness that are tolerated. A gap is not judged by its pairs, which are left out; somebody who drains
/// a node causes one or two.
const GAPS_MAX: u64 = 3;

/// Number of gates whose wealth can fail. The bound of each is raised by this factor, also if some are off, so that no
/// change of the settings weakens the bound over all of them.
#[expect(clippy::cast_possible_truncation, reason = "there are fifteen metrics")]
pub const FAILING_GATES: u32 = {
    let (mut at, mut found) = (0, 0_usize);
    while at < Metric::ALL.len() {
        if Metric::ALL[at].can_fail_by_wealth() {
            found += 1;
        }
        at += 1;
    }
    found as u32
};

impl Metric {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Error,
        Self::Timeout,
        Self::Fallback,
        Self::Degraded,
        Self::AboveMedian,
        Self::AboveP95,
        Self::OverLimit,
        Self::CacheMiss,
        Self::KnownItemMissed,
        Self::Disagreement,
        Self::Digest,
        Self::Chain,
        Self::Redaction,
        Self::Downgrade,
        Self::Readiness,
    ];

    /// How it is judged.
    #[must_use]
    pub const fn rule(self) -> Rule {
        const fn paired(tolerated: u32, refused: u32) -> Rule {
            Rule::Paired { tolerated, refused, can_fail: true }
        }
        match self {
            Self::Error | Self::Timeout | Self::Fallback | Self::Degraded => paired(5, 20),
            Self::AboveMedian => paired(30, 100),
            Self::AboveP95 => paired(10, 50),
            Self::OverLimit => Rule::Absolute { share: 50, tolerated: 5 },
            Self::CacheMiss | Self::KnownItemMissed => paired(5, 20),
            // A better ranking gives other results too, so that a person decides.
            Self::Disagreement => Rule::Paired { tolerated: 10, refused: 50, can_fail: false },
            Self::Digest | Self::Chain | Self::Redaction | Self::Downgrade => Rule::OneEvent,
            Self::Readiness => Rule::Gaps(GAPS_MAX),
        }
    }

    /// Its name, as it is serialised.
    #[must_use]
    pub const fn word(self) -> &'static str {
        METRIC_WORDS[self as usize]
    }

    const fn can_fail_by_wealth(self) -> bool {
        match self.rule() {
            Rule::Paired { can_fail, .. } => can_fail,
            Rule::Absolute { .. } => true,
            Rule::OneEvent | Rule::Gaps(_) => false,
        }
    }

    /// Whether it needs reads. The others are known while the canary only follows the log.
    #[must_use]
    pub const fn needs_reads(self) -> bool {
        match self.rule() {
            Rule::Paired { .. } | Rule::Absolute { .. } => true,
            Rule::OneEvent => matches!(self, Self::Redaction),
            Rule::Gaps(_) => false,
        }
    }
}

/// Names of the metrics, in their order.
pub const METRIC_WORDS: &[&str; 15] = &[
    "error",
    "timeout",
    "fallback",
    "degraded",
    "aboveMedian",
    "aboveP95",
    "overLimit",
    "cacheMiss",
    "knownItemMissed",
    "disagreement",
    "digest",
    "chain",
    "redaction",
    "downgrade",
    "readiness",
];

/// Something for each gate that has it. A map whose keys are few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerMetric<T>([Option<T>; Metric::ALL.len()]);

impl<T> Default for PerMetric<T> {
    fn default() -> Self {
        Self([const { None }; Metric::ALL.len()])
    }
}

impl<T> PerMetric<T> {
    /// What a gate has.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<&T> {
        self.0[metric as usize].as_ref()
    }

    /// What a gate has, to be changed.
    pub fn entry(&mut self, metric: Metric) -> &mut Option<T> {
        &mut self.0[metric as usize]
    }

    /// All that there is, in the order of the gates.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, &T)> {
        Metric::ALL.into_iter().zip(&self.0).filter_map(|(metric, one)| Some((metric, one.as_ref()?)))
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl<T> FromIterator<(Metric, T)> for PerMetric<T> {
    fn from_iter<I: IntoIterator<Item = (Metric, T)>>(all: I) -> Self {
        let mut collected = Self::default();
        for (metric, one) in all {
            *collected.entry(metric) = Some(one);
        }
        collected
    }
}

impl<T: Serialize> Serialize for PerMetric<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PerMetric<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<Metric, T>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_gates_can_fail_by_wealth() {
        assert_eq!(FAILING_GATES, 9);
        let mut sorted = Metric::ALL;
        sorted.sort_unstable();
        assert_eq!(sorted, Metric::ALL, "each once, in the order of the type");
        assert!(Metric::ALL.iter().enumerate().all(|(at, metric)| *metric as usize == at));
    }

    #[test]
    fn a_metric_is_serialised_as_its_word() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.word());
        }
    }

    #[test]
    fn what_is_refused_is_worse_than_what_is_tolerated() {
        for metric in Metric::ALL {
            match metric.rule() {
                Rule::Paired { tolerated, refused, .. } => assert!(tolerated < refused, "{metric:?}"),
                Rule::Absolute { share, tolerated } => assert!(tolerated < share, "{metric:?}"),
                Rule::OneEvent | Rule::Gaps(_) => {}
            }
        }
    }
}
