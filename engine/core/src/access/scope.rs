//! What a caller may do.

use serde::{Deserialize, Serialize};

/// A permission of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read what is remembered.
    Read,
    /// Save, change and forget.
    Write,
    /// Apply retention plans, and read and set what belongs to the whole engine.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Scope] = &[Scope::Read, Scope::Write, Scope::Admin];
    /// Every scope as it is written, in the order of [`Scope::ALL`].
    pub const WORDS: &'static [&'static str] = &["read", "write", "admin"];

    /// The scope as it is written in configurations, headers and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}
