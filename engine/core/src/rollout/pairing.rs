//! Makes counts of pairs, in the process that answers reads.

use std::collections::BTreeSet;

use super::{
    counts::{Counts, Tally},
    metric::{Metric, Rule},
};

/// Shortest time between two pairs. A burst is one incident: with a pair of each read, eight bad seconds at a high rate
/// would roll back a good revision.
pub const SPACING_MS: i64 = 1_000;
/// Pairs that are remembered, so that none counts twice. Each has 16 bytes.
const SEEN_MAX: usize = 65_536;
/// Answers of the stable after which its usual times are fixed. They stay fixed: with limits that move, a canary that
/// becomes slower together with its limits would not be noticed.
const BASELINE_READS: usize = 120;
/// The limit of the absolute gate, seconds.
const LIMIT_S: f64 = 0.250;
/// Results that have to be the same of the first ten.
const OVERLAP_MIN: u32 = 8;

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an answer.
    Answered,
    /// With an error.
    Error,
    /// Not in time.
    Timeout,
    /// With an answer of the fallback.
    Fallback,
}

/// What one revision did with a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Number of the last event that its projection had.
    pub applied_seq: u64,
    /// How it ended.
    pub ended: Ended,
    /// Whether the answer says that it is degraded.
    pub degraded: bool,
    /// How long it took. Anything but a finite number of at least 0 counts as a missing value.
    pub seconds: f64,
    /// Whether the cache had it; `None` if it is not cached by its nature.
    pub cache_hit: Option<bool>,
    /// Whether the known answer was among the first five; `None` if the question has none.
    pub recalled: Option<bool>,
}

/// A question, asked of both revisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Hash of the question with everything that decides about its answer.
    pub query: u64,
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
    /// Whether a client asked it.
    pub live: bool,
    /// What the canary did.
    pub canary: Answer,
    /// What the stable revision did.
    pub stable: Answer,
    /// How many of the first ten results are the same; `None` if neither has results.
    pub overlap: Option<u32>,
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It counts.
    Counted,
    /// The question has counted at this event, or may have: no more are remembered.
    Duplicate,
    /// It came too soon after the last one, or the clock went back.
    TooClose,
    /// The canary is not ready: left out.
    NotReady,
    /// The revisions were at different events, or a value is missing: left out.
    Incomparable,
}

/// Counts the pairs of one canary.
#[derive(Clone, Debug)]
pub struct Pairing {
    /// Event and question of the pairs that count.
    seen: BTreeSet<(u64, u64)>,
    /// The first event whose pairs count.
    floor: u64,
    /// Shortest time between two pairs, milliseconds.
    spacing_ms: i64,
    last_ms: Option<i64>,
    is_ready: bool,
    baseline: Vec<f64>,
    /// Usual times of the stable, seconds: of half of the answers, and of 95 in 100.
    limits: Option<(f64, f64)>,
    tally: Tally,
}

impl Pairing {
    /// Counts nothing yet. Pairs before the event `floor` never count: a process that starts anew does not know which
    /// of them its predecessor has counted. 0 for the first process of a pod.
    #[must_use]
    pub fn new(floor: u64) -> Self {
        // Every gate is reported from the start: one that is absent could not be told from counters that are lost.
        let counted = Metric::ALL.into_iter().filter(|metric| !matches!(metric.rule(), Rule::Gaps(_)));
        let counts = counted.map(|metric| (metric, Counts::default())).collect();
        Self {
            seen: BTreeSet::new(),
            floor,
            spacing_ms: SPACING_MS,
            last_ms: None,
            is_ready: false,
            baseline: Vec::new(),
            limits: None,
            tally: Tally { counts, ..Tally::default() },
        }
    }

    /// Sets the shortest time between two pairs.
    pub fn space(&mut self, milliseconds: u32) {
        self.spacing_ms = milliseconds.into();
    }

    /// What was counted.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether a pair of this question at this event cannot count any more.
    #[must_use]
    pub fn is_known(&self, seq: u64, query: u64) -> bool {
        seq < self.floor || self.seen.contains(&(seq, query))
    }

    /// Takes over whether the canary is ready. That it becomes ready for the first time is no gap.
    pub fn readiness(&mut self, is_ready: bool) {
        self.tally.quality.gaps += u64::from(self.is_ready && !is_ready);
        self.is_ready = is_ready;
    }

    /// Counts a check of a gate that one event fails.
    pub fn check(&mut self, metric: Metric, canary_bad: bool, stable_bad: bool) {
        self.tally.add(metric, canary_bad, stable_bad);
    }

    /// Counts a question that the stable revision was asked twice, with how many of the first ten results are the same.
    /// It disagrees with itself where it would disagree with a canary.
    pub fn control(&mut self, overlap: u32) {
        self.tally.quality.control += 1;
        self.tally.quality.control_differs += u64::from(overlap < OVERLAP_MIN);
    }

    /// Counts a pair, or says why it does not count.
    pub fn take(&mut self, pair: &Pair) -> Taken {
        let seq = pair.stable.applied_seq;
        if self.is_known(seq, pair.query) {
            return Taken::Duplicate;
        }
        let last_ms = self.last_ms;
        if last_ms.is_some_and(|last| pair.at_ms.saturating_sub(last) < self.spacing_ms) {
            // A clock that went back costs one pair. Waiting until it has caught up could cost a year.
            self.last_ms = last_ms.map(|last| last.min(pair.at_ms));
            return Taken::TooClose;
        }
        self.last_ms = Some(pair.at_ms);
        if !self.is_ready {
            self.tally.quality.excluded += 1;
            return Taken::NotReady;
        }
        if pair.canary.applied_seq != seq || ![pair.canary, pair.stable].iter().all(is_complete) {
            self.tally.quality.excluded += 1;
            return Taken::Incomparable;
        }
        if !self.remember(seq, pair.query) {
            return Taken::Duplicate;
        }
        self.count(pair);
        Taken::Counted
    }

    /// Remembers a pair. What is forgotten to make room can never count again. `false` if there is no room.
    fn remember(&mut self, seq: u64, query: u64) -> bool {
        if self.seen.len() >= SEEN_MAX
            && let Some((oldest, _)) = self.seen.first().copied()
        {
            self.floor = oldest.saturating_add(1);
            self.seen = self.seen.split_off(&(self.floor, 0));
        }
        seq >= self.floor && self.seen.insert((seq, query))
    }

    fn count(&mut self, pair: &Pair) {
        let (canary, stable) = (&pair.canary, &pair.stable);
        self.tally.quality.taken += 1;
        self.tally.quality.live += u64::from(pair.live);
        for (metric, ended) in [
            (Metric::Error, Ended::Error),
            (Metric::Timeout, Ended::Timeout),
            (Metric::Fallback, Ended::Fallback),
        ] {
            self.tally.add(metric, canary.ended == ended, stable.ended == ended);
        }
        self.tally.add(Metric::Degraded, canary.degraded, stable.degraded);
        self.count_times(canary, stable);
        if let (Some(canary), Some(stable)) = (canary.cache_hit, stable.cache_hit) {
            self.tally.add(Metric::CacheMiss, !canary, !stable);
        }
        if let (Some(canary), Some(stable)) = (canary.recalled, stable.recalled) {
            self.tally.add(Metric::KnownItemMissed, !canary, !stable);
        }
        if let Some(overlap) = pair.overlap {
            self.tally.add(Metric::Disagreement, overlap < OVERLAP_MIN, false);
        }
    }

    /// Times count only between two answers: an error is quick, and has a gate of its own.
    fn count_times(&mut self, canary: &Answer, stable: &Answer) {
        if canary.ended != Ended::Answered || stable.ended != Ended::Answered {
            return;
        }
        self.tally.add(Metric::OverLimit, canary.seconds > LIMIT_S, stable.seconds > LIMIT_S);
        match self.limits {
            Some((median, p95)) => {
                self.tally.add(Metric::AboveMedian, canary.seconds > median, stable.seconds > median);
                self.tally.add(Metric::AboveP95, canary.seconds > p95, stable.seconds > p95);
            }
            // The reads that fix the limits are not compared with them.
            None => {
                self.baseline.push(stable.seconds);
                if self.baseline.len() >= BASELINE_READS {
                    self.baseline.sort_by(f64::total_cmp);
                    let at = |percent: usize| self.baseline[self.baseline.len() * percent / 100];
                    self.limits = Some((at(50), at(95)));
                    self.baseline = Vec::new();
                }
            }
        }
    }
}

fn is_complete(answer: &Answer) -> bool {
    answer.seconds.is_finite() && answer.seconds >= 0.0
}
