//! What the operator reports about a MemoryEngine.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::integrity::LogStatus;

/// What the operator last saw. Written by the operator only; every figure is from after its check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryEngineStatus {
    /// The metadata.generation this status speaks of; -1 until the operator has seen the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,

    /// One word for people. Programs read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// Version the running engine reports about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,

    /// Where programs in the cluster reach this engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// The log as the engine last reported it, and what was recorded of it outside of its volume. Once there, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogStatus>,

    /// The projection, which answers searches: how far it is behind the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection: Option<ProjectionStatus>,

    /// The volume of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,

    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// One word on the state of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Objects are being made, or the pod is not up yet.
    Pending,
    /// Serving, and everything is as the spec wants it.
    Running,
    /// Serving, while a change is being carried out.
    Updating,
    /// Serving in part: reads or writes do not work.
    Degraded,
    /// Nothing will change until somebody acts; the Stalled condition says what to do.
    Failed,
}

/// Addresses inside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Base URL of the memory API, for example `http://notes.team-a.svc:8080`.
    #[schemars(length(max = 256))]
    pub api: String,
}

/// Position of the projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionStatus {
    /// Sequence number of the last event that searches can find.
    #[schemars(range(min = 0))]
    pub applied_seq: i64,
    /// Events of the log that searches cannot find yet.
    #[schemars(range(min = 0))]
    pub lag: i64,
    /// When every row was last checked against the digest of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub checked_at: Option<String>,
    /// There while a new projection is built from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<ProjectionRebuild>,
    /// When the engine reported this. Refreshed at most every 10 seconds, and only when something moved.
    #[schemars(length(max = 64))]
    pub observed_at: String,
}

/// How far a new projection is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionRebuild {
    /// Sequence number of the last event in it.
    #[schemars(range(min = 0))]
    pub applied_seq: i64,
    /// Sequence number it has to get to.
    #[schemars(range(min = 0))]
    pub head_seq: i64,
    /// Why it is built.
    #[schemars(length(max = 256))]
    pub reason: String,
}

/// State of the volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// Name of the PersistentVolumeClaim that holds the log. It is kept when the engine is deleted.
    #[schemars(length(max = 253))]
    pub claim: String,
    /// Size asked for.
    #[schemars(length(max = 32))]
    pub requested: String,
    /// Size the volume has now; smaller than `requested` while it grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub capacity: Option<String>,
}

/// Conditions as a map keyed by type, so that server-side apply merges them instead of replacing the list.
fn conditions(_: &mut SchemaGenerator) -> Schema {
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
