//! What one address may ask of an engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one address may ask of the memory API, so that one client that runs wild leaves the others their share. An address is
/// an IPv4 address or the first 64 bits of an IPv6 address; a proxy in front of the engine is one address. The
/// administration port is not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests a second on the average, 1 to 1,000,000, for example `50`. What exceeds them is answered 429 with the seconds
    /// to wait. Left out, as many as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: Option<i32>,

    /// Requests that may come at once after a pause, 1 to 1,000,000, for example `200`. Only with `requestsPerSecond`; left
    /// out, as many as in one second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,

    /// Connections that may be open at one time, 1 to 512. Left out, the engine's default of 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub connections_per_address: Option<i32>,

    /// Seconds a connection may be idle between two requests, 5 to 3,600, for example `630` behind a proxy that keeps
    /// its connections for 600 s. Must be longer than the proxy's own time. Left out, the engine's default of 75.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 3600))]
    pub keep_alive_seconds: Option<i32>,
}
