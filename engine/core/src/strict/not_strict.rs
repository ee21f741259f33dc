//! Why a JSON text is refused.

use thiserror::Error;

/// Why a text is not strict JSON. Never quotes the text, which may be part of a memory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason} (at byte {byte})")]
pub struct NotStrict {
    /// What is wrong.
    pub reason: String,
    /// Approximate offset, in bytes.
    pub byte: usize,
}
