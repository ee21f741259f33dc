//! One running engine: its threads, and what requests may ask of them.
//!
//! [`settings`] is what an engine is started with, [`start`] starts it, [`health`] is what it reports.

mod health;
mod settings;
mod start;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::TrySendError;
use std::time::Instant;

use engine_core::event::Draft;
use engine_core::policy::{Policy, PseudonymKey, has_token};
use engine_core::wire::{CheckpointView, GivenAnchor, IntegrityHealth, NotApplied, SameText};
use engine_log::{
    Answer, Commit, CommitError, Erase, Key, KeyRotated, LogDirectory, LogHandles, LogReader, Order,
    Published, Receipt, Rotated,
};
use engine_projection::{ProjectionShared, TraceFiles};
use engine_retrieval::embeddings::Embeddings;
use engine_retrieval::providers::Reranker;
use engine_retrieval::{CatalogCache, Retrieval};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::cache::Answers;
use crate::config::Retention;
use crate::forgotten::Listeners;
use crate::metrics::Metrics;
use crate::policy_gate::{Gate, Passed, WriteError};
use crate::pseudonyms::{KeyFault, Pseudonyms};
use crate::write_locks::WriteLocks;
use threads::Threads;

pub(crate) use settings::Settings;

/// Maximum size of the requests that wait for the writer, bytes. One request may exceed it.
const QUEUE_BYTES_MAX: u64 = 64 << 20;

/// A running engine.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) published: Published,
    pub(crate) projection: Arc<ProjectionShared>,
    pub(crate) log: LogReader,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log_handles: LogHandles,
    pub(crate) retrieval: Arc<Retrieval>,
    pub(crate) answers: Arc<Answers>,
    /// The model outside that makes vectors, where one is configured.
    pub(crate) embeddings: Option<Arc<Embeddings>>,
    /// The model outside that ranks, where one is configured.
    pub(crate) reranker: Option<Reranker>,
    catalogs: Arc<CatalogCache>,
    /// Who has copies of memories and is told when some are forgotten.
    pub(crate) forgotten: Listeners,
    pub(crate) traces: TraceFiles,
    gate: Gate,
    pseudonyms: Pseudonyms,
    pub(crate) retention: Retention,
    pub(crate) same_text: SameText,
    not_applied: Vec<NotApplied>,
    /// Locks of writes that depend on what is stored.
    pub(crate) write_locks: WriteLocks,
    queued_bytes: AtomicU64,
    threads: Threads,
    started_at: Timestamp,
    // Kept to the end: another process may open the log once the threads are gone.
    _directory: LogDirectory,
}

impl Engine {
    /// Makes events durable, all or none.
    pub(crate) async fn commit(&self, drafts: Vec<Draft>, key: Option<Key>) -> Result<Receipt, WriteError> {
        self.commit_passed(self.pass(drafts).await?, key).await
    }

    /// The events as the policy lets them be written.
    pub(crate) async fn pass(&self, drafts: Vec<Draft>) -> Result<Passed, WriteError> {
        let known = self.pseudonyms.known().cloned();
        // Hardly any event needs a key that was not needed before it.
        let again = known.is_none().then(|| drafts.clone());
        let passed = match (self.gate.pass(drafts, known).await, again) {
            (Err(WriteError::Pseudonyms(_)), Some(drafts)) => {
                let key = self.pseudonym_key().await?;
                self.gate.pass(drafts, Some(key)).await?
            }
            (passed, _) => passed?,
        };
        self.record_pseudonym_key(passed.drafts()).await?;
        Ok(passed)
    }

    /// Makes events durable that the policy has let pass.
    pub(crate) async fn commit_passed(
        &self,
        passed: Passed,
        key: Option<Key>,
    ) -> Result<Receipt, WriteError> {
        let started = Instant::now();
        let drafts = passed.into_drafts();
        let bytes = drafts.iter().map(|draft| draft.payload.get().len() as u64).sum();
        let _waiting = self.wait_in_line(bytes)?;
        let (reply, answer) = oneshot::channel();
        self.enqueue(Order::Commit(Commit { drafts, key, reply }))?;
        // The writer answers everything it takes; it takes everything unless it has ended.
        let receipt = answer.await.unwrap_or(Err(CommitError::Stopping))?;
        self.metrics.append_seconds.observe(started.elapsed().as_secs_f64());
        Ok(receipt)
    }

    /// Makes the events durable that say what is forgotten, and has the keeper begin at once.
    pub(crate) async fn erase(
        &self,
        drafts: Vec<Draft>,
        through: u64,
        key: Option<Key>,
    ) -> Result<Receipt, WriteError> {
        let drafts = self.pass(drafts).await?.into_drafts();
        let receipt = self.ask(|reply| Order::Erase(Erase { drafts, through, key, reply })).await?;
        self.threads.wake_keeper();
        Ok(receipt)
    }

    /// What may be written, of any identifier.
    pub(crate) fn policy(&self) -> &Policy {
        self.gate.policy()
    }

    /// The key of this log's pseudonyms, if it was needed before.
    pub(crate) fn known_pseudonym_key(&self) -> Option<&PseudonymKey> {
        self.pseudonyms.known()
    }

    /// The key of this log's pseudonyms, once it is known to be that.
    pub(crate) async fn pseudonym_key(&self) -> Result<PseudonymKey, KeyFault> {
        self.pseudonyms.key(&self.projection, self.published.head_seq()).await
    }

    /// Makes it durable which key the tokens of these events have, before the first of them is.
    async fn record_pseudonym_key(&self, drafts: &[Draft]) -> Result<(), CommitError> {
        let Some((draft, key)) = self.pseudonyms.unrecorded() else { return Ok(()) };
        let has_one = |draft: &Draft| {
            let Draft { kind, actor, project, session, causes: _, payload } = draft;
            let texts = [kind, actor, project, session.as_deref().unwrap_or_default(), payload.get()];
            texts.iter().any(|text| has_token(text))
        };
        if drafts.iter().any(has_one) {
            self.ask(|reply| Order::Commit(Commit { drafts: vec![draft], key: Some(key), reply })).await?;
            self.pseudonyms.recorded();
        }
        Ok(())
    }

    fn wait_in_line(&self, bytes: u64) -> Result<Waiting<'_>, CommitError> {
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let waiting = Waiting { queued_bytes: &self.queued_bytes, bytes };
        if before > QUEUE_BYTES_MAX { Err(CommitError::Overloaded) } else { Ok(waiting) }
    }

    /// Seals the segment that is being written and goes on in a new one.
    pub(crate) async fn rotate(&self) -> Result<Rotated, CommitError> {
        self.ask(Order::Rotate).await
    }

    /// Signs with a new key from now on.
    pub(crate) async fn rotate_key(&self) -> Result<KeyRotated, CommitError> {
        self.ask(Order::RotateKey).await
    }

    async fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(order(reply))?;
        answer.await.unwrap_or(Err(CommitError::Stopping))
    }

    /// Holds the log against an anchor, from now on.
    pub(crate) async fn anchor(&self, given: GivenAnchor) -> Result<IntegrityHealth, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Order::Anchor(given, reply))?;
        answer.await.map_err(|_| CommitError::Stopping)
    }

    /// A signed checkpoint for the head of the log; absent until the log is open.
    pub(crate) fn head_checkpoint(&self) -> Option<CheckpointView> {
        self.log_handles.attestation.head(&self.log_handles.context)
    }

    fn enqueue(&self, order: Order) -> Result<(), CommitError> {
        self.threads.send(order).map_err(|fault| match fault {
            TrySendError::Full(_) => CommitError::Overloaded,
            TrySendError::Disconnected(_) => CommitError::Stopping,
        })
    }

    /// Takes no more events, finishes those that wait, closes the files. Blocks until done.
    pub(crate) fn stop(&self) {
        self.threads.close_queue();
        // Before the projection, which both read.
        self.catalogs.stop();
        if let Some(embeddings) = &self.embeddings {
            embeddings.stop();
        }
        self.threads.join();
    }

    /// Whether all threads live: without one of them only a restart helps.
    pub(crate) fn is_alive(&self) -> bool {
        let filling = self.embeddings.as_ref().is_none_or(|embeddings| embeddings.is_alive());
        self.threads.are_alive() && filling && self.catalogs.is_alive()
    }
}

/// Bytes in the queue, given back when the request is answered or its client gone.
struct Waiting<'a> {
    queued_bytes: &'a AtomicU64,
    bytes: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queued_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
