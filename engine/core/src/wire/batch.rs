//! `/v1/memories/batch` and `/v1/memories/entries`: many memories at once.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MemoryView, SaveMemory, Saved, Validity};
use crate::limits::{BATCH_EVENTS_MAX, ENTRIES_MAX};

/// Body of `POST /v1/memories/batch`: all of them become durable, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveMemories {
    /// 1 to 1,000, in the order they are to have in the log.
    #[serde(deserialize_with = "super::object::each")]
    #[schemars(length(min = 1, max = BATCH_EVENTS_MAX))]
    pub memories: Vec<SaveMemory>,
}

/// Answer to `POST /v1/memories/batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SavedMemories {
    /// In the order of the request.
    pub items: Vec<Saved>,
}

/// Body of `POST /v1/memories/entries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetEntries {
    /// Ids of memories, 1 to 200.
    #[schemars(length(min = 1, max = ENTRIES_MAX))]
    pub ids: Vec<String>,
    /// As they were true at this time; default now. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// As the log stood then; default as it stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<KnownAt>,
    /// Wait for this event; default everything that was durable when the request came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_seq: Option<u64>,
}

/// A state of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "known_at must be a sequence number or a time such as 2026-01-31T12:00:00Z (RFC 3339)"
)]
pub enum KnownAt {
    /// With this event as its last.
    Seq(u64),
    /// With everything accepted until then.
    Time(Timestamp),
}

/// Answer to `POST /v1/memories/entries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntriesAnswer {
    /// Those that are true at the moment asked about, in the order of the request, each once.
    pub entries: Vec<MemoryView>,
    /// Those that are true at other times.
    pub not_valid: Vec<EntryNotValid>,
    /// Ids of no memory, as far as was known.
    pub missing: Vec<String>,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// A memory that is true at other times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryNotValid {
    /// Its id.
    pub id: String,
    /// When it is true.
    pub validity: Validity,
}
