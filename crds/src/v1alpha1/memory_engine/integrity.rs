//! Whether the log is what it was: what a platform team asks for, and what the operator keeps outside of the volume.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// How often the log is checked against what was recorded of it outside of its volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Integrity {
    /// Seconds between two anchors while the log grows. Events younger than the newest anchor can be cut off unnoticed;
    /// each anchor is three writes to the API server, and the operator spreads them when there are too many.
    #[serde(default = "default_anchor_interval_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub anchor_interval_seconds: i32,

    /// Seconds between two complete verifications of the log by the engine.
    #[serde(default = "default_verify_interval_seconds")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub verify_interval_seconds: i32,

    /// Somebody's decision to go on with a log that is not what was anchored. Carried out once, recorded in
    /// `status.log.acceptedRollbacks` and in the log itself; left here it does nothing a second time.
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
            accept_rollback: None,
        }
    }
}

/// The head of the log that is accepted. The message of the condition `LogIntegrity` says what the engine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptRollback {
    /// Events the log has now. With another number nothing is accepted.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub size: i64,

    /// Root of the Merkle tree over those events, 64 hexadecimal digits. With another root nothing is accepted.
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub root: String,

    /// Why, for whoever reads the log later. Accepting the same head a second time takes another reason.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}

/// When the engine seals a segment of its log and begins the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Size from which a segment is sealed, between 1Mi and 1Gi. Sealed segments are compressed.
    #[serde(default = "default_max_segment_size")]
    pub max_segment_size: Quantity,

    /// Seconds after which a segment with events in it is sealed.
    #[serde(default = "default_max_segment_age_seconds")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub max_segment_age_seconds: i32,
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
        }
    }
}

/// Position of the log, and the anchor: the newest point of its history that was recorded outside of its volume. The API
/// server refuses to make the anchor smaller, to change it or to take it away, unless a rollback was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogStatus {
    /// Identity of the log that the engine has, minted at its first start.
    #[schemars(length(max = 64))]
    pub log_id: String,
    /// Sequence number of the last acknowledged event.
    #[schemars(range(min = 0))]
    pub head_seq: i64,
    /// SHA-256 of the last acknowledged event, 64 hexadecimal digits.
    #[schemars(length(max = 64))]
    pub head_hash: String,
    /// When the engine reported this position. Refreshed together with the anchor, and only when the log grew.
    #[schemars(length(max = 64))]
    pub observed_at: String,
    /// The engine that runs now has read back and verified every event up to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub verified_through: Option<i64>,

    /// Anchor: which log, as its checkpoints name it. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub origin: Option<String>,
    /// Anchor: events it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub size: Option<i64>,
    /// Anchor: root of the Merkle tree over those events, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub root: Option<String>,
    /// Anchor: the key that signed it, in the form of C2SP signed notes. Another key is taken when this one signs for it.
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

/// A rollback that somebody accepted: the anchor that was given up, and the head that took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedRollback {
    /// From 1, one more each time.
    pub number: i64,
    /// Events the anchor covered that was given up; 0 when nothing was known.
    pub from_size: i64,
    /// Root of the anchor that was given up; of the empty tree when nothing was known.
    pub from_root: String,
    /// Events of the log as it was accepted.
    pub to_size: i64,
    /// Root of the log as it was accepted.
    pub to_root: String,
    /// Why, as `spec.integrity.acceptRollback` said.
    pub reason: String,
    /// When it was recorded.
    pub at: String,
}

/// Rollbacks that can be accepted in the life of a volume: enough for any honest history, few enough for a status.
pub const ACCEPTED_ROLLBACKS_MAX: usize = 16;

/// Accepted rollbacks as a map keyed by number, so that a rule of the API server can follow each one.
fn accepted_rollbacks(_: &mut SchemaGenerator) -> Schema {
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
