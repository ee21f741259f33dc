//! `/v1/forget`: erases memories for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{ID_PATTERN, NAME_PATTERN};
use crate::limits::{FORGET_IDS_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX, SOURCE_CHARS_MAX};

/// Body of `POST /v1/forget`. Set either `ids`, or at least one of `project`, `session` and `source`; a memory must
/// match all that are set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetMemories {
    /// Ids of memories, 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = FORGET_IDS_MAX), inner(regex(pattern = ID_PATTERN)))]
    pub ids: Option<Vec<String>>,
    /// All memories of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// All memories of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// All memories that are pieces of this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = SOURCE_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub source: Option<String>,
    /// Reason, 1 to 1,000 characters. It stays in the log for good and must not repeat what is to be forgotten.
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: String,
    /// Only report what would be forgotten; default false.
    #[serde(
        deserialize_with = "super::object::or_default",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub dry_run: bool,
    /// Actor that requests the erasure; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Answer to `POST /v1/forget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgetAnswer {
    /// Whether this was a dry run: nothing was changed.
    pub dry_run: bool,
    /// Number of memories forgotten. A retry with the same idempotency key does not count them again.
    pub memories: u64,
    /// Number of events that invalidate or rate these memories and are forgotten with them.
    pub about: u64,
    /// Size of the forgotten contents, bytes.
    pub bytes: u64,
    /// Ids of the forgotten memories, at most the first 1,000.
    pub ids: Vec<String>,
    /// The events that record the erasure, in log order.
    pub recorded: Vec<RecordedEvent>,
    /// Whether the erasure is complete: no place of this engine is pending.
    pub complete: bool,
    /// For each place that may hold a copy: its state, and what the check found after the erasure.
    pub places: Vec<PlaceReport>,
}

/// Reference to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedEvent {
    /// Id of the event.
    pub id: String,
    /// Sequence number of the event.
    pub seq: u64,
}

/// A place that may hold a copy of a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Segments of the log.
    LogSegments,
    /// Bytes of unfinished writes that recovery set aside.
    TornBytes,
    /// Rows of the projection.
    Rows,
    /// The full-text index.
    FullText,
    /// The database files of the projection, searched byte by byte.
    DatabaseFiles,
    /// Caches in the engine's memory.
    Caches,
    /// Backups of the volume.
    Backups,
}

/// State of a place after an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    /// Nothing of the memory is left.
    Gone,
    /// Removal is in progress and finishes automatically, also after a crash.
    Pending,
    /// The search found text that equals that of a forgotten memory.
    Found,
    /// The engine has no access to this place.
    OutOfReach,
}

/// Result of checking one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceReport {
    /// The place.
    pub place: Place,
    /// State of the place.
    pub state: PlaceState,
    /// Number of files or rows changed or removed.
    pub changed: u64,
    /// Number of traces that the search found afterwards; absent when the place was not searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// Human-readable description of what was checked, and how.
    pub check: String,
}
