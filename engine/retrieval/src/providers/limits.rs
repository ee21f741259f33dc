//! Rate limits of a service. Background work waits for the limit and leaves a share of it to searches, which do not
//! wait.

use std::num::NonZeroU32;
use std::time::Duration;

use engine_core::configuration::PER_MINUTE_MIN;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// If background work uses the service too, one part in this many of the limit is reserved for searches. A configured
/// limit must be at least this number, so that searches and background work both get a share.
const PARTS: u32 = PER_MINUTE_MIN;

/// Purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A client waits for the answer.
    Interactive,
    /// Background work.
    Background,
}

/// Rate limits, one for each purpose.
#[derive(Debug)]
pub(super) struct Limits {
    interactive: Share,
    background: Share,
}

#[derive(Debug)]
struct Share {
    requests: DefaultDirectRateLimiter,
    tokens: Option<(NonZeroU32, DefaultDirectRateLimiter)>,
    clock: DefaultClock,
}

impl Limits {
    pub(super) fn new(requests: NonZeroU32, tokens: Option<NonZeroU32>, fills: bool) -> Limits {
        let interactive = |whole: NonZeroU32| if fills { share(whole, 1) } else { whole };
        let background = |whole: NonZeroU32| share(whole, PARTS - 1);
        Limits {
            interactive: Share::new(interactive(requests), tokens.map(interactive)),
            background: Share::new(background(requests), tokens.map(background)),
        }
    }

    /// Returns `Ok` if a request with about `tokens` tokens may be sent now, and otherwise how long to wait.
    pub(super) fn admit(&self, purpose: Purpose, tokens: u32) -> Result<(), Duration> {
        match purpose {
            Purpose::Interactive => self.interactive.admit(tokens),
            Purpose::Background => self.background.admit(tokens),
        }
    }
}

fn share(whole: NonZeroU32, parts: u32) -> NonZeroU32 {
    let share = u64::from(whole.get()) * u64::from(parts) / u64::from(PARTS);
    u32::try_from(share).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

impl Share {
    fn new(requests: NonZeroU32, tokens: Option<NonZeroU32>) -> Share {
        Share {
            requests: RateLimiter::direct(Quota::per_minute(requests)),
            tokens: tokens.map(|tokens| (tokens, RateLimiter::direct(Quota::per_minute(tokens)))),
            clock: DefaultClock::default(),
        }
    }

    fn admit(&self, tokens: u32) -> Result<(), Duration> {
        let now = self.clock.now();
        if let Some((whole, limiter)) = &self.tokens
            // A request with more tokens than the limit of a minute counts as that whole limit.
            && let Some(tokens) = NonZeroU32::new(tokens.min(whole.get()))
            && let Ok(Err(not_until)) = limiter.check_n(tokens)
        {
            return Err(not_until.wait_time_from(now));
        }
        self.requests.check().map_err(|not_until| not_until.wait_time_from(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(limits: &Limits, purpose: Purpose, tokens: u32) -> usize {
        (0..1_000).take_while(|_| limits.admit(purpose, tokens).is_ok()).count()
    }

    #[test]
    fn searches_have_a_part_that_the_background_leaves() {
        let eight = NonZeroU32::new(8).unwrap();
        let limits = Limits::new(eight, None, true);
        assert_eq!((count(&limits, Purpose::Background, 9), count(&limits, Purpose::Interactive, 9)), (6, 2));
        let wait = limits.admit(Purpose::Interactive, 1).unwrap_err();
        assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
        assert_eq!(count(&Limits::new(eight, None, false), Purpose::Interactive, 9), 8);
    }

    #[test]
    fn tokens_are_limited_and_one_large_request_still_goes() {
        let (many, tokens) = (NonZeroU32::new(1_000).unwrap(), NonZeroU32::new(400));
        let limits = Limits::new(many, tokens, true);
        assert_eq!(count(&limits, Purpose::Background, 100), 3);
        let limits = Limits::new(many, tokens, true);
        assert_eq!(count(&limits, Purpose::Background, 100_000), 1);
    }
}
