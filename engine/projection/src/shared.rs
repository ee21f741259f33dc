//! What the rest of the engine may know about the projection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use engine_core::content::ContentDigest;
use engine_core::digest::{Hash, Salt};
use engine_core::event::Idempotency;
use engine_core::fold::Request;
use engine_core::wire::{ProjectionState, RebuildHealth};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use thiserror::Error;
use tokio::sync::watch;

use super::cause::Cause;
use super::heads::{Heads, Touched};
use super::readers::{READ_MAX, Readers};
use super::store_error::is_damage;
use super::turns::ReadTurns;
use crate::client_address::ClientAddress;
use engine_log::AppliedKeys;

/// How long a read waits for what was durable before it came. Applying takes milliseconds; what takes longer than this
/// is a projection in trouble, and its client does better to come back.
const APPLIED_MAX: Duration = Duration::from_secs(2);

/// Shared between the projector, who sets it, and everybody who reads.
#[derive(Debug)]
pub struct ProjectionShared {
    applied: watch::Sender<u64>,
    /// Nothing that was forgotten up to this event is in any file.
    traceless: watch::Sender<u64>,
    suspect: AtomicBool,
    requested: AtomicBool,
    state: RwLock<(ProjectionState, Option<Arc<Readers>>)>,
    report: Mutex<Report>,
    heads: Mutex<Heads>,
    turns: ReadTurns,
}

#[derive(Debug, Default)]
struct Report {
    rebuild: Option<(Cause, Arc<AtomicU64>)>,
    rebuilt: Option<Rebuilt>,
    checked: Option<(ContentDigest, Timestamp)>,
}

/// A projection that was built and took the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    pub cause: Cause,
    pub applied_seq: u64,
    pub digest: ContentDigest,
    /// Digest of the one that had answered, as of the same event.
    pub replaced: Option<ContentDigest>,
    /// The one that had answered was wrong.
    pub differs: bool,
}

/// Why a read has no answer.
#[derive(Debug, Error)]
pub enum Unreadable {
    #[error("the projection is not built yet")]
    NotReady,
    #[error("the projection has applied event {applied}, {wanted} was asked for")]
    Behind { applied: u64, wanted: u64 },
    #[error("the read took longer than {READ_MAX:?}")]
    TooLong,
    #[error("reading the projection failed: {0}")]
    Failed(#[from] rusqlite::Error),
    #[error("the reading thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl ProjectionShared {
    pub fn new() -> ProjectionShared {
        ProjectionShared {
            applied: watch::Sender::new(0),
            traceless: watch::Sender::new(0),
            suspect: AtomicBool::new(false),
            requested: AtomicBool::new(false),
            state: RwLock::new((ProjectionState::Rebuilding, None)),
            report: Mutex::default(),
            heads: Mutex::default(),
            turns: ReadTurns::new(),
        }
    }

    pub fn applied_seq(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Tells whenever more events are applied, or another projection answers.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    pub fn state(&self) -> ProjectionState {
        self.state.read().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Asks for a new projection, built beside the one that answers.
    pub fn request_rebuild(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// How far a new projection is, while there is one; `head_seq` is where it has to get to.
    pub fn rebuild(&self, head_seq: u64) -> Option<RebuildHealth> {
        let report = self.report();
        let (cause, progress) = report.rebuild.as_ref()?;
        let applied_seq = progress.load(Ordering::Acquire);
        Some(RebuildHealth { applied_seq, head_seq, reason: cause.label().to_owned() })
    }

    /// What the last one ended with.
    pub fn rebuilt(&self) -> Option<Rebuilt> {
        self.report().rebuilt.clone()
    }

    /// The digest of the rows and when they were last found to have it.
    pub fn checked(&self) -> Option<(ContentDigest, Timestamp)> {
        self.report().checked
    }

    pub(super) fn set_applied(&self, seq: u64) {
        self.applied.send_replace(seq);
    }

    /// What the events up to this one have changed.
    pub(super) fn advance(&self, seq: u64, touched: Touched) {
        // First what is newer than answers that were kept, then that there is something newer.
        self.heads().touch(touched);
        self.set_applied(seq);
    }

    /// Another projection answers: nothing is known of what it changed.
    pub(super) fn replace(&self, seq: u64) {
        self.heads().begin_at(seq);
        self.set_applied(seq);
    }

    fn heads(&self) -> std::sync::MutexGuard<'_, Heads> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last event that changed what there is of a project, or of anything.
    pub fn version(&self, project: Option<&str>) -> u64 {
        project.map_or_else(|| self.applied_seq(), |project| self.heads().of(project))
    }

    /// The last event that changed a memory which was there before it.
    pub fn altered(&self) -> u64 {
        self.heads().altered()
    }

    pub(super) fn set_traceless(&self, seq: u64) {
        self.traceless.send_replace(seq);
    }

    /// Waits until the files of the projection hold nothing that was forgotten up to this event; whether that is so by
    /// then.
    pub async fn forgot(&self, seq: u64, at_most: Duration) -> bool {
        let mut traceless = self.traceless.subscribe();
        let reached = traceless.wait_for(|through| *through >= seq);
        matches!(tokio::time::timeout(at_most, reached).await, Ok(Ok(_)))
    }

    pub(super) fn set_state(&self, state: ProjectionState, readers: Option<Arc<Readers>>) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = (state, readers);
    }

    pub(super) fn begin_rebuild(&self, cause: Cause) -> Arc<AtomicU64> {
        let progress = Arc::new(AtomicU64::new(0));
        self.report().rebuild = Some((cause, Arc::clone(&progress)));
        progress
    }

    pub(super) fn end_rebuild(&self, rebuilt: Option<Rebuilt>) {
        let mut report = self.report();
        report.rebuild = None;
        report.checked = None;
        report.rebuilt = rebuilt.or(report.rebuilt.take());
    }

    pub(super) fn set_checked(&self, digest: ContentDigest) {
        self.report().checked = Some((digest, Timestamp::now()));
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a read met damage since the last time this was asked.
    pub(super) fn take_suspicion(&self) -> bool {
        self.suspect.swap(false, Ordering::AcqRel)
    }

    /// Whether somebody asked for a new projection since the last time this was asked.
    pub(super) fn take_request(&self) -> bool {
        self.requested.swap(false, Ordering::AcqRel)
    }

    fn readers(&self) -> Result<Arc<Readers>, Unreadable> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.1.clone().ok_or(Unreadable::NotReady)
    }

    /// A connection to the projection that answers now. It may be swapped between the look at it and the opening.
    fn connection(&self) -> Result<(Arc<Readers>, Connection), Unreadable> {
        let readers = self.readers()?;
        match readers.take() {
            Ok(connection) => Ok((readers, connection)),
            Err(_) => {
                let readers = self.readers()?;
                let connection = readers.take()?;
                Ok((readers, connection))
            }
        }
    }

    /// Reads at once, on this thread: for threads of the engine, which may wait.
    pub fn read_blocking<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Unreadable> {
        self.read_now(read)
    }

    fn read_now<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Unreadable> {
        let (readers, connection) = self.connection()?;
        readers.read(connection, read).map_err(|fault| {
            if fault.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
                return Unreadable::TooLong;
            }
            if is_damage(&fault) {
                tracing::error!(%fault, "the projection cannot be read: it will be built again");
                self.suspect.store(true, Ordering::Release);
            }
            Unreadable::Failed(fault)
        })
    }

    /// Waits until the projection has applied this event, within a bound.
    pub async fn wait_for(&self, wanted: u64) -> Result<(), Unreadable> {
        if self.applied_seq() >= wanted {
            return Ok(());
        }
        // Nothing to wait for: building takes longer than any client waits.
        self.readers()?;
        let mut applied = self.applied.subscribe();
        let reached = tokio::time::timeout(APPLIED_MAX, applied.wait_for(|applied| *applied >= wanted)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Unreadable::Behind { applied: self.applied_seq(), wanted }),
        }
    }

    /// Runs a read off the runtime's threads, in its turn, on everything up to this event at least.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        wanted: u64,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unreadable> {
        self.wait_for(wanted).await?;
        let turn = self.turns.take(ClientAddress::current()).await.map_err(|_| Unreadable::NotReady)?;
        let shared = Arc::clone(self);
        // The turn is the thread's: a client that has gone leaves its read running.
        tokio::task::spawn_blocking(move || {
            let answer = shared.read_now(read);
            drop(turn);
            answer
        })
        .await?
    }
}

impl AppliedKeys for ProjectionShared {
    fn applied_seq(&self) -> u64 {
        ProjectionShared::applied_seq(self)
    }

    fn find(&self, key: &str) -> Option<(u64, Option<Request>)> {
        self.read_now(|connection| {
            // One transaction, so that "not there" and "up to here" speak of the same moment.
            let transaction = connection.unchecked_transaction()?;
            let applied: i64 = transaction.query_row("SELECT seq FROM applied", [], |row| row.get(0))?;
            let found = transaction
                .prepare_cached(
                    "SELECT request_sha256, salt, id, first_seq, last_seq, hash FROM requests WHERE key = ?1",
                )?
                .query_row([key], |row| request(key, row))
                .optional()?;
            Ok((applied.unsigned_abs(), found))
        })
        .ok()
    }
}

fn request(key: &str, row: &rusqlite::Row<'_>) -> rusqlite::Result<Request> {
    Ok(Request {
        idempotency: Idempotency { key: key.to_owned(), request_sha256: Hash(row.get(0)?) },
        salt: Salt(row.get(1)?),
        id: row.get(2)?,
        first_seq: row.get::<_, i64>(3)?.unsigned_abs(),
        last_seq: row.get::<_, i64>(4)?.unsigned_abs(),
        hash: Hash(row.get(5)?),
    })
}
