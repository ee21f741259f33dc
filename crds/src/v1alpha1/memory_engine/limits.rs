//! Limits for each client address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits for each client address on the memory API, so that one misbehaving client cannot use up the capacity of the
/// others. An address is an IPv4 address or the first 64 bits of an IPv6 address; a proxy in front of the engine counts
/// as one address. The administration port is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Average number of requests per second, 1 to 1,000,000, for example `50`. Requests above it receive status 429
    /// with the seconds to wait. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: Option<i32>,

    /// Number of requests accepted at once after a pause, 1 to 1,000,000, for example `200`. Requires
    /// `requestsPerSecond`, whose value is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,

    /// Maximum number of open connections, 1 to 512. Defaults to 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub connections_per_address: Option<i32>,

    /// Seconds a connection may be idle between two requests, 5 to 3,600, for example `630` behind a proxy that keeps
    /// its connections for 600 s. Must be longer than the proxy's own idle timeout. Defaults to 75.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 3600))]
    pub keep_alive_seconds: Option<i32>,
}
