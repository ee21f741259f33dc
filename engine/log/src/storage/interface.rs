//! What a file system has to offer for a log to be kept on it.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use super::fail_point::FailPoint;

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
