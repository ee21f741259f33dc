//! `/v1/memories/batch` and `/v1/memories/entries`: save or read many memories in one request.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MemoryView, SaveMemory, Saved, Validity};
use crate::limits::{BATCH_EVENTS_MAX, ENTRIES_MAX};

/// Body of `POST /v1/memories/batch`. The batch is atomic: all of its memories become durable, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveMemories {
    /// The memories, 1 to 1,000, in the order in which they are appended to the log.
    #[serde(deserialize_with = "super::object::each")]
    #[schemars(length(min = 1, max = BATCH_EVENTS_MAX))]
    pub memories: Vec<SaveMemory>,
}

/// Answer to `POST /v1/memories/batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SavedMemories {
    /// One result for each memory, in the order of the request.
    pub items: Vec<Saved>,
}

/// Body of `POST /v1/memories/entries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetEntries {
    /// Ids of memories, 1 to 200.
    #[schemars(length(min = 1, max = ENTRIES_MAX))]
    pub ids: Vec<String>,
    /// Return the memories that are valid at this time; default now. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Read the state of the log at this point; default the current state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<KnownAt>,
    /// Wait until the event with this sequence number can be read; default: every event that was durable when the
    /// request arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_seq: Option<u64>,
}

/// A past state of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "known_at must be a sequence number or a time such as 2026-01-31T12:00:00Z (RFC 3339)"
)]
pub enum KnownAt {
    /// Up to and including the event with this sequence number.
    Seq(u64),
    /// Up to and including the events accepted by this time. RFC 3339.
    Time(Timestamp),
}

/// Answer to `POST /v1/memories/entries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntriesAnswer {
    /// Memories that are valid at the requested time, in the order of the request, without duplicates.
    pub entries: Vec<MemoryView>,
    /// Memories that exist but are not valid at the requested time.
    pub not_valid: Vec<EntryNotValid>,
    /// Ids for which no memory exists in the requested state of the log.
    pub missing: Vec<String>,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// A memory that is not valid at the requested time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryNotValid {
    /// Id of the memory.
    pub id: String,
    /// When the memory is valid.
    pub validity: Validity,
}
