//! Opening a log, at start and again after a failed write: the same path.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use engine_core::digest::{Hash, hex};
use engine_core::format::{Header, segment_file_name};
use engine_core::recovery::{self, Breach, Link, Scan, Verdict};
use jiff::Timestamp;
use thiserror::Error;

use super::published::is_indexed;
use crate::storage::{DiskStorage, Storage, create_directory};

/// The directory of a log, held by this process alone.
#[derive(Debug)]
pub(crate) struct LogDirectory {
    path: PathBuf,
    // Held, never read: the kernel lets go of it when the process ends, however it ends.
    _lock: File,
}

/// Why there is no log to use.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error("cannot open the data directory {path:?}: {source}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("another process has the log in {0:?} open; one writer per data directory")]
    InUse(PathBuf),
}

impl LogDirectory {
    /// Makes `data/log` if need be and takes the lock on it.
    pub(crate) fn lock(data: &Path) -> Result<LogDirectory, OpenError> {
        let path = data.join("log");
        let failed = |source| OpenError::Directory { path: data.to_owned(), source };
        std::fs::create_dir_all(data).map_err(failed)?;
        create_directory(&path).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(LogDirectory { path, _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(data.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The one segment there is.
    pub(crate) fn segment(&self) -> PathBuf {
        segment_path(&self.path)
    }

    pub(crate) fn storage(&self) -> DiskStorage {
        DiskStorage::new(self.segment())
    }
}

/// Path of the first segment in the directory of a log.
pub(crate) fn segment_path(log: &Path) -> PathBuf {
    log.join(segment_file_name(1))
}

/// A log that verifies and whose every byte is durable.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) log_id: String,
    pub(crate) link: Link,
    pub(crate) len: u64,
    pub(crate) torn_bytes: u64,
    pub(crate) index: Vec<(u64, u64)>,
}

/// Why a log could not be opened now.
#[derive(Debug, Error)]
pub(crate) enum Unopened {
    #[error("the log does not verify: {0}")]
    Corrupt(Breach),
    #[error(
        "the log changed behind the engine: it ends at event {found} ({found_hash}), event {expected} was durable"
    )]
    Changed { expected: u64, found: u64, found_hash: Hash },
    #[error("opening the log failed: {0}")]
    Io(#[from] io::Error),
}

/// What must be there: everything that was ever acknowledged by this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Durable {
    pub(crate) link: Link,
    pub(crate) len: u64,
}

/// Opens, recovers, syncs and verifies. With `durable`, first goes back to it: what came after was never
/// acknowledged.
pub(crate) fn open(storage: &mut impl Storage, durable: Option<Durable>) -> Result<Opened, Unopened> {
    storage.reopen()?;
    if let Some(durable) = durable {
        storage.truncate(durable.len)?;
        storage.sync()?;
    }
    let (scan, index) = read(storage)?;
    let torn_bytes = cut(storage, &scan)?;
    let opened = match (scan.header, scan.head) {
        (Some((header, _)), Some(link)) => {
            // A killed process leaves whole lines that no sync has covered yet.
            storage.sync()?;
            Opened { log_id: header.log_id, link, len: scan.valid_len, torn_bytes, index }
        }
        _ => Opened { torn_bytes, ..create(storage)? },
    };
    match durable {
        Some(durable) if durable.link != opened.link => Err(Unopened::Changed {
            expected: durable.link.seq,
            found: opened.link.seq,
            found_hash: opened.link.hash,
        }),
        _ => Ok(opened),
    }
}

fn read(storage: &impl Storage) -> Result<(Scan, Vec<(u64, u64)>), Unopened> {
    let mut index = Vec::new();
    let reader = BufReader::with_capacity(1 << 18, storage.reader()?);
    let scan = recovery::scan(reader, |found| {
        if is_indexed(found.event.envelope.seq) {
            index.push((found.event.envelope.seq, found.offset));
        }
    })?;
    index.retain(|(_, offset)| *offset < scan.valid_len);
    Ok((scan, index))
}

fn cut(storage: &mut impl Storage, scan: &Scan) -> Result<u64, Unopened> {
    match &scan.verdict {
        Verdict::Clean => Ok(0),
        Verdict::Corrupt(breach) => Err(Unopened::Corrupt(breach.clone())),
        Verdict::TornTail { valid_len, torn_bytes } => {
            if *torn_bytes > 0 {
                storage.set_aside(*valid_len)?;
                storage.truncate(*valid_len)?;
                storage.sync()?;
            }
            Ok(*torn_bytes)
        }
    }
}

fn create(storage: &mut impl Storage) -> Result<Opened, Unopened> {
    let header = Header::first(hex(&crate::random::bytes::<16>()), Timestamp::now());
    let (line, hash) = header.encode();
    storage.append(0, &line)?;
    storage.sync()?;
    let link = Link::after_header(&header, hash);
    Ok(Opened { log_id: header.log_id, link, len: line.len() as u64, torn_bytes: 0, index: Vec::new() })
}
