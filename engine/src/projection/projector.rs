//! The thread that keeps the projection in step with the log.
//!
//! In step, it applies each group before its clients get their answer, so that they read what they wrote. Out of
//! step (the volume is full, the projection is damaged) durable groups are acknowledged at once, and the thread
//! reads what it missed from the log: a projection that cannot write never turns a durable event into an error.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use engine_core::wire::ProjectionState;

use super::readers::Readers;
use super::reserve;
use super::shared::ProjectionShared;
use super::store::{LogView, ProjectionStore, StoreError, database};
use crate::log::{Applying, LogReader, Published};
use crate::metrics::Metrics;

/// How often a projection that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a group is waited for before looking whether something else is to be done.
const IDLE: Duration = Duration::from_millis(200);
/// Same while the log is being opened: clients wait for this.
const STARTING: Duration = Duration::from_millis(5);
/// Events of one transaction while catching up.
const CATCH_UP_EVENTS: usize = 4096;
const CATCH_UP_BYTES: usize = 8 << 20;
/// Groups of one transaction while in step: what came in during the last one.
const GROUPS_MAX: usize = 64;

/// Owns the projection. See [`Projector::run`].
#[derive(Debug)]
pub(crate) struct Projector {
    directory: PathBuf,
    log: LogReader,
    published: Published,
    shared: Arc<ProjectionShared>,
    metrics: Arc<Metrics>,
    store: Option<ProjectionStore>,
    retry_at: Instant,
    rebuild: bool,
    /// Whether the reserve is on the volume.
    reserved: bool,
}

impl Projector {
    pub(crate) fn new(
        directory: PathBuf,
        log: LogReader,
        published: Published,
        shared: Arc<ProjectionShared>,
        metrics: Arc<Metrics>,
        rebuild: bool,
    ) -> Projector {
        let retry_at = Instant::now();
        Projector {
            directory,
            log,
            published,
            shared,
            metrics,
            store: None,
            retry_at,
            rebuild,
            reserved: false,
        }
    }

    /// Serves the writer until it is gone and everything it sent is acknowledged.
    pub(crate) fn run(mut self, groups: &Receiver<Applying>) {
        loop {
            let wait = match (self.catch_up(), self.shared.state()) {
                (true, _) => Duration::ZERO,
                (false, ProjectionState::Ready) => IDLE,
                (false, _) => STARTING,
            };
            match groups.recv_timeout(wait) {
                Ok(first) => self.serve(first, groups),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Readers first: the last connection to close folds the write-ahead log into the database.
        self.shared.set_state(ProjectionState::Rebuilding, None);
    }

    fn serve(&mut self, first: Applying, groups: &Receiver<Applying>) {
        let mut taken = vec![first];
        while taken.len() < GROUPS_MAX {
            let Ok(next) = groups.try_recv() else { break };
            taken.push(next);
        }
        if let Some(store) = &mut self.store
            && store.applied_seq() + 1 == taken[0].first_seq
        {
            match store.apply(taken.iter().map(|group| group.lines.as_slice())) {
                Ok(()) => self.shared.set_applied(store.applied_seq()),
                Err(fault) => self.failed("apply", &fault),
            }
        }
        for group in taken {
            group.acknowledge();
        }
    }

    /// Does one step towards the head of the log; true when there is another to do at once.
    fn catch_up(&mut self) -> bool {
        if self.shared.take_suspicion() {
            self.drop_store(true);
        }
        if Instant::now() < self.retry_at {
            return false;
        }
        let Some(head) = self.published.head() else { return false };
        let step = match &self.store {
            None => self.open(&head.log_id, head.seq),
            Some(store) if store.applied_seq() < head.seq => self.apply_missed(),
            Some(_) => return self.serve_readers(),
        };
        match step {
            Ok(()) => true,
            Err(fault) => {
                self.failed("catch_up", &fault);
                false
            }
        }
    }

    fn open(&mut self, log_id: &str, head_seq: u64) -> Result<(), StoreError> {
        let hash_of = |seq| self.log.hash_of(seq);
        let opened = match self.rebuild {
            true => Err(StoreError::Damaged("a read or a write failed, or somebody asked for it".into())),
            false => ProjectionStore::open(&self.directory, &LogView { log_id, head_seq, hash_of: &hash_of }),
        };
        let store = match opened {
            Err(why) if why.needs_rebuild() => {
                tracing::info!(%why, "building the projection anew");
                self.metrics.projection_rebuilds.inc();
                ProjectionStore::create(&self.directory, log_id)?
            }
            opened => opened?,
        };
        self.rebuild = false;
        self.shared.set_applied(store.applied_seq());
        self.store = Some(store);
        Ok(())
    }

    fn apply_missed(&mut self) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let lines = self.log.lines_after(store.applied_seq(), CATCH_UP_EVENTS, CATCH_UP_BYTES)?;
        store.apply(std::iter::once(lines.as_slice()))?;
        self.shared.set_applied(store.applied_seq());
        Ok(())
    }

    /// Lets readers in, once there is everything to read. Never another step to do at once.
    fn serve_readers(&mut self) -> bool {
        if self.shared.state() == ProjectionState::Ready {
            self.take_reserve();
            return false;
        }
        match Readers::open(database(&self.directory)) {
            Ok(readers) => {
                tracing::info!(applied_seq = self.shared.applied_seq(), "projection ready");
                self.shared.set_state(ProjectionState::Ready, Some(Arc::new(readers)));
            }
            Err(fault) => self.failed("open_readers", &fault.into()),
        }
        false
    }

    fn take_reserve(&mut self) {
        if self.reserved || !self.published.space().admits(0) {
            return;
        }
        match reserve::take(&self.directory) {
            Ok(()) => self.reserved = true,
            Err(fault) => {
                tracing::warn!(%fault, "no space could be put by for a start on a full volume");
                self.retry_at = Instant::now() + RETRY;
            }
        }
    }

    fn failed(&mut self, step: &'static str, fault: &StoreError) {
        tracing::error!(step, %fault, "the projection failed; events stay durable, reads may lag");
        self.metrics.projection_failures.inc();
        self.retry_at = Instant::now() + RETRY;
        if fault.needs_rebuild() {
            self.drop_store(true);
        } else if self.shared.state() != ProjectionState::Ready {
            self.shared.set_state(ProjectionState::Failed, None);
            // Nobody reads at all: what was put by is for this.
            if reserve::release(&self.directory) {
                self.reserved = false;
                self.retry_at = Instant::now();
            }
        }
    }

    fn drop_store(&mut self, rebuild: bool) {
        self.rebuild = rebuild;
        self.store = None;
        self.shared.set_applied(0);
        self.shared.set_state(ProjectionState::Rebuilding, None);
    }
}
