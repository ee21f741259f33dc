//! Why a projection is built.

use std::fmt;

use super::store_error::StoreError;

/// Causes with stable labels for metrics and `/health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No projection exists, or its file was removed.
    Missing,
    /// Another version of the engine built it.
    Version,
    /// It belongs to another log or another history.
    Foreign,
    /// SQLite cannot read it, or tables are missing.
    Damaged,
    /// Its rows differ from the rows that the projector wrote.
    Edited,
    /// Its full-text index does not match its rows.
    Index,
    /// A client requested it.
    Requested,
    /// Its full-text index contains words of forgotten memories.
    Forgotten,
}

impl Cause {
    /// Stable label for metrics and `/health`.
    pub const fn label(self) -> &'static str {
        match self {
            Cause::Missing => "missing",
            Cause::Version => "version",
            Cause::Foreign => "foreign",
            Cause::Damaged => "damaged",
            Cause::Edited => "edited",
            Cause::Index => "index",
            Cause::Requested => "asked",
            Cause::Forgotten => "forgotten",
        }
    }

    /// The cause of the rebuild that the failure `fault` of the current projection requires.
    pub(super) fn of(fault: &StoreError) -> Cause {
        match fault {
            StoreError::Missing => Cause::Missing,
            StoreError::Version => Cause::Version,
            StoreError::Foreign(_) | StoreError::OutOfOrder(_) => Cause::Foreign,
            _ => Cause::Damaged,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
