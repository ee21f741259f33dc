//! `/v1/retrieval/weights`: weights of the ranking features.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::patterns::NAME_PATTERN;
use crate::limits::{NAME_CHARS_MAX, REASON_CHARS_MAX};
use crate::retrieval::features::NAMES;
use crate::retrieval::weights::WEIGHT_MAX;

/// Answer to `GET /v1/retrieval/weights`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightsView {
    /// Version of the weights: `default-N` for the built-in weights, otherwise the id of the event that set them.
    /// Search answers report it.
    pub version: String,
    /// Weight of each feature; features not listed have weight 0. Weights are divided by their sum before use.
    pub weights: BTreeMap<String, f64>,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// Body of `PUT /v1/retrieval/weights`: replaces all weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetWeights {
    /// A weight for each feature to use; features not listed get weight 0. The sum must be more than 0.
    #[schemars(schema_with = "weights")]
    pub weights: BTreeMap<String, f64>,
    /// Reason, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: Option<String>,
    /// Actor that sets the weights; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Schema of the weights: an object with a number for each feature.
fn weights(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "enum": NAMES.as_slice() },
        "additionalProperties": { "type": "number", "minimum": -WEIGHT_MAX, "maximum": WEIGHT_MAX },
    })
}

/// Answer to `PUT /v1/retrieval/weights`. The weights are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeightsSet {
    /// Version of the new weights.
    pub version: String,
    /// Sequence number of the event that set them.
    pub seq: u64,
    /// Hash of that event, 64 hex digits.
    pub hash: String,
}
