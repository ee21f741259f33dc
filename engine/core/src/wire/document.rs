//! `/v1/documents`: texts that are split into memories.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ErrorCode;
use super::patterns::NAME_PATTERN;
use crate::limits::{DOCUMENTS_MAX, NAME_CHARS_MAX};

/// Body of `POST /v1/documents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestDocuments {
    /// 1 to 100.
    #[serde(deserialize_with = "super::object::each")]
    #[schemars(length(min = 1, max = DOCUMENTS_MAX))]
    pub documents: Vec<Document>,
    /// What they belong to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// The conversation they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Who sends them; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// A text or Markdown document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Where it is, such as a path or a URL: a document of the same project and source replaces it.
    pub source: String,
    /// All of it.
    pub content: String,
    /// Title of its pieces; default the first heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Kind of memory; default `document`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Words to find its pieces by.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it was written, if not now.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
}

/// Answer to `POST /v1/documents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngestAnswer {
    /// One for each document, in the order of the request.
    pub items: Vec<Ingested>,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ingested {
    /// Its source.
    pub source: String,
    /// What was done.
    pub status: IngestStatus,
    /// Ids of its pieces, in order.
    pub ids: Vec<String>,
    /// Pieces of the version before that were ended.
    pub replaced: u64,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<IngestError>,
}

/// What was done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IngestStatus {
    /// It is new.
    Saved,
    /// Its pieces took the place of those of another version, which are true no longer.
    Updated,
    /// It is there already.
    Unchanged,
    /// It is not there; the others are.
    Refused,
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngestError {
    /// Stable.
    pub code: ErrorCode,
    /// For a person.
    pub message: String,
}
