//! The mode of this engine: the guard of `engine-core` with a clock, a file on the volume, and a recorder in the log.
//!
//! [`calls`] tells the guard how calls of dependencies end, [`commands`] are the requests that change the mode,
//! [`drill_faults`] are those that a drill injects,
//! [`mode_file`] keeps what survives a restart, [`at_start`] compares that with the log, [`probe`] asks every
//! dependency, [`recorder`] writes transitions to the log, and [`driver`] is the task that runs all of this.

mod at_start;
mod calls;
mod commands;
mod drill_faults;
mod driver;
mod mode_file;
mod probe;
mod recorder;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use engine_core::guard::{
    Cause, Difference, Effect, Guard, GuardSettings, Input, ModeFileState, Now, Record,
};
use engine_core::mode::Mode;
use engine_core::wire::{ModeHealth, ModeReport, ReadsOff, Teller, Transition};
use engine_log::storage::Storage;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};

use crate::metrics::ModeMetrics;
use crate::policy_gate::WriteError;
use crate::refusal::Refusal;
use mode_file::Found;

pub(crate) use calls::DependencyCall;
pub(crate) use driver::drive;
pub(crate) use recorder::replay_log;

/// Number of transitions that are shown.
const TRANSITIONS_SHOWN: usize = 50;
/// Number of transitions that wait to be written to the log. They are rare, so that more than this wait only if the log
/// has accepted nothing for long.
const RECORDS_WAITING_MAX: usize = 64;
/// Probes that wait to be started. There is one at a time.
const EFFECTS_MAX: usize = 4;
/// Longest `Retry-After` of a refused read, seconds. A hold may end earlier than it says.
const RETRY_AFTER_MAX_S: i64 = 300;

/// The mode of one engine.
#[derive(Debug)]
pub(crate) struct Modes {
    state: Mutex<State>,
    settings: GuardSettings,
    started: Instant,
    calls: AtomicU64,
    file: mode_file::ModeFile,
    metrics: ModeMetrics,
    effects: mpsc::Sender<Effect>,
    /// Taken by the driver.
    to_run: Mutex<Option<mpsc::Receiver<Effect>>>,
    /// Whether the file differs from the state.
    unsaved: AtomicBool,
    /// Held while the file is written: whoever finds nothing to save knows that it is on the volume.
    saving: Mutex<()>,
    /// Whether the last try to write the file failed.
    write_failed: AtomicBool,
    /// The mode that is wanted if there is no file.
    initial: InitialMode,
    /// Whether the file could not be read yet. Until then, or until a mode is set, reads are off and the file is left
    /// alone: it may hold reads off.
    unread: AtomicBool,
    /// Whether the log is of another engine, so that no transition is recorded.
    is_local: AtomicBool,
    /// Faults that a drill injects.
    drill_faults: drill_faults::DrillFaults,
    /// Wakes the driver.
    changed: Notify,
}

/// The mode that is wanted on a volume that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InitialMode {
    pub(crate) mode: Mode,
    /// Whether somebody named it, with a flag or a variable.
    pub(crate) is_named: bool,
}

impl Default for InitialMode {
    fn default() -> InitialMode {
        InitialMode { mode: Mode::ReadWrite, is_named: false }
    }
}

/// A transition that is not in the log yet.
#[derive(Debug, Clone)]
struct Waiting {
    record: Record,
    /// Whether the resource said its first word about the mode, which ends the wait for it. It is recorded only if the
    /// log has transitions already: a log that has no memory yet stays empty.
    is_first_word: bool,
}

/// What was found at the start, until it is compared with the log.
#[derive(Debug, Clone)]
struct AtStart {
    guard: Guard,
    file: ModeFileState,
    now: Now,
}

#[derive(Debug)]
struct State {
    guard: Guard,
    told_by: Option<Teller>,
    at_start: Option<AtStart>,
    /// Whether the log has transitions. Known once `at_start` is compared with it.
    has_transitions: bool,
    /// Transitions that are not in the log yet, oldest first.
    waiting: VecDeque<Waiting>,
    /// The last transitions, newest first.
    shown: VecDeque<Transition>,
}

impl Modes {
    /// Reads the mode from the volume. On a volume that has none, `initial` is wanted.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        settings: GuardSettings,
        initial: InitialMode,
        metrics: ModeMetrics,
    ) -> Modes {
        let started = Instant::now();
        let file = mode_file::ModeFile::new(storage);
        let now = Now { ms: 0, wall: Timestamp::now(), random: 0 };
        let Found { guard, told_by, file: found } = file.read(now, &settings, initial.mode).unwrap_or_else(|fault| {
            tracing::error!(
                %fault,
                "mode/mode.json cannot be read: reads are off until it can be, it is removed, or a mode is set with \
                 `memory-engine mode want`"
            );
            let guard = Guard::new(initial.mode.intersect(Mode::WriteOnly), now);
            Found { guard, told_by: None, file: ModeFileState::Unreadable }
        });
        let at_start = Some(AtStart { guard: guard.clone(), file: found, now });
        let (effects, to_run) = mpsc::channel(EFFECTS_MAX);
        Modes {
            state: Mutex::new(State {
                guard,
                told_by,
                at_start,
                has_transitions: false,
                waiting: VecDeque::new(),
                shown: VecDeque::new(),
            }),
            settings,
            started,
            calls: AtomicU64::new(0),
            file,
            metrics,
            effects,
            to_run: Mutex::new(Some(to_run)),
            unsaved: AtomicBool::new(false),
            saving: Mutex::new(()),
            write_failed: AtomicBool::new(false),
            initial,
            unread: AtomicBool::new(found == ModeFileState::Unreadable),
            is_local: AtomicBool::new(false),
            drill_faults: drill_faults::DrillFaults::default(),
            changed: Notify::new(),
        }
    }

    /// Makes the mode that of this process alone: nothing of it is compared with the log or recorded there.
    pub(crate) fn keep_to_itself(&self) {
        self.is_local.store(true, Ordering::Release);
        self.state().at_start = None;
    }

    /// Logs that the mode somebody named for this start is not used, because the volume has one.
    pub(crate) fn report_unused_mode(&self) {
        let state = self.state();
        let at_start = state.at_start.as_ref();
        if self.initial.is_named && at_start.is_some_and(|found| found.file == ModeFileState::Read) {
            tracing::warn!(
                named = %self.initial.mode,
                wanted = %state.guard.wanted,
                "--mode is not used: the volume has a mode already, in mode/mode.json"
            );
        }
    }

    /// The mode in effect.
    pub(crate) fn effective(&self) -> Mode {
        let now = self.now();
        self.state().guard.effective(now.ms)
    }

    /// Whether reads are answered, for decisions that refuse nobody.
    pub(crate) fn are_reads_on(&self) -> bool {
        ReadsOff::of(&self.state().guard, self.now()).is_none()
    }

    /// Refuses a read that the mode does not allow.
    ///
    /// # Errors
    /// Reads are off.
    pub(crate) fn admit_read(&self) -> Result<(), Refusal> {
        let now = self.now();
        let off = ReadsOff::of(&self.state().guard, now);
        let Some(off) = off else { return Ok(()) };
        self.metrics.refused.with_label_values(&["read"]).inc();
        let left =
            off.until.map(|until| until.duration_since(now.wall).as_secs().clamp(1, RETRY_AFTER_MAX_S));
        Err(Refusal::reads_off(off, left.and_then(|left| u32::try_from(left).ok()).unwrap_or(0)))
    }

    /// Refuses a write that the mode does not allow.
    ///
    /// # Errors
    /// Writes are off.
    pub(crate) fn admit_write(&self) -> Result<(), WriteError> {
        let mode = self.effective();
        if mode.writes() {
            return Ok(());
        }
        self.metrics.refused.with_label_values(&["write"]).inc();
        Err(WriteError::ModeOff(mode))
    }

    /// The mode, for the health report.
    pub(crate) fn health(&self) -> ModeHealth {
        let now = self.now();
        let state = self.state();
        self.view(&state, now)
    }

    /// Whether the guard has turned reads off.
    pub(crate) fn is_guarded(&self) -> bool {
        !self.state().guard.automatic.allowed().reads()
    }

    /// Whether the file with the mode cannot be read, and no mode was set since.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    fn view(&self, state: &State, now: Now) -> ModeHealth {
        ModeHealth {
            unreadable: self.is_unreadable(),
            unsaved: self.write_failed.load(Ordering::Acquire),
            ..ModeHealth::new(&state.guard, state.told_by.clone(), now)
        }
    }

    /// The mode, with recent transitions.
    pub(crate) fn report(&self) -> ModeReport {
        let now = self.now();
        let state = self.state();
        let recent = state.guard.recent.iter();
        ModeReport {
            mode: self.view(&state, now),
            consecutive_failures: recent.map(|(name, recent)| (*name, recent.consecutive_failures)).collect(),
            transitions: state.shown.iter().cloned().collect(),
        }
    }

    /// Sets the gauges of the mode. They are computed from the state, so that they cannot differ from it.
    pub(crate) fn set_gauges(&self) {
        let now = self.now();
        let state = self.state();
        self.metrics.set(&state.guard, now);
        self.set_drill_gauge();
    }

    /// Applies an input to the guard, records a transition, and starts what follows from it.
    fn step(&self, input: &Input) {
        let now = self.now();
        let effects = self.apply(&mut self.state(), input, now, false);
        self.run(effects);
    }

    /// As [`Modes::step`], for a caller that holds the state. The effects have to be run when it is released.
    fn apply(&self, state: &mut State, input: &Input, now: Now, is_first_word: bool) -> Vec<Effect> {
        // Only a transition is recorded, and most steps are none, so the state before is cloned only if needed.
        let before = state.guard.clone();
        let drilled = self.drill_faults.settings(&before, now, &self.settings);
        let settings = drilled.as_ref().unwrap_or(&self.settings);
        let effects = state.guard.step(input, now, settings);
        if let Some(record) = Record::of(&before, input, now, settings, &state.guard) {
            let transition = recorder::transition(&record, &state.guard);
            self.note(state, transition, record.cause);
            self.metrics.count(&record);
            if self.is_local.load(Ordering::Acquire) {
                return effects;
            }
            if state.waiting.len() >= RECORDS_WAITING_MAX {
                state.waiting.pop_front();
                self.metrics.records_lost.inc();
            }
            state.waiting.push_back(Waiting { record, is_first_word });
        }
        effects
    }

    fn run(&self, effects: Vec<Effect>) {
        for effect in effects {
            // A probe that cannot be started is lost, which counts as failed after a while.
            let _started = self.effects.try_send(effect);
        }
    }

    fn note(&self, state: &mut State, transition: Transition, cause: Option<Cause>) {
        // The reason of a hold is a person's text and stays out of the log output.
        tracing::warn!(
            from = %transition.from,
            to = %transition.to,
            state = transition.state,
            cause = cause.map(tracing::field::display),
            "the mode, the guard or a hold changed"
        );
        state.shown.push_front(transition);
        state.shown.truncate(TRANSITIONS_SHOWN);
        self.unsaved.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Writes the state to the volume, if it differs from the file. Blocks.
    ///
    /// # Errors
    /// The volume fails.
    fn save(&self) -> std::io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if self.unread.load(Ordering::Acquire) || !self.unsaved.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let now = self.now();
        let (saved, told_by) = {
            let state = self.state();
            (state.guard.saved(now), state.told_by.clone())
        };
        let written = self.file.write(&saved, told_by.as_ref());
        self.write_failed.store(written.is_err(), Ordering::Release);
        written.inspect_err(|_| self.unsaved.store(true, Ordering::Release))
    }

    /// Reads the file again that could not be read at the start. Blocks. Holds that were set meanwhile stay.
    ///
    /// # Errors
    /// It still cannot be read.
    fn read_again(&self) -> std::io::Result<()> {
        let now = self.now();
        let Found { mut guard, told_by, .. } = self.file.read(now, &self.settings, self.initial.mode)?;
        let mut state = self.state();
        // Somebody may have set a mode meanwhile.
        if self.unread.swap(false, Ordering::AcqRel) {
            guard.direct = state.guard.direct.take().or(guard.direct);
            guard.declared = state.guard.declared.take().or(guard.declared);
            state.told_by = told_by;
            let input =
                Input::Resumed { difference: Difference::FileReadAgain, start: Box::new(guard.start()) };
            let effects = self.apply(&mut state, &input, now, false);
            tracing::info!(mode = %state.guard.effective(now.ms), "mode/mode.json is read");
            drop(state);
            self.run(effects);
        }
        Ok(())
    }

    /// Writes the time that is left of holds before the engine stops. Blocks.
    pub(crate) fn save_before_stop(&self) {
        self.mark_if_held();
        if let Err(fault) = self.save() {
            tracing::warn!(%fault, "the mode was not written before the stop; the last one that was written holds");
        }
    }

    fn now(&self) -> Now {
        let ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Now { ms, wall: Timestamp::now(), random: getrandom::u32().unwrap_or(u32::MAX / 2) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
