//! A log without an engine around it: for commands that work while the engine is stopped.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use engine_core::fold::Request;
use engine_core::forgetting;
use thiserror::Error;

use super::attestation::Attestation;
use super::commit::{AppliedKeys, Applying, CommitError, KeyRotated, Rotated};
use super::erase::{EraseError, Erased};
use super::eraser::Erasures;
use super::keeper::Keeper;
use super::open::{LogDirectory, OpenError};
use super::own::ACTOR;
use super::published::Published;
use super::tail::Tail;
use super::tree::Tree;
use super::writer::{LogParts, Writer};
use crate::config::Rotation;
use crate::metrics::Metrics;
use crate::sources::Sources;

/// Groups that wait for a projection nobody builds here: more than any command writes.
const GROUPS_MAX: usize = 16;

/// The log of a stopped engine, held by this process.
pub(crate) struct Offline {
    writer: Writer,
    keeper: Keeper,
    _applied: Receiver<Applying>,
    // Last, so that it is let go of last.
    _directory: LogDirectory,
}

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub(crate) enum OfflineError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot define the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the log is not what it was: {0}")]
    Corrupt(String),
    #[error("the log cannot be written: {0}")]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Erase(#[from] EraseError),
}

/// The only keys used here are of the engine's own events, which carry what makes them new.
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
    /// Takes the lock and opens the log, as an engine would.
    pub(crate) fn open(data: &Path) -> Result<Offline, OfflineError> {
        let directory = LogDirectory::lock(data)?;
        let parts = LogParts {
            storage: directory.storage(),
            published: Published::new(),
            tree: Arc::new(Tree::new()),
            attestation: Arc::new(Attestation::default()),
            erasures: Arc::new(Erasures::new()),
            tail: Arc::new(Tail::default()),
            metrics: Arc::new(Metrics::new("")?),
            sources: Sources::System,
            rotation: Rotation::default(),
        };
        let (applying, applied) = mpsc::sync_channel(GROUPS_MAX);
        let keeper = Keeper::new(parts.clone(), None);
        let mut writer = Writer::new(parts, Box::new(NoKeys), applying, None);
        writer.look_at_storage();
        if let Some(refusal) = writer.refusal() {
            let fault = writer.parts.published.fault();
            return Err(fault.map_or(refusal.into(), |fault| OfflineError::Corrupt(fault.message)));
        }
        Ok(Offline { writer, keeper, _applied: applied, _directory: directory })
    }

    /// Seals the segment at the end and begins a new one.
    pub(crate) fn rotate(&mut self) -> Result<Rotated, OfflineError> {
        Ok(self.writer.rotate_on_command()?)
    }

    /// Signs with a new key from now on.
    pub(crate) fn rotate_key(&mut self) -> Result<KeyRotated, OfflineError> {
        Ok(self.writer.rotate_key()?)
    }

    /// Forgets the payloads of these events.
    pub(crate) fn erase(&mut self, targets: &BTreeSet<String>, reason: &str) -> Result<Erased, OfflineError> {
        let located = self.writer.locate(targets)?;
        let through = located.iter().map(|target| target.seq).max().unwrap_or_default();
        let drafts = forgetting::drafts(&located, reason, ACTOR);
        let receipt = self.writer.begin_erasure(drafts, through, None).map_err(EraseError::from)?;
        // A volume that failed at the new segment may work again.
        self.writer.look_at_storage();
        let segments = self.keeper.erase_all().map_err(EraseError::from)?;
        Ok(Erased { event: receipt.id, seq: receipt.last_seq, targets: targets.clone(), segments })
    }

    /// Leaves a checkpoint behind, for the next start.
    pub(crate) fn close(mut self) {
        self.keeper.write_checkpoint();
    }
}
