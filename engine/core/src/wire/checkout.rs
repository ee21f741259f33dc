//! `/v1/checkout`: assembles memories into a context for a prompt.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Degraded;
use super::patterns::{ID_PATTERN, NAME_PATTERN, TEXT_PATTERN};
use crate::limits::{
    CHECKOUT_LIMIT_MAX, MANDATORY_MAX, MANDATORY_TYPES_MAX, NAME_CHARS_MAX, QUERY_CHARS_MAX, TAG_CHARS_MAX,
    TAGS_MAX, TOKEN_BUDGET_MAX, TOKEN_BUDGET_MIN,
};

/// Body of `POST /v1/checkout`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutRequest {
    /// What the prompt is about, 1 to 4,096 characters.
    #[schemars(length(min = 1, max = QUERY_CHARS_MAX), regex(pattern = TEXT_PATTERN))]
    pub query: String,
    /// Only memories of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Only memories of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Only memories with at least one of these tags, at most 32; tags must match exactly.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub tags_any: Vec<String>,
    /// Only memories with all of these tags, at most 32.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub tags_all: Vec<String>,
    /// Upper bound of the context's length, tokens: 64 to 32,768; default 2,000. Tokens are counted conservatively, so
    /// that no provider counts more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = TOKEN_BUDGET_MIN, max = TOKEN_BUDGET_MAX))]
    pub token_budget: Option<u32>,
    /// Most memories to select for the query, 1 to 100; default 20. Memories ranked lower add tokens and rarely an
    /// answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = CHECKOUT_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Always include memories of these types, whatever the query; at most 8 types.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MANDATORY_TYPES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub mandatory_types: Vec<String>,
    /// Always include these memories, whatever the query; at most 64 ids.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MANDATORY_MAX), inner(regex(pattern = ID_PATTERN)))]
    pub mandatory_ids: Vec<String>,
    /// Use the memories that are valid at this time; default now. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Use the state of the log after the event with this sequence number; default the current state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<u64>,
    /// Wait until the event with this sequence number can be read; default: every event that was durable when the
    /// request arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_seq: Option<u64>,
}

/// Answer to `POST /v1/checkout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutAnswer {
    /// The context, ready to insert into a prompt: each memory with its citation, in log order. The text is stable: it
    /// stays the same as long as the memories do, and new memories are appended at its end.
    pub context: String,
    /// Length of the context, tokens. Counted conservatively: none of the tokenizers it was compared with counts more.
    pub tokens: u32,
    /// The token budget that was applied.
    pub token_budget: u32,
    /// Mandatory memories, in the order of the context.
    pub mandatory: Vec<CheckoutItem>,
    /// Memories that were selected for the query, in the order of the context.
    pub relevant: Vec<CheckoutItem>,
    /// Memories that were considered and left out, best first. Those that did not fit the budget come first; those that
    /// match the query much less than the best one, or not at all, follow with a score of 0.
    pub elided: Vec<CheckoutItem>,
    /// Memories that were found but whose text is already in the context because it was saved more than once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeated: Vec<RepeatedItem>,
    /// Whether the context is likely to contain an answer.
    pub answerability: Answerability,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
    /// Version of the weights that ranked the memories.
    pub weights: String,
    /// Retrieval lanes that were not used, and why. The answer is correct, but may miss memories that only these lanes
    /// find.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// A memory that is in a context or was left out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutItem {
    /// Id of the memory.
    pub id: String,
    /// Citation: `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// Tokens the memory takes up in a context.
    pub tokens: u32,
    /// Relevance to the query; 0 for mandatory memories, and for those left out because they do not match the query.
    pub score: f64,
}

/// A memory whose text equals that of another memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepeatedItem {
    /// Id of the memory.
    pub id: String,
    /// Citation: `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// Id of the memory with the same text: the one in the context, or the best of those left out.
    pub same_as: String,
}

/// Estimate of whether a context contains an answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answerability {
    /// 0 to 1: how much of the query is covered, in words and in meaning, by the memories in the context, mandatory
    /// ones included.
    pub score: f64,
    /// The score as a word.
    pub verdict: Verdict,
}

/// Estimate of whether a context contains an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Most of the query is covered.
    Likely,
    /// Some of the query is covered.
    Possible,
    /// Hardly any of the query is covered: better reply that the answer is not known.
    Unlikely,
}
