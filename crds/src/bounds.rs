//! Schemas that need more than an attribute and that kinds share: bounded maps.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::patterns::{ANNOTATION_LENGTH_MAX, LABEL_VALUE, LABEL_VALUE_LENGTH_MAX, METADATA_MAX};

/// Node labels a pod asks for.
pub(crate) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    label_map(16, "Labels a node must have to run the writer, for example {\"disktype\": \"ssd\"}.")
}

/// Labels an object must have.
pub(crate) fn match_labels(_: &mut SchemaGenerator) -> Schema {
    label_map(8, "Labels and their values, for example {\"app\": \"assistant\"}; all have to be there.")
}

/// Labels that are added to an object.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    label_map(
        METADATA_MAX,
        "Labels to add, for example {\"team\": \"search\"}. Those of the operator cannot be changed.",
    )
}

/// Annotations that are added to an object.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "Annotations to add, for example {\"example.org/owner\": \"search\"}. Those of the operator cannot be changed.",
        "maxProperties": METADATA_MAX,
        "additionalProperties": {"type": "string", "maxLength": ANNOTATION_LENGTH_MAX}
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
