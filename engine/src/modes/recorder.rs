//! The flight recorder: transitions are written to the log with everything that decided them, and read back to decide
//! them again.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, ensure};

use engine_core::event::{Draft, GUARD_TRANSITION, LOG_PROJECT};
use engine_core::format::{Body, EventLine};
use engine_core::guard::{Guard, Hold, Input, Person, Record, Replay, replay};
use engine_core::wire::Transition;
use engine_log::storage::DiskStorage;
use engine_log::{WriteState, list_segments, write_lines};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{Modes, Waiting};
use crate::engine::Engine;
use crate::policy_gate::WriteError;

/// Actor of these events.
const ACTOR: &str = "memory-engine";

/// An event of the guard.
pub(super) fn own_event(payload: Box<RawValue>) -> Draft {
    Draft {
        kind: GUARD_TRANSITION.into(),
        actor: ACTOR.into(),
        project: LOG_PROJECT.into(),
        session: None,
        causes: Vec::new(),
        payload,
    }
}

/// The transition as it is shown.
pub(super) fn transition(record: &Record, after: &Guard) -> Transition {
    Transition {
        at: record.now.wall,
        from: record.mode.from,
        to: record.mode.to,
        state: record.state.to.clone(),
        because: because(record, after),
    }
}

fn because(record: &Record, after: &Guard) -> String {
    let hold = |hold: &Hold| format!("held at {} by {}: {}", hold.mode, hold.by, hold.reason);
    match &record.input {
        Input::Want { mode, person: None } => format!("{mode} is wanted"),
        Input::Want { mode, person: Some(Person { by, reason }) } => {
            format!("{mode} is wanted by {by}: {reason}")
        }
        Input::Resumed { difference, .. } => difference.as_str().to_owned(),
        Input::Force { hold: held } => match replaced(record, held) {
            Some(before) => format!("{}, in place of the hold of {}", hold(held), before.by),
            None => hold(held),
        },
        Input::Declare { hold: Some(held) } => hold(held),
        Input::Declare { hold: None } => "the declared hold was removed".to_owned(),
        Input::Clear => "cleared".to_owned(),
        Input::Reset => "failures were reset".to_owned(),
        Input::ProbeEnded { passed: true, .. } => "a probe passed".to_owned(),
        Input::ProbeEnded { passed: false, .. } => "a probe failed".to_owned(),
        Input::Started { .. } | Input::Ended { .. } | Input::Tick => match after.automatic.cause() {
            Some(cause) if record.state.from != record.state.to => cause.to_string(),
            _ => "a hold expired".to_owned(),
        },
    }
}

/// The hold of another person that a new hold replaced.
fn replaced<'a>(record: &'a Record, held: &Hold) -> Option<&'a Hold> {
    let before = record.before.direct.as_ref();
    before.filter(|before| before.until_ms > record.now.ms && before.by != held.by)
}

impl Modes {
    /// Takes the oldest transition that has to be in the log and is not in it yet.
    fn take_waiting(&self) -> Option<Waiting> {
        let mut state = self.state();
        let has_transitions = state.has_transitions;
        while let Some(waiting) = state.waiting.pop_front() {
            if !waiting.is_first_word || has_transitions {
                return Some(waiting);
            }
        }
        None
    }

    /// Puts a transition back that could not be written.
    fn put_back(&self, waiting: Waiting) {
        self.state().waiting.push_front(waiting);
    }
}

impl Engine {
    /// Writes the transitions that are not in the log yet. What cannot be written now stays for the next time.
    pub(super) async fn record_transitions(&self) {
        // An engine whose log is not open, or accepts nothing, has to try later.
        while self.published.store() == WriteState::Writable
            && self.modes.is_compared()
            && let Some(waiting) = self.modes.take_waiting()
        {
            let Ok(payload) = serde_json::value::to_raw_value(&waiting.record) else { continue };
            let mut written = self.commit_own(own_event(payload)).await;
            if let Err(WriteError::Blocked(_)) = &written {
                // The texts were accepted under another policy. The change of the mode has to be recorded all the same.
                let record = waiting.record.clone().without_texts();
                let Ok(payload) = serde_json::value::to_raw_value(&record) else { continue };
                written = self.commit_own(own_event(payload)).await;
            }
            if let Err(fault) = written {
                tracing::warn!(%fault, "a change of the mode was not recorded in the log yet");
                self.modes.put_back(waiting);
                return;
            }
            self.modes.state().has_transitions = true;
        }
    }
}

/// Derives the mode at a time from the log in a data directory. Works beside a running engine.
///
/// # Errors
/// The log cannot be read, or an event of the guard is not valid.
pub(crate) fn replay_log(data: &Path, at: Timestamp) -> anyhow::Result<Replay> {
    let mut found = FoundRecords::default();
    let storage = DiskStorage::new(data.to_owned());
    // A mistyped directory must not look like a log without transitions.
    ensure!(
        !list_segments(&storage).context("cannot read the log")?.is_empty(),
        "there is no log in {data:?}"
    );
    write_lines(&storage, 0, u64::MAX, &mut found).context("cannot read the log")?;
    Ok(replay(found.records, at))
}

/// Collects the recorded transitions from lines of a log. It is given one line at a time.
#[derive(Default)]
struct FoundRecords {
    records: Vec<(u64, Record)>,
}

impl Write for FoundRecords {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let event = EventLine::decode(line.trim_ascii_end()).map_err(io::Error::other)?;
        if event.envelope.kind == GUARD_TRANSITION
            && let Body::Whole { payload, .. } = event.body
        {
            let record = serde_json::from_str(payload).map_err(|fault| {
                io::Error::other(format!("event {} is not a transition: {fault}", event.envelope.seq))
            })?;
            self.records.push((event.envelope.seq, record));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
