//! Schemas that need more than an attribute: bounded lists and maps.

use schemars::{Schema, SchemaGenerator, json_schema};

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
    json_schema!({
        "type": "object",
        "description": "Labels a node must have to run the writer, for example {\"disktype\": \"ssd\"}.",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 63}
    })
}
