//! `/v1/forget`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{ID_PATTERN, NAME_PATTERN};
use crate::limits::{FORGET_IDS_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX, SOURCE_CHARS_MAX};

/// Body of `POST /v1/forget`: either ids, or at least one of project, session and source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetMemories {
    /// Ids of memories, 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = FORGET_IDS_MAX), inner(regex(pattern = ID_PATTERN)))]
    pub ids: Option<Vec<String>>,
    /// All memories that belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// All memories that come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// All memories that are pieces of this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = SOURCE_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub source: Option<String>,
    /// Why. Stays in the log for good: it must not repeat what is to be forgotten.
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: String,
    /// Only say what would be forgotten.
    #[serde(
        deserialize_with = "super::object::or_default",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub dry_run: bool,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Answer to `POST /v1/forget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgetAnswer {
    /// Nothing was done.
    pub dry_run: bool,
    /// Memories that are forgotten. A repetition under the same key names none again.
    pub memories: u64,
    /// Events that end them or rate them, which are forgotten with them.
    pub about: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Ids of the memories, the first 1,000.
    pub ids: Vec<String>,
    /// The events that say so, in the order of the log.
    pub recorded: Vec<RecordedEvent>,
    /// Nothing is pending in any place of this engine.
    pub complete: bool,
    /// Each place a memory may be in, and what was found there afterwards.
    pub places: Vec<PlaceReport>,
}

/// An event by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedEvent {
    /// Id of the event.
    pub id: String,
    /// Its number.
    pub seq: u64,
}

/// A place a memory may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The segments of the log.
    LogSegments,
    /// Bytes of unfinished writes, set aside.
    TornBytes,
    /// Rows of the projection.
    Rows,
    /// Words of the full-text index.
    FullText,
    /// The files of the projection, byte by byte.
    DatabaseFiles,
    /// Copies in memory.
    Caches,
    /// Copies of the volume.
    Backups,
}

/// What is true of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    /// Nothing of it is left there.
    Gone,
    /// It goes by itself, also after a crash.
    Pending,
    /// Something was found that says the same.
    Found,
    /// This engine cannot reach it.
    OutOfReach,
}

/// One place and its check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceReport {
    /// Which.
    pub place: Place,
    /// What is true of it.
    pub state: PlaceState,
    /// Files or rows that were changed or removed.
    pub changed: u64,
    /// What a search found afterwards; absent when nothing was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// What was checked and how, for a person.
    pub check: String,
}
