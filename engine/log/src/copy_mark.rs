//! The mark of a copy: the file `log/copy`.

use std::io;

use super::segment::{self, DIRECTORY};
use crate::storage::{FilePermissions, Storage};

/// File that says that the log in a directory is a copy. It is there before the first line of the copy.
const MARK: &str = "log/copy";

/// Whether the log in a data directory is a copy of the log of another engine. Nobody may write an event to it.
///
/// # Errors
/// The directory cannot be read.
pub fn is_copy(storage: &dyn Storage) -> io::Result<bool> {
    match storage.status(MARK) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
        status => status.map(|_| true),
    }
}

/// Marks the directory. A log that is there already was written by an engine that owns it.
pub(super) fn mark(storage: &dyn Storage) -> io::Result<()> {
    if is_copy(storage)? {
        return Ok(());
    }
    if !segment::list(storage)?.segments.is_empty() {
        return Err(io::Error::other("the data directory has a log that is not a copy"));
    }
    storage.create(MARK, FilePermissions::Group)?.sync()?;
    storage.sync_directory(DIRECTORY)
}
