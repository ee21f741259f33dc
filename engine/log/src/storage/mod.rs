//! The one seam between the log and a file system, so that tests can make the file system fail.
//!
//! Paths are relative to the data directory. What a call leaves behind:
//!
//! | after | a reader sees | a power cut leaves |
//! |---|---|---|
//! | [`Storage::create`] | an empty file | the file, or no such name |
//! | [`StoredFile::write_at`] succeeded | the bytes | any part of them, holes of zeros included |
//! | [`StoredFile::write_at`] failed | any start of them | any part of them |
//! | [`StoredFile::truncate`] | the first `len` bytes | the old length or the new one |
//! | [`StoredFile::sync`] succeeded | everything | everything in the file; its name only if the directory was synced |
//! | [`StoredFile::sync`] failed | unknown | unknown: nothing since the last sync may be relied on |
//! | [`Storage::rename`], [`Storage::remove`] | the new names | the old names or the new ones, each by itself |
//! | [`Storage::sync_directory`] succeeded | the new names | the new names |
//!
//! A call that failed may have happened, in part or as a whole. [`disk`] is the real one; `faulty` does all of the
//! above in memory, from a seed.

#[cfg(test)]
mod dice;
mod disk;
mod fail_point;
#[cfg(test)]
pub mod faulty;

use std::fmt::Debug;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

pub use disk::DiskStorage;
pub use fail_point::FailPoint;

/// Size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// All of it, bytes.
    pub capacity: u64,
    /// What an unprivileged process may still write, bytes.
    pub available: u64,
}

impl Space {
    /// Kept free of events, so that cutting a tail, a checkpoint of SQLite and a start still work on a full volume:
    /// a twentieth of a small volume, 8 MiB of a large one.
    pub fn reserve(self) -> u64 {
        (self.capacity / 20).min(8 << 20)
    }

    /// Whether this many bytes of events may be written. An event costs its line, its rows and its words: about
    /// four times its size until SQLite's write-ahead log is folded in.
    pub fn admits(self, bytes: u64) -> bool {
        self.available >= self.reserve().saturating_add(bytes.saturating_mul(4))
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Bytes.
    pub len: u64,
    /// Another file under the same name has another one.
    pub inode: u64,
    /// Last change of the bytes, ns since 1970.
    pub modified_ns: i128,
    /// Last change of anything about it; unlike the above nobody can set it back. ns since 1970.
    pub changed_ns: i128,
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading alone.
    Read,
    /// Reading and writing.
    Write,
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Owner and group: memories are nobody else's business on a shared machine.
    Group,
    /// The owner alone: keys.
    Owner,
}

/// A directory tree that holds a log.
pub trait Storage: Send + Sync + Debug {
    /// Names in a directory, in no particular order.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Looks at a file without opening it.
    fn status(&self, path: &str) -> io::Result<Status>;
    /// Opens a file that is there.
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn StoredFile>>;
    /// Makes a file; fails when the name is taken.
    fn create(&self, path: &str, privacy: Privacy) -> io::Result<Arc<dyn StoredFile>>;
    /// Makes a directory unless it is there.
    fn create_directory(&self, path: &str) -> io::Result<()>;
    /// Gives a file another name; what had that name is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a name away.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &str) -> io::Result<()>;
    /// Size of the volume.
    fn space(&self) -> io::Result<Space>;
    /// Called where a crash is most telling. Does nothing on a disk; a test fails or ends the world here.
    fn reached(&self, _point: FailPoint) -> io::Result<()> {
        Ok(())
    }
}

/// An open file.
pub trait StoredFile: Send + Sync + Debug {
    /// Its length, bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads at an offset; 0 at the end and beyond.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills the buffer from an offset on; `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(())
    }
    /// Writes all of it.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts it, or lengthens it with zeros.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes its bytes and its length durable. Never called again after it failed: the file is opened anew.
    fn sync(&self) -> io::Result<()>;
}

/// Reads a part of a file from its start to its end.
#[derive(Debug)]
pub struct Reading {
    file: Arc<dyn StoredFile>,
    offset: u64,
    end: u64,
}

impl Reading {
    /// From `offset` up to `end`, or to the end of the file if that comes first.
    pub fn new(file: Arc<dyn StoredFile>, offset: u64, end: u64) -> Reading {
        Reading { file, offset, end }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..len], self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Reads a small file; refuses one that is larger than anything this engine writes there.
pub fn read_small(storage: &dyn Storage, path: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = storage.open(path, Access::Read)?;
    let len = file.size()?;
    if len > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} has {len} bytes")));
    }
    let mut bytes = Vec::new();
    Reading::new(file, 0, len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a small file in place of another, whole or not at all, durably. `directory` holds both.
pub fn replace(
    storage: &dyn Storage,
    directory: &str,
    name: &str,
    privacy: Privacy,
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

/// What is not there need not be removed.
pub fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Makes a directory whose entry survives a power cut.
pub fn create_directory(path: &Path) -> io::Result<()> {
    disk::create_directory(path)
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    disk::sync_directory(path)
}

/// Size of the file system this path is on.
pub fn space(path: &Path) -> io::Result<Space> {
    disk::space(path)
}

/// Whether this failure goes away when there is space again.
pub fn is_full(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
