//! `guard`: when reads are turned off by themselves, and on again.

use super::key::Key;
use super::section::section;
use crate::guard::GuardSettings;

section! {
    /// When an engine turns its reads off because a dependency fails, and on again.
    "guard" => Guard, check check_combination {
        /// whether the engine turns reads off by itself: [modes](modes.md)
        "enabled" enabled: bool, or true, since "0.1.0" => Key::boolean().field("spec.guard.enabled");
        /// failures of a dependency in a row that turn reads off
        "consecutiveFailures" consecutive_failures: u32, or 3, since "0.1.0"
            => Key::integer(1, 100).field("spec.guard.consecutiveFailures");
        /// a call of a dependency that takes longer is slow
        "slowMillis" slow_millis: u32, or 300, since "0.1.0"
            => Key::integer(10, 60_000).field("spec.guard.slowMillis");
        /// number of last calls that are judged; reads are turned off if more than half of them are slow
        "slowWindow" slow_window: u32, or 20, since "0.1.0"
            => Key::integer(2, 100).field("spec.guard.slowWindow");
        /// fewest calls that can be judged
        "slowSamplesMin" slow_samples_min: u32, or 5, since "0.1.0"
            => Key::integer(1, 100).field("spec.guard.slowSamplesMin");
        /// calls that ended longer ago are not judged
        "slowMaxAgeSeconds" slow_max_age_seconds: u32, or 900, since "0.1.0"
            => Key::integer(1, 86_400).field("spec.guard.slowMaxAgeSeconds");
        /// how long reads stay off before the first probe, ± 10 %
        "holdSeconds" hold_seconds: u32, or 300, since "0.1.0"
            => Key::integer(1, 86_400).field("spec.guard.holdSeconds");
        /// longest hold; each failed probe doubles the hold up to this
        "holdMaxSeconds" hold_max_seconds: u32, or 3_600, since "0.1.0"
            => Key::integer(1, 86_400).field("spec.guard.holdMaxSeconds");
        /// time within which all dependencies must answer a probe; `slowMillis`, if that is longer
        "probeBudgetMillis" probe_budget_millis: u32, or 150, since "0.1.0"
            => Key::integer(10, 10_000).field("spec.guard.probeBudgetMillis");
        /// probes in a row that turn reads on
        "probeSuccesses" probe_successes: u32, or 3, since "0.1.0"
            => Key::integer(1, 100).field("spec.guard.probeSuccesses");
        /// pause between two of these probes
        "probeIntervalMillis" probe_interval_millis: u32, or 1_000, since "0.1.0"
            => Key::integer(10, 60_000).field("spec.guard.probeIntervalMillis");
        /// an engine without reads for this long probes itself
        "idleProbeSeconds" idle_probe_seconds: u32, or 60, since "0.1.0"
            => Key::integer(1, 86_400).field("spec.guard.idleProbeSeconds");
    }
}

/// With more samples than calls are judged, nothing would ever be slow.
fn check_combination(guard: &Guard, faults: &mut Vec<String>) {
    if guard.slow_samples_min() > guard.slow_window() {
        faults.push("guard.slowSamplesMin must not exceed guard.slowWindow".into());
    }
    if guard.hold_max_seconds() < guard.hold_seconds() {
        faults.push("guard.holdMaxSeconds must not be below guard.holdSeconds".into());
    }
}

impl Guard {
    /// The parameters of the guard.
    #[must_use]
    pub fn settings(&self) -> GuardSettings {
        let seconds = |value: u32| i64::from(value) * 1_000;
        let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        GuardSettings {
            enabled: self.enabled(),
            consecutive_failures: self.consecutive_failures(),
            slow_ms: self.slow_millis().into(),
            slow_window: count(self.slow_window()),
            slow_age_max_ms: seconds(self.slow_max_age_seconds()),
            slow_samples_min: count(self.slow_samples_min()),
            hold_ms: seconds(self.hold_seconds()),
            hold_max_ms: seconds(self.hold_max_seconds()),
            // What is not slow must pass a probe. Otherwise reads that were turned off would never come back.
            probe_budget_ms: self.probe_budget_millis().max(self.slow_millis()).into(),
            probe_successes: self.probe_successes(),
            probe_interval_ms: self.probe_interval_millis().into(),
            idle_probe_ms: seconds(self.idle_probe_seconds()),
        }
    }
}

impl Default for GuardSettings {
    /// The defaults of the section.
    fn default() -> GuardSettings {
        Guard::default().settings()
    }
}
