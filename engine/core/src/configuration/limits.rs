//! `limits`: limits for each client address.

use std::num::NonZeroU32;

use super::key::Key;
use super::section::section;
use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_DEFAULT, KEEP_ALIVE_SECONDS_DEFAULT};

/// Highest request rate that can be configured: more than any engine can answer.
pub(super) const RATE_MAX: u64 = 1_000_000;
/// Bounds of the idle time of a connection, seconds. An idle connection takes capacity that other clients need.
const KEEP_ALIVE_SECONDS_MIN: u64 = 5;
const KEEP_ALIVE_SECONDS_MAX: u64 = 3_600;

section! {
    /// Limits for each client address on the memory API.
    "limits" => Limits, check check_combination {
        /// requests per second from one address: [limits](limits.md)
        "requestsPerSecond" requests_per_second: u32, since "0.1.0"
            => Key::integer(1, RATE_MAX).absent("no limit").field("spec.limits.requestsPerSecond").live();
        /// requests accepted at once from one address after a pause; only with `requestsPerSecond`
        "burst" burst: u32, since "0.1.0"
            => Key::integer(1, RATE_MAX).absent("a second's worth").field("spec.limits.burst").live();
        /// open connections from one address
        "connectionsPerAddress" connections_per_address: usize, or CONNECTIONS_PER_ADDRESS_DEFAULT, since "0.1.0"
            => Key::integer(1, CONNECTIONS_MAX as u64).field("spec.limits.connectionsPerAddress");
        /// how long a connection may be idle between two requests; must exceed the idle timeout of a proxy in front
        "keepAliveSeconds" keep_alive_seconds: u64, or KEEP_ALIVE_SECONDS_DEFAULT, since "0.1.0"
            => Key::integer(KEEP_ALIVE_SECONDS_MIN, KEEP_ALIVE_SECONDS_MAX).field("spec.limits.keepAliveSeconds");
    }
}

fn check_combination(limits: &Limits, faults: &mut Vec<String>) {
    if limits.burst.is_some() && limits.requests_per_second.is_none() {
        faults.push("limits.burst needs limits.requestsPerSecond".into());
    }
}

/// Rate limit of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Average number of requests per second.
    pub per_second: NonZeroU32,
    /// Requests accepted at once after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    pub(super) fn of(per_second: Option<u32>, burst: Option<u32>) -> Option<Rate> {
        let per_second = per_second.and_then(NonZeroU32::new)?;
        let burst = burst.and_then(NonZeroU32::new).unwrap_or(per_second);
        Some(Rate { per_second, burst })
    }
}

impl Limits {
    /// Rate limit of one address; none when absent. The burst defaults to the requests of one second.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        Rate::of(self.requests_per_second, self.burst)
    }
}
