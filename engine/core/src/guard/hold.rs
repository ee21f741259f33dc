//! A hold that a person set: a narrower mode for a limited time, with a reason.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mode::Mode;

/// Longest hold, seconds. A hold is for an incident; what should last belongs into the resource or the configuration.
pub const HOLD_SECONDS_MAX: u64 = 86_400;

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The widest mode that the hold allows.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub by: String,
    /// When it was set.
    pub since: Timestamp,
    /// When it ends, on the wall clock.
    pub until: Timestamp,
    /// When it ends, monotonic milliseconds. This decides.
    pub until_ms: i64,
}
