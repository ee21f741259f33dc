//! Integrity of the log: the settings in the spec, and the anchor that the operator records outside of the volume.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::secrets::{SCHEDULE, TIME_ZONE};
use super::upkeep::Scrub;
use crate::quantity::Quantity;

/// How often the log is verified against the anchor, which is recorded outside of its volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Integrity {
    /// Seconds between two anchors while the log grows. If events after the newest anchor are removed from the log,
    /// this is not detected. Each anchor costs three writes to the API server; the operator delays anchors that exceed
    /// its budget of writes.
    #[serde(default = "default_anchor_interval_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub anchor_interval_seconds: i32,

    /// Seconds between two complete verifications of the log by the engine.
    #[serde(default = "default_verify_interval_seconds")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub verify_interval_seconds: i32,

    /// When the engine verifies the complete log and the complete projection. Defaults to no schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<Scrub>,

    /// Accepts a log that does not extend its anchor. Carried out once and recorded in `status.log.acceptedRollbacks`
    /// and in the log itself; has no further effect if it stays in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_rollback: Option<AcceptRollback>,
}

fn default_anchor_interval_seconds() -> i32 {
    10
}

fn default_verify_interval_seconds() -> i32 {
    86_400
}

impl Default for Integrity {
    fn default() -> Self {
        Self {
            anchor_interval_seconds: default_anchor_interval_seconds(),
            verify_interval_seconds: default_verify_interval_seconds(),
            scrub: None,
            accept_rollback: None,
        }
    }
}

/// Head of the log to accept. The message of the `LogIntegrity` condition contains the head that the engine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptRollback {
    /// Number of events in the log now. The rollback is refused if the number differs.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub size: i64,

    /// Root of the Merkle tree over those events, 64 hexadecimal digits. The rollback is refused if the root differs.
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub root: String,

    /// Why the rollback is accepted, kept for later readers of the log. Accepting the same head again requires a
    /// different reason.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}

/// When the engine seals a segment of its log and begins the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Size at which a segment is sealed, between 1Mi and 1Gi. Sealed segments are compressed.
    #[serde(default = "default_max_segment_size")]
    pub max_segment_size: Quantity,

    /// Seconds after which a segment that contains events is sealed.
    #[serde(default = "default_max_segment_age_seconds")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub max_segment_age_seconds: i32,

    /// When the active segment is sealed besides, as a cron expression with the fields minute, hour, day of the month,
    /// month and day of the week, for example `0 0 1 * *`, or `@monthly`. Numbers only; Sunday is 0. A CronJob
    /// `NAME-rotate-log` asks for it; the operator needs permission on Secrets and Jobs in this namespace. Defaults to
    /// no schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = SCHEDULE))]
    pub schedule: Option<String>,

    /// Time zone of the schedule, for example `Europe/Berlin`. Defaults to `Etc/UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: Option<String>,

    /// Whether the schedule is suspended. A Job that somebody creates runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_max_segment_size() -> Quantity {
    Quantity("64Mi".into())
}

fn default_max_segment_age_seconds() -> i32 {
    86_400
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            max_segment_size: default_max_segment_size(),
            max_segment_age_seconds: default_max_segment_age_seconds(),
            schedule: None,
            time_zone: None,
            suspend: false,
        }
    }
}

/// Position of the log and its anchor, the newest point of its history that was recorded outside of its volume. The API
/// server rejects a status that shrinks, changes or removes the anchor without an accepted rollback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogStatus {
    /// Identity of the engine's log, created at its first start.
    #[schemars(length(max = 64))]
    pub log_id: String,
    /// Sequence number of the last acknowledged event.
    #[schemars(range(min = 0))]
    pub head_seq: i64,
    /// SHA-256 of the last acknowledged event, 64 hexadecimal digits.
    #[schemars(length(max = 64))]
    pub head_hash: String,
    /// When the engine reported this position. Updated together with the anchor, and only when the log has grown.
    #[schemars(length(max = 64))]
    pub observed_at: String,
    /// Sequence number of the last event that the running engine has read back and verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub verified_through: Option<i64>,

    /// Anchor: origin of the log, as in its checkpoints. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub origin: Option<String>,
    /// Anchor: number of events it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub size: Option<i64>,
    /// Anchor: root of the Merkle tree over those events, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub root: Option<String>,
    /// Anchor: key that signed it, in the form of C2SP signed notes. Another key is accepted when this key signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub key: Option<String>,
    /// Anchor: when it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub anchored_at: Option<String>,

    #[serde(default)]
    #[schemars(schema_with = "accepted_rollbacks")]
    pub accepted_rollbacks: Vec<AcceptedRollback>,
}

/// An accepted rollback: the anchor that was given up, and the head that replaced it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedRollback {
    /// Sequence number, from 1.
    pub number: i64,
    /// Number of events that the old anchor covered; 0 when none was known.
    pub from_size: i64,
    /// Root of the old anchor; that of the empty tree when none was known.
    pub from_root: String,
    /// Number of events in the accepted log.
    pub to_size: i64,
    /// Root of the accepted log.
    pub to_root: String,
    /// Reason from `spec.integrity.acceptRollback`.
    pub reason: String,
    /// When the rollback was recorded.
    pub at: String,
}

/// Maximum number of rollbacks that can be accepted for one volume. Bounds the size of the status.
pub const ACCEPTED_ROLLBACKS_MAX: usize = 16;

/// Accepted rollbacks as a map keyed by number, so that a CEL rule can compare each entry with its old value.
fn accepted_rollbacks(_: &mut SchemaGenerator) -> Schema {
    let text = |max: u32, description: &str| json_schema!({"type": "string", "maxLength": max, "description": description});
    let number = |minimum: u32, description: &str| json_schema!({"type": "integer", "format": "int64", "minimum": minimum, "description": description});
    json_schema!({
        "type": "array",
        "description": "Accepted rollbacks of this log, oldest first. Entries are never removed.",
        "maxItems": ACCEPTED_ROLLBACKS_MAX,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["number"],
        "default": [],
        "items": {
            "type": "object",
            "description": "The anchor that was given up, and the head that replaced it.",
            "required": ["number", "fromSize", "fromRoot", "toSize", "toRoot", "reason", "at"],
            "properties": {
                "number": number(1, "Sequence number, from 1."),
                "fromSize": number(0, "Number of events that the old anchor covered; 0 when none was known."),
                "fromRoot": text(64, "Root of the old anchor; that of the empty tree when none was known."),
                "toSize": number(0, "Number of events in the accepted log."),
                "toRoot": text(64, "Root of the accepted log."),
                "reason": text(512, "Reason from spec.integrity.acceptRollback."),
                "at": text(64, "When the rollback was recorded.")
            }
        }
    })
}
