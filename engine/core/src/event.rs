//! Types of events, drafts of events that are not yet in the log, and the payloads of the engine's event types.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::{Hash, Salt};

/// Event type: a memory was saved. Clients write it only through `POST /v1/memories`.
pub const MEMORY_SAVED: &str = "memory.saved";
/// Event type: the validity of a memory ended. Clients write it only through `POST /v1/memories/{id}/invalidate`.
pub const MEMORY_INVALIDATED: &str = "memory.invalidated";

/// Event type: payloads of other events were removed; see [`ForgottenPayload`]. Its own payload is never removed.
pub const MEMORY_FORGOTTEN: &str = "memory.forgotten";

/// Event type: a memory was rated. Clients write it only through `POST /v1/feedback`.
pub const MEMORY_FEEDBACK: &str = "memory.feedback";

/// Event type: a retention run removed memories; see [`crate::retention::RetentionPayload`].
pub const RETENTION_APPLIED: &str = "retention.applied";

/// Event type: the key that signs checkpoints was rotated. Payload: `{old, new}`, both verifier keys.
pub const LOG_KEY_ROTATED: &str = "log.key_rotated";

/// Event type: the key for the pseudonym tokens of this log was set; see [`PseudonymsKeyedPayload`]. Written before the
/// first token.
pub const LOG_PSEUDONYMS_KEYED: &str = "log.pseudonyms_keyed";

/// Event type: an administrator accepted a log that is shorter than recorded; see [`crate::wire::AcceptedRollback`].
pub const LOG_ROLLBACK_ACCEPTED: &str = "log.rollback_accepted";

/// Event type: the log was restored from an archive; see [`LogRestored`]. What follows is a new branch if the archive
/// had later events.
pub const LOG_RESTORED: &str = "log.restored";

/// Event type: the mode, or the guard's state, changed; see [`crate::guard::Record`].
pub const GUARD_TRANSITION: &str = "guard.transition";

/// Event type: the weights of the ranking features were replaced. Payload: `{weights: {NAME: NUMBER}, reason?}`.
pub const RETRIEVAL_WEIGHTS_SET: &str = "retrieval.weights_set";
/// Event type: an item was given a value; see [`crate::item::ItemPayload`].
pub const ITEM_PUT: &str = "item.put";
/// Event type: an item was deleted; see [`crate::item::ItemDeletedPayload`].
pub const ITEM_DELETED: &str = "item.deleted";
/// Event type: the expiry of an item version was extended; see [`crate::item::ItemRefreshedPayload`].
pub const ITEM_REFRESHED: &str = "item.refreshed";

/// Event type: an entity was created; see [`crate::graph::EntityPayload`].
pub const ENTITY_PUT: &str = "entity.put";
/// Event type: observations about an entity were added; see [`crate::graph::ObservationsPayload`].
pub const ENTITY_OBSERVED: &str = "entity.observed";
/// Event type: an entity, its observations and its relations were ended; see [`crate::graph::EntityEndPayload`].
pub const ENTITY_ENDED: &str = "entity.ended";
/// Event type: observations were ended; see [`crate::graph::ObservationsEndPayload`].
pub const OBSERVATION_ENDED: &str = "observation.ended";
/// Event type: two entities were related; see [`crate::graph::RelationPayload`].
pub const RELATION_PUT: &str = "relation.put";
/// Event type: a relation was ended; see [`crate::graph::RelationEndPayload`].
pub const RELATION_ENDED: &str = "relation.ended";

/// Event types that clients cannot append, because these events describe the log or other events. Only the engine
/// writes them, after its own checks.
pub const RESERVED: &[&str] = &[
    MEMORY_SAVED,
    MEMORY_INVALIDATED,
    MEMORY_FORGOTTEN,
    RETRIEVAL_WEIGHTS_SET,
    MEMORY_FEEDBACK,
    RETENTION_APPLIED,
    LOG_KEY_ROTATED,
    LOG_ROLLBACK_ACCEPTED,
    LOG_PSEUDONYMS_KEYED,
    LOG_RESTORED,
    GUARD_TRANSITION,
    ITEM_PUT,
    ITEM_DELETED,
    ITEM_REFRESHED,
    ENTITY_PUT,
    ENTITY_OBSERVED,
    ENTITY_ENDED,
    OBSERVATION_ENDED,
    RELATION_PUT,
    RELATION_ENDED,
];

/// Project of the events that an engine writes about its own log.
pub const LOG_PROJECT: &str = "memory-engine";

/// A checked event without a sequence number. Only [`crate::request`] creates drafts.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Event type.
    pub kind: String,
    /// Actor that caused the event.
    pub actor: String,
    /// Project of the event.
    pub project: String,
    /// Session of the event.
    pub session: Option<String>,
    /// Ids of the events that caused this event.
    pub causes: Vec<String>,
    /// A JSON object in the strict form; see [`crate::strict`].
    pub payload: Box<RawValue>,
}

/// Payload of a [`LOG_RESTORED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRestored {
    /// Number of events that were restored.
    pub size: u64,
    /// Number of events that the archive had. Those after `size` are of a branch that the log has left.
    pub archived: u64,
    /// Name of the manifest from which the log was restored.
    pub manifest: String,
    /// Why, as the person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of a [`MEMORY_SAVED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryPayload {
    /// The text of the memory.
    pub content: String,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Memory type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When the described event happened; None: when the memory was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<jiff::Timestamp>,
    /// Start of validity; None: the earlier of `occurred_at` and the time of saving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<jiff::Timestamp>,
    /// The document that this memory is a piece of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Names of the entities that the memory is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<String>,
}

/// The document that a memory is a piece of, and which piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// URI of the document, as given by the client.
    pub uri: String,
    /// SHA-256 of the complete document, 64 hex digits.
    pub sha256: Hash,
    /// Number of the piece, counted from 1.
    pub piece: u32,
    /// Number of pieces of the document.
    pub pieces: u32,
}

/// Payload of a [`MEMORY_FEEDBACK`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackPayload {
    /// Id of the memory.
    pub target: String,
    /// Rating in thousandths: from -1000 (harmful) to 1000 (exactly what was needed).
    pub rating_milli: i32,
    /// Id that the client gave to the search that found the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// Free-text comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Payload of a [`MEMORY_INVALIDATED`] event. The memory is kept but is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvalidationPayload {
    /// Id of the memory.
    pub target: String,
    /// First moment at which the memory is no longer valid; None: the time of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<jiff::Timestamp>,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Id of the memory that replaces this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
}

/// Payload of a [`MEMORY_FORGOTTEN`] event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenPayload {
    /// Ids of the events whose payloads are removed.
    pub targets: Vec<String>,
    /// Sequence numbers of these events, in the same order. Empty in events written by older versions of the engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seqs: Vec<u64>,
    /// Reason.
    #[serde(default)]
    pub reason: String,
}

/// Payload of a [`LOG_PSEUDONYMS_KEYED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PseudonymsKeyedPayload {
    /// Fingerprint of the key: [`crate::policy::PseudonymKey::check`].
    pub check: String,
}

/// The client's promise that all requests with this key are the same request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// The key as sent by the client.
    pub key: String,
    /// SHA-256 of the event's salt and the request. The salt prevents guessing the request from its hash after the
    /// payload was forgotten.
    pub request_sha256: Hash,
}

impl Idempotency {
    /// Binds `key` to the encoded `request`. Equal requests must have equal encodings. `salt` is the event's salt.
    pub fn new(key: String, salt: Salt, request: &[u8]) -> Idempotency {
        Idempotency { key, request_sha256: Hash::salted(salt, request) }
    }
}
