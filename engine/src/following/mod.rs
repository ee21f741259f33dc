//! An engine that follows another one: it has a verified copy of that engine's log, serves reads from it, and forwards
//! writes. [`writer`] is the client of that engine, [`task`] asks it for lines, and [`chain_file`] keeps on the volume
//! that the chain is broken. [`self_checks`] compares this engine with the other one. [`settings`] says
//! which engine is followed.
//!
//! A [`standby`] has the lines from an archive instead: [`looks`] reads them there, [`comparison`] compares the result
//! with the other engine, and [`standby_file`] keeps on the volume what outlasts a restart.

mod chain_file;
mod comparison;
mod looks;
mod self_checks;
mod settings;
mod standby;
mod standby_file;
mod task;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine_core::following::freshness::Freshness;
use engine_core::following::self_checks::SelfChecks;
use engine_core::wire::{ChainFault, ErrorCode, FollowState, FollowingHealth};
use engine_log::storage::Storage;
use jiff::Timestamp;

use crate::metrics::{FollowingMetrics, StandbyMetrics};
use crate::refusal::Refusal;
use standby::Now;
use writer::Writer;

pub(crate) use comparison::compare_with_writer;
pub(crate) use looks::follow_archive;
pub(crate) use self_checks::check_itself;
pub(crate) use settings::{FollowSettings, FollowedArchive, LAG_MAX_SECONDS_DEFAULT};
pub(crate) use standby::Standby;
pub(crate) use standby_file::remove_what_was_left;
pub(crate) use task::follow;
pub(crate) use writer::{FollowSetupError, Forwarded, NotForwarded};

/// How this engine follows another one.
#[derive(Debug)]
pub(crate) struct Following {
    writer: Writer,
    admin: String,
    lag_max: Duration,
    started: Instant,
    storage: Arc<dyn Storage>,
    state: Mutex<State>,
    checks: Mutex<SelfChecks>,
    metrics: FollowingMetrics,
    standby: Option<Standby>,
}

#[derive(Debug, Default)]
struct State {
    freshness: Freshness,
    follows: FollowState,
    /// Why the last request failed.
    fault: Option<String>,
    broken: Option<ChainFault>,
}

impl Following {
    /// Prepares to follow an engine. If the chain was broken before, it still is.
    ///
    /// # Errors
    /// The URLs or the files cannot be used.
    pub(crate) fn start(
        settings: FollowSettings,
        storage: Arc<dyn Storage>,
        (metrics, standby_metrics): (FollowingMetrics, StandbyMetrics),
    ) -> Result<Following, FollowSetupError> {
        let broken = chain_file::read(&*storage)?;
        let archive = settings.archive.clone();
        let standby = archive.map(|archive| Standby::start(archive, Arc::clone(&storage), standby_metrics));
        let mut state = State::default();
        if let Some(broken) = broken {
            let ChainFault { reason, message, at } = &broken;
            let what = "the chain is broken: nothing is read from this copy, and it is not continued";
            tracing::error!(reason, message, %at, "{what}");
            (state.follows, state.broken) = (FollowState::Broken, Some(broken));
        }
        Ok(Following {
            admin: settings.admin.to_string(),
            lag_max: settings.lag_max,
            writer: Writer::new(settings)?,
            started: Instant::now(),
            storage,
            state: Mutex::new(state),
            checks: Mutex::default(),
            metrics,
            standby: standby.transpose()?,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics half-way through a change while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checks<T>(&self, use_them: impl FnOnce(&mut SelfChecks) -> T) -> T {
        use_them(&mut self.checks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client of the engine that is followed.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// What makes this engine a standby; none if it asks the engine that is followed for lines.
    pub(crate) fn standby(&self) -> Option<&Standby> {
        self.standby.as_ref()
    }

    /// Refuses a read while the chain is broken.
    ///
    /// # Errors
    /// It is broken.
    pub(crate) fn admit_read(&self) -> Result<(), Refusal> {
        let Some(broken) = self.state().broken.clone() else { return Ok(()) };
        Err(Refusal::new(ErrorCode::ChainBroken, format!("the chain is broken: {}", broken.message))
            .hint("read from another engine; docs/guide/readers.md says what to do about this one"))
    }

    /// Why reads must not be sent here; none if they may be.
    pub(crate) fn unready(&self, applied: u64) -> Option<&'static str> {
        let mut state = self.state();
        state.freshness.applied(applied);
        match state.freshness.lag(self.started.elapsed()) {
            _ if state.broken.is_some() => Some("the chain is broken: nothing is read from this copy"),
            None => Some("the copy has not caught up with the engine that is followed yet"),
            Some(lag) if lag > self.lag_max => {
                Some("the copy is further behind the engine that is followed than --follow-lag-max")
            }
            Some(_) => None,
        }
    }

    /// What the health report says. `durable` is the last event of the copy, and `applied` the last that reads see.
    pub(crate) fn health(&self, durable: u64, applied: u64) -> FollowingHealth {
        let mut state = self.state();
        state.freshness.applied(applied);
        let now = Now { seq: durable, is_broken: state.broken.is_some() };
        FollowingHealth {
            standby: self.standby.as_ref().map(|standby| standby.health(now)),
            state: state.follows,
            writer: self.admin.clone(),
            head_seq: state.freshness.head_seq(),
            lag_events: state.freshness.lag_events(applied),
            lag_seconds: state.freshness.lag(self.started.elapsed()).map(|lag| lag.as_secs()),
            lag_max_seconds: self.lag_max.as_secs(),
            fault: state.fault.clone(),
            broken: state.broken.clone(),
        }
    }

    /// Sets the gauges to the current state.
    pub(crate) fn set_gauges(&self, durable: u64, applied: u64) {
        let health = self.health(durable, applied);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.connected.set(i64::from(health.state == FollowState::Connected));
        self.metrics.lag_events.set(gauge(health.lag_events));
        self.metrics.lag_seconds.set(health.lag_seconds.map_or(-1, gauge));
        self.metrics.broken.set(i64::from(health.broken.is_some()));
        if let Some(standby) = &self.standby {
            standby.set_gauges(Now { seq: durable, is_broken: health.broken.is_some() });
        }
    }

    /// Whether the chain is broken, so that nothing is read.
    pub(crate) fn is_broken(&self) -> bool {
        self.state().broken.is_some()
    }

    /// Notes an answer to a request that was sent at `sent`, of which everything was used.
    fn answered(&self, sent: Instant, head_seq: u64, lines: u64) {
        self.metrics.lines.inc_by(lines);
        let mut state = self.state();
        state.freshness.answered(sent.duration_since(self.started), head_seq);
        if state.follows != FollowState::Connected {
            let source = if self.standby.is_some() { "the archive" } else { "the engine that is followed" };
            tracing::info!(writer = self.admin, head_seq, "{source} answers");
        }
        (state.follows, state.fault) = (FollowState::Connected, None);
    }

    /// Notes that an answer was not used. It is asked for again.
    fn failed(&self, label: &'static str, fault: String) {
        self.metrics.faults.with_label_values(&[label]).inc();
        let mut state = self.state();
        if state.fault.as_ref() != Some(&fault) {
            tracing::warn!(label, fault, "there are no lines for this copy: it is tried again");
        }
        (state.follows, state.fault) = (FollowState::Unreachable, Some(fault));
    }

    /// Notes that an object of the archive cannot be used, or that events are gone from it. The copy stays as it is,
    /// and reads go on: everything in it was verified.
    fn damaged(&self, standby: &Standby, fault: &str) {
        self.metrics.faults.with_label_values(&["object"]).inc();
        {
            let mut state = self.state();
            (state.follows, state.fault) = (FollowState::Damaged, Some(fault.to_owned()));
        }
        if standby.know(|known, _| known.damaged(fault.to_owned())) {
            tracing::error!(fault, "the archive cannot be restored beyond this copy: it is tried again");
        }
    }

    /// Stops reads for good. The file comes after the state: reads must stop even if the volume fails.
    fn break_chain(&self, reason: &'static str, message: String) {
        tracing::error!(
            reason,
            message,
            "the chain is broken: reads are refused, and the copy is not continued"
        );
        self.metrics.faults.with_label_values(&[reason]).inc();
        let broken = ChainFault { reason: reason.to_owned(), message, at: Timestamp::now() };
        {
            let mut state = self.state();
            (state.follows, state.broken) = (FollowState::Broken, Some(broken.clone()));
        }
        if let Err(fault) = chain_file::write(&*self.storage, &broken) {
            tracing::error!(%fault, "that the chain is broken could not be written to the volume");
        }
    }
}
