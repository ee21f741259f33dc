//! `/v1/events` and `/v1/log/head`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::patterns::{ID_PATTERN, NAME_PATTERN};
use crate::limits::{BATCH_EVENTS_MAX, CAUSES_MAX, NAME_CHARS_MAX};

/// Body of `POST /v1/events`: all of them become durable, or none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendEvents {
    /// In the order they are to have in the log.
    #[serde(deserialize_with = "super::object::each")]
    #[schemars(length(min = 1, max = BATCH_EVENTS_MAX))]
    pub events: Vec<EventRequest>,
}

/// One event to append.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// Kind of event, such as `task.proposed`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub kind: String,
    /// Who did it; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
    /// What it belongs to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Ids of the events it follows from.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CAUSES_MAX), inner(regex(pattern = ID_PATTERN)))]
    pub causes: Vec<String>,
    /// Any JSON object; kept byte for byte.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub payload: Box<RawValue>,
}

/// Answer to `POST /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Appended {
    /// Sequence number of the first event of the batch.
    pub first_seq: u64,
    /// Sequence number of the last one.
    pub last_seq: u64,
    /// Hash of the last one, 64 hex digits.
    pub hash: String,
}

/// Answer to `GET /v1/events`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// In log order, starting after the sequence number asked for.
    pub events: Vec<EventView>,
    /// Sequence number of the last durable event of the log.
    pub head_seq: u64,
    /// With filters: the event to go on after. Behind it nothing was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// One event as it stands in the log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Sequence number, from 1.
    pub seq: u64,
    /// The event's id, 32 hex digits.
    pub id: String,
    /// When the engine accepted it.
    pub time: Timestamp,
    /// Kind of event.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// What it belongs to.
    pub project: String,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Ids of the events it follows from.
    pub causes: Vec<String>,
    /// Hash of this event, 64 hex digits.
    pub hash: String,
    /// Exactly the bytes that were appended; null when they were forgotten.
    pub payload: Box<RawValue>,
}

/// Answer to `GET /v1/log/head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogHead {
    /// Minted when the log was created.
    pub log_id: String,
    /// Sequence number of the last durable event; 0 when there is none.
    pub seq: u64,
    /// Hash of that event, or of the log's header; 64 hex digits.
    pub hash: String,
}
