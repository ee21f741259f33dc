//! Adds up what the processes that answer reads report about one revision.
//!
//! A reading has the counters of one process since its start. What is added is the difference from the last reading of
//! the same pod. Nothing is subtracted, and nothing is added twice: a reading whose counters have fallen without a
//! restart is an old one, and the pods of a revision are never forgotten while it is judged.

use std::collections::{BTreeMap, BTreeSet};

use engine_core::rollout::{
    counts::{Counts, Quality, Tally},
    metric::{Metric, PerMetric},
};
use serde::{Deserialize, Serialize};

/// Pods that may report about one revision. A revision that outlives more of them gets no further evidence, and holds.
pub const PODS_MAX: usize = 16;
/// Age at which a reading is too old to judge by, seconds. The operator reads every ten; this many may fail in a row
/// before a gate has no data.
pub const STALE_S_MAX: i64 = 60;
/// Counters above this are not exact in a number of Prometheus.
const COUNTER_MAX: f64 = 9_007_199_254_740_992.0;

/// Counters of a process as they are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawReading {
    /// UID of the pod that counted.
    pub pod: String,
    /// The revision of the canary.
    pub revision: String,
    /// How often the container of the pod was restarted. Unlike a time of start, no clock can make it fall.
    pub restarts: u32,
    /// The three counters of each gate.
    pub samples: BTreeMap<Metric, RawSample>,
    /// The counters of `Quality`, in its order.
    pub quality: [f64; 6],
}

/// The three counters of a gate as they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RawSample {
    /// Pairs in which only the canary was bad.
    pub canary_only: f64,
    /// Pairs in which only the stable was bad.
    pub stable_only: f64,
    /// All pairs.
    pub pairs: f64,
}

/// Counters of a process that can be counted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// UID of the pod that counted.
    pub pod: String,
    /// The revision of the canary.
    pub revision: String,
    /// How often the container of the pod was restarted.
    pub restarts: u32,
    /// The counters. A gate whose counters cannot be is absent.
    pub tally: Tally,
}

/// A counter; `None` for what no counter can be.
fn whole(value: f64) -> Option<u64> {
    let is_counter = value.is_finite() && value.fract() == 0.0 && (0.0..=COUNTER_MAX).contains(&value);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked in the line before")]
    is_counter.then_some(value as u64)
}

impl RawReading {
    /// Keeps what can be counted with; `None` if it is not known how good the pairs are.
    #[must_use]
    pub fn checked(&self) -> Option<Reading> {
        let mut quality = [0; 6];
        for (to, from) in quality.iter_mut().zip(self.quality) {
            *to = whole(from)?;
        }
        let [taken, live, excluded, gaps, control, control_differs] = quality;
        let sample = |(metric, raw): (&Metric, &RawSample)| {
            let counts = Counts {
                canary_only: whole(raw.canary_only)?,
                stable_only: whole(raw.stable_only)?,
                pairs: whole(raw.pairs)?,
            };
            counts.are_possible(*metric).then_some((*metric, counts))
        };
        Some(Reading {
            pod: self.pod.clone(),
            revision: self.revision.clone(),
            restarts: self.restarts,
            tally: Tally {
                counts: self.samples.iter().filter_map(sample).collect(),
                quality: Quality { taken, live, excluded, gaps, control, control_differs },
            },
        })
    }
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// It was added.
    Added,
    /// It is about another revision.
    OtherRevision,
    /// It is older than the last one of its pod.
    Old,
    /// More pods have reported than one revision may have.
    TooManyPods,
}

/// The last reading of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    restarts: u32,
    tally: Tally,
}

/// All evidence about one revision. Part of the status: integers only, and bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The revision that is judged.
    revision: String,
    /// The last reading of each pod that has reported, by UID.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pods: BTreeMap<String, Last>,
    /// All pairs since the revision is judged.
    total: Tally,
    /// What `total` was when the present step began.
    before_step: Tally,
    /// When the present step began, seconds since the epoch.
    step_began_s: i64,
    /// When the counters of each gate were last read.
    #[serde(default, skip_serializing_if = "PerMetric::is_empty")]
    read_at_s: PerMetric<i64>,
}

/// The counts of one gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Since the revision is judged.
    pub life: Counts,
    /// Since the present step began.
    pub step: Counts,
    /// How good the pairs since the revision is judged are.
    pub quality: Quality,
    /// How good the pairs of the step are.
    pub step_quality: Quality,
    /// Whether the counters were read recently.
    pub is_fresh: bool,
    /// Since when the step lasts, seconds.
    pub window_s: u64,
}

impl Evidence {
    /// None yet.
    #[must_use]
    pub fn new(revision: &str, now_s: i64) -> Self {
        Self { revision: revision.to_owned(), step_began_s: now_s, ..Self::default() }
    }

    /// The revision that is judged.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// When the present step began, seconds since the epoch.
    pub(super) fn step_began_s(&self) -> i64 {
        self.step_began_s
    }

    /// Begins a step: what passes is counted anew, what fails is not.
    pub fn begin_step(&mut self, now_s: i64) {
        self.before_step = self.total.clone();
        self.step_began_s = now_s;
    }

    /// Adds what a reading has more than the last one of the same pod.
    pub fn absorb(&mut self, reading: &Reading, now_s: i64) -> Absorbed {
        if reading.revision != self.revision {
            return Absorbed::OtherRevision;
        }
        let none = Last { restarts: reading.restarts, tally: Tally::default() };
        let last = match self.pods.get(&reading.pod) {
            Some(last) if reading.restarts < last.restarts => return Absorbed::Old,
            // Counters of a process that has restarted begin with 0.
            Some(last) if reading.restarts > last.restarts => &none,
            Some(last) => last,
            None if self.pods.len() >= PODS_MAX => return Absorbed::TooManyPods,
            None => &none,
        };
        let Some((more, now)) = difference(&last.tally, &reading.tally) else { return Absorbed::Old };
        for (metric, counts) in more.counts.iter() {
            let total = self.total.counts.entry(metric).get_or_insert_default();
            *total = total.plus(counts);
            *self.read_at_s.entry(metric) = Some(now_s);
        }
        // The gaps have no pairs, and are known from every reading.
        *self.read_at_s.entry(Metric::Readiness) = Some(now_s);
        self.total.quality = self.total.quality.plus(&more.quality);
        self.pods.insert(reading.pod.clone(), Last { restarts: reading.restarts, tally: now });
        Absorbed::Added
    }

    /// Forgets the last readings of pods other than these. What they have counted stays. A pod whose process goes on
    /// must be among them: its counters would be added again.
    pub fn keep_pods(&mut self, uids: &BTreeSet<String>) {
        if self.pods.len() >= PODS_MAX {
            self.pods.retain(|uid, _| uids.contains(uid));
        }
    }

    /// Counts a check that the operator itself makes.
    pub fn note(&mut self, metric: Metric, is_bad: bool, now_s: i64) {
        self.total.add(metric, is_bad, false);
        *self.read_at_s.entry(metric) = Some(now_s);
    }

    /// The counts of a gate.
    #[must_use]
    pub fn figures(&self, metric: Metric, now_s: i64) -> Figures {
        let age = self.read_at_s.get(metric).map(|read| now_s.saturating_sub(*read));
        let life = self.total.of(metric);
        Figures {
            life,
            step: life.since(&self.before_step.of(metric)).unwrap_or_default(),
            quality: self.total.quality,
            step_quality: self.total.quality.since(&self.before_step.quality).unwrap_or_default(),
            // A reading from the future is one from before the clock went back.
            is_fresh: age.is_some_and(|age| (0..=STALE_S_MAX).contains(&age)),
            window_s: now_s.saturating_sub(self.step_began_s).try_into().unwrap_or_default(),
        }
    }
}

/// What `now` has more than `last`, and what is the last reading from now on; `None` if any counter has fallen. A gate
/// that is absent from a reading keeps its counters.
fn difference(last: &Tally, now: &Tally) -> Option<(Tally, Tally)> {
    let mut more = Tally { quality: now.quality.since(&last.quality)?, ..Tally::default() };
    let mut next = last.clone();
    next.quality = now.quality;
    for (metric, counts) in now.counts.iter() {
        *more.counts.entry(metric) = Some(counts.since(&last.of(metric))?);
        *next.counts.entry(metric) = Some(*counts);
    }
    Some((more, next))
}
