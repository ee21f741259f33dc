//! `/v1/feedback`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{ID_PATTERN, NAME_PATTERN};
use crate::limits::{NAME_CHARS_MAX, NOTE_CHARS_MAX};

/// Body of `POST /v1/feedback`: either `useful` or `rating`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveFeedback {
    /// Id of the memory.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub id: String,
    /// True counts as a rating of 1, false as one of -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub useful: Option<bool>,
    /// From -1, harmful, to 1, just what was needed; kept in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1.0, max = 1.0))]
    pub rating: Option<f64>,
    /// The search it was found by, as whoever searched names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub query_id: Option<String>,
    /// In somebody's words; forgotten together with the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NOTE_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub note: Option<String>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// What was said about the use of a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedbackSummary {
    /// How often.
    pub count: u64,
    /// Mean of the ratings in thousandths, from -1000 to 1000.
    pub mean_milli: i64,
}
