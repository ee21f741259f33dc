//! When to look again.

use std::time::Duration;

/// First wait after a failure.
const FAILURE_SECONDS_MIN: u64 = 1;
/// Longest wait after many: an SRE who fixed the cause sees it work within a cup of coffee.
const FAILURE_SECONDS_MAX: u64 = 120;

/// Wait after the n-th failure in a row (n from 1), doubled each time, spread by `jitter` in `0.0..1.0` over the
/// upper half so that engines broken by one cause do not come back all at once.
#[must_use]
pub fn after_failure(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(7);
    let full = Duration::from_secs((FAILURE_SECONDS_MIN << doublings).min(FAILURE_SECONDS_MAX));
    spread(full, jitter)
}

/// A wait between half of `full` and all of it.
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
