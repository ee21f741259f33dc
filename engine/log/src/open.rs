//! Opens a log at start, and reopens it after a failed write.
//!
//! If the local checkpoint is valid, only the lines after the checkpoint are read. Otherwise the whole log is read. The
//! keeper verifies the unread lines later, in the background.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_core::wire::{IntegrityFault, IntegrityFaultKind};
use thiserror::Error;

use super::active_segment::{Active, Durable};
use super::copy_mark::is_copy;
use super::handles::LogHandles;
use super::keyring::Keyring;
use super::local_checkpoint;
use super::log_scan::LogScan;
use super::open_outcome::{DamagedLog, OpenFailure, Opened};
use super::segment::{self, DIRECTORY, Segment};
use crate::storage::{Access, DiskStorage, Storage, create_directory};

/// The directory of a log, locked by this process.
#[derive(Debug)]
pub struct LogDirectory {
    data: PathBuf,
    // Never read; it only holds the lock. The kernel releases the lock when the process exits, also after a crash.
    _lock: std::fs::File,
}

/// Why the log directory cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("cannot open the data directory {path:?}: {source}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("another process has the log in {0:?} open; one writer per data directory")]
    InUse(PathBuf),
}

impl LogDirectory {
    /// Creates `data/log` if needed and locks it.
    ///
    /// # Errors
    /// The directory cannot be created, or another process has locked it.
    pub fn lock(data: &Path) -> Result<LogDirectory, OpenError> {
        let path = data.join(DIRECTORY);
        let failed = |source| OpenError::Directory { path: data.to_owned(), source };
        std::fs::create_dir_all(data).map_err(failed)?;
        create_directory(&path).map_err(failed)?;
        let lock = std::fs::File::options().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(LogDirectory { data: data.to_owned(), _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(data.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The storage of the data directory.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(DiskStorage::new(self.data.clone()))
    }
}

/// Opens, recovers, syncs and verifies the log. If `durable` is given, first truncates the log to that end: the bytes
/// after it were never acknowledged. `epoch` is the epoch of this process, or 0 if it has none yet.
pub(super) fn open(
    handles: &LogHandles,
    durable: Option<Durable>,
    epoch: u64,
) -> Result<Opened, OpenFailure> {
    let storage = &*handles.context.storage;
    if is_copy(storage)? {
        return Err(io::Error::other("the log is a copy of the log of another engine").into());
    }
    if let Some(durable) = durable {
        truncate_to_durable(storage, durable)?;
    }
    let listing = segment::list(storage)?;
    for name in &listing.unfinished {
        storage.remove(&format!("{DIRECTORY}/{name}"))?;
    }
    let keyring = Keyring::load(storage)?;
    let claim = local_checkpoint::read(storage, keyring.as_ref())?;
    let resume = claim.as_ref().and_then(|claim| local_checkpoint::resume(storage, claim, &listing.segments));
    let walked = LogScan::through(&handles.context, &listing.segments, resume)?;
    if walked.is_empty()
        && let Some(claim) = claim.as_ref().filter(|claim| claim.size > 0)
    {
        return Err(gone(claim.size));
    }
    let opened = walked.finish(&handles.context, epoch)?;
    match durable {
        Some(durable) if is_other(durable, &opened.active) => Err(changed(durable, &opened)),
        _ => {
            handles.attestation.keys_of(&handles.context, keyring, &opened.active.header.log_id)?;
            handles.attestation.claim(claim);
            Ok(opened)
        }
    }
}

/// Truncates the log after the last acknowledged byte.
fn truncate_to_durable(storage: &dyn Storage, durable: Durable) -> Result<(), OpenFailure> {
    let segment = Segment::raw(durable.first_seq);
    let file = match storage.open(&segment.path(), Access::Write) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            return Err(lost(segment, durable.link.seq, "the segment that was being written is gone"));
        }
        file => file?,
    };
    if file.size()? < durable.len {
        let what = "the segment that was being written is shorter than it was";
        return Err(lost(segment, durable.link.seq, what));
    }
    file.truncate(durable.len)?;
    file.sync()?;
    // A failed rotation may have created the next segment. It is unknown how much of that file reached the disk.
    for later in segment::list(storage)?.segments.iter().filter(|later| later.first_seq > durable.first_seq) {
        storage.remove(&later.path())?;
        storage.sync_directory(DIRECTORY)?;
    }
    Ok(())
}

/// Whether the end of the opened log, `active`, differs from the end that was acknowledged, `durable`.
fn is_other(durable: Durable, active: &Active) -> bool {
    let (was, is) = (durable.link, active.link);
    was.seq != is.seq || (durable.first_seq == active.first_seq() && was.hash != is.hash)
}

pub(super) fn lost(segment: Segment, seq: u64, message: &str) -> OpenFailure {
    let fault = IntegrityFault {
        kind: IntegrityFaultKind::Truncated,
        message: format!(
            "{message}, although event {seq} was durable: restore the volume, or accept the loss"
        ),
        seq,
        segment: Some(segment.name()),
        line: None,
        byte: None,
    };
    OpenFailure::Corrupt(Box::new(DamagedLog { fault, readable: None }))
}

pub(super) fn gone(size: u64) -> OpenFailure {
    let message = format!(
        "there is no log, although its checkpoint records {size} events: restore the volume from a backup"
    );
    let kind = IntegrityFaultKind::Truncated;
    let fault = IntegrityFault { kind, message, seq: 1, segment: None, line: None, byte: None };
    OpenFailure::Corrupt(Box::new(DamagedLog { fault, readable: None }))
}

fn changed(durable: Durable, opened: &Opened) -> OpenFailure {
    let (expected, found) = (durable.link.seq, opened.active.link.seq);
    let segment = Segment::raw(durable.first_seq);
    lost(segment, expected.min(found + 1), &format!("the log ends at event {found}"))
}
