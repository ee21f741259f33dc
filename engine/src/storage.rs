//! The one seam between the log and a disk, so that tests can make the disk fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Space {
    /// All of it, bytes.
    pub(crate) capacity: u64,
    /// What an unprivileged process may still write, bytes.
    pub(crate) available: u64,
}

impl Space {
    /// Kept free of events, so that cutting a tail, a checkpoint of SQLite and a start still work on a full volume:
    /// a twentieth of a small volume, 8 MiB of a large one.
    pub(crate) fn reserve(self) -> u64 {
        (self.capacity / 20).min(8 << 20)
    }

    /// Whether this many bytes of events may be written. An event costs its line, its rows and its words: about
    /// four times its size until SQLite's write-ahead log is folded in.
    pub(crate) fn admits(self, bytes: u64) -> bool {
        self.available >= self.reserve().saturating_add(bytes.saturating_mul(4))
    }
}

/// One segment of a log on some medium.
///
/// | after | a reader sees | a power cut leaves |
/// |---|---|---|
/// | `append` succeeded | the bytes | any part of them, holes included |
/// | `append` failed | any start of them | any part of them |
/// | `sync` succeeded | everything | everything |
/// | `sync` failed | everything | unknown: nothing since the last sync may be relied on |
/// | `truncate` and `sync` succeeded | the first `len` bytes | the first `len` bytes |
pub(crate) trait Storage: Send {
    /// Opens the segment anew, made empty when it does not exist; its entry in the directory is durable after that.
    fn reopen(&mut self) -> io::Result<()>;
    /// Writes at this offset, which is the end.
    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written durable. Never called again after it failed, until `reopen`.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the segment.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Reads the segment from its start.
    fn reader(&self) -> io::Result<Box<dyn Read>>;
    /// Keeps a durable copy of everything from this offset on, outside of the log.
    fn set_aside(&mut self, from: u64) -> io::Result<()>;
    /// Size of the volume.
    fn space(&self) -> io::Result<Space>;
}

/// A segment in a file.
#[derive(Debug)]
pub(crate) struct DiskStorage {
    path: PathBuf,
    file: Option<File>,
}

impl DiskStorage {
    pub(crate) fn new(path: PathBuf) -> DiskStorage {
        DiskStorage { path, file: None }
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the segment is not open"))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

impl Storage for DiskStorage {
    fn reopen(&mut self) -> io::Result<()> {
        // The old descriptor first: its error state must not outlive it.
        self.file = None;
        let file = private().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        sync_directory(self.directory())?;
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file()?.set_len(len)
    }

    fn reader(&self) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(&self.path)?))
    }

    fn set_aside(&mut self, from: u64) -> io::Result<()> {
        let directory = self.directory().join("torn");
        create_directory(&directory)?;
        let (mut copy, path) = unused_file(&directory, from)?;
        let mut torn = File::open(&self.path)?;
        torn.seek(SeekFrom::Start(from))?;
        let copied = io::copy(&mut torn, &mut copy).and_then(|_| copy.flush()).and_then(|()| copy.sync_all());
        if copied.is_err() {
            // Half a copy is worth nothing and may be what fills the volume.
            fs::remove_file(&path)?;
        }
        copied?;
        sync_directory(&directory)
    }

    fn space(&self) -> io::Result<Space> {
        space(self.directory())
    }
}

/// Size of the file system this path is on.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space { capacity: stat.f_blocks * stat.f_frsize, available: stat.f_bavail * stat.f_frsize })
}

/// Makes a directory whose entry survives a power cut.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(fault) => Err(fault),
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("."))),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether this failure goes away when there is space again.
pub(crate) fn is_full(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

// Memories are nobody else's business on a shared machine.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o640);
    options
}

fn unused_file(directory: &Path, from: u64) -> io::Result<(File, PathBuf)> {
    for attempt in 0_u32.. {
        let path = directory.join(format!("{from:020}-{attempt}.bin"));
        match private().write(true).create_new(true).open(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, path)),
        }
    }
    Err(io::Error::other("every name for torn bytes is taken"))
}
