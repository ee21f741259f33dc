//! What the rest of the engine may know about the projection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use engine_core::digest::{Hash, Salt};
use engine_core::event::Idempotency;
use engine_core::fold::Request;
use engine_core::wire::ProjectionState;
use rusqlite::{Connection, OptionalExtension};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::readers::Readers;
use super::store::is_damage;
use crate::log::AppliedKeys;

/// Reads at the same time. More than there are processors only adds memory.
const READS_MAX: usize = 8;

/// Shared between the projector, who sets it, and everybody who reads.
#[derive(Debug)]
pub(crate) struct ProjectionShared {
    applied_seq: AtomicU64,
    suspect: AtomicBool,
    state: RwLock<(ProjectionState, Option<Arc<Readers>>)>,
    turns: Semaphore,
}

/// Why a read has no answer.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    #[error("the projection is not built yet")]
    NotReady,
    #[error("reading the projection failed: {0}")]
    Failed(#[from] rusqlite::Error),
    #[error("the reading thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl ProjectionShared {
    pub(crate) fn new() -> ProjectionShared {
        ProjectionShared {
            applied_seq: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            state: RwLock::new((ProjectionState::Rebuilding, None)),
            turns: Semaphore::new(READS_MAX),
        }
    }

    pub(crate) fn applied_seq(&self) -> u64 {
        self.applied_seq.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> ProjectionState {
        self.state.read().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn set_applied(&self, seq: u64) {
        self.applied_seq.store(seq, Ordering::Release);
    }

    pub(super) fn set_state(&self, state: ProjectionState, readers: Option<Arc<Readers>>) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = (state, readers);
    }

    /// Whether a read met damage since the last time this was asked.
    pub(super) fn take_suspicion(&self) -> bool {
        self.suspect.swap(false, Ordering::AcqRel)
    }

    fn readers(&self) -> Result<Arc<Readers>, Unreadable> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.1.clone().ok_or(Unreadable::NotReady)
    }

    fn read_now<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Unreadable> {
        let answer = self.readers()?.read(read);
        if let Err(fault) = &answer
            && is_damage(fault)
        {
            tracing::error!(%fault, "the projection cannot be read: it will be built again");
            self.suspect.store(true, Ordering::Release);
        }
        Ok(answer?)
    }

    /// Runs a read off the runtime's threads, in its turn.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unreadable> {
        let _turn = self.turns.acquire().await.map_err(|_| Unreadable::NotReady)?;
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || shared.read_now(read)).await?
    }
}

impl AppliedKeys for Arc<ProjectionShared> {
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
