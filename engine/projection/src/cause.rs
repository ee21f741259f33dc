//! Why a projection is built.

use std::fmt;

use super::store_error::StoreError;

/// A few fixed words, for metrics and `/health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is none, or its file is gone.
    Missing,
    /// Another version made it.
    Version,
    /// It belongs to another log or another history.
    Foreign,
    /// SQLite cannot read it, or tables are missing.
    Damaged,
    /// Its rows are not those that were written.
    Edited,
    /// Its full-text index does not fit its rows.
    Index,
    /// Somebody asked for it.
    Asked,
    /// Its full-text index has words of what is forgotten.
    Forgotten,
}

impl Cause {
    /// Stable word for metrics and `/health`.
    pub const fn label(self) -> &'static str {
        match self {
            Cause::Missing => "missing",
            Cause::Version => "version",
            Cause::Foreign => "foreign",
            Cause::Damaged => "damaged",
            Cause::Edited => "edited",
            Cause::Index => "index",
            Cause::Asked => "asked",
            Cause::Forgotten => "forgotten",
        }
    }

    /// What a failure says about the projection that failed.
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
