//! Assigns each engine the time at which it may record its anchor, within one budget for the whole operator, and
//! measures how long each anchor is delayed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use operator_core::anchor::budget::AnchorBudget;

/// The budget, and the engines whose anchor is due and not yet recorded.
pub(crate) struct Anchoring(Mutex<State>);

struct State {
    budget: AnchorBudget,
    due: HashMap<String, Due>,
}

/// An anchor that is due: the time `since` when it is due, and the time `slot` at which the budget allows it.
#[derive(Clone, Copy)]
struct Due {
    since: Timestamp,
    slot: Timestamp,
}

/// Whether an engine may record an anchor now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AnchorSlot {
    /// The engine may record its anchor.
    Now,
    /// The engine must wait.
    After {
        /// How long the engine must wait.
        wait: SignedDuration,
        /// Whether this is the first time that the engine must wait for this anchor.
        first: bool,
    },
}

impl Anchoring {
    pub(crate) fn new(writes_per_second: u32, now: Timestamp) -> Self {
        let budget = AnchorBudget::new(writes_per_second, now);
        Self(Mutex::new(State { budget, due: HashMap::new() }))
    }

    /// Requests a slot for the engine's next anchor. An engine that must wait keeps its slot until
    /// [`Anchoring::recorded`] or [`Anchoring::forget`] is called.
    pub(crate) fn request_slot(&self, engine: &str, now: Timestamp) -> AnchorSlot {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.due.get(engine).copied();
        let due = known.unwrap_or_else(|| Due { since: now, slot: state.budget.take(now) });
        state.due.insert(engine.to_owned(), due);
        if due.slot <= now {
            AnchorSlot::Now
        } else {
            AnchorSlot::After { wait: due.slot.duration_since(now), first: known.is_none() }
        }
    }

    /// Records that the anchor was written. Returns the time since the first request for its slot.
    pub(crate) fn recorded(&self, engine: &str, now: Timestamp) -> Option<SignedDuration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.due.remove(engine).map(|due| now.duration_since(due.since))
    }

    /// Forgets an engine whose anchor is no longer due, or that is gone.
    pub(crate) fn forget(&self, engine: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).due.remove(engine);
    }

    /// Number of engines whose anchor is due and not recorded.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).due.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).expect("a time")
    }

    #[test]
    fn who_waits_keeps_the_place_and_is_counted_once() {
        let anchoring = Anchoring::new(3, at(0));
        for engine in ["a", "b", "c"] {
            assert_eq!(anchoring.request_slot(engine, at(0)), AnchorSlot::Now);
        }
        let wait = |millis, first| AnchorSlot::After { wait: SignedDuration::from_millis(millis), first };
        assert_eq!(anchoring.request_slot("d", at(0)), wait(1000, true));
        assert_eq!(anchoring.request_slot("e", at(0)), wait(2000, true));
        assert_eq!(anchoring.request_slot("d", at(400)), wait(600, false));
        assert_eq!(anchoring.request_slot("d", at(1000)), AnchorSlot::Now);
        assert_eq!(anchoring.recorded("d", at(1010)), Some(SignedDuration::from_millis(1010)));
        assert_eq!(anchoring.recorded("d", at(1010)), None);
        assert_eq!(anchoring.waiting(), 4);
    }
}
