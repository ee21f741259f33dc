//! A canary: another revision that follows the same log. It is asked the same questions as this engine, and the answers
//! are counted as pairs. The operator grants it and decides with the counts; see `engine_core::rollout`.
//!
//! ```text
//! trial     one canary: what was granted to it, and what was counted
//! target    the client of its ports
//! question  what both are asked
//! rehearsal questions that clients have asked before there was a canary
//! side      what one of them did with a question
//! worker    asks both, off the path of clients
//! ```

mod question;
mod rehearsal;
mod side;
mod target;
mod trial;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine_core::request::Refused;
use engine_core::rollout::counts::Tally;
use engine_core::rollout::grant::Grant;
use engine_core::rollout::metric::Metric;
use engine_core::rollout::pairing::{Ended, Pair, Taken};
use engine_core::wire::{CanaryGrant, CanaryReads, CanaryRehearsal, CanaryReport, RehearsalReport};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::metrics::RolloutMetrics;
use side::Side;
use trial::Trial;

pub(crate) use question::{AskedBy, Here, Question, with_min_seq, without_min_seq};
pub(crate) use side::ended_by;
pub(crate) use target::{Exchange, Target, Unanswered};
pub(crate) use worker::{OwnReads, compare_all, watch_readiness};

/// What is added to the time between two pairs, because two clocks measure it.
const CLOCKS_DIFFER: Duration = Duration::from_millis(20);
/// Looks in a row that find the canary not ready before it counts as not ready.
const MISSES_MIN: u32 = 3;
/// Questions that wait to be compared. More would be old when it is their turn.
const QUEUE: usize = 1;

/// The canary of this engine, if it has one.
pub(crate) struct Canary {
    trial: Mutex<Option<Trial>>,
    /// Questions that clients have asked, to be compared.
    offered: mpsc::Sender<Question>,
    queue: Mutex<Option<mpsc::Receiver<Question>>>,
    /// Number of the newest trial.
    newest: AtomicU64,
    /// Whether the tasks that ask it have ended.
    has_given_up: AtomicBool,
    metrics: RolloutMetrics,
}

impl std::fmt::Debug for Canary {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text.debug_struct("Canary").field("trial", &self.trial).finish_non_exhaustive()
    }
}

/// What is to be done with the canary now.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    number: u64,
    pub(crate) target: Arc<Target>,
    pub(crate) revision: String,
    /// Share of the sessions that it answers, percent.
    pub(crate) weight: u8,
    is_ready: bool,
    /// Time between two pairs.
    spacing: Duration,
    /// Whether it answers nobody because it failed too often.
    is_open: bool,
    /// The recorded questions that it is asked now, if it is.
    rehearsal: Option<CanaryRehearsal>,
    /// UID of its pod.
    pod: String,
}

/// Both halves of a pair, before it is counted.
struct Compared<'a> {
    pair: Pair,
    stable: &'a Side,
    canary: &'a Side,
    /// Whether the canary was asked for a client.
    is_answer: bool,
}

impl Canary {
    pub(crate) fn new(metrics: RolloutMetrics) -> Canary {
        let (offered, queue) = mpsc::channel(QUEUE);
        Canary {
            trial: Mutex::new(None),
            offered,
            queue: Mutex::new(Some(queue)),
            newest: AtomicU64::new(0),
            has_given_up: AtomicBool::new(false),
            metrics,
        }
    }

    fn trial(&self) -> MutexGuard<'_, Option<Trial>> {
        // No code panics half-way through a change while it holds the lock.
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a grant, or renews it.
    ///
    /// # Errors
    /// The grant breaks a rule.
    pub(crate) fn grant(
        &self,
        grant: CanaryGrant,
        head_seq: u64,
        (needs_tls, authorities): (bool, Vec<PathBuf>),
    ) -> Result<CanaryReport, Refused> {
        if let Some(fault) = grant.fault() {
            return Err(Refused::Body(fault));
        }
        let target = Target::of(&grant, needs_tls, authorities)?;
        let now_s = now_s();
        let mut trial = self.trial();
        match trial.as_mut().filter(|known| is_same(&known.grant, &grant)) {
            Some(known) => {
                known.lease = Grant::new(grant.weight, now_s);
                if !known.target.is_of(&grant) {
                    known.target = Arc::new(target);
                }
                known.pairing.space(grant.pair_interval_ms);
                known.grant = grant;
            }
            None => {
                let (revision, pod) = (&grant.revision, &grant.pod);
                tracing::info!(revision, pod, "a canary was granted: pairs are counted from now on");
                let number = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
                *trial = Some(Trial::new(number, grant, target, (now_s, head_seq)));
            }
        }
        Ok(trial.as_ref().map(|trial| trial.report(now_s)).unwrap_or_default())
    }

    /// Ends the grant, and forgets what was counted.
    pub(crate) fn end(&self) {
        if let Some(ended) = self.trial().take() {
            tracing::info!(revision = ended.grant.revision, "the grant of a canary was withdrawn");
        }
    }

    /// Asks no canary any more, and says so.
    pub(crate) fn give_up(&self) {
        self.has_given_up.store(true, Ordering::Relaxed);
    }

    /// What was granted and counted.
    pub(crate) fn report(&self) -> CanaryReport {
        let mut report = self.trial().as_ref().map(|trial| trial.report(now_s())).unwrap_or_default();
        if self.has_given_up.load(Ordering::Relaxed) {
            report.fault = Some("the task that asks canaries has ended; see the engine's log".to_owned());
            report.weight = 0;
        }
        report
    }

    /// Sets the gauges to the current state.
    pub(crate) fn set_gauges(&self) {
        let report = self.report();
        self.metrics.weight.set(report.weight.into());
        self.metrics.breaker_open.set(report.breaker_open.into());
    }

    /// What is to be done with the canary; none if nothing is.
    pub(crate) fn plan(&self) -> Option<Plan> {
        if self.has_given_up.load(Ordering::Relaxed) {
            return None;
        }
        let now_s = now_s();
        let trial = self.trial();
        let trial = trial.as_ref().filter(|trial| trial.reads(now_s) != CanaryReads::Off)?;
        // Before it meets a caller, and not after that.
        let rehearses = trial.reads(now_s) == CanaryReads::Shadow;
        Some(Plan {
            number: trial.number,
            target: Arc::clone(&trial.target),
            revision: trial.grant.revision.clone(),
            weight: trial.weight(now_s),
            is_ready: trial.is_ready == Some(true),
            spacing: Duration::from_millis(trial.grant.pair_interval_ms.into()) + CLOCKS_DIFFER,
            is_open: trial.breaker.is_open(),
            rehearsal: trial.grant.rehearsal.filter(|_| rehearses),
            pod: trial.grant.pod.clone(),
        })
    }

    /// The queue of offered questions, once.
    fn queue(&self) -> Option<mpsc::Receiver<Question>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Number of the trial whose readiness is to be looked at, also if nothing else is done, and how.
    fn watched(&self) -> Option<(u64, Arc<Target>)> {
        let (now_s, trial) = (now_s(), self.trial());
        let trial = trial.as_ref().filter(|trial| trial.lease.holds(now_s))?;
        Some((trial.number, Arc::clone(&trial.target)))
    }

    /// Notes whether the canary is ready, and why that is not known.
    fn set_readiness(&self, number: u64, is_ready: bool, fault: Option<String>) {
        let mut trial = self.trial();
        let Some(trial) = trial.as_mut().filter(|trial| trial.number == number) else { return };
        if trial.is_ready != Some(is_ready) {
            tracing::info!(revision = trial.grant.revision, is_ready, fault, "the readiness of the canary");
        }
        // A look that fails once on a busy machine is no gap, but no client is sent there.
        trial.misses = if is_ready { 0 } else { trial.misses.saturating_add(1) };
        if is_ready || trial.misses >= MISSES_MIN {
            trial.pairing.readiness(is_ready);
        }
        (trial.is_ready, trial.fault) = (Some(is_ready), fault);
    }

    /// Offers a question that was answered. It is dropped if others wait: no client waits for a comparison.
    pub(crate) fn offer(&self, question: Question) {
        let _dropped = self.offered.try_send(question);
    }

    /// Notes what answered a read: `canary`, `fallback` or `stable`.
    pub(crate) fn answered(&self, plan: &Plan, by: &'static str) {
        self.metrics.reads.with_label_values(&[by]).inc();
        if by == "stable" {
            return;
        }
        self.with(plan, |trial| {
            let was_open = trial.breaker.is_open();
            trial.breaker.read(by == "fallback");
            if trial.breaker.is_open() && !was_open {
                tracing::warn!(
                    revision = trial.grant.revision,
                    "the canary failed too often: it answers nobody for now"
                );
            }
        });
    }

    /// Changes the trial of a plan, if it is still the present one.
    fn with<T>(&self, plan: &Plan, change: impl FnOnce(&mut Trial) -> T) -> Option<T> {
        self.trial().as_mut().filter(|trial| trial.number == plan.number).map(change)
    }

    /// Whether a pair of this question at this event cannot count any more.
    fn is_known(&self, plan: &Plan, seq: u64, query: u64) -> bool {
        self.with(plan, |trial| trial.pairing.is_known(seq, query)).unwrap_or(true)
    }

    /// Notes how far the rehearsal is.
    fn rehearsed(&self, plan: &Plan, report: RehearsalReport) {
        self.with(plan, |trial| trial.rehearsal = Some(report));
    }

    /// Counts a pair, or says why it is none; `None` if its trial has ended.
    fn take(&self, plan: &Plan, compared: &Compared<'_>) -> Option<Taken> {
        self.with(plan, |trial| {
            let before = trial.pairing.tally().clone();
            let taken = trial.pairing.take(&compared.pair);
            if taken != Taken::NotReady && !compared.is_answer {
                let is_ready = trial.is_ready == Some(true);
                trial.breaker.pair(compared.canary.ended != Ended::Answered, is_ready);
            }
            match taken {
                Taken::Counted => {
                    trial.note_times(compared.stable, compared.canary);
                    self.count(&before, trial.pairing.tally());
                }
                other => self.metrics.excluded.with_label_values(&[word(other)]).inc(),
            }
            taken
        })
    }

    /// Counts the difference of two tallies in the metrics.
    fn count(&self, before: &Tally, now: &Tally) {
        for metric in Metric::ALL {
            let Some(more) = now.of(metric).since(&before.of(metric)) else { continue };
            let add = |outcome: &str, number: u64| {
                self.metrics.pairs.with_label_values(&[metric.word(), outcome]).inc_by(number);
            };
            if more.pairs > 0 {
                add("canary_only", more.canary_only);
                add("stable_only", more.stable_only);
                add("both_or_none", more.pairs.saturating_sub(more.canary_only + more.stable_only));
            }
        }
    }
}

/// Whether a grant is a renewal of another one.
fn is_same(known: &CanaryGrant, grant: &CanaryGrant) -> bool {
    (&known.revision, &known.pod) == (&grant.revision, &grant.pod)
}

/// Why a pair is not counted, as the metric says it.
fn word(taken: Taken) -> &'static str {
    match taken {
        Taken::Counted => "counted",
        Taken::Duplicate => "duplicate",
        Taken::TooClose => "too_close",
        Taken::NotReady => "not_ready",
        Taken::Incomparable => "incomparable",
    }
}

fn now_s() -> i64 {
    Timestamp::now().as_second()
}
