//! Schemas shared by several kinds that an attribute cannot express: bounded maps.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::patterns::{ANNOTATION_LENGTH_MAX, LABEL_VALUE, LABEL_VALUE_LENGTH_MAX, METADATA_MAX};

/// Node labels that a pod requires.
pub(crate) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    label_map(16, "Labels a node must have to run the writer, for example {\"disktype\": \"ssd\"}.")
}

/// Labels that an object must have.
pub(crate) fn match_labels(_: &mut SchemaGenerator) -> Schema {
    label_map(
        8,
        "Labels and their values, for example {\"app\": \"assistant\"}; an object must have all of them.",
    )
}

/// Labels added to an object.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    label_map(
        METADATA_MAX,
        "Labels to add, for example {\"team\": \"search\"}. Keys that the operator sets cannot be overridden.",
    )
}

/// Annotations added to an object.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "Annotations to add, for example {\"example.org/owner\": \"search\"}. Keys that the operator sets cannot be overridden.",
        "maxProperties": METADATA_MAX,
        "additionalProperties": {"type": "string", "maxLength": ANNOTATION_LENGTH_MAX}
    })
}

/// Claims of a token with their values.
pub(crate) fn claims(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "Claims that a token needs, with their exact values, for example {\"tenant\": \"one\"}. A name that begins with / is a JSON Pointer.",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 512}
    })
}

fn label_map(max: u32, description: &str) -> Schema {
    json_schema!({
        "type": "object",
        "description": description,
        "maxProperties": max,
        "additionalProperties": {
            "type": "string", "maxLength": LABEL_VALUE_LENGTH_MAX, "pattern": LABEL_VALUE,
        }
    })
}
