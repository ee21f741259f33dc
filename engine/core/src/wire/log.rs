//! `/v1/events` and `/v1/log/head`: append events, and read the log.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::patterns::{ID_PATTERN, NAME_PATTERN};
use crate::limits::{BATCH_EVENTS_MAX, CAUSES_MAX, NAME_CHARS_MAX};

/// Body of `POST /v1/events`. The batch is atomic: all of its events become durable, or none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendEvents {
    /// The events, 1 to 1,000, in the order in which they are appended.
    #[serde(deserialize_with = "super::object::each")]
    #[schemars(length(min = 1, max = BATCH_EVENTS_MAX))]
    pub events: Vec<EventRequest>,
}

/// One event to append.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// Event type, such as `task.proposed`; at most 64 characters.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub kind: String,
    /// Actor that caused the event; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
    /// Project of the event; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Session of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Ids of the events that caused it, at most 64.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CAUSES_MAX), inner(regex(pattern = ID_PATTERN)))]
    pub causes: Vec<String>,
    /// Any JSON object up to 1 MiB; kept byte for byte.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub payload: Box<RawValue>,
}

/// Answer to `POST /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Appended {
    /// Sequence number of the first event of the batch.
    pub first_seq: u64,
    /// Sequence number of the last event of the batch.
    pub last_seq: u64,
    /// Hash of the last event, 64 hex digits.
    pub hash: String,
}

/// Answer to `GET /v1/events`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// Events in log order, starting after the requested sequence number.
    pub events: Vec<EventView>,
    /// Sequence number of the last durable event of the log.
    pub head_seq: u64,
    /// Set for requests with filters: continue with `after` set to this sequence number. Events behind it were not
    /// examined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// One event as stored in the log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Sequence number, from 1.
    pub seq: u64,
    /// The event's id, 32 hex digits.
    pub id: String,
    /// When the engine accepted it.
    pub time: Timestamp,
    /// Event type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Actor that caused the event.
    pub actor: String,
    /// Project of the event.
    pub project: String,
    /// Session of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Ids of the events that caused it.
    pub causes: Vec<String>,
    /// Hash of this event, 64 hex digits.
    pub hash: String,
    /// The payload, exactly the bytes that were appended; null once it was forgotten.
    pub payload: Box<RawValue>,
}

/// Answer to `GET /v1/log/head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogHead {
    /// Id of the log. Created together with the log; never changes.
    pub log_id: String,
    /// Sequence number of the last durable event; 0 when there is none.
    pub seq: u64,
    /// Hash of that event, or of the log's header; 64 hex digits.
    pub hash: String,
}
