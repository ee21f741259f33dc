//! Why a step of the archive failed.

use std::io;

use engine_core::archive::piece::PieceFault;
use thiserror::Error;

use crate::repository::BadObject;
use crate::store::StoreError;

/// Why a step failed.
#[derive(Debug, Error)]
pub enum ArchiveError {
    #[error("the log is not open")]
    NotOpen,
    #[error("the log does not verify: nothing more of it is archived")]
    Corrupt,
    #[error(
        "the archive has {archived} events, and this log agrees with it only up to event {common}: the volume is an \
         older copy; restore the log from the archive"
    )]
    Ahead { archived: u64, common: u64 },
    #[error("other writers take over the archive at the same time")]
    Busy,
    #[error("writer {0} has taken over the archive: it is read again")]
    Fenced(u64),
    #[error("the pieces that were archived do not continue at event {0}: the archive is read again")]
    Broken(u64),
    #[error(
        "the log has events after {0}, and they could not be read as they were being written: it is tried again"
    )]
    Behind(u64),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Object(#[from] BadObject),
    #[error("the log cannot be read: {0}")]
    Log(#[from] io::Error),
    #[error("lines of the log cannot be archived: {0}")]
    Piece(#[from] PieceFault),
    #[error("the engine is stopping")]
    Stopping,
}
