//! The parameters of the guard.

use serde::{Deserialize, Serialize};

/// A hold is longer or shorter by up to this part of it, so that engines that were forced together do not probe
/// together.
const JITTER_PERCENT: u64 = 10;

/// The parameters of the guard. The configuration section `guard` has their defaults, bounds and descriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSettings {
    /// Whether the guard turns reads off by itself.
    pub enabled: bool,
    /// Failures in a row that turn reads off.
    pub consecutive_failures: u32,
    /// A call that takes longer is slow, milliseconds.
    pub slow_ms: i64,
    /// How many of the last calls are judged.
    pub slow_window: usize,
    /// Calls that ended longer ago are not judged, milliseconds.
    pub slow_age_max_ms: i64,
    /// Fewest calls that can be judged.
    pub slow_samples_min: usize,
    /// How long reads stay off before the first probe, milliseconds.
    pub hold_ms: i64,
    /// The longest hold after probes have failed repeatedly, milliseconds.
    pub hold_max_ms: i64,
    /// Budget of a probe, milliseconds.
    pub probe_budget_ms: i64,
    /// Probes in a row that turn reads on.
    pub probe_successes: u32,
    /// Pause between two probes, milliseconds.
    pub probe_interval_ms: i64,
    /// An engine without calls for this long probes itself, milliseconds.
    pub idle_probe_ms: i64,
}

impl GuardSettings {
    /// Length of the hold after `attempt` failed probes: it doubles up to the maximum, with jitter.
    pub(super) fn hold_ms(&self, attempt: u32, random: u32) -> i64 {
        let factor = 1_i64.checked_shl(attempt.min(62)).unwrap_or(i64::MAX);
        let hold = self.hold_ms.saturating_mul(factor).min(self.hold_max_ms.max(self.hold_ms)).max(0);
        let spread = u64::try_from(hold).unwrap_or(0).saturating_mul(JITTER_PERCENT) / 100;
        let shift = i64::try_from(u64::from(random) % (2 * spread + 1)).unwrap_or(0);
        hold.saturating_sub(i64::try_from(spread).unwrap_or(0)).saturating_add(shift)
    }
}
