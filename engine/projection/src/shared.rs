//! State of the projection as seen by the rest of the engine.

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
use super::project_versions::{ChangeSet, ProjectVersions};
use super::read_scheduling::ReadTurns;
use super::readers::{READ_MAX, Readers};
use super::store_error::{is_damage, without_data};
use crate::client_address::ClientAddress;
use engine_log::AppliedKeys;
use service::in_span;

/// Maximum time a read waits for events that were durable before it started. Applying takes milliseconds. If applying
/// takes longer, the projection has a problem, and the client should retry later.
const APPLIED_MAX: Duration = Duration::from_secs(2);

/// Shared state. The projector updates it; all threads read it.
#[derive(Debug)]
pub struct ProjectionShared {
    applied: watch::Sender<u64>,
    /// Number of the last event up to which all forgotten data was removed from the projection's files.
    erased_through: watch::Sender<u64>,
    suspect: AtomicBool,
    requested: AtomicBool,
    check_requested: AtomicBool,
    state: RwLock<(ProjectionState, Option<Arc<Readers>>)>,
    report: Mutex<Report>,
    versions: Mutex<ProjectVersions>,
    turns: ReadTurns,
}

#[derive(Debug, Default)]
struct Report {
    rebuild: Option<(Cause, Arc<AtomicU64>)>,
    rebuilt: Option<Rebuilt>,
    checked: Option<(ContentDigest, Timestamp)>,
}

/// A completed rebuild that replaced another projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    pub cause: Cause,
    pub applied_seq: u64,
    pub digest: ContentDigest,
    /// Digest of the replaced projection at the same event.
    pub replaced: Option<ContentDigest>,
    /// Whether the replaced projection was wrong.
    pub differs: bool,
}

/// Why a read failed.
#[derive(Debug, Error)]
pub enum Unreadable {
    #[error("the projection is not built yet")]
    NotReady,
    #[error("the projection has applied event {applied}, but event {wanted} was requested")]
    Behind { applied: u64, wanted: u64 },
    #[error("the read took longer than {READ_MAX:?}")]
    TooLong,
    #[error("reading the projection failed: {}", without_data(.0))]
    Failed(#[from] rusqlite::Error),
    // The message of a panic may quote data.
    #[error("the reading thread ended")]
    Thread(#[from] tokio::task::JoinError),
}

impl Default for ProjectionShared {
    fn default() -> ProjectionShared {
        ProjectionShared::new()
    }
}

impl ProjectionShared {
    /// The state before a projection is opened.
    pub fn new() -> ProjectionShared {
        ProjectionShared {
            applied: watch::Sender::new(0),
            erased_through: watch::Sender::new(0),
            suspect: AtomicBool::new(false),
            requested: AtomicBool::new(false),
            check_requested: AtomicBool::new(false),
            state: RwLock::new((ProjectionState::Rebuilding, None)),
            report: Mutex::default(),
            versions: Mutex::default(),
            turns: ReadTurns::new(),
        }
    }

    /// Number of the last applied event.
    pub fn applied_seq(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Notifies whenever more events are applied or another projection serves.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Whether the projection can be read.
    pub fn state(&self) -> ProjectionState {
        self.state.read().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Requests a new projection, built while the current one serves.
    pub fn request_rebuild(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// Requests a complete check that begins from now on. [`checked`](Self::checked) then has a later time, unless the
    /// projection is wrong and is built again.
    pub fn request_check(&self) {
        self.check_requested.store(true, Ordering::Release);
    }

    /// Progress of the running rebuild, if any. `head_seq` is the number of the last event that the rebuild has to
    /// apply.
    pub fn rebuild(&self, head_seq: u64) -> Option<RebuildHealth> {
        let report = self.report();
        let (cause, progress) = report.rebuild.as_ref()?;
        let applied_seq = progress.load(Ordering::Acquire);
        Some(RebuildHealth { applied_seq, head_seq, reason: cause.label().to_owned() })
    }

    /// Result of the last rebuild.
    pub fn rebuilt(&self) -> Option<Rebuilt> {
        self.report().rebuilt.clone()
    }

    /// Number of the last applied event, and the digest of all rows at that event. Every event updates the digest, so
    /// that this reads one row.
    ///
    /// # Errors
    /// The projection is not ready, or the read fails.
    pub fn digest(&self) -> Result<(u64, ContentDigest), Unreadable> {
        self.read_blocking(|connection| {
            connection.query_row("SELECT seq, digest FROM applied", [], |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), ContentDigest(row.get(1)?)))
            })
        })
    }

    /// Digest of the rows that the last successful scrub confirmed, and the time of that scrub.
    pub fn checked(&self) -> Option<(ContentDigest, Timestamp)> {
        self.report().checked
    }

    pub(super) fn set_applied(&self, seq: u64) {
        self.applied.send_replace(seq);
    }

    /// Publishes that events up to number `seq` were applied, and the changes `touched` that they made.
    pub(super) fn advance(&self, seq: u64, touched: ChangeSet) {
        // Publish the changes, which invalidate cached answers, before the new position.
        self.versions().touch(touched);
        self.set_applied(seq);
    }

    /// Records that another projection serves now, with events up to number `seq`. Every project counts as changed.
    pub(super) fn replace(&self, seq: u64) {
        self.versions().begin_at(seq);
        self.set_applied(seq);
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, ProjectVersions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the last event that changed the project `project`, or of the last applied event if `project` is
    /// `None`.
    pub fn version(&self, project: Option<&str>) -> u64 {
        project.map_or_else(|| self.applied_seq(), |project| self.versions().of(project))
    }

    /// Number of the last event that did more than add rows of memories, requests, sources or refreshes.
    pub fn altered(&self) -> u64 {
        self.versions().altered()
    }

    pub(super) fn set_erased_through(&self, seq: u64) {
        self.erased_through.send_replace(seq);
    }

    /// Waits up to `at_most` until the projection's files contain no data that was forgotten by events up to number
    /// `seq`. Returns false on timeout.
    pub async fn wait_until_erased(&self, seq: u64, at_most: Duration) -> bool {
        let mut erased_through = self.erased_through.subscribe();
        let reached = erased_through.wait_for(|through| *through >= seq);
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

    /// Whether a read found damage since the last call.
    pub(super) fn take_damage_flag(&self) -> bool {
        self.suspect.swap(false, Ordering::AcqRel)
    }

    /// Whether a check was requested since the last call.
    pub(super) fn take_check_request(&self) -> bool {
        self.check_requested.swap(false, Ordering::AcqRel)
    }

    /// Whether a rebuild was requested since the last call.
    pub(super) fn take_request(&self) -> bool {
        self.requested.swap(false, Ordering::AcqRel)
    }

    fn readers(&self) -> Result<Arc<Readers>, Unreadable> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.1.clone().ok_or(Unreadable::NotReady)
    }

    /// Takes a connection to the current projection. The projection may be replaced after it was looked up and before
    /// the connection is opened.
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

    /// Runs a read immediately on the current thread. Only for the engine's own threads, which may block.
    ///
    /// # Errors
    /// The projection is not ready, or the read fails or takes too long.
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
                let fault = without_data(&fault);
                tracing::error!(fault, "the projection cannot be read: it will be rebuilt");
                self.suspect.store(true, Ordering::Release);
            }
            Unreadable::Failed(fault)
        })
    }

    /// Waits for a limited time until the projection has applied event `wanted`.
    ///
    /// # Errors
    /// The projection is not ready, or it does not reach the event in time.
    pub async fn wait_for(&self, wanted: u64) -> Result<(), Unreadable> {
        if self.applied_seq() >= wanted {
            return Ok(());
        }
        // Do not wait for a build: it takes longer than any client waits.
        self.readers()?;
        let mut applied = self.applied.subscribe();
        let reached = tokio::time::timeout(APPLIED_MAX, applied.wait_for(|applied| *applied >= wanted)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Unreadable::Behind { applied: self.applied_seq(), wanted }),
        }
    }

    /// Runs `read` on a blocking thread, when `ReadTurns` grants a turn, on a state of the projection that includes
    /// event `wanted`.
    ///
    /// # Errors
    /// The projection is not ready or too far behind, or the read fails or takes too long.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        wanted: u64,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unreadable> {
        self.wait_for(wanted).await?;
        let turn = self.turns.take(ClientAddress::current()).await.map_err(|_| Unreadable::NotReady)?;
        let shared = Arc::clone(self);
        // The thread holds the turn, because the read continues after its client disconnects.
        let work = move || {
            let answer = shared.read_now(read);
            drop(turn);
            answer
        };
        tokio::task::spawn_blocking(in_span(work)).await?
    }
}

impl AppliedKeys for ProjectionShared {
    fn applied_seq(&self) -> u64 {
        ProjectionShared::applied_seq(self)
    }

    fn find(&self, key: &str) -> Option<(u64, Option<Request>)> {
        self.read_now(|connection| {
            // Read the position and the request in one transaction, so that both come from the same snapshot.
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
