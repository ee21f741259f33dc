//! Opens the log of a stopped engine, for offline commands.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use engine_core::event::{LOG_RESTORED, LogRestored};
use engine_core::fold::Request;
use engine_core::forgetting;
use thiserror::Error;

use super::commit::{AppliedKeys, CommitError, DurableGroup, KeyRotated, Receipt, Rotated};
use super::context::LogContext;
use super::engine_events::ACTOR;
use super::erasure_request::{EraseError, Erased};
use super::handles::LogHandles;
use super::keeper::Keeper;
use super::open::{LogDirectory, OpenError};
use super::writer::Writer;
use crate::clock::Clock;
use crate::metrics::LogMetrics;
use crate::rotation::Rotation;
use service::Registry;

/// Capacity of the queue to the projection. No projection runs here to empty the queue, so the capacity exceeds the
/// number of groups that any command writes.
const GROUPS_MAX: usize = 16;

/// The log of a stopped engine, locked by this process.
#[derive(Debug)]
pub struct Offline {
    writer: Writer,
    keeper: Keeper,
    _applied: Receiver<DurableGroup>,
    // The lock is the last field, so that it is dropped last.
    _directory: LogDirectory,
}

/// Why an offline command failed.
#[derive(Debug, Error)]
pub enum OfflineError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot define the metrics: {0}")]
    LogMetrics(#[from] prometheus::Error),
    #[error("the log failed verification: {0}")]
    Corrupt(String),
    #[error("the log cannot be written: {0}")]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Erase(#[from] EraseError),
}

/// Finds no idempotency keys. Offline commands write only the engine's own events, whose keys follow from their
/// content.
struct NoKeys;

impl AppliedKeys for NoKeys {
    fn applied_seq(&self) -> u64 {
        0
    }

    fn find(&self, _: &str) -> Option<(u64, Option<Request>)> {
        Some((u64::MAX, None))
    }
}

impl Offline {
    /// Locks the data directory `data` and opens the log in the same way as the engine.
    ///
    /// # Errors
    /// The log is locked, or it cannot be opened for writing.
    pub fn open(data: &Path) -> Result<Offline, OfflineError> {
        let directory = LogDirectory::lock(data)?;
        let metrics = Arc::new(LogMetrics::new(&Registry::new(&[])?)?);
        let context = LogContext::new(directory.storage(), metrics, Clock::System, Rotation::default());
        let handles = LogHandles::new(context);
        let (applying, applied) = mpsc::sync_channel(GROUPS_MAX);
        let keeper = Keeper::new(handles.clone(), None);
        let mut writer = Writer::new(handles, Arc::new(NoKeys), applying, None);
        writer.poll_storage();
        if let Some(refusal) = writer.refusal() {
            let fault = writer.handles.context.published.fault();
            return Err(fault.map_or(refusal.into(), |fault| OfflineError::Corrupt(fault.message)));
        }
        Ok(Offline { writer, keeper, _applied: applied, _directory: directory })
    }

    /// Seals the active segment and begins a new one.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn rotate(&mut self) -> Result<Rotated, OfflineError> {
        Ok(self.writer.rotate_on_command()?)
    }

    /// Switches to a new signing key.
    ///
    /// # Errors
    /// The log or the keys cannot be written.
    pub fn rotate_key(&mut self) -> Result<KeyRotated, OfflineError> {
        Ok(self.writer.rotate_key()?)
    }

    /// Erases the payloads of the events with the ids `targets`.
    ///
    /// # Errors
    /// An event is not in the log, or the erasure cannot be recorded or completed.
    pub fn erase(&mut self, targets: &BTreeSet<String>, reason: &str) -> Result<Erased, OfflineError> {
        let located = self.writer.locate(targets)?;
        let through = located.iter().map(|target| target.seq).max().unwrap_or_default();
        let drafts = forgetting::drafts(&located, reason, ACTOR);
        let receipt = self.writer.begin_erasure(drafts, through, None).map_err(EraseError::from)?;
        // Reopen the log if creating the new segment failed: the volume may have recovered.
        self.writer.poll_storage();
        let segments = self.keeper.erase_all().map_err(EraseError::from)?;
        Ok(Erased { event: receipt.id, seq: receipt.last_seq, targets: targets.clone(), segments })
    }

    /// The state of the open log.
    #[must_use]
    pub fn handles(&self) -> &LogHandles {
        &self.writer.handles
    }

    /// Records that this log was restored. Begins a new segment first, so that the event is the first of a new writer.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn record_restored(&mut self, restored: &LogRestored) -> Result<Receipt, OfflineError> {
        self.writer.rotate_on_command()?;
        Ok(self.writer.record(LOG_RESTORED, None, restored)?)
    }

    /// Writes a checkpoint for the next start.
    pub fn close(mut self) {
        self.keeper.write_checkpoint();
    }
}
