//! The thread that keeps the projection up to date with the log.
//!
//! Normally it applies each group as it arrives. After a failure (full volume, damaged projection), the thread reads
//! the missed events from the log. A write request therefore succeeds once its events are durable in the log, even if
//! the projection cannot be written. Rebuilds run in a separate thread. The current projection keeps serving, unless it
//! is known to be wrong. It is replaced when the new projection has applied all events.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use engine_core::wire::ProjectionState;

use super::build::{Build, Source};
use super::cause::Cause;
use super::files;
use super::readers::Readers;
use super::reserve;
use super::scrub::{FileCheck, FileWatch, Finding, Scrubber};
use super::shared::{ProjectionShared, Rebuilt};
use super::store::{LogView, ProjectionStore, Traces};
use super::store_error::StoreError;
use crate::metrics::ProjectionMetrics;
use engine_log::storage::space;
use engine_log::{DurableGroup, LogReader, Published, WriteState};

/// First delay before a failed projection is retried, and maximum delay when building keeps failing.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Delay when another connection held a lock.
const BUSY: Duration = Duration::from_millis(5);
/// Maximum wait for a group before other work is checked.
const IDLE: Duration = Duration::from_millis(200);
/// Maximum wait while the log is being opened or a projection is being built.
const BUILDING: Duration = Duration::from_millis(5);
/// Events per transaction while catching up.
const CATCH_UP_EVENTS: usize = 4096;
const CATCH_UP_BYTES: usize = 8 << 20;
/// Maximum number of groups per transaction when the projection is up to date. These are the groups that arrived during
/// the last transaction.
const GROUPS_MAX: usize = 64;

/// Inputs of a projector.
#[derive(Debug)]
pub struct Setting {
    /// Directory of the projection.
    pub directory: PathBuf,
    pub log: LogReader,
    pub published: Published,
    pub shared: Arc<ProjectionShared>,
    pub metrics: Arc<ProjectionMetrics>,
    /// Time between two full scrubs.
    pub scrub_interval: Duration,
}

/// Owns the projection. See [`Projector::run`].
#[derive(Debug)]
pub struct Projector {
    setting: Setting,
    /// The projection that serves, or will serve as soon as it has caught up.
    live: Option<Live>,
    build: Option<Build>,
    /// Cause of a pending rebuild.
    wanted: Option<Cause>,
    /// Whether the files on disk were checked.
    opened: bool,
    scrubber: Scrubber,
    retry_at: Instant,
    /// When to build again, and the number of consecutive failures.
    build_at: Instant,
    failures: u32,
    /// Whether the disk reserve is allocated.
    reserved: bool,
    /// When to try again to empty the write-ahead log after an erasure.
    traces_at: Instant,
}

#[derive(Debug)]
struct Live {
    store: ProjectionStore,
    watch: FileWatch,
}

impl Projector {
    /// Creates a projector that has not opened its files yet.
    pub fn new(setting: Setting) -> Projector {
        Projector {
            live: None,
            build: None,
            wanted: None,
            opened: false,
            scrubber: Scrubber::new(setting.scrub_interval),
            retry_at: Instant::now(),
            build_at: Instant::now(),
            failures: 0,
            reserved: false,
            traces_at: Instant::now(),
            setting,
        }
    }

    /// Applies the groups that the writer sends, until the writer ends. Received events that cannot be applied are
    /// applied after the next start.
    pub fn run(mut self, groups: &Receiver<DurableGroup>) {
        loop {
            let wait = match self.step() {
                true => Duration::ZERO,
                false if self.build.is_some() || self.shared().state() != ProjectionState::Ready => BUILDING,
                false => IDLE,
            };
            match groups.recv_timeout(wait) {
                Ok(first) => self.serve(first, groups),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.close();
    }

    /// Closes all connections, the readers' connections first. The last connection to close checkpoints the write-ahead
    /// log, so it must be the writing connection.
    fn close(mut self) {
        self.build = None;
        self.scrubber.restart();
        let served = self.shared().state() == ProjectionState::Ready;
        self.shared().set_state(ProjectionState::Rebuilding, None);
        self.live = None;
        // This start may have used the reserve; restore it for the next one.
        let has_room = || space(&self.setting.directory).is_ok_and(|space| space.admits(0));
        if served && !self.reserved && has_room() {
            let _best_effort = reserve::take(&self.setting.directory);
        }
    }

    fn shared(&self) -> &ProjectionShared {
        &self.setting.shared
    }

    fn serve(&mut self, first: DurableGroup, groups: &Receiver<DurableGroup>) {
        let mut taken = vec![first];
        while taken.len() < GROUPS_MAX {
            let Ok(next) = groups.try_recv() else { break };
            taken.push(next);
        }
        self.scrubber.yield_write_lock();
        if let Some(live) = &mut self.live
            && live.store.applied_seq() + 1 == taken[0].first_seq
        {
            match live.store.apply(taken.iter().map(|group| group.lines.as_slice())) {
                Ok(()) => self.setting.shared.advance(live.store.applied_seq(), live.store.take_touched()),
                Err(fault) => self.failed("apply", &fault),
            }
        }
    }

    /// Does one step towards the head of the log. Returns true when more work is due immediately.
    fn step(&mut self) -> bool {
        if self.shared().take_damage_flag() {
            self.give_up(Cause::Damaged);
        }
        if self.shared().take_request() && self.build.is_none() && self.wanted.is_none() {
            self.wanted = Some(Cause::Requested);
        }
        if Instant::now() < self.retry_at {
            return false;
        }
        let Some(head) = self.setting.published.head() else { return false };
        self.advance(&head.log_id, self.setting.published.head_seq()).unwrap_or_else(|fault| {
            self.failed("catch_up", &fault);
            false
        })
    }

    fn advance(&mut self, log_id: &str, head_seq: u64) -> Result<bool, StoreError> {
        if !self.opened {
            return self.open(log_id, head_seq).map(|()| true);
        }
        if let Some(live) = &mut self.live
            && live.store.applied_seq() < head_seq
        {
            let advanced = catch_up(&self.setting.log, &mut live.store)?;
            self.setting.shared.advance(live.store.applied_seq(), live.store.take_touched());
            if advanced {
                return Ok(true);
            }
        }
        if let Some(cause) = self.wanted
            && self.build.is_none()
            && Instant::now() >= self.build_at
        {
            self.begin_build(cause, log_id, head_seq)?;
        }
        if let Some(build) = self.build.take_if(|build| build.is_finished()) {
            let cause = build.cause;
            if let Err(fault) = self.adopt(build, log_id) {
                self.build_failed(cause, &fault);
            }
            return Ok(false);
        }
        self.serve_readers(head_seq)?;
        self.remove_traces()?;
        self.maintain()?;
        Ok(false)
    }

    /// Opens the projection on disk, or requests a rebuild.
    fn open(&mut self, log_id: &str, head_seq: u64) -> Result<(), StoreError> {
        let directory = &self.setting.directory;
        let generation = files::newest(directory)?;
        files::remove_all_but(directory, generation)?;
        let opened = generation.ok_or(StoreError::Missing).and_then(|generation| {
            let hash_of = |seq| self.setting.log.hash_of(seq);
            let view = LogView { log_id, head_seq, hash_of: &hash_of };
            Live::open(ProjectionStore::open(&files::database(directory, generation), &view)?)
        });
        match opened {
            Ok(live) => {
                self.setting.shared.replace(live.store.applied_seq());
                self.live = Some(live);
            }
            Err(why) if why.needs_rebuild() => {
                tracing::info!(%why, "the projection has to be built");
                self.give_up(Cause::of(&why));
            }
            Err(fault) => return Err(fault),
        }
        self.opened = true;
        Ok(())
    }

    fn begin_build(&mut self, cause: Cause, log_id: &str, head_seq: u64) -> Result<(), StoreError> {
        tracing::info!(%cause, head_seq, beside = self.live.is_some(), "building the projection from the log");
        self.setting.metrics.rebuilds.with_label_values(&[cause.label()]).inc();
        let source = Source {
            directory: self.setting.directory.clone(),
            log: self.setting.log.clone(),
            published: self.setting.published.clone(),
            log_id: log_id.to_owned(),
            progress: self.shared().begin_rebuild(cause),
        };
        self.build = Some(Build::start(cause, source)?);
        self.wanted = None;
        if self.shared().state() == ProjectionState::Failed {
            self.shared().set_state(ProjectionState::Rebuilding, None);
        }
        Ok(())
    }

    /// Replaces the current projection with the one that was built.
    fn adopt(&mut self, build: Build, log_id: &str) -> Result<(), StoreError> {
        let cause = build.cause;
        build.finish()?;
        let directory = self.setting.directory.clone();
        let generation = files::newest(&directory)?.map_or(1, |newest| newest + 1);
        let path = files::publish(&directory, generation)?;
        let log = &self.setting.log;
        let head_seq = self.setting.published.head_seq();
        let hash_of = |seq| log.hash_of(seq);
        let mut store = ProjectionStore::open(&path, &LogView { log_id, head_seq, hash_of: &hash_of })?;
        while store.applied_seq() < head_seq && catch_up(log, &mut store)? {}
        let replaced = self.replaced(store.applied_seq());
        let live = Live::open(store)?;
        let readers = Readers::open(path)?;
        let (seq, digest) = (live.store.applied_seq(), live.store.digest());
        self.shared().replace(seq);
        self.shared().set_state(ProjectionState::Ready, Some(Arc::new(readers)));
        self.live = Some(live);
        self.scrubber.restart();
        self.failures = 0;
        // Active readers keep the old files open; new readers cannot reach them.
        files::remove_all_but(&directory, Some(generation))?;
        let differs = replaced.is_some_and(|replaced| replaced != digest);
        if differs {
            tracing::error!(%digest, ?replaced, seq, "the replaced projection had rows that differ from the log");
            self.setting.metrics.mismatches.inc();
        }
        tracing::info!(%cause, seq, %digest, differs, "the new projection answers");
        self.shared().end_rebuild(Some(Rebuilt { cause, applied_seq: seq, digest, replaced, differs }));
        Ok(())
    }

    /// Digest of the current projection at this event. `None` when it cannot reach the event.
    fn replaced(&mut self, seq: u64) -> Option<engine_core::content::ContentDigest> {
        let live = self.live.as_mut()?;
        while live.store.applied_seq() < seq {
            if !catch_up(&self.setting.log, &mut live.store).ok()? {
                return None;
            }
        }
        (live.store.applied_seq() == seq).then(|| live.store.digest())
    }

    /// Lets readers use the projection once it has applied all events of the log.
    fn serve_readers(&mut self, head_seq: u64) -> Result<(), StoreError> {
        let Some(live) = &self.live else { return Ok(()) };
        let readable = head_seq.min(self.setting.published.head_seq());
        if self.shared().state() == ProjectionState::Ready || live.store.applied_seq() < readable {
            return Ok(());
        }
        let readers = Readers::open(live.store.path().to_owned())?;
        tracing::info!(applied_seq = live.store.applied_seq(), "projection ready");
        self.shared().set_state(ProjectionState::Ready, Some(Arc::new(readers)));
        self.scrubber.restart();
        self.failures = 0;
        Ok(())
    }

    /// Empties the write-ahead log after an erasure. A running read prevents this, but reads end within seconds, so one
    /// of the next steps succeeds. A scrub of all rows would prevent it for longer, so a running scrub is stopped and
    /// restarted later. If the full-text index itself contains words of forgotten memories, a new projection is
    /// requested.
    fn remove_traces(&mut self) -> Result<(), StoreError> {
        let Some(live) = self.live.as_mut().filter(|live| live.store.has_traces()) else { return Ok(()) };
        if Instant::now() < self.traces_at || self.build.is_some() {
            return Ok(());
        }
        match live.store.remove_traces() {
            Ok(Traces::None) => self.setting.shared.set_erased_through(live.store.applied_seq()),
            Ok(Traces::InIndex) => self.wanted = Some(self.wanted.unwrap_or(Cause::Forgotten)),
            Ok(Traces::InUse) => self.scrubber.pause(),
            Err(fault) if fault.needs_rebuild() => return Err(fault),
            Err(fault) => {
                tracing::warn!(%fault, "the projection's write-ahead log could not be emptied now");
                self.traces_at = Instant::now() + RETRY;
            }
        }
        Ok(())
    }

    fn maintain(&mut self) -> Result<(), StoreError> {
        if self.shared().state() != ProjectionState::Ready {
            return Ok(());
        }
        self.take_reserve();
        if self.shared().take_check_request() {
            self.scrubber.ask();
        }
        let Some(live) = &mut self.live else { return Ok(()) };
        if live.watch.is_due() {
            match live.watch.check(live.store.foreign_changes()?) {
                FileCheck::Unchanged => {}
                FileCheck::Changed => {
                    tracing::warn!("another process wrote to the projection: it is scrubbed");
                    self.scrubber.hurry();
                }
                FileCheck::Gone(why) => {
                    tracing::error!(why, "the projection was changed by another process");
                    self.give_up(Cause::Missing);
                    return Ok(());
                }
            }
        }
        // While a new projection is being built, the current projection is not scrubbed: it is about to be replaced,
        // and the build needs the processor.
        if self.build.is_some() {
            return Ok(());
        }
        match self.scrubber.turn(live.store.path()) {
            None => {}
            Some(Finding::Sound(digest)) => {
                self.setting.metrics.scrubs.with_label_values(&["sound"]).inc();
                self.shared().set_checked(digest);
            }
            Some(Finding::Wrong(cause, why)) => {
                tracing::error!(%cause, why, "the projection differs from what was written: it is rebuilt");
                self.setting.metrics.scrubs.with_label_values(&["wrong"]).inc();
                self.give_up(cause);
            }
        }
        Ok(())
    }

    fn take_reserve(&mut self) {
        if self.reserved || !self.setting.published.space().admits(0) {
            return;
        }
        match reserve::take(&self.setting.directory) {
            Ok(()) => self.reserved = true,
            Err(fault) => {
                tracing::warn!(%fault, "the disk reserve for a start on a full volume could not be allocated");
                self.retry_at = Instant::now() + RETRY;
            }
        }
    }

    fn failed(&mut self, step: &'static str, fault: &StoreError) {
        if fault.is_busy() {
            self.retry_at = Instant::now() + BUSY;
            return;
        }
        tracing::error!(step, %fault, "the projection failed; events stay durable, reads may lag");
        self.setting.metrics.failures.inc();
        self.retry_at = Instant::now() + RETRY;
        match fault.needs_rebuild() {
            true => self.give_up(Cause::of(fault)),
            // The log can be written to the same volume, so the connections cause the failure.
            false if fault.sticks() && self.setting.published.store() == WriteState::Writable => {
                self.close_connections();
            }
            false => self.release_reserve(),
        }
    }

    /// Closes every connection. The next step reopens the same files.
    fn close_connections(&mut self) {
        tracing::warn!("the projection's files are reopened");
        self.shared().set_state(ProjectionState::Rebuilding, None);
        self.live = None;
        self.opened = false;
        self.scrubber.restart();
    }

    /// Handles a failed build. The current projection stays usable. The build is retried with increasing delays,
    /// because each attempt may read the log for minutes.
    fn build_failed(&mut self, cause: Cause, fault: &StoreError) {
        tracing::error!(%cause, %fault, "building the projection failed");
        self.setting.metrics.failures.inc();
        self.shared().end_rebuild(None);
        self.wanted = Some(cause);
        self.build_at = Instant::now() + (RETRY * 2_u32.pow(self.failures.min(5))).min(RETRY_MAX);
        self.failures += 1;
        self.release_reserve();
    }

    /// Releases the disk reserve if the projection cannot be read.
    fn release_reserve(&mut self) {
        if self.shared().state() == ProjectionState::Ready {
            return;
        }
        self.shared().set_state(ProjectionState::Failed, None);
        if reserve::release(&self.setting.directory) {
            self.reserved = false;
            (self.retry_at, self.build_at) = (Instant::now(), Instant::now());
        }
    }

    /// Stops serving the current projection, which is known to be wrong, and removes its files to free space for the
    /// next projection.
    fn give_up(&mut self, cause: Cause) {
        self.shared().set_state(ProjectionState::Rebuilding, None);
        self.shared().replace(0);
        self.live = None;
        self.scrubber.restart();
        // If a build is already in progress, its result is used; no other build is needed.
        if self.build.is_none() {
            self.wanted = Some(cause);
            if let Err(fault) = files::remove_all_but(&self.setting.directory, None) {
                tracing::warn!(%fault, "the old projection could not be removed");
            }
        }
    }
}

impl Live {
    fn open(store: ProjectionStore) -> Result<Live, StoreError> {
        let watch = FileWatch::new(store.path(), store.foreign_changes()?)?;
        Ok(Live { store, watch })
    }
}

/// Applies some of the missing events from the log. Returns whether any event was missing.
fn catch_up(log: &LogReader, store: &mut ProjectionStore) -> Result<bool, StoreError> {
    let lines = log.lines_after(store.applied_seq(), CATCH_UP_EVENTS, CATCH_UP_BYTES)?;
    if lines.is_empty() {
        return Ok(false);
    }
    store.apply(std::iter::once(lines.as_slice()))?;
    Ok(true)
}
