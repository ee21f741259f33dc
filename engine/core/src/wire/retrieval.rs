//! `/v1/retrieval/weights`.

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
    /// Which weights these are: `default-N` for those of the program, the id of the event that set them for others. Answers to
    /// searches name it.
    pub version: String,
    /// What each feature counts; those that are not here count nothing. They are divided by their sum when they are used.
    pub weights: BTreeMap<String, f64>,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// Body of `PUT /v1/retrieval/weights`: these and no others count from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetWeights {
    /// A number for each feature that counts. Their sum must be more than 0.
    #[schemars(schema_with = "weights")]
    pub weights: BTreeMap<String, f64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Numbers by the names of features.
fn weights(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "enum": NAMES.as_slice() },
        "additionalProperties": { "type": "number", "minimum": -WEIGHT_MAX, "maximum": WEIGHT_MAX },
    })
}

/// The weights are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeightsSet {
    /// Their version.
    pub version: String,
    /// Sequence number of the event that set them.
    pub seq: u64,
    /// Hash of that event, 64 hex digits.
    pub hash: String,
}
