//! Schemas that need more than an attribute: bounded lists and maps.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    integrity::ACCEPTED_ROLLBACKS_MAX,
    patterns::{ANNOTATION_LENGTH_MAX, LABEL_VALUE, LABEL_VALUE_LENGTH_MAX, METADATA_MAX},
};

/// Conditions as a map keyed by type, so that server-side apply merges them instead of replacing the list.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "What is true of this engine now. Ready, Reconciling and Stalled follow kstatus; the others name one concern each.",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "default": [],
        "items": {
            "type": "object",
            "description": "One condition, in the form of metav1.Condition.",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 64, "description": "Name of the condition."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 64, "description": "One word from a closed list, for programs; the documentation has a page for each."},
                "message": {"type": "string", "maxLength": 4096, "description": "What is the case and what to do about it, for people."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": "The metadata.generation this condition speaks of."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "maxLength": 64, "description": "When status last changed."}
            }
        }
    })
}

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

/// Accepted rollbacks as a map keyed by number, so that a rule of the API server can follow each one.
pub(crate) fn accepted_rollbacks(_: &mut SchemaGenerator) -> Schema {
    let text = |max: u32, description: &str| json_schema!({"type": "string", "maxLength": max, "description": description});
    let number = |minimum: u32, description: &str| json_schema!({"type": "integer", "format": "int64", "minimum": minimum, "description": description});
    json_schema!({
        "type": "array",
        "description": "Every rollback of this log that somebody accepted, oldest first. Only grows.",
        "maxItems": ACCEPTED_ROLLBACKS_MAX,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["number"],
        "default": [],
        "items": {
            "type": "object",
            "description": "The anchor that was given up, and the head that took its place.",
            "required": ["number", "fromSize", "fromRoot", "toSize", "toRoot", "reason", "at"],
            "properties": {
                "number": number(1, "From 1, one more each time."),
                "fromSize": number(0, "Events the anchor covered that was given up; 0 when nothing was known."),
                "fromRoot": text(64, "Root of the anchor that was given up; of the empty tree when nothing was known."),
                "toSize": number(0, "Events of the log as it was accepted."),
                "toRoot": text(64, "Root of the log as it was accepted."),
                "reason": text(512, "Why, as spec.integrity.acceptRollback said."),
                "at": text(64, "When it was recorded.")
            }
        }
    })
}
