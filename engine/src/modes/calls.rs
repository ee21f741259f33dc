//! Calls of dependencies, as the guard sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine_core::guard::{Dependency, Fault, Input, Outcome};
use engine_projection::{Unreadable, is_damage};
use engine_retrieval::providers::{CallObserver, Failure};
use rusqlite::ErrorCode;

use super::Modes;

impl CallObserver for Modes {
    fn started(&self, dependency: Dependency) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.step(&Input::Started { dependency, call });
        call
    }

    fn ended(&self, dependency: Dependency, call: u64, outcome: Outcome) {
        self.step(&Input::Ended { dependency, call, outcome });
    }

    fn injected(&self, dependency: Dependency) -> Option<Failure> {
        self.drill_failure(dependency)
    }
}

/// A call of the projection. It begins when its thread begins, so that waiting for a turn does not count as slow.
/// Clones are the same call.
#[derive(Debug, Clone)]
pub(crate) struct DependencyCall(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    modes: Arc<Modes>,
    /// Number of the call; 0 until it begins.
    call: AtomicU64,
    ended: AtomicBool,
}

impl DependencyCall {
    /// A read of the projection that has not begun yet.
    pub(crate) fn of_projection(modes: &Arc<Modes>) -> DependencyCall {
        DependencyCall(Arc::new(Inner {
            modes: Arc::clone(modes),
            call: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }))
    }

    pub(crate) fn begin(&self) {
        self.0.call.store(self.0.modes.started(Dependency::Projection), Ordering::Release);
    }

    pub(crate) fn end<T>(&self, answer: &Result<T, Unreadable>) {
        self.0.end(answer.as_ref().map_or_else(outcome, |_| Outcome::Answered));
    }
}

impl Inner {
    fn end(&self, outcome: Outcome) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.modes.ended(Dependency::Projection, self.call.load(Ordering::Acquire), outcome);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The client went away before the read ended.
        self.end(Outcome::GivenUp);
    }
}

/// What a read that failed says about the projection.
fn outcome(fault: &Unreadable) -> Outcome {
    match fault {
        // The read needed too much, which the request decides.
        Unreadable::TooLong => Outcome::GivenUp,
        // The projection is being built, or has not caught up: both are reported and refused by themselves, and both
        // end by themselves. Turning reads off for minutes would only make it longer.
        Unreadable::NotReady | Unreadable::Behind { .. } => Outcome::Unjudged,
        // A damaged projection is rebuilt at once, so the same holds for it.
        Unreadable::Failed(fault) if is_damage(fault) => Outcome::Unjudged,
        Unreadable::Failed(fault) => match fault.sqlite_error_code() {
            // The statement is at fault, not the database.
            None | Some(ErrorCode::Unknown | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Outcome::Unjudged
            }
            Some(_) => Outcome::Failed(Fault::Storage),
        },
        Unreadable::Thread(_) => Outcome::Failed(Fault::Storage),
    }
}
