//! How long each step lasts.

use std::collections::BTreeSet;

use engine_core::rollout::metric::Metric;

const HOUR_S: u64 = 3_600;
/// How long each pod may take until it is ready with the new revision, seconds, unless the spec says otherwise.
/// Kubernetes gives the start of an engine 600 s; the image has to be pulled too.
pub const READY_POD_S: u64 = 900;

/// A step in which the canary answers a share of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryStep {
    /// Share of the sessions, percent.
    pub weight: u8,
    /// How long, seconds.
    pub soak_s: u64,
}

/// How a new revision is introduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long the canary follows the log without reads, seconds.
    pub dark_launch_s: u64,
    /// How long the canary is asked what the stable revision has answered, seconds.
    pub shadow_s: u64,
    /// Steps in which the canary answers, in order.
    pub canary: Vec<CanaryStep>,
    /// How long the canary may be not ready, without a break, seconds.
    pub ready_s: u64,
    /// How long the pods may take until all of them are ready with the new revision, seconds.
    pub promoting_s: u64,
    /// How long the new revision is watched after everything runs it, seconds.
    pub soaking_s: u64,
    /// The gates that are in force.
    pub gates: BTreeSet<Metric>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dark_launch_s: 48 * HOUR_S,
            shadow_s: 72 * HOUR_S,
            canary: vec![CanaryStep { weight: 10, soak_s: 96 * HOUR_S }],
            ready_s: READY_POD_S,
            promoting_s: READY_POD_S,
            soaking_s: 24 * HOUR_S,
            gates: BTreeSet::from(Metric::ALL),
        }
    }
}

impl Settings {
    /// The step of the canary with this number; `None` beyond the last one.
    #[must_use]
    pub fn canary_step(&self, number: u8) -> Option<CanaryStep> {
        self.canary.get(usize::from(number)).copied()
    }
}
