//! `/v1/timeline` and `/v1/memories/{id}/history`: what happened around a memory, and to it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventView, Validity};

/// Answer to `GET /v1/timeline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineAnswer {
    /// In the order of the log: those before the anchor, the anchor if it is a memory, those after it. Also memories that are
    /// true no longer: a timeline tells what was said.
    pub items: Vec<TimelineItem>,
    /// Where in `items` the anchor is; absent when it is no memory, or is filtered out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<usize>,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// One memory of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineItem {
    /// The memory's id.
    pub id: String,
    /// Sequence number of its event.
    pub seq: u64,
    /// Where it comes from, `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// Title, or empty.
    pub title: String,
    /// The start of the content, at most 240 characters.
    pub snippet: String,
    /// What it belongs to.
    pub project: String,
    /// Kind of memory.
    #[serde(rename = "type")]
    pub kind: String,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Who said so.
    pub actor: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// When it is true.
    pub validity: Validity,
}

/// Answer to `GET /v1/memories/{id}/history`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HistoryAnswer {
    /// The memory's id.
    pub id: String,
    /// Every event that saved, ended, rated or forgot it, in the order of the log, at most 1,000.
    pub events: Vec<HistoryEvent>,
    /// There are more.
    pub more: bool,
}

/// One event about a memory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEvent {
    /// `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// The event as it stands in the log; its payload is null once it is forgotten.
    #[serde(flatten)]
    pub event: EventView,
}
