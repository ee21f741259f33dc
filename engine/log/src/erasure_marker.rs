//! Marker of an erasure in progress: an empty file in `log/` whose name contains the number of the event before it.

use std::collections::BTreeSet;
use std::io;

use crate::segment::DIRECTORY;
use crate::storage::{FailPoint, FilePermissions, Storage};

const MARK: &str = "erasing-";

/// Path of the marker of the erasure that follows this event.
pub(super) fn mark_path(after: u64) -> String {
    format!("{DIRECTORY}/{MARK}{after:020}")
}

/// Event numbers after which an erasure was begun.
pub(super) fn marks(storage: &dyn Storage) -> io::Result<BTreeSet<u64>> {
    let names = match storage.list(DIRECTORY) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    Ok(names.iter().filter_map(|name| name.strip_prefix(MARK)?.parse().ok()).collect())
}

pub(super) fn create(storage: &dyn Storage, after: u64) -> io::Result<()> {
    match storage.create(&mark_path(after), FilePermissions::Group) {
        // Left by an erasure that was never recorded.
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?.sync()?,
    }
    storage.sync_directory(DIRECTORY)?;
    storage.reached(FailPoint::ErasureMarked)
}

/// Whether the erasure whose first event has this number is still in progress, according to the marker files.
///
/// # Errors
/// The directory cannot be listed.
pub fn is_marked(storage: &dyn Storage, first_seq: u64) -> io::Result<bool> {
    Ok(marks(storage)?.contains(&first_seq.saturating_sub(1)))
}
