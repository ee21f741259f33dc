//! Token buckets by key, in bounded memory.

use std::hash::Hash;

use engine_core::configuration::Rate;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// If more keys than this have a bucket, the full buckets are dropped.
const BUCKETS_MAX: usize = 4_096;

/// Buckets of one quota.
#[derive(Debug)]
pub(super) struct Limiter<K: Hash + Eq + Clone>(DefaultKeyedRateLimiter<K>);

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(super) fn per_second(rate: Rate) -> Limiter<K> {
        Limiter(RateLimiter::keyed(Quota::per_second(rate.per_second).allow_burst(rate.burst)))
    }

    pub(super) fn per_minute(rate: std::num::NonZeroU32) -> Limiter<K> {
        Limiter(RateLimiter::keyed(Quota::per_minute(rate)))
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The bucket is empty; the value is the number of seconds until the next token.
    pub(super) fn take(&self, key: &K) -> Result<(), u32> {
        if self.0.len() > BUCKETS_MAX {
            self.0.retain_recent();
        }
        self.0.check_key(key).map_err(|not_until| {
            // The wait is rounded up, because a client that retries too early is refused again.
            let wait = not_until.wait_time_from(DefaultClock::default().now()).as_millis().div_ceil(1_000);
            u32::try_from(wait.max(1)).unwrap_or(u32::MAX)
        })
    }
}
