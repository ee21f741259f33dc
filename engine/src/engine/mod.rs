//! One running engine: its threads, and the calls that requests make to it.
//!
//! [`settings`] is the configuration an engine starts with, [`start`] starts it, [`threads`] runs its threads,
//! [`health`], [`checks`], [`diagnostics`] and [`status_facts`] report its state.

pub(crate) mod checks;
mod diagnostics;
mod health;
mod settings;
mod start;
mod status_facts;
mod threads;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use engine_archive::ArchiveHandle;
use engine_core::event::Draft;
use engine_core::policy::{Policy, PseudonymKey, has_token};
use engine_core::wire::{CheckpointView, GivenAnchor, IntegrityHealth, RestoredLog};
use engine_log::{
    Answer, Caller, Commit, CommitError, Erase, FollowError, Followed, FollowingLines, Key, KeyRotated,
    LogDirectory, LogHandles, LogReader, Published, Receipt, Received, Rotated, WriterCommand,
};
use engine_projection::{ProjectionShared, TraceFiles};
use engine_retrieval::embeddings::Embeddings;
use engine_retrieval::providers::Reranker;
use engine_retrieval::{CatalogCache, Retrieval};
use jiff::Timestamp;
use tracing::Instrument;

use crate::access::Issuers;
use crate::cache::AnswerCache;
use crate::canary::Canary;
use crate::certificates::Certificates;
use crate::config::{ConfigurationState, LiveSettings};
use crate::digests::Digests;
use crate::following::Following;
use crate::forget_listeners::Listeners;
use crate::metrics::{CountedEvent, Metrics};
use crate::modes::Modes;
use crate::policy_gate::{AllowedEvents, Gate, WriteError};
use crate::pseudonyms::{KeyFault, Pseudonyms};
use crate::question_record::QuestionRecord;
use crate::spans;
use crate::ticket::PublicGate;
use crate::upkeep_runs::Runs;
use crate::write_locks::WriteLocks;
use threads::Threads;

pub(crate) use settings::Settings;

/// Maximum total size of the requests that wait for the writer, bytes. A single request may be larger.
const QUEUE_BYTES_MAX: u64 = 64 << 20;

/// Time between two looks at whether the projection of a following engine has applied what was forgotten.
const APPLIED_INTERVAL: Duration = Duration::from_millis(20);

/// A running engine.
#[derive(Debug)]
pub(crate) struct Engine {
    /// State of the log, published by the writer: head, faults and free space.
    pub(crate) published: Published,
    pub(crate) projection: Arc<ProjectionShared>,
    /// Reader of durable events.
    pub(crate) log: LogReader,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log_handles: LogHandles,
    pub(crate) retrieval: Arc<Retrieval>,
    /// Cache of responses.
    pub(crate) answers: Arc<AnswerCache>,
    /// The external embedding model, if one is configured.
    pub(crate) embeddings: Option<Arc<Embeddings>>,
    /// The external reranking model, if one is configured.
    pub(crate) reranker: Option<Reranker>,
    catalogs: Arc<CatalogCache>,
    /// Listeners that drop their in-memory copies when memories are forgotten.
    pub(crate) forgotten: Listeners,
    /// Searches the database files for traces of forgotten texts.
    pub(crate) traces: TraceFiles,
    gate: Gate,
    pseudonyms: Pseudonyms,
    /// Settings that can change while the engine runs. The lock is held for a copy only.
    live: RwLock<LiveSettings>,
    configuration: Arc<ConfigurationState>,
    certificates: Arc<Certificates>,
    /// The issuers of tokens, once the ports are served.
    issuers: OnceLock<Arc<Issuers>>,
    /// The gate of the public port, if there is one.
    public_gate: OnceLock<Arc<PublicGate>>,
    /// How this engine follows another one; none if it owns its log.
    following: Option<Arc<Following>>,
    /// Another revision whose answers are compared with those of this one, if there is one.
    pub(crate) canary: Canary,
    /// Questions of clients that are kept for rehearsals.
    pub(crate) questions: QuestionRecord,
    /// The newest digests of the projection.
    pub(crate) digests: Digests,
    /// The archive, if one is configured.
    archive: OnceLock<ArchiveHandle>,
    /// From what the log was restored, if it was.
    restored: Option<RestoredLog>,
    /// Whether the process was told to stop.
    stopping: AtomicBool,
    /// Locks for writes that depend on the stored state.
    pub(crate) write_locks: WriteLocks,
    /// The last run of each task of upkeep.
    pub(crate) upkeep: Runs,
    /// The mode, and the guard that turns reads off.
    pub(crate) modes: Arc<Modes>,
    /// When the log was first seen open.
    opened: OnceLock<Instant>,
    /// Total size of the requests in the queue of the writer, bytes.
    queued_bytes: AtomicU64,
    threads: Threads,
    started_at: Timestamp,
    // Dropped last, because another process may open the log only after all threads have ended.
    _directory: LogDirectory,
}

impl Engine {
    /// Makes events durable: either all of them or none.
    ///
    /// # Errors
    /// The policy blocks an event, the key of the pseudonyms is missing, or the log does not accept the events.
    pub(crate) async fn commit(&self, drafts: Vec<Draft>, key: Option<Key>) -> Result<Receipt, WriteError> {
        self.modes.admit_write()?;
        self.commit_passed(self.apply_policy(drafts).await?, key).await
    }

    /// Makes an event durable that the engine writes about itself, whatever the mode.
    pub(crate) async fn commit_own(&self, draft: Draft) -> Result<Receipt, WriteError> {
        let passed = self.apply_policy(vec![draft]).await?;
        self.write(passed, None).await
    }

    /// Applies the policy to events and returns the events in the form in which they may be written.
    ///
    /// # Errors
    /// The policy blocks an event, or the key of the pseudonyms is missing.
    pub(crate) async fn apply_policy(&self, drafts: Vec<Draft>) -> Result<AllowedEvents, WriteError> {
        let known = self.pseudonyms.known().cloned();
        // The copy is needed only until the key is loaded. The first event with a pseudonym loads the key.
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

    /// Makes events durable that the policy has allowed.
    pub(crate) async fn commit_passed(
        &self,
        passed: AllowedEvents,
        key: Option<Key>,
    ) -> Result<Receipt, WriteError> {
        self.modes.admit_write()?;
        self.write(passed, key).await
    }

    async fn write(&self, passed: AllowedEvents, key: Option<Key>) -> Result<Receipt, WriteError> {
        let span = spans::of_append(passed.drafts().len());
        self.write_in_span(passed, key).instrument(span).await
    }

    async fn write_in_span(&self, passed: AllowedEvents, key: Option<Key>) -> Result<Receipt, WriteError> {
        let started = Instant::now();
        let drafts = passed.into_drafts();
        let counted: Vec<CountedEvent> =
            drafts.iter().filter_map(|draft| CountedEvent::of(&draft.kind)).collect();
        let bytes = drafts.iter().map(|draft| draft.payload.get().len() as u64).sum();
        let _waiting = self.wait_in_line(bytes)?;
        let (reply, answer) = Caller::channel();
        self.threads.send(WriterCommand::Commit(Commit { drafts, key, reply }))?;
        // The writer answers every request in its queue. If the writer has ended, there is no answer.
        let receipt = answer.await.unwrap_or(Err(CommitError::Stopping))?;
        let elapsed = started.elapsed();
        self.metrics.append_seconds.observe(elapsed.as_secs_f64());
        self.metrics.append_window.observe(Instant::now(), elapsed);
        if !receipt.replayed {
            self.metrics.count_events(&counted);
        }
        Ok(receipt)
    }

    /// Makes the events durable that record what is forgotten, and wakes the keeper thread, which erases the content
    /// from the files.
    pub(crate) async fn erase(
        &self,
        drafts: Vec<Draft>,
        through: u64,
        key: Option<Key>,
    ) -> Result<Receipt, WriteError> {
        self.modes.admit_write()?;
        let drafts = self.apply_policy(drafts).await?.into_drafts();
        let span = spans::of_append(drafts.len());
        let erase = |reply| WriterCommand::Erase(Erase { drafts, through, key, reply });
        let receipt = self.ask(erase).instrument(span).await?;
        self.threads.wake_keeper();
        Ok(receipt)
    }

    /// The policy. It is also applied to identifiers.
    pub(crate) fn policy(&self) -> &Policy {
        self.gate.policy()
    }

    /// The key of this log's pseudonyms, if it is loaded already.
    pub(crate) fn known_pseudonym_key(&self) -> Option<&PseudonymKey> {
        self.pseudonyms.known()
    }

    /// Loads the key of this log's pseudonyms and verifies it against the log.
    pub(crate) async fn pseudonym_key(&self) -> Result<PseudonymKey, KeyFault> {
        self.pseudonyms.key(&self.projection, self.published.head_seq()).await
    }

    /// Before the first token is written, records in the log which key made the tokens of these events.
    async fn record_pseudonym_key(&self, drafts: &[Draft]) -> Result<(), CommitError> {
        let Some((draft, key)) = self.pseudonyms.unrecorded() else { return Ok(()) };
        let has_one = |draft: &Draft| {
            let Draft { kind, actor, project, session, causes: _, payload } = draft;
            let texts = [kind, actor, project, session.as_deref().unwrap_or_default(), payload.get()];
            texts.iter().any(|text| has_token(text))
        };
        if drafts.iter().any(has_one) {
            self.ask(|reply| WriterCommand::Commit(Commit { drafts: vec![draft], key: Some(key), reply }))
                .await?;
            self.pseudonyms.recorded();
        }
        Ok(())
    }

    /// Adds the size of a request to the size of the queue, until the result is dropped.
    ///
    /// # Errors
    /// The size of the queue exceeds [`QUEUE_BYTES_MAX`].
    fn wait_in_line(&self, bytes: u64) -> Result<QueuedBytes<'_>, CommitError> {
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let waiting = QueuedBytes { queued_bytes: &self.queued_bytes, bytes };
        if before > QUEUE_BYTES_MAX { Err(CommitError::Overloaded) } else { Ok(waiting) }
    }

    /// Seals the current segment of the log and starts a new one.
    pub(crate) async fn rotate(&self) -> Result<Rotated, CommitError> {
        self.ask(WriterCommand::Rotate).await
    }

    /// Makes the writer sign checkpoints with a new key from now on.
    pub(crate) async fn rotate_key(&self) -> Result<KeyRotated, CommitError> {
        self.ask(WriterCommand::RotateKey).await
    }

    /// Sends a command to the writer and waits for its answer.
    async fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> WriterCommand) -> Result<T, CommitError> {
        let (reply, answer) = Caller::channel();
        self.threads.send(order(reply))?;
        answer.await.unwrap_or(Err(CommitError::Stopping))
    }

    /// Verifies the log against an anchor now, and keeps verifying against it.
    pub(crate) async fn anchor(&self, given: GivenAnchor) -> Result<IntegrityHealth, CommitError> {
        let (reply, answer) = Caller::channel();
        self.threads.send(WriterCommand::Anchor(given, reply))?;
        answer.await.map_err(|_| CommitError::Stopping)
    }

    /// Asks for a complete verification of the log and of the projection. Returns the number of the request to the
    /// log's keeper.
    pub(crate) fn ask_scrub(&self) -> u64 {
        let number = self.log_handles.scrubs.ask();
        self.projection.request_check();
        self.threads.wake_keeper();
        number
    }

    /// Returns a signed checkpoint for the head of the log; `None` until the log is open.
    pub(crate) fn head_checkpoint(&self) -> Option<CheckpointView> {
        self.log_handles.attestation.head(&self.log_handles.context)
    }

    /// How this engine follows another one; none if it owns its log.
    pub(crate) fn following(&self) -> Option<&Arc<Following>> {
        self.following.as_ref()
    }

    /// Continues the copy of the log with an answer of the engine that is followed.
    ///
    /// # Errors
    /// The chain is broken, or the copy cannot be written now.
    pub(crate) async fn follow(&self, answer: FollowingLines) -> Result<Followed, FollowError> {
        let FollowingLines { log_id, head_seq, has_line, lines } = answer;
        let (reply, followed) = Caller::channel();
        let received = Received { log_id, head_seq, has_end: has_line, lines, reply };
        self.threads.send(WriterCommand::Follow(received)).map_err(FollowError::Unwritable)?;
        let followed = followed.await;
        followed.unwrap_or(Err(FollowError::Unwritable(CommitError::Stopping)))
    }

    /// Drops every copy in memory of what was forgotten by event `seq`, as soon as the projection has applied it.
    pub(crate) async fn drop_forgotten(&self, seq: u64, ids: &[String]) {
        self.threads.wake_keeper();
        // A projection that is being built is waited for as long as it takes: its rows are copies too.
        while self.projection.applied_seq() < seq && !self.is_stopping() {
            tokio::time::sleep(APPLIED_INTERVAL).await;
        }
        self.forgotten.notify(ids);
        self.metrics.forgotten.inc_by(ids.len() as u64);
    }

    /// The archive, if one is configured.
    pub(crate) fn archive(&self) -> Option<&ArchiveHandle> {
        self.archive.get()
    }

    /// Adds the archive, whose task has been started.
    pub(crate) fn set_archive(&self, archive: ArchiveHandle) {
        // There is one configuration, so a second call does not happen.
        let _first_counts = self.archive.set(archive);
    }

    /// The settings that take effect without a restart, as they are now.
    pub(crate) fn live(&self) -> LiveSettings {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_live(&self, live: LiveSettings) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// Reports from now on that the engine is not ready, so that no new requests are sent to it. It still serves them.
    pub(crate) fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the API is served with TLS.
    pub(crate) fn has_api_tls(&self) -> bool {
        self.certificates.api.is_some()
    }

    /// The directories with the certificates of the ports.
    pub(crate) fn certificate_directories(&self) -> &[PathBuf] {
        &self.certificates.directories
    }

    /// Whether the process was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Stops the engine: accepts no more events, finishes the queued events and closes the files. Blocks until this is
    /// done.
    pub(crate) fn stop(&self) {
        self.modes.save_before_stop();
        self.questions.write_before_stop();
        self.threads.close_queue();
        // These two are stopped before the projection, because both read it.
        self.catalogs.stop();
        if let Some(embeddings) = &self.embeddings {
            embeddings.stop();
        }
        self.threads.join();
    }
}

/// Bytes of a queued request. They are subtracted when the request is answered or its client disconnects.
struct QueuedBytes<'a> {
    queued_bytes: &'a AtomicU64,
    bytes: u64,
}

impl Drop for QueuedBytes<'_> {
    fn drop(&mut self) {
        self.queued_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
