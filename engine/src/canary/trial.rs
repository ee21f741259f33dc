//! One canary: what was granted to it, and what was counted.

use std::collections::VecDeque;
use std::sync::Arc;

use engine_core::rollout::breaker::Breaker;
use engine_core::rollout::grant::Grant;
use engine_core::rollout::pairing::Pairing;
use engine_core::wire::{CanaryGrant, CanaryLatency, CanaryReads, CanaryReport, RehearsalReport};

use super::side::Side;
use super::target::Target;

/// Newest pairs whose times are shown.
const TIMES_MAX: usize = 512;

/// One canary.
#[derive(Debug)]
pub(super) struct Trial {
    /// Tells it apart from the one before.
    pub(super) number: u64,
    pub(super) grant: CanaryGrant,
    pub(super) lease: Grant,
    pub(super) target: Arc<Target>,
    pub(super) pairing: Pairing,
    pub(super) breaker: Breaker,
    pub(super) is_ready: Option<bool>,
    /// Looks in a row that have found it not ready.
    pub(super) misses: u32,
    pub(super) fault: Option<String>,
    pub(super) probes_fault: Option<String>,
    /// How far the rehearsal is, if one has begun.
    pub(super) rehearsal: Option<RehearsalReport>,
    /// Times of the newest pairs, milliseconds: of this engine, and of the canary.
    times: VecDeque<(f64, f64)>,
}

impl Trial {
    pub(super) fn new(
        number: u64,
        grant: CanaryGrant,
        target: Target,
        (now_s, head_seq): (i64, u64),
    ) -> Trial {
        // What an earlier process of this pod has counted is not known, so that only later events count.
        let floor = if grant.floor { head_seq.saturating_add(1) } else { 0 };
        let mut pairing = Pairing::new(floor);
        pairing.space(grant.pair_interval_ms);
        Trial {
            number,
            lease: Grant::new(grant.weight, now_s),
            grant,
            target: Arc::new(target),
            pairing,
            breaker: Breaker::default(),
            is_ready: None,
            misses: 0,
            fault: None,
            probes_fault: None,
            rehearsal: None,
            times: VecDeque::new(),
        }
    }

    /// What is done with the canary now.
    pub(super) fn reads(&self, now_s: i64) -> CanaryReads {
        if self.lease.holds(now_s) { self.grant.reads } else { CanaryReads::Off }
    }

    /// The share of the sessions that it answers now, percent.
    pub(super) fn weight(&self, now_s: i64) -> u8 {
        let answers =
            self.grant.reads == CanaryReads::Canary && self.is_ready == Some(true) && !self.breaker.is_open();
        if answers { self.lease.weight(now_s) } else { 0 }
    }

    /// Notes how long both took, if both answered.
    pub(super) fn note_times(&mut self, stable: &Side, canary: &Side) {
        let (Some(stable), Some(canary)) = (stable.milliseconds(), canary.milliseconds()) else { return };
        self.times.push_back((stable, canary));
        if self.times.len() > TIMES_MAX {
            self.times.pop_front();
        }
    }

    pub(super) fn report(&self, now_s: i64) -> CanaryReport {
        CanaryReport {
            revision: Some(self.grant.revision.clone()),
            reads: self.reads(now_s),
            weight: self.weight(now_s),
            ready: self.is_ready,
            fault: self.fault.clone(),
            probes_fault: self.probes_fault.clone(),
            breaker_open: self.breaker.is_open(),
            tally: self.pairing.tally().clone(),
            latency: self.latency(),
            rehearsal: self.rehearsal,
        }
    }

    fn latency(&self) -> CanaryLatency {
        let mut stable: Vec<f64> = self.times.iter().map(|(stable, _)| *stable).collect();
        let mut canary: Vec<f64> = self.times.iter().map(|(_, canary)| *canary).collect();
        stable.sort_by(f64::total_cmp);
        canary.sort_by(f64::total_cmp);
        CanaryLatency {
            stable_p50_ms: percentile(&stable, 50),
            stable_p95_ms: percentile(&stable, 95),
            canary_p50_ms: percentile(&canary, 50),
            canary_p95_ms: percentile(&canary, 95),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole milliseconds of a bounded wait"
)]
fn percentile(sorted: &[f64], percent: usize) -> Option<u64> {
    sorted.get(sorted.len() * percent / 100).map(|time| time.round() as u64)
}
