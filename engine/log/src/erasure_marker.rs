//! Marker of an erasure in progress: an empty file in `log/`. Its name contains the number of the event before the
//! erasure.

use std::collections::BTreeSet;
use std::io;

use crate::segment::DIRECTORY;
use crate::storage::{FailPoint, FilePermissions, Storage};

const MARK: &str = "erasing-";

/// Path of the marker of the erasure whose first event follows event `after`.
pub(super) fn mark_path(after: u64) -> String {
    format!("{DIRECTORY}/{MARK}{after:020}")
}

/// Lists the existing markers. Each number is the number of the event before an erasure.
pub(super) fn marks(storage: &dyn Storage) -> io::Result<BTreeSet<u64>> {
    let names = match storage.list(DIRECTORY) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    Ok(names.iter().filter_map(|name| name.strip_prefix(MARK)?.parse().ok()).collect())
}

pub(super) fn create(storage: &dyn Storage, after: u64) -> io::Result<()> {
    match storage.create(&mark_path(after), FilePermissions::Group) {
        // The marker was left by an erasure that was never recorded.
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?.sync()?,
    }
    storage.sync_directory(DIRECTORY)?;
    storage.reached(FailPoint::ErasureMarked)
}

/// Whether the erasure whose first event has number `first_seq` is still in progress, according to the marker files.
///
/// # Errors
/// The directory cannot be listed.
pub fn is_marked(storage: &dyn Storage, first_seq: u64) -> io::Result<bool> {
    Ok(marks(storage)?.contains(&first_seq.saturating_sub(1)))
}
