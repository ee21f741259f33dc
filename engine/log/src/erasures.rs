//! Progress of erasures, shared by the writer, the keeper and requests that wait for completion.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

/// Number of outcomes kept for waiting requests.
const OUTCOMES_MAX: usize = 256;

/// A segment from which payloads were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedSegment {
    /// File name in `log/`.
    pub file: String,
    /// Number of target events in this segment. None of them has a payload in the file.
    pub events: usize,
    /// Whether the file was rewritten. `false` when it no longer contained any of the payloads.
    pub rewritten: bool,
}

/// Files from which payloads were erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ErasedFiles {
    /// The segments.
    pub segments: Vec<ErasedSegment>,
    /// Number of removed files with torn bytes.
    pub torn: usize,
}

/// Requested and completed erasures, shared by the writer, the keeper and waiting requests.
#[derive(Debug)]
pub struct Erasures(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    asked: u64,
    /// The outcomes of completed erasures, each with the number of the erasure's first event.
    done: VecDeque<(u64, Arc<ErasedFiles>)>,
}

impl Default for Erasures {
    fn default() -> Erasures {
        Erasures::new()
    }
}

impl Erasures {
    /// Creates the state in which no erasure is requested or completed.
    pub fn new() -> Erasures {
        Erasures(watch::Sender::new(State::default()))
    }

    pub(super) fn ask(&self) {
        self.0.send_modify(|state| state.asked += 1);
    }

    pub(super) fn asked(&self) -> u64 {
        self.0.borrow().asked
    }

    pub(super) fn finished(&self, first_seq: u64, files: ErasedFiles) {
        self.0.send_modify(|state| {
            state.done.push_back((first_seq, Arc::new(files)));
            if state.done.len() > OUTCOMES_MAX {
                state.done.pop_front();
            }
        });
    }

    /// The outcome of the erasure that completed last.
    pub(super) fn newest(&self) -> Option<Arc<ErasedFiles>> {
        self.0.borrow().done.back().map(|(_, files)| Arc::clone(files))
    }

    /// Waits up to `at_most` until the erasure whose first event has number `first_seq` is complete. Returns `None` on
    /// timeout.
    pub async fn outcome(&self, first_seq: u64, at_most: Duration) -> Option<Arc<ErasedFiles>> {
        let mut states = self.0.subscribe();
        let of = |state: &State| {
            state.done.iter().find(|(seq, _)| *seq == first_seq).map(|(_, files)| Arc::clone(files))
        };
        let done = states.wait_for(|state| of(state).is_some());
        let done = tokio::time::timeout(at_most, done).await.ok()?.ok()?;
        of(&done)
    }
}
