//! The result of verifying a log.

use crate::{anchor::record::Record, conditions::Verdict};

/// Result of verifying the log.
pub(super) struct Integrity {
    pub(super) verdict: Verdict,
    /// The new anchor to write, if there is one.
    pub(super) new_anchor: Option<Record>,
}
