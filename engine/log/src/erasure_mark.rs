//! The mark of an erasure that is under way: an empty file in `log/` whose name says which event it follows.

use std::collections::BTreeSet;
use std::io;

use crate::segment::DIRECTORY;
use crate::storage::{FailPoint, Privacy, Storage};

const MARK: &str = "erasing-";

/// Path of the mark of a forgetting that stands behind this event.
pub(super) fn mark_path(after: u64) -> String {
    format!("{DIRECTORY}/{MARK}{after:020}")
}

/// The events behind which a forgetting was begun.
pub(super) fn marks(storage: &dyn Storage) -> io::Result<BTreeSet<u64>> {
    let names = match storage.list(DIRECTORY) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    Ok(names.iter().filter_map(|name| name.strip_prefix(MARK)?.parse().ok()).collect())
}

pub(super) fn create(storage: &dyn Storage, after: u64) -> io::Result<()> {
    match storage.create(&mark_path(after), Privacy::Group) {
        // Left by one that was not recorded.
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?.sync()?,
    }
    storage.sync_directory(DIRECTORY)?;
    storage.reached(FailPoint::ErasureMarked)
}

/// Whether an erasure whose first event has this number is still under way, according to the files.
///
/// # Errors
/// The directory cannot be listed.
pub fn is_marked(storage: &dyn Storage, first_seq: u64) -> io::Result<bool> {
    Ok(marks(storage)?.contains(&first_seq.saturating_sub(1)))
}
