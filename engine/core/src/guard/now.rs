//! The time of a step, and why a probe runs.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

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
