//! What the operator reports about a MemoryEngine.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    access::ACCESS_KEYS_MAX,
    backup::{BackupStatus, RestoredStatus},
    integrity::LogStatus,
    lifecycle::{DeletionStatus, FenceStatus, HibernationStatus, UpdateStatus},
    mode::EngineMode,
    readers::ReadersStatus,
    rollout::RolloutStatus,
    secrets::SecretStatus,
    tls::TlsStatus,
    upkeep::{RetentionStatus, UpkeepStatus},
};

/// Maximum number of references to Secrets: two of each key of a client, the tokens of the administrator and of
/// readers, two services, and two stores with two credentials and a key each.
const SECRETS_MAX: usize = 2 * ACCESS_KEYS_MAX + 10;

/// Observed state of the engine. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryEngineStatus {
    /// The metadata.generation that this status describes; -1 until the operator has reconciled the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,

    /// Summary in one word, for people. Programs should read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// Version that the running engine reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,

    /// The mode in effect, as the engine last reported it: what `spec.mode` wants, as far as the guard and the holds of
    /// persons allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_mode: Option<EngineMode>,

    /// Addresses of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// Position of the log as last reported by the engine, and its anchor. Never removed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogStatus>,

    /// State of the projection, which answers searches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection: Option<ProjectionStatus>,

    /// State of the log's volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,

    /// The pods that answer reads beside the writer. Absent without `spec.readers.replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers: Option<ReadersStatus>,

    /// How far the rollout of a revision is. Absent without `spec.rollout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,

    /// Certificates of the ports. Absent without `spec.tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,

    /// The Secrets that the spec refers to, and whether they can be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = SECRETS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reference"])
    )]
    pub secrets: Vec<SecretStatus>,

    /// Evidence of the log from the last time that its writes were stopped with `spec.fence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<FenceStatus>,

    /// How far the hibernation is. Absent without `spec.hibernate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hibernation: Option<HibernationStatus>,

    /// Backups. Absent without `spec.backup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,

    /// From what the log was restored. Absent if it was not. Never removed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredStatus>,

    /// Retention by schedule. Absent without `spec.retention.schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionStatus>,

    /// Tasks that are done on a schedule, each with its last run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 3),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["task"])
    )]
    pub upkeep: Vec<UpkeepStatus>,
    /// How the last backup before the deletion has ended. Absent while the resource is not being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DeletionStatus>,

    /// Changes of the pod that come from the operator and not from the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateStatus>,

    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// State of an engine in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Objects are being created, or the pod has not started yet.
    Pending,
    /// Serving, as the spec requires.
    Running,
    /// Serving, while a change is being applied.
    Updating,
    /// Serving in part: reads or writes do not work.
    Degraded,
    /// Without a pod, because the spec wants it so. Every memory is kept.
    Hibernated,
    /// Stopped until someone acts; the `Stalled` condition tells what to do.
    Failed,
}

/// Addresses of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Base URL of the memory API, for example `http://notes.team-a.svc:8080`.
    #[schemars(length(max = 256))]
    pub api: String,
    /// Base URL of the memory API for clients outside of the cluster, while they can reach it: see the condition
    /// `Exposed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub public: Option<String>,
}

/// State of the projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionStatus {
    /// Sequence number of the last event that searches can find.
    #[schemars(range(min = 0))]
    pub applied_seq: i64,
    /// Number of events in the log that searches cannot find yet.
    #[schemars(range(min = 0))]
    pub lag: i64,
    /// When every row was last verified against the digest of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub checked_at: Option<String>,
    /// Present while a new projection is built from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<ProjectionRebuild>,
    /// When the engine reported this. Updated at most every 10 seconds, and only when a value has changed.
    #[schemars(length(max = 64))]
    pub observed_at: String,
}

/// Progress of building a new projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionRebuild {
    /// Sequence number of the last event in the new projection.
    #[schemars(range(min = 0))]
    pub applied_seq: i64,
    /// Sequence number that it must reach.
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
    /// Name of the PersistentVolumeClaim of the log. It is kept when the engine is deleted.
    #[schemars(length(max = 253))]
    pub claim: String,
    /// Requested size.
    #[schemars(length(max = 32))]
    pub requested: String,
    /// Actual size of the volume; less than `requested` while it is being expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub capacity: Option<String>,
}

/// Conditions as a map keyed by type, so that server-side apply merges them instead of replacing the list.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "Conditions of this engine. Ready, Reconciling and Stalled follow kstatus; each of the others covers one aspect.",
        "maxItems": 24,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "default": [],
        "items": {
            "type": "object",
            "description": "A condition, in the form of metav1.Condition.",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 64, "description": "Type of the condition."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Reason in one word from a closed list, for programs; each is documented."},
                "message": {"type": "string", "maxLength": 4096, "description": "Current state and what to do about it, for people."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": "The metadata.generation that this condition describes."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "maxLength": 64, "description": "When status last changed."}
            }
        }
    })
}
