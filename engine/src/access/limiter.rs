//! Token buckets by key, in bounded memory.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine_core::configuration::Rate;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// If more keys than this have a bucket, the full buckets are dropped.
const BUCKETS_MAX: usize = 4_096;

/// Buckets of one quota.
#[derive(Debug)]
pub(crate) struct Limiter<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    /// Number of buckets at which the full ones are dropped again. After each sweep it is twice what was left, so that
    /// sweeping costs each request a constant time, however many buckets are not full.
    sweep_at: AtomicUsize,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(crate) fn per_second(rate: Rate) -> Limiter<K> {
        Limiter::of(Quota::per_second(rate.per_second).allow_burst(rate.burst))
    }

    pub(super) fn per_minute(rate: std::num::NonZeroU32) -> Limiter<K> {
        Limiter::of(Quota::per_minute(rate))
    }

    fn of(quota: Quota) -> Limiter<K> {
        Limiter { buckets: RateLimiter::keyed(quota), sweep_at: AtomicUsize::new(BUCKETS_MAX) }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The bucket is empty; the value is the number of seconds until the next token.
    pub(crate) fn take(&self, key: &K) -> Result<(), u32> {
        let sweep_at = self.sweep_at.load(Ordering::Relaxed);
        if self.buckets.len() > sweep_at {
            self.buckets.retain_recent();
            let next = BUCKETS_MAX.max(2 * self.buckets.len());
            self.sweep_at.store(next, Ordering::Relaxed);
        }
        self.buckets.check_key(key).map_err(|not_until| {
            // The wait is rounded up, because a client that retries too early is refused again.
            let wait = not_until.wait_time_from(DefaultClock::default().now()).as_millis().div_ceil(1_000);
            u32::try_from(wait.max(1)).unwrap_or(u32::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// With a sweep for each request, this would take a million times the work.
    #[test]
    fn sweeps_become_rare_while_no_bucket_is_full() {
        let limiter = Limiter::per_minute(NonZeroU32::MIN);
        let mut sweeps = 0;
        let mut before = limiter.sweep_at.load(Ordering::Relaxed);
        for key in 0..40_000_u32 {
            assert!(limiter.take(&key).is_ok());
            let after = limiter.sweep_at.load(Ordering::Relaxed);
            sweeps += u32::from(after != before);
            before = after;
        }
        assert_eq!(sweeps, 4, "at 4,097, 8,195, 16,391 and 32,783 buckets");
        assert!(limiter.take(&0).is_err(), "a sweep drops no bucket that is not full");
    }
}
