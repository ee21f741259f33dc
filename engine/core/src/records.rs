//! Records that the projection derives from events.

use jiff::Timestamp;

use crate::digest::{Hash, Salt};
use crate::event::{Idempotency, MemoryPayload};

/// A memory in the projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Sequence number of its event.
    pub seq: u64,
    /// Id of its event.
    pub id: String,
    /// Hash of its event.
    pub hash: Hash,
    /// Project of the memory.
    pub project: String,
    /// Actor that saved the memory.
    pub actor: String,
    /// Session in which it was saved.
    pub session: Option<String>,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// When the described event happened.
    pub occurred_at: Timestamp,
    /// Start of validity.
    pub valid_from: Timestamp,
    /// Content, title, type and tags.
    pub payload: MemoryPayload,
}

/// The end of a memory's validity. If a memory has several, the one with the earliest moment counts; of equal moments,
/// the one written first. The moment therefore does not depend on the order of concurrent requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidation {
    /// Sequence number of its event.
    pub seq: u64,
    /// Id of its event.
    pub id: String,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// Id of the memory.
    pub target: String,
    /// First moment at which the memory is no longer valid.
    pub valid_until: Timestamp,
    /// Reason.
    pub reason: Option<String>,
    /// Id of the memory that replaces it.
    pub superseded_by: Option<String>,
}

/// A setting changed at runtime; the last change counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Sequence number of its event.
    pub seq: u64,
    /// Id of its event.
    pub id: String,
    /// Name of the setting: the event type.
    pub name: &'static str,
    /// Value: the payload, JSON.
    pub value: String,
}

/// A rating of a memory. The comment is only in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// Sequence number of its event.
    pub seq: u64,
    /// Id of its event.
    pub id: String,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// Id of the memory.
    pub target: String,
    /// From -1000 to 1000.
    pub rating_milli: i32,
    /// The client's id of the search that found the memory.
    pub query_id: Option<String>,
}

/// An event whose payload was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// Id of the event without payload.
    pub target: String,
    /// Its sequence number, if recorded.
    pub target_seq: Option<u64>,
    /// Sequence number of the erasure event.
    pub seq: u64,
    /// Id of the erasure event.
    pub id: String,
    /// When the engine accepted the erasure event.
    pub created_at: Timestamp,
}

/// A completed request with an idempotency key, and the data of its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key, and the hash of the request it is bound to.
    pub idempotency: Idempotency,
    /// Salt of that hash.
    pub salt: Salt,
    /// Id of the last event of the batch.
    pub id: String,
    /// Sequence number of the first event of the batch.
    pub first_seq: u64,
    /// Sequence number of the last event of the batch.
    pub last_seq: u64,
    /// Hash of the last event.
    pub hash: Hash,
}

impl Request {
    /// Whether `request` is a repetition of this request. It must be encoded as for [`Idempotency::new`].
    pub fn is_for(&self, request: &[u8]) -> bool {
        self.idempotency.request_sha256 == Hash::salted(self.salt, request)
    }
}
