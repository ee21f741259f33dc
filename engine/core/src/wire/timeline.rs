//! `/v1/timeline` and `/v1/memories/{id}/history`: the memories around a point of the log, and the events about one
//! memory.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventView, Validity};

/// Answer to `GET /v1/timeline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineAnswer {
    /// Memories in log order: those before the anchor, the anchor itself if it is a memory, and those after it.
    /// Memories that are no longer valid are included.
    pub items: Vec<TimelineItem>,
    /// Index of the anchor in `items`; absent if the anchor is not a memory or was filtered out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<usize>,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// One memory of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineItem {
    /// Id of the memory.
    pub id: String,
    /// Sequence number of the memory's event.
    pub seq: u64,
    /// Citation: `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// Title; empty if it has none.
    pub title: String,
    /// Start of the content, at most 240 characters.
    pub snippet: String,
    /// Project of the memory.
    pub project: String,
    /// Memory type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Session in which it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Actor that saved the memory.
    pub actor: String,
    /// When the described event happened. RFC 3339.
    pub occurred_at: Timestamp,
    /// When the engine accepted the memory. RFC 3339.
    pub created_at: Timestamp,
    /// When the memory is valid.
    pub validity: Validity,
}

/// Answer to `GET /v1/memories/{id}/history`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HistoryAnswer {
    /// Id of the memory.
    pub id: String,
    /// Every event that saved, invalidated, rated or forgot the memory, in log order; at most 1,000.
    pub events: Vec<HistoryEvent>,
    /// Whether there are more events.
    pub more: bool,
}

/// One event about a memory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEvent {
    /// Citation: `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// The event as stored in the log; its payload is null once it was forgotten.
    #[serde(flatten)]
    pub event: EventView,
}
