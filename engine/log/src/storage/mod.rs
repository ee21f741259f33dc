//! The interface between the log and a file system. Tests replace the file system to inject failures.
//!
//! Paths are relative to the data directory. Effects of each call:
//!
//! | after | a reader sees | a power cut leaves |
//! |---|---|---|
//! | [`Storage::create`] | an empty file | the file, or no such name |
//! | [`StoredFile::write_at`] succeeded | the bytes | any part of the bytes; missing parts may be zeros |
//! | [`StoredFile::write_at`] failed | any prefix of the bytes | any part of the bytes |
//! | [`StoredFile::truncate`] | the first `len` bytes | the old length or the new one |
//! | [`StoredFile::sync`] succeeded | everything | everything in the file; its name only if the directory was synced |
//! | [`StoredFile::sync`] failed | unknown | unknown: nothing since the last sync can be relied on |
//! | [`Storage::rename`], [`Storage::remove`] | the new names | the old names or the new ones, independently |
//! | [`Storage::sync_directory`] succeeded | the new names | the new names |
//!
//! A failed call may have taken effect partly or completely. [`disk`] is the real implementation; `faulty` simulates
//! all of these effects in memory, from a seed.

#[cfg(test)]
mod dice;
mod disk;
mod fail_point;
#[cfg(test)]
mod fault_plan;
#[cfg(test)]
pub mod faulty;
mod interface;

use std::fmt::Debug;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

pub use disk::DiskStorage;
pub use fail_point::FailPoint;
pub use interface::{Access, FilePermissions, Space, Status, Storage, StoredFile};

/// Reads a range of a file sequentially.
#[derive(Debug)]
pub struct RangeReader {
    file: Arc<dyn StoredFile>,
    offset: u64,
    end: u64,
}

impl RangeReader {
    /// Reads from `offset` up to `end`, or to the end of the file if that comes first.
    pub fn new(file: Arc<dyn StoredFile>, offset: u64, end: u64) -> RangeReader {
        RangeReader { file, offset, end }
    }
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..len], self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Reads a small file. A file larger than `bytes_max`, the most that the engine writes to this path, is an error.
///
/// # Errors
/// The file is missing, unreadable or larger than `bytes_max`.
pub fn read_small(storage: &dyn Storage, path: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = storage.open(path, Access::Read)?;
    let len = file.size()?;
    if len > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} has {len} bytes")));
    }
    let mut bytes = Vec::new();
    RangeReader::new(file, 0, len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces a small file atomically and durably. The new contents are first written to a temporary file in `directory`.
///
/// # Errors
/// A file system call fails. The old file may already be replaced.
pub fn replace(
    storage: &dyn Storage,
    directory: &str,
    name: &str,
    privacy: FilePermissions,
    bytes: &[u8],
) -> io::Result<()> {
    let path = format!("{directory}/{name}");
    let aside = format!("{path}.tmp");
    ignore_missing(storage.remove(&aside))?;
    let file = storage.create(&aside, privacy)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    storage.rename(&aside, &path)?;
    storage.sync_directory(directory)
}

/// Turns the error `NotFound` of a removal into success.
///
/// # Errors
/// The outcome is an error other than `NotFound`.
pub fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Creates a directory durably: the directory still exists after a power cut.
///
/// # Errors
/// A file system call fails.
pub fn create_directory(path: &Path) -> io::Result<()> {
    disk::create_directory(path)
}

/// Makes the entries of a directory durable.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    disk::sync_directory(path)
}

/// Size of the file system that contains this path.
///
/// # Errors
/// The file system cannot be queried.
pub fn space(path: &Path) -> io::Result<Space> {
    disk::space(path)
}

/// Whether this error is caused by a lack of space.
pub fn is_full(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
