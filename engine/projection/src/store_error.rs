//! Why the projection cannot be read or written, and what helps.

use std::io;

use rusqlite::ErrorCode;
use thiserror::Error;

/// A step that failed.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("there is no projection")]
    Missing,
    #[error("the projection was made by another version")]
    Version,
    #[error("the projection does not belong to this log: {0}")]
    Foreign(&'static str),
    #[error("the projection is damaged: {0}")]
    Damaged(String),
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the projection's files: {0}")]
    Io(#[from] io::Error),
    #[error("event {0} cannot follow what was applied")]
    OutOfOrder(u64),
    #[error("told to stop")]
    Stopped,
}

impl StoreError {
    /// Whether the projection itself is at fault, so that it has to be built again; else the volume is, and trying
    /// again is enough.
    pub(super) fn needs_rebuild(&self) -> bool {
        match self {
            StoreError::Missing
            | StoreError::Version
            | StoreError::Foreign(_)
            | StoreError::Damaged(_)
            | StoreError::OutOfOrder(_) => true,
            StoreError::Io(_) | StoreError::Stopped => false,
            StoreError::Sqlite(fault) => !is_of_the_volume(fault),
        }
    }

    /// Whether SQLite keeps the failure for as long as any connection to the file is open: what it once could not open
    /// for writing, or a lock it could not give back.
    pub(super) fn sticks(&self) -> bool {
        let code = match self {
            StoreError::Sqlite(fault) => fault.sqlite_error_code(),
            _ => None,
        };
        matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::FileLockingProtocolFailed))
    }

    /// Whether somebody else had the database locked, which passes at once.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, StoreError::Sqlite(fault) if fault.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }
}

/// Whether a failure goes away by itself, with the projection as good as before.
pub(super) fn is_of_the_volume(fault: &rusqlite::Error) -> bool {
    matches!(
        fault.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// Whether a read says that the file is not what it should be. Narrower than for writes: what a client asks for must
/// never cost the projection.
pub fn is_damage(fault: &rusqlite::Error) -> bool {
    let missing = |text: &str| text.starts_with("no such table") || text.starts_with("no such column");
    matches!(fault.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || match fault {
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => true,
            // The queries are ours and known to fit the schema: something was dropped.
            rusqlite::Error::SqliteFailure(_, Some(text)) => missing(text),
            rusqlite::Error::SqlInputError { msg, .. } => missing(msg),
            _ => false,
        }
}
