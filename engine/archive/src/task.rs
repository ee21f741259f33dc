//! Archives a log beside a running engine. The task never holds up a write: it reads the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::archive::name::ManifestName;
use engine_core::digest::hex;
use engine_core::wire::{ArchiveHealth, ArchiveState, BackupTaken};
use engine_log::LogHandles;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::archive_error::ArchiveError;
use crate::facts::EngineFacts;
use crate::metrics::ArchiveMetrics;
use crate::repository::{Repository, random};
use crate::retention::{Retention, after_backup};
use crate::ship::Archive;
use crate::status::{ArchiveStatus, Shared};
use crate::store::with_jitter;

/// Requests for backups that may wait.
const COMMANDS_MAX: usize = 8;
/// Longest delay between two attempts while a store is away. After that it is tried again soon enough for an interval
/// of minutes, and a store that returns is not flooded.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Delay before the log is looked at again while it is not open.
const OPEN_DELAY: Duration = Duration::from_millis(200);

enum Command {
    /// Take a backup for the request with this id, then remove those that are not to stay. These ones stay; `None` if
    /// nothing is to be removed.
    Backup(Option<String>, Option<Vec<ManifestName>>, oneshot::Sender<Result<BackupTaken, String>>),
    /// Something was forgotten.
    Forget,
}

/// The running archive of an engine.
#[derive(Debug, Clone)]
pub struct ArchiveHandle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    forgotten: watch::Receiver<u64>,
}

impl ArchiveHandle {
    /// The state of the archive of a log whose last durable event is `head_seq`.
    #[must_use]
    pub fn status(&self, head_seq: u64) -> ArchiveStatus {
        self.shared.status(head_seq)
    }

    /// The state for the health report.
    #[must_use]
    pub fn health(&self, head_seq: u64) -> ArchiveHealth {
        self.status(head_seq).health()
    }

    /// Takes a backup for the request with this id, then removes those that are not to stay. These ones stay, whatever
    /// their age is. `None` if it is not known which ones count: then nothing is removed.
    ///
    /// # Errors
    /// Why it was not taken, for people.
    pub async fn backup(
        &self,
        request: Option<String>,
        keep: Option<Vec<ManifestName>>,
    ) -> Result<BackupTaken, String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || ArchiveError::Stopping.to_string();
        self.commands.send(Command::Backup(request, keep, reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Waits up to `at_most` until everything that was forgotten up to this event is removed from the archive. Returns
    /// whether it is.
    pub async fn wait_until_forgotten(&self, seq: u64, at_most: Duration) -> bool {
        // If the queue is full, the task looks soon anyway.
        let _asked = self.commands.try_send(Command::Forget);
        let mut forgotten = self.forgotten.clone();
        let done = forgotten.wait_for(|through| *through >= seq);
        matches!(tokio::time::timeout(at_most, done).await, Ok(Ok(_)))
    }
}

/// Starts the task on the current runtime. It ends when the log's engine drops the handle. `facts` is what manifests
/// say of the engine.
#[must_use]
pub fn start(
    repository: Repository,
    handles: LogHandles,
    metrics: Arc<ArchiveMetrics>,
    (interval, retention): (Duration, Retention),
    facts: Arc<dyn EngineFacts>,
) -> ArchiveHandle {
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let (forgotten, through) = watch::channel(0);
    let shared = Arc::new(Shared::new());
    let task = Task {
        repository,
        handles,
        metrics,
        interval,
        retention,
        facts,
        shared: Arc::clone(&shared),
        forgotten,
        archive: None,
        failures: 0,
        fault: String::new(),
    };
    let watched = Arc::clone(&shared);
    tokio::spawn(async move {
        if tokio::spawn(task.run(received)).await.is_err_and(|fault| fault.is_panic()) {
            tracing::error!("the task of the archive ended unexpectedly: nothing more is archived");
            watched.change(None, |status| {
                status.state = ArchiveState::Ended;
                status.error = Some("the task ended unexpectedly: restart the engine".to_owned());
            });
        }
    });
    ArchiveHandle { shared, commands, forgotten: through }
}

struct Task {
    repository: Repository,
    handles: LogHandles,
    metrics: Arc<ArchiveMetrics>,
    interval: Duration,
    retention: Retention,
    facts: Arc<dyn EngineFacts>,
    shared: Arc<Shared>,
    forgotten: watch::Sender<u64>,
    archive: Option<Archive>,
    /// Failures since the last step that succeeded.
    failures: u32,
    /// Why the last step failed.
    fault: String,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            if self.handles.context.published.head().is_none() {
                tokio::select! {
                    () = tokio::time::sleep(OPEN_DELAY) => continue,
                    command = commands.recv() => match command {
                        None => return,
                        Some(command) if self.handles.context.published.head().is_none() => {
                            refuse(command, &ArchiveError::NotOpen.to_string());
                        }
                        Some(command) => self.serve(command).await,
                    },
                }
                continue;
            }
            let step = self.step().await;
            let _noted = self.noted("ship", step);
            if !self.rest(&mut commands).await {
                return;
            }
        }
    }

    /// Waits until the next step is due, and carries out commands. After a failure they are refused until the delay is
    /// over: a store that fails is not asked more often because somebody asks often. Returns false if nobody can send
    /// commands any more.
    async fn rest(&mut self, commands: &mut mpsc::Receiver<Command>) -> bool {
        let delay = if self.failures == 0 { self.interval } else { self.backoff() };
        let mut due = Instant::now() + delay;
        loop {
            let command = tokio::select! {
                () = tokio::time::sleep_until(due.into()) => return true,
                command = commands.recv() => command,
            };
            let Some(command) = command else { return false };
            if self.failures > 0 {
                refuse(command, &format!("{}: it is tried again within {BACKOFF_MAX:?}", self.fault));
                continue;
            }
            self.serve(command).await;
            if self.failures == 0 {
                return true;
            }
            due = Instant::now() + self.backoff();
        }
    }

    async fn serve(&mut self, command: Command) {
        let Command::Backup(request, keep, reply) = command else { return };
        // Whoever asked has gone before it was begun. Backups that nobody waits for would pile up.
        if reply.is_closed() {
            return;
        }
        // Whoever has not got the answer asks again, and wants one backup.
        if let Some(taken) = request.as_deref().and_then(|id| self.shared.taken_for(id)) {
            let _gone = reply.send(Ok(taken));
            return;
        }
        let taken = self.take_backup(request, keep.as_deref()).await;
        let taken = self.noted("backup", taken).map_err(|fault| fault.to_string());
        // Whoever asked may have gone. The backup is there.
        let _gone = reply.send(taken);
    }

    async fn take_backup(
        &mut self,
        request: Option<String>,
        keep: Option<&[ManifestName]>,
    ) -> Result<BackupTaken, ArchiveError> {
        let (facts, started) = (Arc::clone(&self.facts), Instant::now());
        let retention = self.retention;
        let archive = self.archive().await?;
        let taken = archive.backup(&facts, Timestamp::now()).await?;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let pruned = match keep {
            Some(keep) => Some(after_backup(&archive.repository, &archive.log_id, retention, keep).await),
            None => None,
        };
        let expires = retention.expires(taken.created);
        let taken = BackupTaken { pruned, request, elapsed_ms, expires, ..taken };
        self.publish(started);
        self.shared.change(None, |status| status.last_backup = Some(taken.clone()));
        Ok(taken)
    }

    /// Stores what is new, and removes the keys of what was forgotten.
    async fn step(&mut self) -> Result<(), ArchiveError> {
        let started = Instant::now();
        // What is written meanwhile is for the next step: with steady writes there would always be something new, and
        // nothing else would ever be done.
        let head = self.handles.context.published.head_seq();
        self.archive().await?;
        while self.archive.as_ref().is_some_and(|archive| archive.archived_seq() < head) {
            if !archive_step(self.archive.as_mut()).await? {
                break;
            }
            self.publish_seq();
        }
        if let Some(archive) = &mut self.archive {
            archive.forget().await?;
        }
        let is_first = self.archive.as_ref().is_some_and(|archive| !archive.takeover.has_backup);
        if is_first && self.handles.context.published.head_seq() > 0 {
            self.take_backup(None, None).await?;
        }
        self.publish(started);
        Ok(())
    }

    async fn archive(&mut self) -> Result<&mut Archive, ArchiveError> {
        if self.archive.is_none() {
            let name = format!("probes/{}", hex(&random::<16>()));
            let honours = self.repository.pieces.honours_conditions(&name).await?;
            if !honours {
                tracing::warn!(
                    "the store does not honour conditional creates: two writers are told apart by fences only"
                );
            }
            self.shared.change(None, |status| status.conditional_put = Some(honours));
            let archive = Archive::open(&self.repository, &self.handles, Arc::clone(&self.metrics)).await?;
            self.archive = Some(archive);
        }
        self.archive.as_mut().ok_or(ArchiveError::NotOpen)
    }

    fn publish_seq(&self) {
        let Some(archive) = &self.archive else { return };
        let seq = archive.archived_seq();
        self.shared.change(None, |status| status.archived_seq = seq);
    }

    /// Publishes that everything that was durable at `covered_at` is archived.
    fn publish(&self, covered_at: Instant) {
        let Some(archive) = &self.archive else { return };
        self.metrics.forgotten_seq.set(i64::try_from(archive.forgotten_seq).unwrap_or(i64::MAX));
        let keys_versioned = self.repository.keys.keeps_versions();
        self.shared.change(Some(covered_at), |status| {
            status.archived_seq = archive.archived_seq();
            status.forgotten_seq = archive.forgotten_seq;
            status.left_pieces = archive.takeover.left_pieces;
            if keys_versioned == Some(true) && status.keys_versioned != keys_versioned {
                tracing::warn!(
                    "the store of the keys keeps older versions: what is forgotten can be read with one of these"
                );
            }
            status.keys_versioned = keys_versioned;
        });
        self.forgotten.send_replace(archive.forgotten_seq);
    }

    /// Records the outcome of a step.
    fn noted<T>(&mut self, step: &str, outcome: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        let fault = match outcome {
            Ok(done) => {
                self.failures = 0;
                self.shared.change(None, |status| {
                    (status.state, status.error) = (ArchiveState::Archiving, None);
                });
                return Ok(done);
            }
            Err(fault) => fault,
        };
        let step = if self.archive.is_none() { "open" } else { step };
        self.metrics.failures.with_label_values(&[step]).inc();
        if self.failures == 0 {
            tracing::error!(step, %fault, "the archive failed: it is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        self.fault = fault.to_string();
        if let ArchiveError::Broken(_)
        | ArchiveError::Fenced(_)
        | ArchiveError::Store(crate::store::StoreError::Different(_)) = fault
        {
            self.archive = None;
        }
        let state = match fault {
            ArchiveError::Ahead { .. } => ArchiveState::Ahead,
            _ => ArchiveState::Failing,
        };
        self.shared.change(None, |status| {
            (status.state, status.error) = (state, Some(fault.to_string()));
        });
        Err(fault)
    }

    /// Delay after failures: it doubles up to [`BACKOFF_MAX`].
    fn backoff(&self) -> Duration {
        let doubled = Duration::from_secs(1) * 2_u32.pow(self.failures.clamp(1, 7) - 1);
        with_jitter(doubled.min(BACKOFF_MAX) / 2)
    }
}

async fn archive_step(archive: Option<&mut Archive>) -> Result<bool, ArchiveError> {
    match archive {
        Some(archive) => archive.ship_piece().await,
        None => Err(ArchiveError::NotOpen),
    }
}

fn refuse(command: Command, fault: &str) {
    if let Command::Backup(_, _, reply) = command {
        let _gone = reply.send(Err(fault.to_owned()));
    }
}
