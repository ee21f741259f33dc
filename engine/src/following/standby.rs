//! What makes an engine a standby: the archive in place of lines of the writer, and what it knows of itself.
//! `engine_core::following::standby` judges.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine_archive::{ArchiveReader, Continued, ReadError};
use engine_core::archive::continuation::CopyEnd;
use engine_core::following::standby::Standby as Knowledge;
use engine_core::wire::StandbyHealth;
use engine_log::storage::Storage;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::settings::FollowedArchive;
use super::standby_file::{self, Kept};
use crate::metrics::StandbyMetrics;

/// Bounds of the time between two looks at an archive that had nothing new. Between them it is half of the time between
/// two steps of the writer's archive, so that what is stored is found soon, and names are not listed for nothing.
const LOOK_MIN: Duration = Duration::from_millis(500);
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What makes an engine a standby.
#[derive(Debug)]
pub(crate) struct Standby {
    /// One look at a time.
    reader: tokio::sync::Mutex<ArchiveReader>,
    look_interval: Duration,
    started: Instant,
    storage: Arc<dyn Storage>,
    state: Mutex<State>,
    left: Notify,
    metrics: StandbyMetrics,
}

#[derive(Debug)]
struct State {
    knowledge: Knowledge,
    kept: Kept,
    /// Id of the writer's log, as it said last.
    writers_log: Option<String>,
}

/// What a standby says at one moment.
pub(super) struct Now {
    /// Last event of the copy.
    pub(super) seq: u64,
    /// Whether nothing may be read from the copy.
    pub(super) is_broken: bool,
}

impl Standby {
    pub(super) fn start(
        archive: FollowedArchive,
        storage: Arc<dyn Storage>,
        metrics: StandbyMetrics,
    ) -> io::Result<Standby> {
        let kept = standby_file::read(&*storage)?;
        let state = State { knowledge: Knowledge::started(kept.rebuild()), kept, writers_log: None };
        Ok(Standby {
            reader: tokio::sync::Mutex::new(ArchiveReader::new(archive.repository)),
            look_interval: (archive.interval / 2).clamp(LOOK_MIN, LOOK_MAX),
            started: Instant::now(),
            storage,
            state: Mutex::new(state),
            left: Notify::new(),
            metrics,
        })
    }

    fn state<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        // No code panics half-way through a change while it holds the lock.
        use_it(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses what is known, with the time since the start.
    pub(super) fn know<T>(&self, use_it: impl FnOnce(&mut Knowledge, Duration) -> T) -> T {
        let now = self.started.elapsed();
        self.state(|state| use_it(&mut state.knowledge, now))
    }

    /// Time between two looks at an archive that had nothing new, without jitter.
    pub(super) fn look_interval(&self) -> Duration {
        self.look_interval
    }

    /// Notes the id of the writer's log.
    pub(super) fn writer_has(&self, log_id: &str) {
        self.state(|state| state.writers_log = Some(log_id.to_owned()));
    }

    /// Looks at the archive for what follows the end of the copy. `own` is the id of the log of the copy, if it is not
    /// empty.
    pub(super) async fn lines_after(
        &self,
        own: Option<String>,
        end: CopyEnd,
    ) -> Result<Continued, ReadError> {
        let (known, writers_log) = self.state(|state| (state.kept.writer, state.writers_log.clone()));
        let mut reader = self.reader.lock().await;
        let log_id = match own.or(writers_log) {
            Some(log_id) => log_id,
            None => reader.only_log().await?,
        };
        reader.lines_after(&log_id, end, known).await
    }

    /// Notes a look that began at `looked` and whose lines are in the copy now. `seq` was the end of the copy before.
    pub(super) fn looked(&self, looked: Instant, has_lines: bool, (seq, writer): (u64, u64)) {
        let since = looked.duration_since(self.started);
        let at = Timestamp::now().checked_sub(looked.elapsed()).unwrap_or_default();
        self.state(|state| {
            let begins = state.knowledge.looked((since, at), has_lines, seq);
            if begins || state.kept.writer != writer {
                state.kept.writer = writer;
                self.keep(state);
            }
        });
    }

    /// Notes that reads see event `applied`.
    pub(super) fn applied(&self, applied: u64) {
        let now = self.started.elapsed();
        self.state(|state| {
            if state.knowledge.applied(applied, now, Timestamp::now()) {
                self.keep(state);
                let took = state.knowledge.rebuild().took.map(|(took, _)| took);
                tracing::info!(
                    ?took,
                    seq = applied,
                    "the copy was made from the archive and has caught up with it"
                );
            }
        });
    }

    /// Writes what is kept. A volume that fails costs only what is known of a rebuild after the next restart.
    fn keep(&self, state: &mut State) {
        state.kept.set_rebuild(state.knowledge.rebuild());
        if let Err(fault) = standby_file::write(&*self.storage, &state.kept) {
            tracing::warn!(%fault, "what is known of rebuilds cannot be written to the volume");
        }
    }

    /// Notes that the log has left the branch of the copy, so that the copy has to be thrown away at the next start.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn leave(&self, reason: String) -> io::Result<()> {
        tracing::warn!(reason, "the log has left the branch of this copy: it is thrown away and made again");
        self.state(|state| {
            let kept = state.kept.left(reason, Timestamp::now());
            standby_file::write(&*self.storage, &kept)?;
            state.kept = kept;
            Ok::<_, io::Error>(())
        })?;
        self.left.notify_one();
        Ok(())
    }

    /// Waits until the copy has to be thrown away.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }

    /// What the health report says.
    pub(super) fn health(&self, Now { seq, is_broken }: Now) -> StandbyHealth {
        let now = self.started.elapsed();
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.state(|State { knowledge, kept, .. }| {
            let rebuild = knowledge.rebuild().took;
            StandbyHealth {
                seq,
                verified: knowledge.is_verified() && !is_broken,
                verified_at: knowledge.verified_at(),
                different: knowledge.different().cloned(),
                damaged: knowledge.damage().map(str::to_owned),
                fault: knowledge.fault().map(str::to_owned),
                rpo_seconds: knowledge.rpo(seq, now).map(|age| age.as_secs()),
                rto_ms: rebuild.map(|(took, _)| milliseconds(took)),
                rto_events: rebuild.map(|(_, events)| events),
                catch_up_ms: knowledge.catch_up().map(milliseconds),
                started_over: kept.started_over.clone(),
            }
        })
    }

    /// Sets the gauges to the current state.
    pub(super) fn set_gauges(&self, now: Now) {
        let health = self.health(now);
        let gauge = |value: Option<u64>| value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX));
        let seconds = |ms: Option<u64>| gauge(ms.map(|ms| ms.div_ceil(1_000)));
        self.metrics.seq.set(gauge(Some(health.seq)));
        self.metrics.verified.set(i64::from(health.verified));
        self.metrics.verified_timestamp.set(health.verified_at.map_or(0, Timestamp::as_second));
        self.metrics.rpo.set(gauge(health.rpo_seconds));
        self.metrics.rto.set(seconds(health.rto_ms));
        self.metrics.catch_up.set(seconds(health.catch_up_ms));
    }
}
