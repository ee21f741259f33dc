//! `/v1/checkout`: memories for a prompt.

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
    /// What the prompt is about; 1 to 4,096 characters.
    #[schemars(length(min = 1, max = QUERY_CHARS_MAX), regex(pattern = TEXT_PATTERN))]
    pub query: String,
    /// Only memories of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Only memories of this conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Only memories that have at least one of these tags, letter by letter.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub tags_any: Vec<String>,
    /// Only memories that have every one of these tags.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub tags_all: Vec<String>,
    /// Most tokens of the context, 64 to 32,768; default 2,000. Counted so that no provider counts more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = TOKEN_BUDGET_MIN, max = TOKEN_BUDGET_MAX))]
    pub token_budget: Option<u32>,
    /// Most memories that were found for the query, 1 to 100; default 20. What is behind them adds tokens and hardly ever an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = CHECKOUT_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Memories of these types go in whatever the query is, at most 8 types.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MANDATORY_TYPES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub mandatory_types: Vec<String>,
    /// These memories go in whatever the query is, at most 64.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MANDATORY_MAX), inner(regex(pattern = ID_PATTERN)))]
    pub mandatory_ids: Vec<String>,
    /// As it was true then, instead of now. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// As it was known after this event, instead of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<u64>,
    /// Waits for this event; default: everything that was durable when the request came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_seq: Option<u64>,
}

/// Answer to `POST /v1/checkout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutAnswer {
    /// The context, ready to be put into a prompt: each memory with its citation, in the order of the log. As long as the memories are
    /// the same it is the same text, and new ones stand at its end.
    pub context: String,
    /// Tokens of the context, counted so that none of the tokenizers compared with counts more.
    pub tokens: u32,
    /// Tokens there were.
    pub token_budget: u32,
    /// Memories that had to go in, in the order of the context.
    pub mandatory: Vec<CheckoutItem>,
    /// Memories that were found for the query and went in, in the order of the context.
    pub relevant: Vec<CheckoutItem>,
    /// Memories that were looked at and left out, best first: those that did not fit, and behind them, with a score of 0, those that
    /// match the query much less than the best one, or not at all.
    pub elided: Vec<CheckoutItem>,
    /// Memories that were found and whose text stands in the context already, saved another time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeated: Vec<RepeatedItem>,
    /// Whether the context is likely to hold an answer.
    pub answerability: Answerability,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
    /// Version of the weights that ranked the memories.
    pub weights: String,
    /// Lanes that took no part, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// A memory of a context, or one that was left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutItem {
    /// The memory's id.
    pub id: String,
    /// Where it comes from, `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// What it costs, tokens.
    pub tokens: u32,
    /// How well it fits the query; 0 for what had to go in, and for what was left out because it says something else.
    pub score: f64,
}

/// A memory with the text of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepeatedItem {
    /// The memory's id.
    pub id: String,
    /// Where it comes from, `SEQ:HASH` with the first 12 hex digits of the event's hash.
    pub citation: String,
    /// Id of the memory that has the same text and went in, or was left out as the one that fits best.
    pub same_as: String,
}

/// Whether a context is likely to hold an answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answerability {
    /// 0 to 1: how much of what the query asks for occurs in the memories that went in, those that had to among them, in words and in meaning.
    pub score: f64,
    /// The same in a word.
    pub verdict: Verdict,
}

/// Whether a context is likely to hold an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Most of it does.
    Likely,
    /// Some of it does.
    Possible,
    /// Hardly any: say that it is not known.
    Unlikely,
}
