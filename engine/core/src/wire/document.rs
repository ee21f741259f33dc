//! `/v1/documents`: ingests documents, which are split into memories.

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
    /// The documents, 1 to 100.
    #[serde(deserialize_with = "super::object::each")]
    #[schemars(length(min = 1, max = DOCUMENTS_MAX))]
    pub documents: Vec<Document>,
    /// Project of the documents; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Session in which the documents were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Actor that sends the documents; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// A text or Markdown document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Where the document comes from, such as a path or a URL; at most 512 characters. Replaces an earlier version with
    /// the same project and source.
    pub source: String,
    /// The complete text of the document.
    pub content: String,
    /// Title of the pieces; default the first heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Memory type of the pieces; default `document`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Tags of the pieces.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When the document was written; default now. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
}

/// Answer to `POST /v1/documents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngestAnswer {
    /// One result for each document, in the order of the request.
    pub items: Vec<Ingested>,
}

/// Result for one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ingested {
    /// Source of the document.
    pub source: String,
    /// What was done with the document.
    pub status: IngestStatus,
    /// Ids of the pieces, in the order of the document.
    pub ids: Vec<String>,
    /// Number of pieces of the previous version whose validity was ended.
    pub replaced: u64,
    /// Why the document was refused; absent unless it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<IngestError>,
}

/// What was done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IngestStatus {
    /// The document is new and was saved.
    Saved,
    /// The document replaced an earlier version; the pieces of that version are no longer valid.
    Updated,
    /// The same version was saved before; nothing was written.
    Unchanged,
    /// The document was not saved. The other documents of the request are not affected.
    Refused,
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngestError {
    /// Stable error code.
    pub code: ErrorCode,
    /// Human-readable explanation.
    pub message: String,
}
