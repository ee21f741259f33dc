//! One running engine: the log's thread, the projection's thread, and what requests may ask of them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine_core::event::Draft;
use engine_core::policy::{Policy, PseudonymKey, has_token};
use engine_core::wire::{
    CheckpointView, GivenAnchor, IntegrityHealth, NotApplied, ProjectionState, SameText,
};
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::cache::Answers;
use crate::config::{Embedding, Retention, Rotation};
use crate::embeddings::{self, EmbeddingStatus, Embeddings, Surroundings};
use crate::forgotten::{Listeners, TraceFiles};
use crate::log::{
    Answer, Attestation, Commit, CommitError, Erase, Erasures, Keeper, Key, KeyRotated, LogDirectory,
    LogParts, LogReader, OpenError, Order, Published, Receipt, Rotated, Tail, Tree, Writer,
};
use crate::memory;
use crate::metrics::Metrics;
use crate::operations::Turns;
use crate::projection::{self, ProjectionShared, Projector, Setting};
use crate::providers::{ClientError, RerankService, Reranker};
use crate::pseudonyms::{KeyFault, Pseudonyms};
use crate::retrieval::{BadModel, Catalogs, DirectoryModel, Model, Retrieval};
use crate::sources::Sources;
use crate::writing::{Gate, Passed, WriteError};

mod health;

/// Requests that wait for the writer. Behind a disk that syncs in a millisecond this is less than a second.
const QUEUE_MAX: usize = 1024;
/// Bytes that wait for the writer; one of these may be over it.
const QUEUE_BYTES_MAX: u64 = 64 << 20;
/// Groups that are durable and wait for the projection: enough to keep both threads busy.
const APPLYING_MAX: usize = 16;

/// Time between two looks at the whole projection and at the whole log, when nobody says.
const SCRUB_INTERVAL: Duration = Duration::from_secs(86_400);

/// What an engine is started with.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// When the log goes on in a new file.
    pub(crate) rotation: Rotation,
    /// How often everything is read back and verified; the log never when absent, for commands that end by themselves.
    pub(crate) verify_interval: Option<Duration>,
    /// What the log is held against before the first write.
    pub(crate) anchor: Option<GivenAnchor>,
    /// What may be written.
    pub(crate) policy: Arc<Policy>,
    /// Rules for plans that name none.
    pub(crate) retention: Retention,
    /// What makes vectors of texts.
    pub(crate) embedding: Embedding,
    /// Memory that searching may take, bytes; a share of what the process may use when absent.
    pub(crate) search_bytes_max: Option<u64>,
    /// What ranks the best of a search again.
    pub(crate) rerank: Option<RerankService>,
    /// What is done with a text that a project has already, for whoever does not say.
    pub(crate) same_text: SameText,
    /// What the configuration has that this version does not know.
    pub(crate) not_applied: Vec<NotApplied>,
}

/// Why an engine does not start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the configured service cannot be used: {0}")]
    Service(#[from] ClientError),
    #[error("the configured model cannot be used: {0}")]
    Model(#[from] BadModel),
}

/// Memory that catalogs may take when nothing is configured, in eighths of what the process may use: the rest is for
/// the program, the pages of the projection, and what requests need. Of half a gibibyte it is 320 MiB.
const CATALOGS_EIGHTHS: u64 = 5;
/// Memory that kept answers may take, bytes.
const ANSWERS_BYTES_MAX: u64 = 32 << 20;

/// A running engine.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) published: Published,
    pub(crate) projection: Arc<ProjectionShared>,
    pub(crate) log: LogReader,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) parts: LogParts,
    pub(crate) retrieval: Arc<Retrieval>,
    pub(crate) answers: Arc<Answers>,
    /// The model outside that makes vectors, where one is configured.
    pub(crate) embeddings: Option<Arc<Embeddings>>,
    /// The model outside that ranks, where one is configured.
    pub(crate) reranker: Option<Reranker>,
    catalogs: Arc<Catalogs>,
    /// Who has copies of memories and is told when some are forgotten.
    pub(crate) forgotten: Listeners,
    pub(crate) traces: TraceFiles,
    gate: Gate,
    pseudonyms: Pseudonyms,
    pub(crate) retention: Retention,
    pub(crate) same_text: SameText,
    not_applied: Vec<NotApplied>,
    /// For writes that depend on what is there.
    pub(crate) turns: Turns,
    queue: Mutex<Option<SyncSender<Order>>>,
    queued_bytes: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
    keeper: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
    started_at: Timestamp,
    // Kept to the end: another process may open the log once the threads are gone.
    _directory: LogDirectory,
}

/// The model in the process, and the service outside if there is one.
fn meaning(
    embedding: Embedding,
    surroundings: Surroundings,
) -> Result<(Model, Option<Arc<Embeddings>>), StartError> {
    Ok(match embedding {
        Embedding::InProcess(model) => (model, None),
        Embedding::Directory(path) => {
            (Model::Directory(Box::leak(Box::new(DirectoryModel::read(&path)?))), None)
        }
        Embedding::Http(service) => (Model::BuiltIn, Some(Embeddings::start(service, surroundings)?)),
    })
}

impl Engine {
    /// Takes the data directory and starts the threads; they open the log and the projection.
    pub(crate) fn start(data: &Path, metrics: Metrics, settings: Settings) -> Result<Engine, StartError> {
        let directory = LogDirectory::lock(data)?;
        let Settings {
            rotation,
            verify_interval,
            anchor,
            policy,
            embedding,
            search_bytes_max,
            rerank,
            retention,
            same_text,
            not_applied,
        } = settings;
        let metrics = Arc::new(metrics);
        let parts = LogParts {
            storage: directory.storage(),
            published: Published::new(),
            tree: Arc::new(Tree::new()),
            attestation: Arc::new(Attestation::default()),
            erasures: Arc::new(Erasures::new()),
            tail: Arc::new(Tail::default()),
            metrics: Arc::clone(&metrics),
            sources: Sources::System,
            rotation,
        };
        let pseudonyms = Pseudonyms::start(Arc::clone(&parts.storage), parts.sources.clone());
        let published = parts.published.clone();
        let projection = Arc::new(ProjectionShared::new());
        let log = LogReader::new(Arc::clone(&parts.storage), published.clone());
        let (queue, queued) = mpsc::sync_channel(QUEUE_MAX);
        let (applying, to_apply) = mpsc::sync_channel(APPLYING_MAX);
        let writer = Writer::new(parts.clone(), Box::new(Arc::clone(&projection)), applying, anchor);
        let projector = Projector::new(Setting {
            directory: projection::directory(data),
            log: log.clone(),
            published: published.clone(),
            shared: Arc::clone(&projection),
            metrics: Arc::clone(&metrics),
            scrub_interval: verify_interval.unwrap_or(SCRUB_INTERVAL),
        });
        let keeper = Keeper::new(parts.clone(), verify_interval);
        let (stop_keeper, stopped) = mpsc::sync_channel(1);
        let failed = |source| OpenError::Directory { path: data.to_owned(), source };
        let reranker = rerank.map(|service| Reranker::new(service, Arc::clone(&metrics))).transpose()?;
        let surroundings = Surroundings {
            directory: embeddings::directory(data),
            projection: Arc::clone(&projection),
            published: published.clone(),
            metrics: Arc::clone(&metrics),
        };
        let (model, embeddings) = meaning(embedding, surroundings)?;
        let room = search_bytes_max.unwrap_or_else(|| memory::allowance() / 8 * CATALOGS_EIGHTHS);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let catalogs = Catalogs::start(model, embeddings.clone(), room, (data, Arc::clone(&projection)));
        let catalogs = catalogs.map_err(failed)?;
        let retrieval = Arc::new(Retrieval::new(Arc::clone(&catalogs), Arc::clone(&metrics)));
        let answers = Arc::new(Answers::new(ANSWERS_BYTES_MAX, Arc::clone(&metrics)));
        let forgotten = Listeners::default();
        let (kept, held) = (Arc::clone(&answers), Arc::clone(&catalogs));
        // All of it: forgetting is rare, and what is left in memory is right again with the next search.
        forgotten.add(move |_| kept.clear());
        forgotten.add(move |_| held.clear());
        let tail = Arc::clone(&parts.tail);
        forgotten.add(move |_| tail.clear());
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(work).map_err(failed)
        };
        let threads = vec![
            spawn("log", Box::new(move || writer.run(&queued)))?,
            spawn("projection", Box::new(move || projector.run(&to_apply)))?,
        ];
        let keeper = spawn("keeper", Box::new(move || keeper.run(&stopped)))?;
        Ok(Engine {
            forgotten,
            traces: TraceFiles::new(data),
            gate: Gate::new(policy, Arc::clone(&metrics)),
            pseudonyms,
            retention,
            same_text,
            not_applied,
            published,
            projection,
            log,
            metrics,
            parts,
            retrieval,
            answers,
            embeddings,
            reranker,
            catalogs,
            turns: Turns::new(),
            queue: Mutex::new(Some(queue)),
            queued_bytes: AtomicU64::new(0),
            threads: Mutex::new(threads),
            keeper: Mutex::new(Some((stop_keeper, keeper))),
            started_at: Timestamp::now(),
            _directory: directory,
        })
    }

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
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((wake, _)) = &*keeper {
            // Full: it is about to look anyway.
            let _woken = wake.try_send(());
        }
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
        self.parts.attestation.head(&self.parts)
    }

    fn enqueue(&self, order: Order) -> Result<(), CommitError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(CommitError::Stopping)?;
        queue.try_send(order).map_err(|fault| match fault {
            TrySendError::Full(_) => CommitError::Overloaded,
            TrySendError::Disconnected(_) => CommitError::Stopping,
        })
    }

    /// Takes no more events, finishes those that wait, closes the files. Blocks until done.
    pub(crate) fn stop(&self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Before the projection, which it reads.
        self.catalogs.stop();
        if let Some(embeddings) = &self.embeddings {
            embeddings.stop();
        }
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine had panicked");
            }
        }
        // Last: its last act is a checkpoint of everything the others did.
        if let Some((stop, keeper)) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(stop);
            if keeper.join().is_err() {
                tracing::error!("the keeper's thread had panicked");
            }
        }
    }

    /// Whether all threads live: without one of them only a restart helps.
    pub(crate) fn is_alive(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let ended =
            threads.iter().chain(keeper.as_ref().map(|(_, thread)| thread)).any(JoinHandle::is_finished);
        let filling = self.embeddings.as_ref().is_none_or(|embeddings| embeddings.is_alive());
        !ended && filling && self.catalogs.is_alive()
    }

    /// Whether requests should be sent here.
    pub(crate) fn is_ready(&self) -> bool {
        // A log that takes no events is still read: a full volume, or one that is not what it was.
        self.published.head().is_some() && self.projection.state() == ProjectionState::Ready
    }

    /// Which model makes vectors, and how far it is.
    pub(crate) fn embedding_status(&self) -> EmbeddingStatus {
        if let Some(embeddings) = &self.embeddings {
            return embeddings.status();
        }
        let (model, (embedded, _)) = (self.catalogs.model(), self.catalogs.size());
        EmbeddingStatus {
            model: model.id().to_owned(),
            dimension: Some(model.dimension()).filter(|dimension| *dimension > 0),
            embedded: embedded as u64,
            // Made when a project is searched: none is missing.
            total: embedded as u64,
            ..EmbeddingStatus::default()
        }
    }

    /// The metrics, with the gauges as of now.
    pub(crate) fn scrape(&self) -> Result<Vec<u8>, prometheus::Error> {
        let health = self.health();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.log_head_seq.set(gauge(health.log.seq));
        self.metrics.log_writable.set(i64::from(health.storage.writable));
        self.metrics.policy.pseudonym_key_lost.set(i64::from(self.pseudonyms.is_lost()));
        self.metrics.torn_bytes.set(gauge(health.log.recovered_torn_bytes));
        let segments = self.published.extent().map_or(0, |(_, segments)| segments.len());
        self.metrics.segments.set(gauge(segments as u64));
        self.metrics.verified_through.set(gauge(health.log.integrity.verified_through));
        self.metrics.integrity_fault.set(i64::from(health.log.integrity.fault.is_some()));
        self.metrics.projection_lag.set(gauge(health.projection.lag));
        let rebuild = health.projection.rebuild;
        let missing = rebuild.map_or(0, |rebuild| rebuild.head_seq.saturating_sub(rebuild.applied_seq));
        self.metrics.projection_rebuild_lag.set(gauge(missing));
        self.metrics.storage_available.set(gauge(health.storage.available_bytes));
        self.metrics.storage_capacity.set(gauge(health.storage.capacity_bytes));
        self.metrics.encode()
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
