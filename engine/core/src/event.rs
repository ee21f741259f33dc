//! Events before they have a place in the log.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::{Hash, Salt};

/// Type of the event that saves a memory; clients write it through `POST /v1/memories` only.
pub const MEMORY_SAVED: &str = "memory.saved";
/// Type of the event that ends a memory's validity; clients write it through `POST /v1/memories/{id}/invalidate` only.
pub const MEMORY_INVALIDATED: &str = "memory.invalidated";

/// Type of the event that says whose payloads were removed, its own never: [`ForgottenPayload`].
pub const MEMORY_FORGOTTEN: &str = "memory.forgotten";

/// Type of the event that says how useful a memory was; clients write it through `POST /v1/feedback` only.
pub const MEMORY_FEEDBACK: &str = "memory.feedback";

/// Type of the event that says what a retention run did: [`crate::retention::RetentionPayload`].
pub const RETENTION_APPLIED: &str = "retention.applied";

/// Type of the event that says that checkpoints have a new key: `{old, new}`, both verifier keys.
pub const LOG_KEY_ROTATED: &str = "log.key_rotated";

/// Type of the event that says which key makes the tokens of this log's identifiers: [`PseudonymsKeyedPayload`].
/// Written before the first of them.
pub const LOG_PSEUDONYMS_KEYED: &str = "log.pseudonyms_keyed";

/// Type of the event that says that somebody accepted a log shorter than it was: [`crate::wire::AcceptedRollback`].
pub const LOG_ROLLBACK_ACCEPTED: &str = "log.rollback_accepted";

/// Type of the event that says what each feature counts from now on: `{weights: {NAME: NUMBER}, reason?}`.
pub const RETRIEVAL_WEIGHTS_SET: &str = "retrieval.weights_set";
/// Type of the event that gives an item a new value: [`crate::item::ItemPayload`].
pub const ITEM_PUT: &str = "item.put";
/// Type of the event that takes an item away: [`crate::item::ItemDeletedPayload`].
pub const ITEM_DELETED: &str = "item.deleted";
/// Type of the event that gives a version of an item more time: [`crate::item::ItemRefreshedPayload`].
pub const ITEM_REFRESHED: &str = "item.refreshed";

/// Type of the event that makes an entity known: [`crate::graph::EntityPayload`].
pub const ENTITY_PUT: &str = "entity.put";
/// Type of the event that says something about an entity: [`crate::graph::ObservationsPayload`].
pub const ENTITY_OBSERVED: &str = "entity.observed";
/// Type of the event that ends an entity, what was observed of it and its relations:
/// [`crate::graph::EntityEndPayload`].
pub const ENTITY_ENDED: &str = "entity.ended";
/// Type of the event that ends observations: [`crate::graph::ObservationsEndPayload`].
pub const OBSERVATION_ENDED: &str = "observation.ended";
/// Type of the event that relates two entities: [`crate::graph::RelationPayload`].
pub const RELATION_PUT: &str = "relation.put";
/// Type of the event that ends a relation: [`crate::graph::RelationEndPayload`].
pub const RELATION_ENDED: &str = "relation.ended";

/// Types that say something about the log or about other events: the engine writes them itself, after checks of its
/// own.
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

/// Project of the events an engine writes about its own log.
pub const PROJECT_OF_THE_LOG: &str = "memory-engine";

/// A checked event that waits for its sequence number. Made by [`crate::request`] alone.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Kind of event.
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// What it belongs to.
    pub project: String,
    /// The conversation it came from.
    pub session: Option<String>,
    /// Ids of the events it follows from.
    pub causes: Vec<String>,
    /// A JSON object in the strict form.
    pub payload: Box<RawValue>,
}

/// Payload of a [`MEMORY_SAVED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryPayload {
    /// The memory itself.
    pub content: String,
    /// A line to recognise it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Kind of memory.
    #[serde(rename = "type")]
    pub kind: String,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it happened, if that is not when it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<jiff::Timestamp>,
    /// Since when it is true, if that is not when it happened or was saved, whichever was earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<jiff::Timestamp>,
    /// The document it is a piece of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Names of the entities it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<String>,
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where the document is, as whoever sent it names it.
    pub uri: String,
    /// SHA-256 of the whole document, 64 hex digits.
    pub sha256: Hash,
    /// Number of the piece, from 1.
    pub piece: u32,
    /// Pieces of the document.
    pub pieces: u32,
}

/// Payload of a [`MEMORY_FEEDBACK`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackPayload {
    /// Id of the memory.
    pub target: String,
    /// How useful it was, in thousandths: from -1000, harmful, to 1000, just what was needed.
    pub rating_milli: i32,
    /// The search it was found by, as whoever searched names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// In somebody's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Payload of a [`MEMORY_INVALIDATED`] event. The memory stays; it is true no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvalidationPayload {
    /// Id of the memory.
    pub target: String,
    /// First moment at which it is not true any more, if that is not the moment of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<jiff::Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Id of the memory that is true instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
}

/// Payload of a [`MEMORY_FORGOTTEN`] event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenPayload {
    /// Ids of the events whose payloads are removed.
    pub targets: Vec<String>,
    /// Their numbers, in the same order: where in the log they are. Older events do not have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seqs: Vec<u64>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Payload of a [`LOG_PSEUDONYMS_KEYED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PseudonymsKeyedPayload {
    /// [`crate::policy::PseudonymKey::check`] of the key.
    pub check: String,
}

/// A client's promise that requests with this key are one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// As the client sent it.
    pub key: String,
    /// SHA-256 of the event's salt and the request. Salted, so that it says nothing once the payload is forgotten.
    pub request_sha256: Hash,
}

impl Idempotency {
    /// Binds `key` to a request, given in a form in which equal requests are equal bytes.
    pub fn new(key: String, salt: Salt, request: &[u8]) -> Idempotency {
        Idempotency { key, request_sha256: Hash::salted(salt, request) }
    }
}
