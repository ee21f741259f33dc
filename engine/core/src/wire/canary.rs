//! What the operator grants a serving engine about a canary, and what the engine reports.

use serde::{Deserialize, Serialize};

use crate::rollout::counts::Tally;

/// What the canary does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryReads {
    /// It follows the log.
    Off,
    /// It is asked what this engine has answered.
    Shadow,
    /// It answers a share of the sessions.
    Canary,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryGrant {
    /// The revision of the canary.
    pub revision: String,
    /// UID of its pod.
    pub pod: String,
    /// Base URL of its API.
    pub api: String,
    /// URL that says whether it is ready.
    pub readyz: String,
    /// What it does.
    pub reads: CanaryReads,
    /// Share of the sessions, percent.
    pub weight: u8,
    /// Whether pairs of events that a predecessor may have counted must not count.
    pub floor: bool,
    /// Shortest time between two pairs, milliseconds.
    pub pair_interval_ms: u32,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryReport {
    /// The revision of the canary; absent without a grant.
    #[serde(default)]
    pub revision: Option<String>,
    /// The share of the sessions that is in effect, percent.
    #[serde(default)]
    pub weight: u8,
    /// Whether the canary is ready.
    #[serde(default)]
    pub ready: Option<bool>,
    /// Why the canary cannot be asked.
    #[serde(default)]
    pub fault: Option<String>,
    /// Whether bad answers have taken the weight away.
    #[serde(default)]
    pub breaker_open: bool,
    /// The counts.
    #[serde(default)]
    pub tally: Tally,
}
