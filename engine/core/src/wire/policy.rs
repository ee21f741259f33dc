//! `GET /policy` on the admin port: what the engine forbids to write.

use serde::{Deserialize, Serialize};

/// What the policy of an engine forbids, by name. It has no text of an exception.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Names of the detectors whose match refuses a write.
    pub block: Vec<String>,
    /// Names of the kinds of personal data that are redacted, sorted.
    pub redact: Vec<String>,
    /// Number of exceptions.
    pub exceptions: usize,
}
