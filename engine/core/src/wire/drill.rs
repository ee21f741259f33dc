//! Faults that a drill injects into an engine: `POST /drill/fault`, and what `GET /health` says of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest time of a fault, seconds.
pub const DRILL_FAULT_SECONDS_MAX: u64 = 60;

/// How calls of the embedding service end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillFaultKind {
    /// As if it had refused the credentials, with status 401.
    Authentication,
    /// As if it had failed, with status 503.
    Failure,
}

impl DrillFaultKind {
    pub const ALL: [DrillFaultKind; 2] = [DrillFaultKind::Authentication, DrillFaultKind::Failure];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DrillFaultKind::Authentication => "authentication",
            DrillFaultKind::Failure => "failure",
        }
    }
}

/// Body of `POST /drill/fault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectFault {
    /// How calls of the embedding service end.
    pub kind: DrillFaultKind,
    /// How long, 1 to 60 seconds.
    pub seconds: u64,
}

/// Whether faults can be injected, and the one that lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillFaultsHealth {
    /// Whether the engine was started with `--allow-drill-faults`.
    pub allowed: bool,
    /// The fault that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ActiveFault>,
}

/// A fault that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveFault {
    /// How calls end.
    pub kind: DrillFaultKind,
    /// Until when. RFC 3339.
    pub until: Timestamp,
}
