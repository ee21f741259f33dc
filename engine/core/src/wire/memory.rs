//! `/v1/memories` and `/v1/search`: save, read, invalidate and search memories.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FeedbackSummary;
use super::patterns::{ID_PATTERN, LINE_PATTERN, NAME_PATTERN, TEXT_PATTERN};
use crate::limits::{
    CONTENT_BYTES_MAX, ENTITY_NAME_CHARS_MAX, MEMORY_ENTITIES_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX,
    TAG_CHARS_MAX, TAGS_MAX, TITLE_CHARS_MAX,
};

/// Body of `POST /v1/memories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveMemory {
    /// The text of the memory, at most 1 MiB of UTF-8.
    #[schemars(length(min = 1, max = CONTENT_BYTES_MAX), regex(pattern = TEXT_PATTERN))]
    pub content: String,
    /// Title, at most 120 characters in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TITLE_CHARS_MAX), regex(pattern = LINE_PATTERN))]
    pub title: Option<String>,
    /// Project of the memory; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Memory type; default `note`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub kind: Option<String>,
    /// Tags, at most 32 of 64 characters each.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub tags: Vec<String>,
    /// Session in which the memory is saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Actor that saves the memory; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
    /// When the described event happened; default now. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// Start of validity; default the earlier of `occurred_at` and now. RFC 3339, in microseconds.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Names of the entities the memory is about, at most 32. They connect the memory with the graph.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MEMORY_ENTITIES_MAX), inner(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub entities: Vec<String>,
    /// What to do if a valid memory of the project already has the same text; default: the engine's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_text: Option<SameText>,
}

/// What to do if a valid memory of the project already has the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameText {
    /// Save the memory; the answer also names the earlier one.
    #[default]
    #[serde(rename = "say")]
    SaveAndReport,
    /// Write nothing; the answer describes the earlier memory.
    SaveOnce,
}

/// Answer to `POST /v1/memories`. The memory is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// The memory's id, 32 hex digits.
    pub id: String,
    /// Sequence number of its event.
    pub seq: u64,
    /// Hash of its event, 64 hex digits.
    pub hash: String,
    /// Id of an earlier memory of the project with the same text, if there is one and both are valid; equals `id` when
    /// nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
}

/// Body of `POST /v1/memories/{id}/invalidate`: ends the validity of a memory. The memory itself is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvalidateMemory {
    /// First moment at which the memory is no longer valid; default now. RFC 3339, in microseconds. May be in the
    /// future. Must not be before the memory's `valid_from`; if an end is already set, must be before that end.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Reason, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: Option<String>,
    /// Id of the memory that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub superseded_by: Option<String>,
    /// Session in which the memory is invalidated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Actor that invalidates the memory; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Period in which a memory is valid, as known in the requested state of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// First moment at which it is valid, in microseconds. RFC 3339.
    pub from: Timestamp,
    /// First moment at which it is no longer valid; absent while no end is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Id of the event that set the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidated_by: Option<String>,
    /// Reason for the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Id of the memory that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
}

/// Answer to `GET /v1/memories/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryView {
    /// The memory's id.
    pub id: String,
    /// Sequence number of its event.
    pub seq: u64,
    /// Hash of its event, 64 hex digits.
    pub hash: String,
    /// Title; empty if it has none.
    pub title: String,
    /// The text of the memory, as it was saved.
    pub content: String,
    /// Project of the memory.
    pub project: String,
    /// Memory type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Names of the entities the memory is about, in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<String>,
    /// Actor that saved the memory.
    pub actor: String,
    /// Session in which it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When the described event happened. RFC 3339.
    pub occurred_at: Timestamp,
    /// When the engine accepted the memory. RFC 3339.
    pub created_at: Timestamp,
    /// When the memory is valid.
    pub validity: Validity,
    /// Summary of the feedback on the memory; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<FeedbackSummary>,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// How a search finds memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// Combines words, meaning, and the structure in which memories were saved.
    #[default]
    Hybrid,
    /// Words only; every word of the query must occur.
    Lexical,
}

/// Answer to `GET /v1/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchAnswer {
    /// The memories found, best first.
    pub items: Vec<SearchHit>,
    /// Total number of matches; counting stops at 100,000. For a hybrid search, the number of memories that were
    /// ranked.
    pub total: u64,
    /// Whether counting stopped early: there are at least `total` matches.
    #[serde(default)]
    pub total_is_bound: bool,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
    /// Search mode that was used.
    #[serde(default)]
    pub mode: SearchMode,
    /// Version of the weights used for ranking; empty for a lexical search.
    #[serde(default)]
    pub weights: String,
    /// Retrieval lanes that were not used, and why. The answer is correct, but may miss memories that only these lanes
    /// find.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// A retrieval lane that was not used for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Degraded {
    /// Name of the lane.
    pub lane: String,
    /// Reason: `loading`, `too_many_projects`, or `embedding` when too few memories have a vector of the external model
    /// yet. For an external service, `embedding_` or `rerank_` followed by the kind of failure, such as
    /// `embedding_timeout`.
    pub reason: String,
}

/// One memory found by a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchHit {
    /// The memory's id.
    pub id: String,
    /// Sequence number of the memory's event.
    pub seq: u64,
    /// Citation: `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// Title; empty if it has none.
    pub title: String,
    /// Excerpt of the content around the first matching word, at most 240 characters.
    pub snippet: String,
    /// Relevance, higher is better. Hybrid search: a weighted sum of features, between 0 and about 1. Lexical search:
    /// BM25. 0 for a search without a query.
    pub score: f64,
    /// Project of the memory.
    pub project: String,
    /// Memory type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Actor that saved the memory.
    #[serde(default)]
    pub actor: String,
    /// Session in which it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When the described event happened. RFC 3339.
    pub occurred_at: Timestamp,
    /// When the engine accepted the memory. RFC 3339.
    pub created_at: Timestamp,
    /// When the memory is valid.
    pub validity: Validity,
    /// Only with `explain=true`: each feature that is not 0, its value and its contribution to the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<BTreeMap<String, FeatureView>>,
}

/// Value of a ranking feature, and its contribution to the score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FeatureView {
    /// Value of the feature. Values of lanes are scaled to 0 to 1 across all ranked memories.
    pub value: f64,
    /// Value times weight.
    pub points: f64,
}
