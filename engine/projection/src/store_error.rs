//! Errors of the projection, and how to recover from them.

use std::io;

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why a step of the projection failed.
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
    #[error("{}", without_data(.0))]
    Sqlite(#[from] rusqlite::Error),
    #[error("the projection's files: {0}")]
    Io(#[from] io::Error),
    #[error("event {0} cannot follow what was applied")]
    OutOfOrder(u64),
    #[error("stopped")]
    Stopped,
}

impl StoreError {
    /// Whether the projection itself is faulty and must be rebuilt. Otherwise the volume failed, and a retry is enough.
    pub(super) fn needs_rebuild(&self) -> bool {
        match self {
            StoreError::Missing
            | StoreError::Version
            | StoreError::Foreign(_)
            | StoreError::Damaged(_)
            | StoreError::OutOfOrder(_) => true,
            StoreError::Io(_) | StoreError::Stopped => false,
            StoreError::Sqlite(fault) => !is_temporary(fault),
        }
    }

    /// Whether SQLite repeats the failure until all connections to the file are closed. This is so if SQLite could not
    /// open the file for writing or could not release a lock.
    pub(super) fn sticks(&self) -> bool {
        let code = match self {
            StoreError::Sqlite(fault) => fault.sqlite_error_code(),
            _ => None,
        };
        matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::FileLockingProtocolFailed))
    }

    /// Whether another connection held a lock. Such a failure is short-lived.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, StoreError::Sqlite(fault) if fault.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }
}

/// Whether a failure is temporary and leaves the projection intact.
pub(super) fn is_temporary(fault: &rusqlite::Error) -> bool {
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

/// Describes an error without the data that the statement was about, which SQLite's messages may quote.
#[must_use]
pub fn without_data(fault: &rusqlite::Error) -> String {
    // This names a part of the schema. A column may be a word of a full-text query.
    let is_about_schema = |text: &str| text.starts_with("no such table");
    match fault {
        rusqlite::Error::SqliteFailure(_, Some(text)) | rusqlite::Error::SqlInputError { msg: text, .. }
            if is_about_schema(text) =>
        {
            format!("SQLite: {text}")
        }
        rusqlite::Error::SqliteFailure(code, _) => format!("SQLite: {code}"),
        rusqlite::Error::SqlInputError { error, .. } => format!("SQLite: {error}"),
        rusqlite::Error::InvalidColumnType(column, _, kind) => format!("column {column} is of type {kind}"),
        rusqlite::Error::FromSqlConversionFailure(column, kind, _) => {
            format!("the {kind} in column {column} cannot be converted")
        }
        _ => "the statement and its result do not match".to_owned(),
    }
}

/// Whether the error of a read means that the file is damaged. The condition is stricter than for writes, because a
/// client must not be able to cause a rebuild with a read request.
pub fn is_damage(fault: &rusqlite::Error) -> bool {
    let missing = |text: &str| text.starts_with("no such table") || text.starts_with("no such column");
    matches!(fault.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || match fault {
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => true,
            // The engine's queries match the schema, so a table or column was dropped.
            rusqlite::Error::SqliteFailure(_, Some(text)) => missing(text),
            rusqlite::Error::SqlInputError { msg, .. } => missing(msg),
            _ => false,
        }
}
