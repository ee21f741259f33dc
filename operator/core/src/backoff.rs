//! Intervals between reconciles.

use std::time::Duration;

use crds::{MemoryEngineStatus, Phase, TlsRotation};

use crate::conditions::ConditionType;

/// First wait after a failure.
const FAILURE_SECONDS_MIN: u64 = 1;
/// Longest wait after repeated failures. It is short, so that a user who fixed the cause sees the result within
/// minutes.
const FAILURE_SECONDS_MAX: u64 = 120;

/// Wait after the `failures`-th failure in a row, counted from 1. The wait doubles each time. `jitter` in `0.0..1.0`
/// spreads the wait over the upper half of this time, so that engines that failed for the same cause do not retry at
/// the same time.
#[must_use]
pub fn after_failure(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(7);
    let full = Duration::from_secs((FAILURE_SECONDS_MIN << doublings).min(FAILURE_SECONDS_MAX));
    spread(full, jitter)
}

/// Interval between reconciles of an engine that is settled, or hibernates.
const SETTLED_SECONDS: u64 = 10;
/// Interval between reconciles of an engine that waits for someone to act. Some of these actions cause no event of any
/// watch.
const STALLED_SECONDS: u64 = 15;
/// Interval between reconciles of an engine that is starting. No watch reports changes of the engine's own report.
const BUSY_SECONDS: u64 = 2;

/// Wait before the next reconcile of an engine that was reconciled without failure.
#[must_use]
pub fn next_reconcile(status: &MemoryEngineStatus, jitter: f64) -> Duration {
    let is = |kind: ConditionType| {
        status
            .conditions
            .iter()
            .any(|condition| condition.type_ == kind.as_str() && condition.status == "True")
    };
    let seconds = match () {
        () if is(ConditionType::Stalled) => STALLED_SECONDS,
        () if status.phase == Some(Phase::Hibernated) => SETTLED_SECONDS,
        () if is_renewing(status) => BUSY_SECONDS,
        () if is(ConditionType::Ready) && !is(ConditionType::Reconciling) => SETTLED_SECONDS,
        () => BUSY_SECONDS,
    };
    spread(Duration::from_secs(seconds), jitter)
}

/// Whether the pod does not serve yet what its Secret contains.
fn is_renewing(status: &MemoryEngineStatus) -> bool {
    status.tls.as_ref().is_some_and(|tls| {
        matches!(tls.rotation, TlsRotation::Distribute | TlsRotation::Issue)
            || tls.served_serial.as_ref() != Some(&tls.serial)
    })
}

/// A wait between half of `full` and `full`.
#[must_use]
pub fn spread(full: Duration, jitter: f64) -> Duration {
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let waits: Vec<_> = (1..12).map(|n| after_failure(n, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120]);
        assert_eq!(after_failure(u32::MAX, 0.0), Duration::from_secs(60));
    }
}
