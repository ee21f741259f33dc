//! Delays between attempts.

use std::time::Duration;

use engine_core::guard::LONG_PAUSE_MS;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// First and longest delay. With them a service that is down gets about two requests a minute, not two a second.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// Longest delay accepted from `Retry-After`.
const ASKED_FOR_MAX: Duration = Duration::from_millis(LONG_PAUSE_MS.unsigned_abs());

/// Delay after `failed` failures in a row: exponential backoff, of which a random half is jitter, so that engines do
/// not retry at the same time.
pub fn wait_before(failed: u32, random: u64) -> Duration {
    let whole =
        FIRST.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST);
    let half = whole / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    half + Duration::from_millis(random % (millis + 1))
}

/// Parses a `Retry-After` header, which contains seconds or a date, into the delay from `now`.
pub(super) fn asked_for(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let wanted = match header.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = rfc2822::parse(header).ok()?.timestamp();
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wanted.min(ASKED_FOR_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_are_spread() {
        for (failed, millis) in
            [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (40, 30_000), (u32::MAX, 30_000)]
        {
            for random in [0, 7, u64::MAX] {
                let wait = wait_before(failed, random);
                let whole = Duration::from_millis(millis);
                assert!(wait >= whole / 2 && wait <= whole, "{failed} {random} {wait:?}");
            }
        }
        assert_ne!(wait_before(3, 1), wait_before(3, 400));
    }

    #[test]
    fn a_service_says_when_in_seconds_or_as_a_date() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let seconds = |text| asked_for(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds(" 7 "), Some(7));
        assert_eq!(seconds("99999999"), Some(300), "bounded");
        assert_eq!(seconds("Thu, 01 Jan 2026 00:00:09 GMT"), Some(9));
        assert_eq!(seconds("Wed, 31 Dec 2025 23:59:00 GMT"), Some(0), "past");
        assert_eq!((seconds("soon"), seconds("-1"), seconds("")), (None, None, None));
    }
}
