//! Progress of erasures, shared by the writer, the keeper and the requests that wait for one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

/// Outcomes that are remembered for the requests that wait for them.
const OUTCOMES_MAX: usize = 256;

/// A segment that holds payloads no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedSegment {
    /// File name in `log/`.
    pub file: String,
    /// Events of it that were named and have no payload, as read back from the file.
    pub events: usize,
    /// Whether it was written anew; else nothing of them was left in it.
    pub rewritten: bool,
}

/// Files that payloads were taken out of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ErasedFiles {
    pub segments: Vec<ErasedSegment>,
    /// Files with torn bytes that were removed.
    pub torn: usize,
}

/// What has been asked for and what is done, between the writer, the keeper and whoever waits.
#[derive(Debug)]
pub struct Erasures(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    asked: u64,
    /// By the number of the first event that says so.
    done: VecDeque<(u64, Arc<ErasedFiles>)>,
}

impl Erasures {
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

    /// The newest outcome.
    pub(super) fn newest(&self) -> Option<Arc<ErasedFiles>> {
        self.0.borrow().done.back().map(|(_, files)| Arc::clone(files))
    }

    /// What became of a forgetting by its first event, once it is done; `None` when it is not by then.
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
