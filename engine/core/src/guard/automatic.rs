//! The guard's own decision about reads.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::now::{Now, ProbePurpose};
use super::outcome::{Dependency, Outcome};
use super::settings::GuardSettings;
use crate::mode::Mode;

/// The guard's own decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Automatic {
    /// Reads are allowed.
    Base,
    /// Most recent calls of a dependency were slow, or its last ones were refused as invalid. Reads are still allowed:
    /// a probe finds out whether the dependency is at fault, or what clients request.
    Suspected {
        /// What is suspected.
        cause: Cause,
    },
    /// Reads are off until a time.
    Forced {
        /// Why.
        cause: Cause,
        /// How many times probes have failed since reads were turned off.
        attempt: u32,
        /// Monotonic time at which probes begin, milliseconds.
        until_ms: i64,
    },
    /// Reads are off, and probes find out whether they can be turned on.
    Probing {
        /// Why reads were turned off.
        cause: Cause,
        /// How many times probes have failed since reads were turned off.
        attempt: u32,
        /// Probes in a row that passed.
        passed: u32,
        /// Monotonic time before which no other probe begins, milliseconds.
        next_ms: i64,
    },
}

/// Why the guard turned reads off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// The dependency.
    pub dependency: Dependency,
    /// What was wrong with it.
    pub reason: Reason,
    /// The outcome of the call that decided; absent if the duration of calls decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What was wrong with a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It refused the engine's credentials.
    AuthenticationFailed,
    /// Several calls in a row failed.
    ConsecutiveFailures,
    /// More than half of its recent calls were slow, and so was a probe.
    Slow,
    /// It demands not to be called for as long as a hold, or for five minutes.
    RateLimited,
    /// It refused several requests in a row as invalid, and a probe too.
    RequestsRefused,
}

impl Reason {
    /// Every reason, as in metrics.
    pub const WORDS: &'static [&'static str] =
        &["authentication_failed", "consecutive_failures", "slow", "rate_limited", "requests_refused"];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::AuthenticationFailed => "authentication_failed",
            Reason::ConsecutiveFailures => "consecutive_failures",
            Reason::Slow => "slow",
            Reason::RateLimited => "rate_limited",
            Reason::RequestsRefused => "requests_refused",
        }
    }
}

impl std::fmt::Display for Cause {
    /// Such as `embedding: consecutive_failures (timeout)`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.dependency.as_str(), self.reason.as_str())?;
        match self.outcome {
            Some(Outcome::Failed(fault)) => write!(formatter, " ({})", fault.as_str()),
            _ => Ok(()),
        }
    }
}

/// What follows from the end of a probe.
pub(super) enum Verdict {
    Unchanged,
    Becomes(Automatic),
    /// Reads are allowed again, and earlier calls no longer count.
    Restores,
}

impl Automatic {
    /// Names of all states, as in metrics.
    pub const WORDS: &'static [&'static str] = &["base", "suspected", "forced", "probing"];

    /// Name of the state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Automatic::Base => "base",
            Automatic::Suspected { .. } => "suspected",
            Automatic::Forced { .. } => "forced",
            Automatic::Probing { .. } => "probing",
        }
    }

    /// The widest mode that the decision allows.
    #[must_use]
    pub const fn allowed(&self) -> Mode {
        match self {
            Automatic::Base | Automatic::Suspected { .. } => Mode::ReadWrite,
            Automatic::Forced { .. } | Automatic::Probing { .. } => Mode::WriteOnly,
        }
    }

    /// Why reads are off, or suspected.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        match self {
            Automatic::Base => None,
            Automatic::Suspected { cause }
            | Automatic::Forced { cause, .. }
            | Automatic::Probing { cause, .. } => Some(*cause),
        }
    }

    /// Reads are off from now on. `attempt` is how often probes failed already; `wait_ms` is how long the dependency
    /// demanded not to be called.
    pub(super) fn force(
        cause: Cause,
        attempt: u32,
        wait_ms: i64,
        now: Now,
        settings: &GuardSettings,
    ) -> Automatic {
        let hold_ms = settings.hold_ms(attempt, now.random).max(wait_ms);
        Automatic::Forced { cause, attempt, until_ms: now.ms.saturating_add(hold_ms) }
    }

    /// The purpose of the probe that is due, if any.
    pub(super) fn due_probe(&self, idle: bool, now: Now) -> Option<ProbePurpose> {
        match self {
            Automatic::Base => idle.then_some(ProbePurpose::Idle),
            Automatic::Suspected { .. } => Some(ProbePurpose::Confirm),
            Automatic::Forced { .. } => None,
            Automatic::Probing { next_ms, .. } => (*next_ms <= now.ms).then_some(ProbePurpose::Restore),
        }
    }

    pub(super) fn after_probe(
        &self,
        purpose: ProbePurpose,
        passed: bool,
        now: Now,
        settings: &GuardSettings,
    ) -> Verdict {
        match (self, purpose) {
            (Automatic::Suspected { .. }, ProbePurpose::Confirm) if passed => Verdict::Restores,
            (Automatic::Suspected { cause }, ProbePurpose::Confirm) => {
                Verdict::Becomes(Automatic::force(*cause, 0, 0, now, settings))
            }
            (Automatic::Probing { cause, attempt, passed: before, .. }, ProbePurpose::Restore) => {
                if !passed {
                    let attempt = attempt.saturating_add(1);
                    return Verdict::Becomes(Automatic::force(*cause, attempt, 0, now, settings));
                }
                let count = before.saturating_add(1);
                if count >= settings.probe_successes {
                    return Verdict::Restores;
                }
                let next_ms = now.ms.saturating_add(settings.probe_interval_ms);
                Verdict::Becomes(Automatic::Probing {
                    cause: *cause,
                    attempt: *attempt,
                    passed: count,
                    next_ms,
                })
            }
            // The calls of an idle probe are counted as the calls that they are. A probe that began in another state
            // decides nothing.
            (
                Automatic::Base
                | Automatic::Suspected { .. }
                | Automatic::Forced { .. }
                | Automatic::Probing { .. },
                _,
            ) => Verdict::Unchanged,
        }
    }

    /// When the guard acts next by itself, on the wall clock; `None` if reads are not off.
    #[must_use]
    pub fn until(&self, now: Now) -> Option<Timestamp> {
        let at = match self {
            Automatic::Base | Automatic::Suspected { .. } => return None,
            Automatic::Forced { until_ms, .. } => *until_ms,
            Automatic::Probing { next_ms, .. } => *next_ms,
        };
        Some(now.wall_at(at.max(now.ms)))
    }
}
