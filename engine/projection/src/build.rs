//! Builds a new projection from the whole log while the current projection keeps serving.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use service::STAGE_SPAN;

use super::background_job::{Job, Stop};
use super::cause::Cause;
use super::files;
use super::rows::EventChanges;
use super::store::{LogView, ProjectionStore};
use super::store_error::StoreError;
use engine_log::storage::{create_directory, space};
use engine_log::{LogReader, Published};

/// Lines read and parsed at a time.
const READ_EVENTS: usize = 4096;
const READ_BYTES: usize = 4 << 20;
/// Batches buffered between the reading and the inserting thread.
const READ_AHEAD: usize = 3;
/// Events per transaction. The number is large because no reader waits for these transactions, and because each
/// transaction writes a sorted run of words that has to be merged later.
const LOAD_EVENTS: usize = 65_536;
/// Bytes that must stay free during the load, in addition to the log's reserve, so that the load does not prevent
/// writes to the log.
const SPARE_BYTES: u64 = 1 << 20;

/// A projection that is being built.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) cause: Cause,
    job: Job<Result<(), StoreError>>,
}

/// Inputs of a build.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) directory: PathBuf,
    pub(super) log: LogReader,
    pub(super) published: Published,
    pub(super) log_id: String,
    /// Last event applied to the new projection.
    pub(super) progress: Arc<AtomicU64>,
}

impl Build {
    pub(super) fn start(cause: Cause, source: Source) -> io::Result<Build> {
        let job = Job::start("rebuild", move |stop| source.build(stop))?;
        Ok(Build { cause, job })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.job.is_finished()
    }

    /// Waits for the build to end. On success, the built file exists and can be published.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        self.job.finish().unwrap_or_else(|| Err(io::Error::other("the building thread panicked").into()))
    }
}

impl Source {
    /// Builds the new database, applies nearly all events of the log, and closes it.
    fn build(&self, stop: &Stop) -> Result<(), StoreError> {
        let span = tracing::info_span!(
            target: STAGE_SPAN,
            "replay",
            otel.kind = "internal",
            db.system.name = "memory_engine",
            db.operation.name = "replay",
            memory.events = tracing::field::Empty,
        );
        let built = span.in_scope(|| self.build_in_span(stop));
        span.record("memory.events", self.progress.load(Ordering::Acquire));
        built
    }

    fn build_in_span(&self, stop: &Stop) -> Result<(), StoreError> {
        create_directory(&self.directory)?;
        let path = files::building(&self.directory);
        remove(&path)?;
        let built = self.load(&path, stop).and_then(|()| self.follow(&path, stop));
        if built.is_err() {
            // A partial file is useless, and the file itself may have filled the volume.
            remove(&path)?;
        }
        built
    }

    /// Loads the log into a new database. Another thread reads and parses the lines; this thread inserts the rows.
    /// Inserting is slower than reading, so this thread does not wait.
    fn load(&self, path: &Path, stop: &Stop) -> Result<(), StoreError> {
        let mut store = ProjectionStore::create(path, &self.log_id)?;
        let (batches, read) = sync_channel(READ_AHEAD);
        thread::scope(|scope| {
            scope.spawn(move || self.read(&batches, stop));
            self.insert(&mut store, read, stop)
        })?;
        store.finish_loading()?;
        Ok(())
    }

    fn read(&self, batches: &SyncSender<Result<Vec<EventChanges>, StoreError>>, stop: &Stop) {
        let mut after = 0;
        while !stop.is_set() {
            let batch = self.batch(after);
            match &batch {
                Ok(events) if events.is_empty() => return,
                Ok(events) => after = events.last().map_or(after, |event| event.seq),
                Err(_) => {}
            }
            let failed = batch.is_err();
            if batches.send(batch).is_err() || failed {
                return;
            }
        }
    }

    fn batch(&self, after: u64) -> Result<Vec<EventChanges>, StoreError> {
        let lines = self.log.lines_after(after, READ_EVENTS, READ_BYTES)?;
        EventChanges::read_all(&lines).collect()
    }

    fn insert(
        &self,
        store: &mut ProjectionStore,
        batches: Receiver<Result<Vec<EventChanges>, StoreError>>,
        stop: &Stop,
    ) -> Result<(), StoreError> {
        let one_by_one = |batch: Result<Vec<EventChanges>, StoreError>| match batch {
            Ok(events) => events.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(fault) => vec![Err(fault)],
        };
        let mut events = batches.into_iter().flat_map(one_by_one).peekable();
        while events.peek().is_some() {
            if stop.is_set() {
                return Err(StoreError::Stopped);
            }
            self.check_space()?;
            let progress = |event: &Result<EventChanges, StoreError>| {
                if let Ok(event) = event {
                    self.progress.store(event.seq, Ordering::Release);
                }
            };
            store.apply_folded(events.by_ref().take(LOAD_EVENTS).inspect(progress))?;
        }
        Ok(())
    }

    fn check_space(&self) -> io::Result<()> {
        match space(&self.directory)?.admits(SPARE_BYTES) {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::StorageFull, "a new projection needs more space")),
        }
    }

    /// Applies the events that became durable during the load, so that the projector's own thread has few events left
    /// to apply.
    fn follow(&self, path: &Path, stop: &Stop) -> Result<(), StoreError> {
        let head_seq = self.published.head_seq();
        let hash_of = |seq| self.log.hash_of(seq);
        let view = LogView { log_id: &self.log_id, head_seq, hash_of: &hash_of };
        let mut store = ProjectionStore::open(path, &view)?;
        while store.applied_seq() < head_seq {
            if stop.is_set() {
                return Err(StoreError::Stopped);
            }
            let batch = self.batch(store.applied_seq())?;
            store.apply_folded(batch.into_iter().map(Ok))?;
            self.progress.store(store.applied_seq(), Ordering::Release);
        }
        Ok(())
    }
}

fn remove(database: &Path) -> io::Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut path = database.to_owned().into_os_string();
        path.push(suffix);
        match fs::remove_file(&path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}
