//! `/v1/feedback`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/feedback`: either `useful` or `rating`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveFeedback {
    /// Id of the memory.
    pub id: String,
    /// True counts as a rating of 1, false as one of -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub useful: Option<bool>,
    /// From -1, harmful, to 1, just what was needed; kept in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// The search it was found by, as whoever searched names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// In somebody's words; forgotten together with the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
