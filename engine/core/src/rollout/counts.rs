//! The integers of the evidence.

use serde::{Deserialize, Serialize};

use super::metric::{Metric, PerMetric, Rule};

/// What is known of one gate. For an absolute gate the first two count bad reads of each revision, whatever the other
/// one did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Pairs in which only the canary was bad.
    pub canary_only: u64,
    /// Pairs in which only the stable was bad.
    pub stable_only: u64,
    /// All pairs.
    pub pairs: u64,
}

impl Counts {
    /// Adds a pair.
    pub fn add(&mut self, metric: Metric, canary_bad: bool, stable_bad: bool) {
        let is_absolute = matches!(metric.rule(), Rule::Absolute { .. });
        self.pairs += 1;
        self.canary_only += u64::from(canary_bad && (is_absolute || !stable_bad));
        self.stable_only += u64::from(stable_bad && (is_absolute || !canary_bad));
    }

    /// Whether pairs of this metric can have these counts.
    #[must_use]
    pub fn are_possible(&self, metric: Metric) -> bool {
        match metric.rule() {
            Rule::Absolute { .. } => self.canary_only.max(self.stable_only) <= self.pairs,
            Rule::Paired { .. } | Rule::OneEvent | Rule::Gaps(_) => {
                self.canary_only.checked_add(self.stable_only).is_some_and(|sum| sum <= self.pairs)
            }
        }
    }

    /// What was added since `earlier`; `None` if one of them has fallen.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            canary_only: self.canary_only.checked_sub(earlier.canary_only)?,
            stable_only: self.stable_only.checked_sub(earlier.stable_only)?,
            pairs: self.pairs.checked_sub(earlier.pairs)?,
        })
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        Self {
            canary_only: self.canary_only.saturating_add(more.canary_only),
            stable_only: self.stable_only.saturating_add(more.stable_only),
            pairs: self.pairs.saturating_add(more.pairs),
        }
    }
}

/// How good the pairs are, as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// Pairs that were counted.
    pub taken: u64,
    /// Those of them that a client asked. The others are repetitions and questions with known answers.
    pub live: u64,
    /// Pairs that were left out: the canary was not ready, was at another event, or a value was missing.
    pub excluded: u64,
    /// How often the canary was ready and then was not.
    pub gaps: u64,
    /// Questions that the stable revision was asked twice.
    pub control: u64,
    /// Those of them that it answered differently.
    pub control_differs: u64,
}

impl Quality {
    /// What was added since `earlier`; `None` if one of them has fallen.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            taken: self.taken.checked_sub(earlier.taken)?,
            live: self.live.checked_sub(earlier.live)?,
            excluded: self.excluded.checked_sub(earlier.excluded)?,
            gaps: self.gaps.checked_sub(earlier.gaps)?,
            control: self.control.checked_sub(earlier.control)?,
            control_differs: self.control_differs.checked_sub(earlier.control_differs)?,
        })
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        Self {
            taken: self.taken.saturating_add(more.taken),
            live: self.live.saturating_add(more.live),
            excluded: self.excluded.saturating_add(more.excluded),
            gaps: self.gaps.saturating_add(more.gaps),
            control: self.control.saturating_add(more.control),
            control_differs: self.control_differs.saturating_add(more.control_differs),
        }
    }
}

/// All counts of one process, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// The counts of each gate that has any.
    #[serde(default, skip_serializing_if = "PerMetric::is_empty")]
    pub counts: PerMetric<Counts>,
    /// How good the pairs are.
    #[serde(default)]
    pub quality: Quality,
}

impl Tally {
    /// The counts of a gate.
    #[must_use]
    pub fn of(&self, metric: Metric) -> Counts {
        self.counts.get(metric).copied().unwrap_or_default()
    }

    /// Adds a pair.
    pub fn add(&mut self, metric: Metric, canary_bad: bool, stable_bad: bool) {
        self.counts.entry(metric).get_or_insert_default().add(metric, canary_bad, stable_bad);
    }
}
