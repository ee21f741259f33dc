//! The guard: turns reads off when a dependency of reads fails, and on again when it works. A pure state machine:
//! [`Guard::step`] takes an input and the time, changes the state and returns what has to be done.
//!
//! The effective mode is the intersection of four modes: what is wanted, what the guard allows by itself
//! ([`automatic`]), a hold that a person set at the engine, and a hold that is declared in the resource ([`hold`]).
//! Therefore the guard never allows more than what is wanted, and a person's hold never depends on a probe.
//!
//! [`input`] has the inputs, [`now`] the time, [`outcome`] what a call of a dependency can end with, [`recent`] the
//! recent calls of one dependency, [`settings`] the parameters, [`record`] the recorded transitions, [`saved`] what
//! survives a restart, and [`resumed`] compares that with the last recorded transition.

pub mod automatic;
pub mod hold;
pub mod input;
pub mod now;
pub mod outcome;
pub mod recent;
pub mod record;
pub mod resumed;
pub mod saved;
pub mod settings;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use automatic::{Automatic, Cause, Reason};
pub use hold::{
    BadHoldText, HOLD_BY_CHARS_MAX, HOLD_REASON_CHARS_MAX, HOLD_SECONDS_MAX, Hold, check_hold_texts,
};
pub use input::{Difference, Effect, Input, Person, Start};
pub use now::{Now, ProbePurpose};
pub use outcome::{Dependency, Fault, Outcome};
pub use record::{Record, Replay, replay};
pub use resumed::{ModeFileState, difference};
pub use saved::Saved;
pub use settings::GuardSettings;

use crate::mode::Mode;
use automatic::Verdict;
use recent::Recent;

/// A probe that was not answered after this time is lost, and counts as failed. It is far longer than a probe may take,
/// so that it only ends probes whose task has ended without a word.
pub const PROBE_LOST_MS: i64 = 10_000;

/// A service that demands not to be called for this long is treated as if it had demanded the whole hold. The client of
/// services shortens longer demands to this.
pub const LONG_PAUSE_MS: i64 = 300_000;

/// The state of the guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The wanted mode.
    pub wanted: Mode,
    /// Since when this mode is wanted.
    pub wanted_since: Timestamp,
    /// The guard's own decision.
    pub automatic: Automatic,
    /// Since when the guard's own decision holds.
    pub automatic_since: Timestamp,
    /// The hold that a person set at this engine.
    pub direct: Option<Hold>,
    /// The hold that is declared in the resource.
    pub declared: Option<Hold>,
    /// Recent calls of each dependency.
    pub recent: BTreeMap<Dependency, Recent>,
    /// The probe that is running.
    pub probe: Option<Probe>,
    /// Number of the last probe.
    pub probes: u64,
    /// Monotonic time of the last call that ended, milliseconds.
    pub last_call_ms: i64,
    /// The effective mode after the last step.
    pub in_effect: InEffect,
}

/// An effective mode, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InEffect {
    /// The mode.
    pub mode: Mode,
    /// Since when.
    pub since: Timestamp,
}

/// A running probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its number.
    pub number: u64,
    /// Why it runs.
    pub purpose: ProbePurpose,
    /// Monotonic time of its start, milliseconds.
    pub started_ms: i64,
}

impl Guard {
    /// The state of an engine that has just started and knows no hold.
    #[must_use]
    pub fn new(wanted: Mode, now: Now) -> Guard {
        Guard {
            wanted,
            wanted_since: now.wall,
            automatic: Automatic::Base,
            automatic_since: now.wall,
            direct: None,
            declared: None,
            recent: BTreeMap::new(),
            probe: None,
            probes: 0,
            last_call_ms: now.ms,
            in_effect: InEffect { mode: wanted, since: now.wall },
        }
    }

    /// The mode in effect at the monotonic time `ms`. A hold that has expired no longer counts.
    #[must_use]
    pub fn effective(&self, ms: i64) -> Mode {
        let held = [&self.direct, &self.declared].into_iter().flatten().filter(|hold| hold.until_ms > ms);
        held.fold(self.wanted.intersect(self.automatic.allowed()), |mode, hold| mode.intersect(hold.mode))
    }

    /// Applies an input, and returns what has to be done now.
    pub fn step(&mut self, input: &Input, now: Now, settings: &GuardSettings) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.expire(now);
        match input {
            Input::Started { dependency, call } => self.recent_of(*dependency).start(*call, now.ms),
            Input::Ended { dependency, call, outcome } => {
                self.ended(*dependency, *call, *outcome, now, settings);
            }
            Input::ProbeEnded { number, passed } => {
                self.probe_ended(*number, *passed, now, settings);
            }
            Input::Tick => {}
            Input::Resumed { start, .. } => self.restart(start, now),
            Input::Want { mode, .. } => {
                if self.wanted != *mode {
                    self.wanted = *mode;
                    self.wanted_since = now.wall;
                }
            }
            Input::Force { hold } => self.direct = Some(hold.clone()),
            Input::Declare { hold } => self.declared.clone_from(hold),
            Input::Clear => {
                self.direct = None;
                self.decide(Automatic::Base, now);
                self.forget_recent();
            }
            Input::Reset => self.forget_recent(),
        }
        self.judge(now, settings);
        effects.extend(self.next_probe(now, settings));
        let mode = self.effective(now.ms);
        if self.in_effect.mode != mode {
            self.in_effect = InEffect { mode, since: now.wall };
        }
        effects
    }

    /// Removes holds that have expired, and a probe that was lost.
    fn expire(&mut self, now: Now) {
        for hold in [&mut self.direct, &mut self.declared] {
            hold.take_if(|hold| hold.until_ms <= now.ms);
        }
    }

    fn ended(
        &mut self,
        dependency: Dependency,
        call: u64,
        outcome: Outcome,
        now: Now,
        settings: &GuardSettings,
    ) {
        self.last_call_ms = now.ms;
        self.recent_of(dependency).end(call, outcome, now.ms, settings);
        if !settings.enabled || !matches!(self.automatic, Automatic::Base | Automatic::Suspected { .. }) {
            return;
        }
        let recent = self.recent_of(dependency);
        let (failures, refusals) = (recent.consecutive_failures, recent.consecutive_refusals);
        let wait_ms = outcome.retry_after_ms().unwrap_or(0);
        let reason = match outcome {
            Outcome::AuthenticationFailed => Reason::AuthenticationFailed,
            // The engine sends nothing for as long as a service demands. Waiting for more failures would take several
            // times that long.
            Outcome::Failed(_) if wait_ms >= settings.hold_ms.min(LONG_PAUSE_MS) => Reason::RateLimited,
            Outcome::Failed(_) if failures >= settings.consecutive_failures => Reason::ConsecutiveFailures,
            Outcome::Refused if refusals >= settings.consecutive_failures => {
                let cause = Cause { dependency, reason: Reason::RequestsRefused, outcome: Some(outcome) };
                return self.suspect(cause, now);
            }
            _ => return,
        };
        let cause = Cause { dependency, reason, outcome: Some(outcome) };
        self.decide(Automatic::force(cause, 0, wait_ms, now, settings), now);
    }

    fn probe_ended(&mut self, number: u64, passed: bool, now: Now, settings: &GuardSettings) {
        let Some(probe) = self.probe.take_if(|probe| probe.number == number) else { return };
        let verdict = self.automatic.after_probe(probe.purpose, passed, now, settings);
        match verdict {
            Verdict::Unchanged => {}
            Verdict::Becomes(automatic) => self.decide(automatic, now),
            Verdict::Restores => {
                self.decide(Automatic::Base, now);
                self.forget_recent();
            }
        }
    }

    /// Decides what follows from the time alone.
    fn judge(&mut self, now: Now, settings: &GuardSettings) {
        if let Some(probe) = self.probe
            && now.ms - probe.started_ms >= PROBE_LOST_MS
        {
            self.probe_ended(probe.number, false, now, settings);
        }
        if !settings.enabled {
            // Switched off, the guard forces nothing, and a hold of its own from before ends.
            self.decide(Automatic::Base, now);
            return;
        }
        if let Automatic::Forced { cause, attempt, until_ms } = self.automatic
            && until_ms <= now.ms
        {
            self.decide(Automatic::Probing { cause, attempt, passed: 0, next_ms: now.ms }, now);
        }
        if self.automatic == Automatic::Base
            && let Some(dependency) = self.slow(now, settings)
        {
            self.suspect(Cause { dependency, reason: Reason::Slow, outcome: None }, now);
        }
    }

    /// What a process would start with that goes on with this state.
    #[must_use]
    pub fn start(&self) -> Start {
        Start {
            wanted: self.wanted,
            wanted_since: self.wanted_since,
            automatic: self.automatic,
            automatic_since: self.automatic_since,
            direct: self.direct.clone(),
            declared: self.declared.clone(),
        }
    }

    /// Goes on with another state. Calls and probes of the one before no longer count.
    fn restart(&mut self, start: &Start, now: Now) {
        let Start { wanted, wanted_since, automatic, automatic_since, direct, declared } = start.clone();
        let (in_effect, probes) = (self.in_effect, self.probes);
        *self = Guard {
            wanted_since,
            automatic,
            automatic_since,
            direct,
            declared,
            in_effect,
            probes,
            ..Guard::new(wanted, now)
        };
    }

    /// Lets a probe decide. A suspicion that is being probed already stays.
    fn suspect(&mut self, cause: Cause, now: Now) {
        if self.automatic == Automatic::Base {
            self.decide(Automatic::Suspected { cause }, now);
        }
    }

    /// The first dependency whose recent calls were mostly slow.
    fn slow(&self, now: Now, settings: &GuardSettings) -> Option<Dependency> {
        let mut found = self.recent.iter().filter(|(_, recent)| recent.is_slow(now.ms, settings));
        found.next().map(|(dependency, _)| *dependency)
    }

    /// Starts a probe if one is due and none is running.
    fn next_probe(&mut self, now: Now, settings: &GuardSettings) -> Option<Effect> {
        if self.probe.is_some() || !settings.enabled {
            return None;
        }
        let idle = now.ms - self.last_call_ms >= settings.idle_probe_ms;
        let purpose = self.automatic.due_probe(idle, now)?;
        self.probes += 1;
        // A probe counts as activity, so that the next one waits for the interval, even if it calls nothing.
        self.last_call_ms = now.ms;
        self.probe = Some(Probe { number: self.probes, purpose, started_ms: now.ms });
        Some(Effect::Probe { number: self.probes, purpose })
    }

    fn decide(&mut self, automatic: Automatic, now: Now) {
        if self.automatic.name() != automatic.name() {
            self.automatic_since = now.wall;
        }
        self.automatic = automatic;
    }

    fn recent_of(&mut self, dependency: Dependency) -> &mut Recent {
        self.recent.entry(dependency).or_default()
    }

    /// Forgets how calls ended; calls that are still running stay known.
    fn forget_recent(&mut self) {
        self.recent.values_mut().for_each(Recent::forget);
    }
}
