//! Recorded transitions: each has the complete state before, the input and the time, so that the decision can be made
//! again from the log alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Guard;
use super::automatic::{Automatic, Cause};
use super::hold::{Hold, REMOVED_TEXT};
use super::input::{Difference, Input};
use super::now::Now;
use super::settings::GuardSettings;
use crate::mode::Mode;

/// Payload of an event of the type [`crate::event::GUARD_TRANSITION`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The time of the step.
    pub now: Now,
    /// The effective mode before and after.
    pub mode: Change<Mode>,
    /// The guard's own state before and after.
    pub state: Change<String>,
    /// Why reads are off or suspected, after the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What happened.
    pub input: Input,
    /// The parameters.
    pub settings: GuardSettings,
    /// The complete state before.
    pub before: Guard,
}

/// A value before and after a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<T> {
    /// Before.
    pub from: T,
    /// After.
    pub to: T,
}

impl Record {
    /// The record of a step, if it is a transition: the effective mode, the state of the guard or a hold changed.
    #[must_use]
    pub fn of(
        before: &Guard,
        input: &Input,
        now: Now,
        settings: &GuardSettings,
        after: &Guard,
    ) -> Option<Record> {
        // Not the mode that the state before gives now: when a hold expires, that is already the one after.
        let mode = Change { from: before.in_effect.mode, to: after.effective(now.ms) };
        let (was, is) = (before.automatic.name(), after.automatic.name());
        let holds = before.direct != after.direct || before.declared != after.declared;
        let changed = before.wanted != after.wanted || was != is || holds;
        changed.then(|| Record {
            now,
            mode,
            state: Change { from: was.to_owned(), to: is.to_owned() },
            cause: after.automatic.cause(),
            input: input.clone(),
            settings: settings.clone(),
            before: before.clone(),
        })
    }

    /// The record of a start with another state than the last one in the log.
    #[must_use]
    pub fn resumed(
        before: Guard,
        difference: Difference,
        found: &Guard,
        now: Now,
        settings: &GuardSettings,
    ) -> Record {
        let input = Input::Resumed { difference, start: Box::new(found.start()) };
        let mut after = before.clone();
        after.step(&input, now, settings);
        Record {
            now,
            mode: Change { from: before.effective(now.ms), to: after.effective(now.ms) },
            state: Change { from: before.automatic.name().to_owned(), to: after.automatic.name().to_owned() },
            cause: after.automatic.cause(),
            input,
            settings: settings.clone(),
            before,
        }
    }

    /// The record without what persons wrote, for a policy that refuses it.
    #[must_use]
    pub fn without_texts(mut self) -> Record {
        let holds = [&mut self.before.direct, &mut self.before.declared];
        holds.into_iter().flatten().for_each(Hold::remove_texts);
        match &mut self.input {
            Input::Force { hold } | Input::Declare { hold: Some(hold) } => hold.remove_texts(),
            Input::Want { person: Some(person), .. } => {
                (person.by, person.reason) = (REMOVED_TEXT.to_owned(), REMOVED_TEXT.to_owned());
            }
            Input::Resumed { start, .. } => {
                let holds = [&mut start.direct, &mut start.declared];
                holds.into_iter().flatten().for_each(Hold::remove_texts);
            }
            _ => {}
        }
        self
    }

    /// Makes the decision again.
    #[must_use]
    pub fn again(&self) -> Guard {
        let mut guard = self.before.clone();
        guard.step(&self.input, self.now, &self.settings);
        guard
    }

    /// Whether the decision made again gives what was recorded.
    #[must_use]
    pub fn is_reproduced(&self) -> bool {
        let after = self.again();
        after.effective(self.now.ms) == self.mode.to
            && after.automatic.name() == self.state.to
            && after.automatic.cause() == self.cause
    }
}

/// The mode at a past time, derived from the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The time.
    pub at: Timestamp,
    /// The effective mode at that time; absent if nothing was recorded before or after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The guard's own state at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why reads were off or suspected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Since when it was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Sequence number of the event that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Number of recorded transitions that were decided again.
    pub decided_again: u64,
    /// Sequence numbers of transitions that came out differently.
    pub differing: Vec<u64>,
}

/// Derives the mode at a time from all recorded transitions, in the order of the log. Every transition is decided
/// again.
#[must_use]
pub fn replay(records: impl IntoIterator<Item = (u64, Record)>, at: Timestamp) -> Replay {
    let mut replay = Replay {
        at,
        mode: None,
        state: None,
        cause: None,
        since: None,
        seq: None,
        decided_again: 0,
        differing: Vec::new(),
    };
    for (seq, record) in records {
        replay.decided_again += 1;
        if !record.is_reproduced() {
            replay.differing.push(seq);
        }
        if record.now.wall <= at {
            let after = record.again();
            replay.mode = Some(after.effective(record.now.ms));
            replay.state = Some(after.automatic.name().to_owned());
            replay.cause = after.automatic.cause();
            replay.since = Some(record.now.wall);
            replay.seq = Some(seq);
        } else if replay.seq.is_none() && replay.mode.is_none() && record.before.wanted_since <= at {
            // Before the first transition the state was the one that this transition began with.
            replay.mode = Some(record.before.effective(record.now.ms));
            replay.state = Some(state_name(&record.before.automatic));
            replay.since = Some(record.before.wanted_since);
        }
    }
    replay
}

fn state_name(automatic: &Automatic) -> String {
    automatic.name().to_owned()
}
