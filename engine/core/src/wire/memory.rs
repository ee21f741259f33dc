//! `/v1/memories` and `/v1/search`.

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
    /// The memory itself, at most 1 MiB of UTF-8.
    #[schemars(length(min = 1, max = CONTENT_BYTES_MAX), regex(pattern = TEXT_PATTERN))]
    pub content: String,
    /// A line to recognise it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TITLE_CHARS_MAX), regex(pattern = LINE_PATTERN))]
    pub title: Option<String>,
    /// What it belongs to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Kind of memory; default `note`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub kind: Option<String>,
    /// Words to find it by.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub tags: Vec<String>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
    /// When it happened, if not now. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// Since when it is true; default: when it happened, or now if that is earlier. RFC 3339, counted in microseconds.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Names of the entities it is about, at most 32: the graph leads to it from them.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MEMORY_ENTITIES_MAX), inner(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub entities: Vec<String>,
    /// What is done when a memory of the project has the same text already; default: what the engine is configured for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_text: Option<SameText>,
}

/// What is done when a memory of the project, which is true now, has the same text already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameText {
    /// The memory is saved, and the answer names the earlier one.
    #[default]
    Say,
    /// Nothing is written, and the answer is the earlier memory.
    SaveOnce,
}

/// Answer to `POST /v1/memories`: the memory is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// The memory's id, 32 hex digits.
    pub id: String,
    /// Sequence number of its event.
    pub seq: u64,
    /// Hash of its event, 64 hex digits.
    pub hash: String,
    /// Id of the earlier memory of the project with the same text, when there is one and both are true; the same as `id` when
    /// nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
}

/// Body of `POST /v1/memories/{id}/invalidate`: the memory stays and is true no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvalidateMemory {
    /// First moment at which it is not true any more; default now. RFC 3339, counted in microseconds. May lie ahead; may not
    /// lie before the memory's `valid_from`, and only before an end that is known already.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: Option<String>,
    /// Id of the memory that is true instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub superseded_by: Option<String>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// When a memory is true, as far as was known at the moment asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// First moment, in whole microseconds.
    pub from: Timestamp,
    /// First moment at which it is not true any more; absent while no end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Id of the event that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidated_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Id of the memory that is true instead.
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
    /// Title, or empty.
    pub title: String,
    /// The memory itself, as it was saved.
    pub content: String,
    /// What it belongs to.
    pub project: String,
    /// Kind of memory.
    #[serde(rename = "type")]
    pub kind: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Names of the entities it is about, in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<String>,
    /// Who said so.
    pub actor: String,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// When it is true.
    pub validity: Validity,
    /// What was said about its use, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<FeedbackSummary>,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// How memories are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// By words, meaning, and the structure memories were saved in, all together.
    #[default]
    Hybrid,
    /// By words alone; each of them has to occur.
    Lexical,
}

/// Answer to `GET /v1/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchAnswer {
    /// Best first.
    pub items: Vec<SearchHit>,
    /// How many there are in all; counting stops at 100,000. Of a hybrid search, how many were ranked.
    pub total: u64,
    /// Whether counting stopped, so that there are at least `total`.
    #[serde(default)]
    pub total_is_bound: bool,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
    /// How memories were found.
    #[serde(default)]
    pub mode: SearchMode,
    /// Version of the weights that ranked them; empty for a search by words alone.
    #[serde(default)]
    pub weights: String,
    /// Lanes that took no part, and why. The answer is right as far as it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// A lane that took no part in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Degraded {
    /// Which lane.
    pub lane: String,
    /// Why: `loading`, `too_many_projects`, `embedding` when too few memories have a vector of the outside model yet; of a service
    /// outside `embedding_` or `rerank_` and how it failed, such as `embedding_timeout`.
    pub reason: String,
}

/// One memory found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchHit {
    /// The memory's id.
    pub id: String,
    /// Sequence number of the event it comes from.
    pub seq: u64,
    /// Where it comes from, `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// Title, or empty.
    pub title: String,
    /// The part of the content around the first word that matches, at most 240 characters.
    pub snippet: String,
    /// Higher is better: a weighted sum of features between 0 and about 1, or BM25 of a search by words alone; 0 when no words were
    /// asked for.
    pub score: f64,
    /// What it belongs to.
    pub project: String,
    /// Kind of memory.
    #[serde(rename = "type")]
    pub kind: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Who said so.
    #[serde(default)]
    pub actor: String,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// When it is true.
    pub validity: Validity,
    /// Asked for with `explain=true`: each feature that is not 0, what it was and what it added to the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<BTreeMap<String, FeatureView>>,
}

/// What a feature was, and what it added to the score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FeatureView {
    /// Its value; those of lanes lie between 0 and 1 among all that were ranked.
    pub value: f64,
    /// Its value times its weight.
    pub points: f64,
}
