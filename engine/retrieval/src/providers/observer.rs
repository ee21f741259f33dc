//! Tells the guard how calls of providers end.

use std::fmt::Debug;
use std::sync::Arc;

use engine_core::guard::{Dependency, Fault, Outcome};

use super::failure::Failure;
use super::limits::Purpose;

/// Text of a probe. It contains nothing of a user.
pub(crate) const PROBE_TEXT: &str = "Is the service ready?";

/// Whoever wants to know how calls of dependencies begin and end.
pub trait CallObserver: Debug + Send + Sync {
    /// A call began. Returns its number.
    fn started(&self, dependency: Dependency) -> u64;
    /// A call ended.
    fn ended(&self, dependency: Dependency, call: u64, outcome: Outcome);
    /// The failure with which a call ends without being sent; `None` unless a drill has injected one.
    fn injected(&self, _: Dependency) -> Option<Failure> {
        None
    }
}

/// Nobody wants to know.
#[derive(Debug)]
pub struct Unobserved;

impl CallObserver for Unobserved {
    fn started(&self, _: Dependency) -> u64 {
        0
    }

    fn ended(&self, _: Dependency, _: u64, _: Outcome) {}
}

/// Number of calls in the background. Their duration is not judged: they carry many texts, and nobody waits for them.
const BACKGROUND_CALL: u64 = 0;

/// One call. If it is dropped before it has an outcome, its client no longer waits for the answer.
#[derive(Debug)]
pub(super) struct ObservedCall {
    observer: Arc<dyn CallObserver>,
    dependency: Dependency,
    call: u64,
    outcome: Outcome,
}

impl ObservedCall {
    pub(super) fn begin(
        observer: &Arc<dyn CallObserver>,
        dependency: Dependency,
        purpose: Purpose,
    ) -> ObservedCall {
        let call = match purpose {
            Purpose::Interactive => observer.started(dependency),
            Purpose::Background => BACKGROUND_CALL,
        };
        ObservedCall { observer: Arc::clone(observer), dependency, call, outcome: Outcome::GivenUp }
    }

    pub(super) fn end<T>(mut self, answer: &Result<T, Failure>) {
        self.outcome = answer.as_ref().map_or_else(|failure| failure.outcome(), |_| Outcome::Answered);
    }
}

impl Drop for ObservedCall {
    fn drop(&mut self) {
        self.observer.ended(self.dependency, self.call, self.outcome);
    }
}

impl Failure {
    /// What the failure says about the service.
    pub(super) fn outcome(self) -> Outcome {
        let millis = |wait: std::time::Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Outcome::Failed(match self {
            Failure::Status(401 | 403) => return Outcome::AuthenticationFailed,
            // The limit is the engine's own, or the request was not sent.
            Failure::Throttled(_) | Failure::Paused(_) | Failure::Saturated(_) => return Outcome::Unjudged,
            failure if failure.is_about_the_texts() => return Outcome::Refused,
            Failure::Timeout(_) => Fault::Timeout,
            Failure::Unreachable | Failure::ConnectionRefused => Fault::Unreachable,
            Failure::ConnectionReset => Fault::Reset,
            Failure::Tls => Fault::Tls,
            Failure::Status(500..) => Fault::ServerError,
            Failure::Status(_) => Fault::Rejected,
            Failure::RateLimited(wait) => Fault::RateLimited(millis(wait)),
            Failure::BreakerOpen(_) => Fault::BreakerOpen,
            Failure::TooLarge(_) | Failure::Malformed(_) => Fault::Malformed,
        })
    }
}
