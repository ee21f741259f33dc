//! The MemoryBackup kind: the record of one backup. Only the operator writes it.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    definition::definition,
    patterns::{DNS_SUBDOMAIN, NAME_LENGTH_MAX},
    rules::{self, Rule},
};

/// The definition of `memorybackups.memoryengine.io`, ready to be applied.
#[must_use]
pub fn memory_backup_crd() -> Value {
    definition::<MemoryBackup>(|schema| rules::add(schema, &RULES))
}

const RULES: [Rule; 1] = [Rule {
    object: "/properties/spec",
    expression: "self == oldSelf",
    message: "spec is the record of a backup that was taken: it cannot be changed",
}];

/// A backup that was taken. The record stays when its engine is deleted: `size` and `root` are what a restore should
/// ask for with `atLeast`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "memoryengine.io",
    version = "v1alpha1",
    kind = "MemoryBackup",
    plural = "memorybackups",
    shortname = "mbak",
    category = "memory",
    namespaced,
    status = "MemoryBackupStatus",
    derive = "PartialEq",
    doc = "The record of one backup of a memory engine. The operator writes it; creating one takes no backup.",
    crates(kube_core = "kube_core"),
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Events", type_ = "integer", json_path = ".spec.size"),
    printcolumn(name = "Taken", type_ = "date", json_path = ".spec.takenAt"),
    printcolumn(name = "Verified", type_ = "date", json_path = ".status.verifiedAt"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct MemoryBackupSpec {
    /// Name of the engine.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub engine: String,

    /// Name of the backup in the archive.
    #[schemars(length(min = 1, max = 128))]
    pub backup: String,

    /// Id of the log.
    #[schemars(length(min = 1, max = 64))]
    pub log_id: String,

    /// Which archive it is in: a hash of the destination and of the name of the key-encryption key.
    #[schemars(length(min = 1, max = 64))]
    pub archive: String,

    /// Number of events.
    #[schemars(range(min = 0))]
    pub size: i64,

    /// Root of the tree over these events, 64 lower-case hexadecimal digits.
    #[schemars(length(min = 64, max = 64))]
    pub root: String,

    /// Bytes of everything that belongs to the backup.
    #[schemars(range(min = 0))]
    pub bytes: i64,

    /// Bytes that were stored for it. The rest was in the archive already.
    #[schemars(range(min = 0))]
    pub stored_bytes: i64,

    /// When it was taken, RFC 3339.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub taken_at: String,

    /// Until when its age keeps it in the archive, RFC 3339, by the rules when it was taken. The newest backups, and
    /// the newest one that was verified, stay longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub expires_at: Option<String>,

    /// Time that it took, milliseconds.
    #[schemars(range(min = 0))]
    pub duration_millis: i64,

    /// Id of the request for it. Absent if the engine took it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub request: Option<String>,
}

/// What verifications found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryBackupStatus {
    /// The metadata.generation that this status describes; -1 until the operator has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,

    /// Whether the backup was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,

    /// When a restore last verified it, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub verified_at: Option<String>,

    /// When it was last tried to verify it, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub tried_at: Option<String>,

    /// The pod that tried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = NAME_LENGTH_MAX))]
    pub tried_by: Option<String>,

    /// Time from the beginning of that restore until the engine could have served, milliseconds: the recovery time
    /// objective (RTO) that can be promised for this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub restore_millis: Option<i64>,

    /// What was found, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Whether a backup was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupPhase {
    /// It was taken, and never restored. It does not count as a backup yet.
    #[default]
    Taken,
    /// A restore gave exactly the log that was backed up.
    Verified,
    /// A restore failed, or gave something else.
    Failed,
}
