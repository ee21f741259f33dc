//! At a start: compares the mode on the volume with the last transition in the log, because nobody records a change of
//! the file that is made outside of the engine.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine_core::event::GUARD_TRANSITION;
use engine_core::format::{Body, EventLine};
use engine_core::guard::{Record, difference};
use engine_log::LogReader;
use service::in_span;

use super::{Modes, Waiting, recorder};
use crate::engine::Engine;

/// How often it is looked whether the log is open.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Number of events that are looked at together, from the newest back. A page of this many is read in one go from the
/// file that has them.
const PAGE_EVENTS: u64 = 10_000;
/// Maximum size of what is read at once, bytes.
const PAGE_BYTES: usize = 16 << 20;

/// Compares what was found at the start with the log, as soon as that is open. Ends when this is done.
pub(super) async fn compare(engine: Arc<Engine>) {
    let head = loop {
        if let Some(head) = engine.published.head() {
            break head.seq;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    };
    let log = engine.log.clone();
    let read = tokio::task::spawn_blocking(in_span(move || last_record(&log, head))).await;
    let read = read.unwrap_or_else(|fault| Err(io::Error::other(fault)));
    engine.modes.compared(head, read);
}

/// The last recorded transition up to the event `head`.
fn last_record(log: &LogReader, head: u64) -> io::Result<Option<Record>> {
    let mut end = head;
    while end > 0 {
        let begin = end.saturating_sub(PAGE_EVENTS);
        let (mut after, mut found) = (begin, None);
        while after < end {
            let count = usize::try_from(end - after).unwrap_or(usize::MAX);
            let lines = log.lines_after(after, count, PAGE_BYTES)?;
            let before = after;
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                after += 1;
                found = record_of(line)?.or(found);
            }
            if after == before {
                return Err(io::Error::other(format!("event {} cannot be read", after + 1)));
            }
        }
        if found.is_some() {
            return Ok(found);
        }
        end = begin;
    }
    Ok(None)
}

/// The transition that a line of the log records, if it does.
fn record_of(line: &[u8]) -> io::Result<Option<Record>> {
    // Most lines need not be parsed.
    if !std::str::from_utf8(line).is_ok_and(|text| text.contains(GUARD_TRANSITION)) {
        return Ok(None);
    }
    let event = EventLine::decode(line).map_err(io::Error::other)?;
    match event.body {
        Body::Whole { payload, .. } if event.envelope.kind == GUARD_TRANSITION => {
            Ok(Some(serde_json::from_str(payload)?))
        }
        _ => Ok(None),
    }
}

impl Modes {
    /// Whether the state at the start was compared with the log. Nothing is recorded before.
    pub(super) fn is_compared(&self) -> bool {
        self.state().at_start.is_none()
    }

    /// Takes note of the last transition in the log, which ends with the event `head`. If the state at the start
    /// differs from it, this is recorded before all later transitions. An empty log stays empty.
    fn compared(&self, head: u64, last: io::Result<Option<Record>>) {
        let mut state = self.state();
        let Some(at_start) = state.at_start.take() else { return };
        let last = match last {
            Ok(last) => last,
            Err(fault) => {
                tracing::warn!(%fault, "the mode on the volume cannot be compared with the log");
                state.has_transitions = true;
                return;
            }
        };
        state.has_transitions = last.is_some();
        let (found, file, now) = (&at_start.guard, at_start.file, at_start.now);
        let differs = difference(last.as_ref(), found, file, self.initial.mode, now);
        let Some((before, difference)) = differs.filter(|_| head > 0) else { return };
        let record = Record::resumed(before, difference, found, now, &self.settings);
        tracing::warn!(
            from = %record.mode.from,
            to = %record.mode.to,
            difference = difference.as_str(),
            "the mode on the volume is not the last one in the log; this is recorded"
        );
        state.shown.push_back(recorder::transition(&record, &record.again()));
        state.waiting.push_front(Waiting { record, is_first_word: false });
        self.changed.notify_one();
    }
}
