//! Records of decisions: one line of JSON each, with the target `access`, at every level of the log.
//!
//! A denial is always recorded. What is allowed is recorded once a minute for each caller, project and scope, with the
//! number of requests since the last line, because a line for each request would be longer than the log of memories.
//! A line has names, codes and numbers. It has no key, no text of a memory and no name that a client made up, other
//! than the stored name of a project.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine_core::access::Scope;
use engine_projection::ClientAddress;
use prometheus::IntCounterVec;
use service::{ACCESS, Family};

/// Time between two lines about the same allowed caller, project and scope.
const ALLOWED_INTERVAL: Duration = Duration::from_secs(60);
/// If more of them are known than this, those whose interval has passed are dropped, and then all.
const ALLOWED_MAX: usize = 4_096;

/// What was decided about a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome<'a> {
    /// Name of the caller; empty if nobody was recognised.
    pub(crate) caller: &'a str,
    /// Scope that the operation needs, if it is known.
    pub(crate) scope: Option<Scope>,
    /// Stored name of the project; empty if the request is about none.
    pub(crate) project: &'a str,
    /// Why it was denied: a label of the metric.
    pub(crate) reason: &'static str,
}

/// Label of what is allowed.
pub(super) const ALLOWED: &str = "allowed";

/// Caller, project and scope, with the time of the last line and the number of requests since.
type Recent = BTreeMap<(String, String, Scope), (Instant, u64)>;

/// Writes the records and counts them.
#[derive(Debug)]
pub(super) struct Records {
    counts: Family<IntCounterVec>,
    allowed: Arc<Mutex<Recent>>,
}

impl Records {
    pub(super) fn new(counts: Family<IntCounterVec>) -> Records {
        Records { counts, allowed: Arc::default() }
    }

    /// Counts without a line.
    pub(super) fn count(&self, reason: &'static str) {
        self.counts.with_label_values(&[reason]).inc();
    }

    /// Records a denial.
    pub(super) fn denied(&self, outcome: &Outcome<'_>) {
        let Outcome { caller, scope, project, reason } = outcome;
        self.count(reason);
        let (client, scope) = (client(), scope.map_or("", Scope::word));
        tracing::info!(
            target: ACCESS, caller, client, scope, project, decision = "denied", reason, "a request was denied"
        );
    }

    /// Records that a caller was allowed something.
    pub(super) fn allowed(&self, caller: &str, scope: Scope, project: &str) {
        self.count(ALLOWED);
        let Some(requests) = self.due(caller, scope, project, Instant::now()) else { return };
        let (client, scope) = (client(), scope.word());
        tracing::info!(
            target: ACCESS, caller, client, scope, project, decision = ALLOWED, requests, "requests were allowed"
        );
    }

    /// The number of requests since the last line, if it is time for the next.
    fn due(&self, caller: &str, scope: Scope, project: &str, now: Instant) -> Option<u64> {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        if allowed.len() > ALLOWED_MAX {
            allowed.retain(|_, (last, _)| now.duration_since(*last) < ALLOWED_INTERVAL);
        }
        if allowed.len() > ALLOWED_MAX {
            allowed.clear();
        }
        match allowed.get_mut(&(caller.to_owned(), project.to_owned(), scope)) {
            Some((last, requests)) if now.duration_since(*last) < ALLOWED_INTERVAL => {
                *requests += 1;
                None
            }
            Some((last, requests)) => {
                *last = now;
                Some(std::mem::take(requests) + 1)
            }
            None => {
                allowed.insert((caller.to_owned(), project.to_owned(), scope), (now, 0));
                Some(1)
            }
        }
    }
}

fn client() -> String {
    ClientAddress::current().map(|client| client.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_is_allowed_is_recorded_once_a_minute_with_a_count() {
        let metrics = Metrics::new("").unwrap();
        let records = Records::new(metrics.access.clone());
        let start = Instant::now();
        let due = |caller: &str, seconds| {
            records.due(caller, Scope::Read, "notes", start + Duration::from_secs(seconds))
        };
        assert_eq!([due("a", 0), due("a", 1), due("b", 2), due("a", 59)], [Some(1), None, Some(1), None]);
        assert_eq!([due("a", 60), due("a", 61), due("a", 121)], [Some(3), None, Some(2)]);
        for caller in 0..=ALLOWED_MAX {
            due(&format!("c{caller}"), 122);
        }
        due("d", 123);
        assert!(records.allowed.lock().unwrap().len() <= ALLOWED_MAX, "bounded");
    }
}
