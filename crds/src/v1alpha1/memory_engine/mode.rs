//! The wanted mode, and when an engine turns its reads off by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What clients of the engine may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EngineMode {
    /// Memories are read and written.
    #[default]
    ReadWrite,
    /// Memories are written. Reads are refused with status 503 and code `READS_OFF`.
    WriteOnly,
    /// Memories are read. Writes are refused with status 503 and code `WRITES_OFF`.
    ReadOnly,
    /// Both are refused. Health, metrics and proofs of the log stay available. Write it in quotes: without them, YAML
    /// takes the word for a boolean.
    Off,
}

/// When the engine turns its reads off because something that they need fails, and when it turns them on again. Writes
/// go on meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Whether the engine turns reads off by itself. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// Failures of one dependency in a row that turn reads off, 1 to 100. Defaults to 3. Refused credentials do so at
    /// once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub consecutive_failures: Option<i32>,

    /// A call of a dependency that takes longer than these milliseconds is slow, 10 to 60,000. Defaults to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub slow_millis: Option<i32>,

    /// How many of the last calls are judged, 2 to 100: reads are turned off if more than half of them are slow and a
    /// probe is slow too. Defaults to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 100))]
    pub slow_window: Option<i32>,

    /// Fewest calls that can be judged, 1 to 100, at most `slowWindow`. Defaults to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub slow_samples_min: Option<i32>,

    /// Calls that ended more than these seconds ago are not judged, 1 to 86,400. Defaults to 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub slow_max_age_seconds: Option<i32>,

    /// Seconds that reads stay off before the first probe, plus or minus a tenth, 1 to 86,400. Defaults to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub hold_seconds: Option<i32>,

    /// Longest hold in seconds, 1 to 86,400, not below `holdSeconds`: each probe that fails doubles the hold up to it.
    /// Defaults to 3,600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub hold_max_seconds: Option<i32>,

    /// Milliseconds within which every dependency must answer a probe, 10 to 10,000. Defaults to 150. If slowMillis is
    /// longer, that time counts: what is not slow passes a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 10_000))]
    pub probe_budget_millis: Option<i32>,

    /// Probes in a row that turn reads on, 1 to 100. Defaults to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub probe_successes: Option<i32>,

    /// Milliseconds between two of these probes, 10 to 60,000. Defaults to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub probe_interval_millis: Option<i32>,

    /// Seconds without reads after which the engine probes itself, 1 to 86,400. Defaults to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_probe_seconds: Option<i32>,
}
