//! How the engine is observed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the engine is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Where the engine sends traces to. Defaults to no traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
}

/// Traces of the engine, sent to a collector in OTLP over HTTP. They contain no memories. With a NetworkPolicy of the
/// operator, the engine may then connect to the port of the collector, and to name servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// Complete URL of the collector, for example `http://collector.observability:4318/v1/traces`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^@\s/?#]+(/[^@\s]*)?$"))]
    pub endpoint: String,

    /// How many of a million traces are recorded, 0 to 1,000,000, where the caller did not decide. Defaults to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub sampling_rate_per_million: Option<i32>,
}
