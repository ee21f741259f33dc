//! A hold that a person set: a narrower mode for a limited time, with a reason.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mode::Mode;
use crate::policy::scrubbed;

/// Longest hold, seconds. A hold is for an incident; what should last belongs into the resource or the configuration.
pub const HOLD_SECONDS_MAX: u64 = 86_400;

/// Longest reason of a hold, and longest name of who set it, characters. They fit into a line of a log and into the
/// message of a condition.
pub const HOLD_REASON_CHARS_MAX: usize = 500;
/// As [`HOLD_REASON_CHARS_MAX`], for the name.
pub const HOLD_BY_CHARS_MAX: usize = 128;

/// What is wrong with a text of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{field} must have 1 to {max} characters, without control characters")]
pub struct BadHoldText {
    /// `reason` or `by`.
    pub field: &'static str,
    /// The longest text, characters.
    pub max: usize,
}

/// Checks who sets a hold or a mode, and why.
///
/// # Errors
/// A text is empty, too long, or has control characters.
pub fn check_hold_texts(reason: &str, by: &str) -> Result<(), BadHoldText> {
    for (field, text, max) in [("reason", reason, HOLD_REASON_CHARS_MAX), ("by", by, HOLD_BY_CHARS_MAX)] {
        if text.trim().is_empty() || text.chars().count() > max || text.chars().any(char::is_control) {
            return Err(BadHoldText { field, max });
        }
    }
    Ok(())
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The widest mode that the hold allows.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub by: String,
    /// Whether the policy redacted the reason or the name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// When it was set.
    pub since: Timestamp,
    /// When it ends, on the wall clock.
    pub until: Timestamp,
    /// When it ends, monotonic milliseconds. This decides.
    pub until_ms: i64,
}

/// Stands for a text that the policy refuses.
pub const REMOVED_TEXT: &str = "[removed by the policy]";

impl Hold {
    /// Removes what a person wrote.
    pub fn remove_texts(&mut self) {
        (self.by, self.reason) = (REMOVED_TEXT.to_owned(), REMOVED_TEXT.to_owned());
        self.redacted = true;
    }

    /// Makes the texts of a file fit to be shown. Somebody may have edited the file, and the policy of today may be
    /// stricter than the one under which they were accepted.
    #[must_use]
    pub(super) fn of_file(mut self) -> Hold {
        for (text, max) in [(&mut self.reason, HOLD_REASON_CHARS_MAX), (&mut self.by, HOLD_BY_CHARS_MAX)] {
            let plain: String = text.chars().filter(|one| !one.is_control()).take(max).collect();
            let shown = scrubbed(&plain).into_owned();
            if shown != *text {
                self.redacted = true;
                *text = shown;
            }
        }
        self
    }
}
