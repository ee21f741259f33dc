//! Torn bytes of unfinished writes. They are cut off and a copy is kept for diagnosis.

use std::io;

use super::segment::{DIRECTORY, Segment};
use crate::storage::{Access, FailPoint, FilePermissions, Storage, ignore_missing};

const TORN: &str = "log/torn";
/// Number of file names that are tried for the torn bytes at one offset. So many crashes at the same offset are not
/// plausible.
const ATTEMPTS: u32 = 10_000;
const COPY_BYTES: usize = 1 << 16;

/// Truncates a segment to `len` bytes, after saving a durable copy of the removed bytes outside the log. Returns the
/// number of removed bytes.
pub(super) fn cut(storage: &dyn Storage, segment: Segment, len: u64) -> io::Result<u64> {
    let file = storage.open(&segment.path(), Access::Write)?;
    let torn = file.size()?.saturating_sub(len);
    if torn > 0 {
        save_torn_bytes(storage, segment, len)?;
        storage.reached(FailPoint::TornSetAside)?;
        file.truncate(len)?;
        file.sync()?;
        storage.reached(FailPoint::TornCut)?;
    }
    Ok(torn)
}

/// Removes all saved copies of torn bytes. Returns the number of removed files.
pub(super) fn remove_all(storage: &dyn Storage) -> io::Result<usize> {
    let paths = paths(storage)?;
    for path in &paths {
        ignore_missing(storage.remove(path))?;
    }
    if !paths.is_empty() {
        storage.sync_directory(TORN)?;
    }
    Ok(paths.len())
}

/// Paths of the saved copies of torn bytes.
pub(super) fn paths(storage: &dyn Storage) -> io::Result<Vec<String>> {
    let names = match storage.list(TORN) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    Ok(names.iter().map(|name| format!("{TORN}/{name}")).collect())
}

/// Saves a durable copy of the bytes of a segment from offset `from` to its end.
fn save_torn_bytes(storage: &dyn Storage, segment: Segment, from: u64) -> io::Result<()> {
    storage.create_directory(TORN)?;
    let path = unused(storage, segment, from)?;
    let copied = copy(storage, segment, from, &path);
    if copied.is_err() {
        // A partial copy is useless, and the copy itself may have filled the volume.
        storage.remove(&path)?;
    }
    copied?;
    storage.sync_directory(TORN)?;
    storage.sync_directory(DIRECTORY)
}

fn copy(storage: &dyn Storage, segment: Segment, mut from: u64, path: &str) -> io::Result<()> {
    let source = storage.open(&segment.path(), Access::Read)?;
    let copy = storage.open(path, Access::Write)?;
    let (mut buffer, mut to) = (vec![0; COPY_BYTES], 0);
    loop {
        let read = source.read_at(&mut buffer, from)?;
        if read == 0 {
            return copy.sync();
        }
        copy.write_at(&buffer[..read], to)?;
        (from, to) = (from + read as u64, to + read as u64);
    }
}

/// Creates an empty file with an unused name. Returns its path.
fn unused(storage: &dyn Storage, segment: Segment, from: u64) -> io::Result<String> {
    for attempt in 0..ATTEMPTS {
        let path = format!("{TORN}/{:020}-{from:020}-{attempt}.bin", segment.first_seq);
        match storage.create(&path, FilePermissions::Group) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|_| path),
        }
    }
    Err(io::Error::other("every name for torn bytes is taken"))
}
