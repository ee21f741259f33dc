//! The file system operations that a log needs.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use super::fail_point::FailPoint;

/// Size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Total size in bytes.
    pub capacity: u64,
    /// Bytes that an unprivileged process may still write.
    pub available: u64,
}

impl Space {
    /// Bytes that events must leave free, so that truncation, a SQLite checkpoint and a start still work on a full
    /// volume: a twentieth of a small volume, or 8 MiB of a large volume.
    pub fn reserve(self) -> u64 {
        (self.capacity / 20).min(8 << 20)
    }

    /// Whether `bytes` bytes of events may be written. Each event needs space for its line, its rows and its words in
    /// the full-text index: about four times its size, until SQLite's write-ahead log is checkpointed.
    pub fn admits(self, bytes: u64) -> bool {
        self.available >= self.reserve().saturating_add(bytes.saturating_mul(4))
    }
}

/// Metadata that identifies one state of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Length in bytes.
    pub len: u64,
    /// Inode number. It changes when another file takes the name.
    pub inode: u64,
    /// Last change of the contents, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Last change of contents or metadata, in nanoseconds since 1970. Unlike `modified_ns` it cannot be set back.
    pub changed_ns: i128,
}

/// Access mode of an opened file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    Write,
}

/// Permissions of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilePermissions {
    /// Owner and group. Other users of a shared machine must not read memories.
    Group,
    /// Owner only, for keys.
    Owner,
}

/// A directory tree that stores a log.
///
/// # Errors
/// Every method returns the error of the file system call that failed.
pub trait Storage: Send + Sync + Debug {
    /// File names in a directory, in no particular order.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Metadata of a file, without opening it.
    fn status(&self, path: &str) -> io::Result<Status>;
    /// Opens an existing file.
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn StoredFile>>;
    /// Creates a file. Fails if the file exists.
    fn create(&self, path: &str, privacy: FilePermissions) -> io::Result<Arc<dyn StoredFile>>;
    /// Creates a directory unless it exists.
    fn create_directory(&self, path: &str) -> io::Result<()>;
    /// Renames a file, replacing any file with the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &str) -> io::Result<()>;
    /// Size of the volume.
    fn space(&self) -> io::Result<Space>;
    /// Called at each fail point. Does nothing on a disk; tests inject a failure or a crash here.
    fn reached(&self, _point: FailPoint) -> io::Result<()> {
        Ok(())
    }
}

/// An open file.
///
/// # Errors
/// Every method returns the error of the file system call that failed.
pub trait StoredFile: Send + Sync + Debug {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads at an offset. Returns 0 at or after the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills the buffer from an offset. Returns `UnexpectedEof` if the file ends before the buffer is full.
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
    /// Writes all bytes at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Truncates the file, or extends it with zeros.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes contents and length durable. After a failed sync, the caller reopens the file and never syncs this handle
    /// again.
    fn sync(&self) -> io::Result<()>;
}
