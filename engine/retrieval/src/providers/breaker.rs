//! Circuit breaker: stops requests to a failing service. Without it, every search would wait for the timeout, and the
//! requests would delay the recovery of the service.

use std::time::{Duration, Instant};

/// Number of consecutive failures that open the breaker.
const FAILURES_MAX: u32 = 5;
/// How long the breaker stays open before it admits a trial request.
const OPEN_DURATION: Duration = Duration::from_secs(5);

/// The breaker is closed while the service works, open while requests are refused, and half-open during a trial
/// request.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// No request is admitted before this time; `None` while the breaker is closed.
    until: Option<Instant>,
}

impl Breaker {
    /// Returns `Ok` if a request may be sent at `now`, and otherwise how long to wait. After the wait, one trial
    /// request is admitted. If the trial has no outcome after the same time, another trial is admitted.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                self.until = Some(now + OPEN_DURATION);
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.until = Some(now + OPEN_DURATION);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_try() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX - 1 {
            breaker.failed(start);
        }
        breaker.succeeded();
        for _ in 0..FAILURES_MAX - 1 {
            assert_eq!(breaker.admit(start), Ok(()));
            breaker.failed(start);
        }
        assert!(!breaker.is_open());
        breaker.failed(start);
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(start + OPEN_DURATION / 2), Err(OPEN_DURATION / 2));
        let later = start + OPEN_DURATION;
        assert_eq!(breaker.admit(later), Ok(()), "the one that tries");
        assert_eq!(breaker.admit(later), Err(OPEN_DURATION), "not the next");
        breaker.failed(later);
        assert!(breaker.admit(later + OPEN_DURATION / 2).is_err());
        assert_eq!(breaker.admit(later + OPEN_DURATION), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.admit(later), breaker.is_open()), (Ok(()), false));
    }

    #[test]
    fn a_try_that_was_given_up_does_not_keep_it_open_for_ever() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.admit(start + OPEN_DURATION), Ok(()));
        assert_eq!(breaker.admit(start + 2 * OPEN_DURATION), Ok(()));
    }
}
