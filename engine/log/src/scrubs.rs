//! Requests for a complete verification of the log, and how the last one ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a verification has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrubbed {
    /// Every event up to this one verifies.
    Sound(u64),
    /// The log does not verify: see the published fault.
    Faulty,
}

#[derive(Debug, Default)]
struct State {
    asked: u64,
    ended: Option<(u64, Scrubbed)>,
}

/// Requests for a complete verification. Anybody may ask; the keeper carries them out.
#[derive(Debug, Default)]
pub struct Scrubs(Mutex<State>);

impl Scrubs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a verification that begins from now on. Returns the number of the request.
    pub fn ask(&self) -> u64 {
        let mut state = self.state();
        state.asked += 1;
        state.asked
    }

    /// How the verification for this request, or for a later one, has ended; `None` while it has not.
    pub fn ended(&self, number: u64) -> Option<Scrubbed> {
        self.state().ended.filter(|(ended, _)| *ended >= number).map(|(_, scrubbed)| scrubbed)
    }

    /// Number of the newest request.
    pub(super) fn asked(&self) -> u64 {
        self.state().asked
    }

    /// Records that a verification has ended that began after the request with this number.
    pub(super) fn end(&self, number: u64, scrubbed: Scrubbed) {
        self.state().ended = Some((number, scrubbed));
    }
}
