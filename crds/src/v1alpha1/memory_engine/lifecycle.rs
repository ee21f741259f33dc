//! When an engine stops, when its pod is changed, and what is left when it is deleted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secrets::{SCHEDULE, TIME_ZONE, utc};
use crate::rules::Rule;

/// Maximum number of changes that the status lists of an update.
pub const UPDATE_CHANGES_MAX: usize = 16;

/// Stops writes, and keeps evidence of the log as it is then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// Why writes are stopped, for people.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,

    /// Who asked for it.
    #[schemars(length(min = 1, max = 128))]
    pub by: String,
}

/// When a change that comes from the operator, and not from this spec, may restart the pod: usually a new version of
/// the operator with a new image. A change of this spec is always applied at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// When it is applied. An approval is always enough.
    #[serde(default)]
    pub policy: UpdatePolicy,

    /// The window of the policy `Window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<UpdateWindow>,
}

/// When a change that comes from the operator is applied to the pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdatePolicy {
    /// When the annotation `memoryengine.io/approve-update` has the hash of the update: see `status.update.pending`.
    #[default]
    OnApproval,
    /// In the window.
    Window,
    /// At once.
    Auto,
}

/// A window in which the pod may be restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateWindow {
    /// When it opens, as a cron expression with the fields minute, hour, day of the month, month and day of the week,
    /// for example `0 3 * * 0`, or `@weekly`. Numbers only; Sunday is 0.
    #[schemars(length(min = 1, max = 128), regex(pattern = SCHEDULE))]
    pub schedule: String,

    /// Time zone of the schedule, for example `Europe/Berlin`. Defaults to `Etc/UTC`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: String,

    /// How long it is open, in minutes, 5 to 1,440.
    #[serde(default = "duration_minutes")]
    #[schemars(range(min = 5, max = 1440))]
    pub duration_minutes: i32,
}

fn duration_minutes() -> i32 {
    60
}

/// What happens to the data of an engine that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The claim `NAME-data` stays, with every memory, until somebody deletes it.
    #[default]
    Retain,
    /// As `Retain`, after a last backup that is verified. Needs `backup`.
    BackupThenRetain,
    /// The claim is deleted once a last backup is verified. If that does not succeed, it is kept. Needs `backup`.
    BackupThenDelete,
}

/// How the last backup before a deletion has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionStatus {
    /// How it has ended.
    pub outcome: DeletionOutcome,
    /// Name of the MemoryBackup, if one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub backup: Option<String>,
    /// The outcome in words.
    #[schemars(length(max = 256))]
    pub message: String,
}

/// How the last backup before a deletion has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionOutcome {
    /// It was verified.
    Verified,
    /// It was taken, and not verified.
    NotVerified,
    /// None was taken.
    Skipped,
}

/// Relations of these sections.
pub(super) const RULES: [Rule; 3] = [
    Rule {
        object: "/properties/spec",
        expression: "!has(self.deletionPolicy) || self.deletionPolicy == 'Retain' || has(self.backup)",
        message: "deletionPolicy: a last backup needs backup: add it, or write Retain",
    },
    Rule {
        object: "/properties/spec/properties/update",
        expression: "self.policy != 'Window' || has(self.window)",
        message: "policy: Window needs window: add its schedule",
    },
    Rule {
        object: "/properties/spec/properties/update/properties/window",
        expression: "self.timeZone != 'Local'",
        message: "timeZone: Local depends on the machine: write a name such as Etc/UTC or Europe/Berlin",
    },
];

/// The log as it was when its writes were stopped. Kept after the fence is lifted, until the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FenceStatus {
    /// Why writes were stopped.
    #[schemars(length(max = 256))]
    pub reason: String,
    /// Who asked for it.
    #[schemars(length(max = 128))]
    pub by: String,
    /// When the operator recorded this evidence, RFC 3339.
    #[schemars(length(max = 64))]
    pub at: String,
    /// The metadata.generation of the spec that asked for it.
    #[schemars(range(min = 0))]
    pub generation: i64,
    /// Sequence number of the last event.
    #[schemars(range(min = 0))]
    pub head_seq: i64,
    /// SHA-256 of the last event, 64 hexadecimal digits.
    #[schemars(length(max = 64))]
    pub head_hash: String,
    /// Root of the Merkle tree over all events, 64 hexadecimal digits. Absent for a log without events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub root: Option<String>,
    /// Origin of the log, as in its checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub origin: Option<String>,
    /// Key that signed that root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub key: Option<String>,
    /// The signed checkpoint with that root, if the operator had it at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub checkpoint: Option<String>,
    /// Epoch of the log: how many rollbacks were accepted before.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// When the fence was lifted, RFC 3339. Absent while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub lifted_at: Option<String>,
}

/// How far a hibernation is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HibernationStatus {
    /// When the operator began, RFC 3339.
    #[schemars(length(max = 64))]
    pub since: String,
    /// What the operator did not wait for any longer, before it stopped the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub skipped: Option<String>,
}

/// Changes of the pod that come from the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStatus {
    /// The update that waits. Absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingUpdate>,
    /// The last update that was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedUpdate>,
}

/// An update that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingUpdate {
    /// Hash of the pod and the configuration that it leads to. An approval names it.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// What it changes.
    #[serde(default)]
    #[schemars(length(max = UPDATE_CHANGES_MAX), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub changes: Vec<String>,
    /// When the operator found it, RFC 3339.
    #[schemars(length(max = 64))]
    pub since: String,
    /// When the window opens next, RFC 3339. Only with the policy `Window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next_window: Option<String>,
}

/// An update that was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedUpdate {
    /// Its hash.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// When it was applied, RFC 3339.
    #[schemars(length(max = 64))]
    pub at: String,
    /// Why it was applied, and who approved it.
    #[schemars(length(max = 512))]
    pub because: String,
}
