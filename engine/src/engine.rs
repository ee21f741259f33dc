//! One running engine: the log's thread, the projection's thread, and what requests may ask of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine_core::event::Draft;
use engine_core::wire::{
    EngineStatus, Health, IntegrityHealth, LogHealth, ProjectionHealth, ProjectionState, StorageHealth,
    StorageReason,
};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::log::{
    Commit, CommitError, Key, LogDirectory, LogReader, OpenError, Published, Receipt, Store, Writer,
};
use crate::metrics::Metrics;
use crate::projection::{self, ProjectionShared, Projector, Setting};

/// Requests that wait for the writer. Behind a disk that syncs in a millisecond this is less than a second.
const QUEUE_MAX: usize = 1024;
/// Bytes that wait for the writer; one of these may be over it.
const QUEUE_BYTES_MAX: u64 = 64 << 20;
/// Groups that are durable and wait for the projection: enough to keep both threads busy.
const APPLYING_MAX: usize = 16;

/// Time between two looks at the whole projection.
const SCRUB_INTERVAL: Duration = Duration::from_secs(86_400);

/// A running engine.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) published: Published,
    pub(crate) projection: Arc<ProjectionShared>,
    pub(crate) log: LogReader,
    pub(crate) metrics: Arc<Metrics>,
    queue: Mutex<Option<SyncSender<Commit>>>,
    queued_bytes: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
    started_at: Timestamp,
    // Kept to the end: another process may open the log once the threads are gone.
    _directory: LogDirectory,
}

impl Engine {
    /// Takes the data directory and starts the threads; they open the log and the projection.
    pub(crate) fn start(data: &Path, metrics: Metrics) -> Result<Engine, OpenError> {
        let directory = LogDirectory::lock(data)?;
        let metrics = Arc::new(metrics);
        let published = Published::new();
        let projection = Arc::new(ProjectionShared::new());
        let log = LogReader::new(directory.segment(), published.clone());
        let (queue, queued) = mpsc::sync_channel(QUEUE_MAX);
        let (applying, to_apply) = mpsc::sync_channel(APPLYING_MAX);
        let keys = Box::new(Arc::clone(&projection));
        let writer =
            Writer::new(directory.storage(), published.clone(), keys, applying, Arc::clone(&metrics));
        let projector = Projector::new(Setting {
            directory: projection::directory(data),
            log: log.clone(),
            published: published.clone(),
            shared: Arc::clone(&projection),
            metrics: Arc::clone(&metrics),
            scrub_interval: SCRUB_INTERVAL,
        });
        let failed = |source| OpenError::Directory { path: data.to_owned(), source };
        let threads = vec![
            thread::Builder::new().name("log".into()).spawn(move || writer.run(&queued)).map_err(failed)?,
            thread::Builder::new()
                .name("projection".into())
                .spawn(move || projector.run(&to_apply))
                .map_err(failed)?,
        ];
        Ok(Engine {
            published,
            projection,
            log,
            metrics,
            queue: Mutex::new(Some(queue)),
            queued_bytes: AtomicU64::new(0),
            threads: Mutex::new(threads),
            started_at: Timestamp::now(),
            _directory: directory,
        })
    }

    /// Makes events durable, all or none.
    pub(crate) async fn commit(&self, drafts: Vec<Draft>, key: Option<Key>) -> Result<Receipt, CommitError> {
        let started = Instant::now();
        let bytes = drafts.iter().map(|draft| draft.payload.get().len() as u64).sum();
        let _waiting = self.wait_in_line(bytes)?;
        let (reply, answer) = oneshot::channel();
        self.enqueue(Commit { drafts, key, reply })?;
        // The writer answers everything it takes; it takes everything unless it has ended.
        let receipt = answer.await.unwrap_or(Err(CommitError::Stopping))?;
        self.metrics.append_seconds.observe(started.elapsed().as_secs_f64());
        Ok(receipt)
    }

    fn wait_in_line(&self, bytes: u64) -> Result<Waiting<'_>, CommitError> {
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let waiting = Waiting { queued_bytes: &self.queued_bytes, bytes };
        if before > QUEUE_BYTES_MAX { Err(CommitError::Overloaded) } else { Ok(waiting) }
    }

    fn enqueue(&self, commit: Commit) -> Result<(), CommitError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(CommitError::Stopping)?;
        queue.try_send(commit).map_err(|fault| match fault {
            TrySendError::Full(_) => CommitError::Overloaded,
            TrySendError::Disconnected(_) => CommitError::Stopping,
        })
    }

    /// Takes no more events, finishes those that wait, closes the files. Blocks until done.
    pub(crate) fn stop(&self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine had panicked");
            }
        }
    }

    /// Whether both threads live: without one of them only a restart helps.
    pub(crate) fn is_alive(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        !threads.iter().any(JoinHandle::is_finished)
    }

    /// Whether requests should be sent here.
    pub(crate) fn is_ready(&self) -> bool {
        let serves = !matches!(self.published.store(), Store::Corrupt(_) | Store::Opening);
        serves && self.projection.state() == ProjectionState::Ready
    }

    /// The engine's report on itself.
    pub(crate) fn health(&self) -> Health {
        let storage = self.storage_health();
        let projection = self.projection_health();
        let ok = storage.writable && projection.state == ProjectionState::Ready;
        let head = self.published.head();
        Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: if ok { EngineStatus::Ok } else { EngineStatus::Degraded },
            log: LogHealth {
                id: head.as_ref().map(|head| head.log_id.clone()).unwrap_or_default(),
                seq: head.as_ref().map_or(0, |head| head.seq),
                hash: head.map(|head| head.hash.to_string()).unwrap_or_default(),
                recovered_torn_bytes: self.published.torn_bytes(),
                checkpoint: None,
                integrity: IntegrityHealth::default(),
            },
            projection,
            storage,
            started_at: self.started_at,
        }
    }

    fn storage_health(&self) -> StorageHealth {
        let space = self.published.space();
        let reason = match self.published.store() {
            Store::Writable | Store::Opening => None,
            Store::Full => Some(StorageReason::VolumeFull),
            Store::Failing => Some(StorageReason::IoError),
            Store::Corrupt(_) => Some(StorageReason::LogCorrupt),
        };
        let writable = self.published.store() == Store::Writable;
        StorageHealth { capacity_bytes: space.capacity, available_bytes: space.available, writable, reason }
    }

    fn projection_health(&self) -> ProjectionHealth {
        let applied_seq = self.projection.applied_seq();
        let unverified =
            matches!(self.published.store(), Store::Corrupt(_)) && self.published.head().is_none();
        ProjectionHealth {
            applied_seq,
            lag: self.published.head_seq().saturating_sub(applied_seq),
            state: if unverified { ProjectionState::Failed } else { self.projection.state() },
            digest: self.projection.checked().map(|(digest, _)| digest.to_string()),
            checked_at: self.projection.checked().map(|(_, at)| at),
            rebuild: self.projection.rebuild(self.published.head_seq()),
        }
    }

    /// The metrics, with the gauges as of now.
    pub(crate) fn scrape(&self) -> Result<Vec<u8>, prometheus::Error> {
        let health = self.health();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.log_head_seq.set(gauge(health.log.seq));
        self.metrics.log_writable.set(i64::from(health.storage.writable));
        self.metrics.torn_bytes.set(gauge(health.log.recovered_torn_bytes));
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
