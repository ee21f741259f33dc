//! What one address may do.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_yaml::Mapping;

use super::whole;
use crate::api::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_DEFAULT, REST_DEFAULT, Rate};

/// Bounds on one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How often it may ask; as often as it likes when absent.
    pub(crate) rate: Option<Rate>,
    /// Connections it may have open at one time.
    pub(crate) connections_per_address: usize,
    /// How long a connection may rest between two requests.
    pub(crate) rest: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rate: None, connections_per_address: CONNECTIONS_PER_ADDRESS_DEFAULT, rest: REST_DEFAULT }
    }
}

/// Requests a second that somebody may allow: more than any engine answers.
const RATE_MAX: u64 = 1_000_000;

/// How long a connection may rest between two requests, seconds. What rests holds a place that others need.
const REST_SECONDS: RangeInclusive<u64> = 5..=3600;

pub(super) fn read(section: &Mapping, faults: &mut Vec<String>) -> Limits {
    let mut number = |key, max| whole(section, "limits", key, 1..=max, faults);
    let small = |number: u64| u32::try_from(number).ok().and_then(NonZeroU32::new);
    let (per_second, burst) = (number("requestsPerSecond", RATE_MAX), number("burst", RATE_MAX));
    let connections = number("connectionsPerAddress", CONNECTIONS_MAX as u64);
    let rest = whole(section, "limits", "keepAliveSeconds", REST_SECONDS, faults);
    if burst.is_some() && per_second.is_none() {
        faults.push("limits.burst needs limits.requestsPerSecond".into());
    }
    Limits {
        rate: per_second
            .and_then(small)
            // A second's worth at once, when nothing is said.
            .map(|per_second| Rate { per_second, burst: burst.and_then(small).unwrap_or(per_second) }),
        connections_per_address: connections
            .and_then(|connections| connections.try_into().ok())
            .unwrap_or(CONNECTIONS_PER_ADDRESS_DEFAULT),
        rest: rest.map_or(REST_DEFAULT, Duration::from_secs),
    }
}
