//! The inputs of the guard, the time, and what has to be done after a step.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::hold::Hold;
use super::outcome::{Dependency, Outcome};
use crate::mode::Mode;

/// The time of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Monotonic time, milliseconds since any fixed moment of this process.
    pub ms: i64,
    /// Time of the wall clock. It is for display; no decision depends on it.
    pub wall: Timestamp,
    /// A random number, for the jitter of holds.
    pub random: u32,
}

impl Now {
    /// The wall clock at the monotonic time `ms`, as far as it is known now.
    #[must_use]
    pub fn wall_at(&self, ms: i64) -> Timestamp {
        let distance = SignedDuration::from_millis(ms.saturating_sub(self.ms));
        self.wall.checked_add(distance).unwrap_or(Timestamp::MAX)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "input")]
pub enum Input {
    /// A call of a dependency began.
    Started {
        /// The dependency.
        dependency: Dependency,
        /// Number of the call, unique in this process.
        call: u64,
    },
    /// A call of a dependency ended.
    Ended {
        /// The dependency.
        dependency: Dependency,
        /// Number of the call.
        call: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A probe ended.
    ProbeEnded {
        /// Number of the probe.
        number: u64,
        /// Whether every dependency answered correctly within the budget.
        passed: bool,
    },
    /// Time passed.
    Tick,
    /// Another mode is wanted.
    Want {
        /// The mode.
        mode: Mode,
    },
    /// A person set a hold at this engine.
    Force {
        /// The hold.
        hold: Hold,
    },
    /// The resource declares this hold, or none.
    Declare {
        /// The hold.
        hold: Option<Hold>,
    },
    /// A person ends the hold at this engine and the guard's own.
    Clear,
    /// A person resets the counters of failures.
    Reset,
}

/// Why a probe runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbePurpose {
    /// Nobody has read for a while.
    Idle,
    /// Calls were slow; it decides whether the dependency is.
    Confirm,
    /// Reads are off; it decides whether they can be turned on.
    Restore,
}

/// What has to be done after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Run a probe, and report its end.
    Probe {
        /// Number of the probe.
        number: u64,
        /// Why it runs.
        purpose: ProbePurpose,
    },
}
