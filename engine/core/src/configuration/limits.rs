//! `limits`: what one address may ask.

use std::num::NonZeroU32;

use super::key::Key;
use super::section::section;
use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_DEFAULT, KEEP_ALIVE_SECONDS_DEFAULT};

/// Requests a second that may be allowed: more than any engine answers.
const RATE_MAX: u64 = 1_000_000;
/// Shortest and longest time a connection may be idle, seconds. An idle connection holds a place that others need.
const KEEP_ALIVE_SECONDS_MIN: u64 = 5;
const KEEP_ALIVE_SECONDS_MAX: u64 = 3_600;

section! {
    /// What one address may ask of the memory API.
    "limits" => Limits, check together {
        /// requests of one address a second: [limits](limits.md)
        "requestsPerSecond" requests_per_second: u32, since "0.1.0"
            => Key::whole(1, RATE_MAX).without("no limit").field("spec.limits.requestsPerSecond");
        /// requests of one address that may come at once after a pause; only with `requestsPerSecond`
        "burst" burst: u32, since "0.1.0"
            => Key::whole(1, RATE_MAX).without("a second's worth").field("spec.limits.burst");
        /// connections of one address at one time
        "connectionsPerAddress" connections_per_address: usize, or CONNECTIONS_PER_ADDRESS_DEFAULT, since "0.1.0"
            => Key::whole(1, CONNECTIONS_MAX as u64).field("spec.limits.connectionsPerAddress");
        /// how long a connection may be idle between two requests; longer than the proxy in front keeps its own
        "keepAliveSeconds" keep_alive_seconds: u64, or KEEP_ALIVE_SECONDS_DEFAULT, since "0.1.0"
            => Key::whole(KEEP_ALIVE_SECONDS_MIN, KEEP_ALIVE_SECONDS_MAX).field("spec.limits.keepAliveSeconds");
    }
}

fn together(limits: &Limits, faults: &mut Vec<String>) {
    if limits.burst.is_some() && limits.requests_per_second.is_none() {
        faults.push("limits.burst needs limits.requestsPerSecond".into());
    }
}

/// How often one address may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second on the average.
    pub per_second: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
}

impl Limits {
    /// How often one address may ask; as often as it likes when absent. The burst is a second's worth by default.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        let per_second = self.requests_per_second.and_then(NonZeroU32::new)?;
        let burst = self.burst.and_then(NonZeroU32::new).unwrap_or(per_second);
        Some(Rate { per_second, burst })
    }
}
