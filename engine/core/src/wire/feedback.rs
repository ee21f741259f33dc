//! `/v1/feedback`: ratings of memories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{ID_PATTERN, NAME_PATTERN};
use crate::limits::{NAME_CHARS_MAX, NOTE_CHARS_MAX};

/// Body of `POST /v1/feedback`. Set either `useful` or `rating`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveFeedback {
    /// Id of the memory.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub id: String,
    /// Whether the memory was useful: true is a rating of 1, false a rating of -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub useful: Option<bool>,
    /// Rating from -1 (harmful) to 1 (exactly what was needed), stored in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1.0, max = 1.0))]
    pub rating: Option<f64>,
    /// Your own id of the search that found the memory, at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub query_id: Option<String>,
    /// Free-text comment, at most 1,000 characters; forgotten together with the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NOTE_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub note: Option<String>,
    /// Session in which the feedback was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Actor that gives the feedback; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Summary of the feedback on a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedbackSummary {
    /// Number of ratings.
    pub count: u64,
    /// Mean of the ratings, thousandths: -1000 to 1000.
    pub mean_milli: i64,
}
