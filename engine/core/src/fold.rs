//! What an event means for the projection. The log's readers see the same events in the same order and so end with
//! the same projection; no clock and no other source has a say.

use jiff::Timestamp;
use thiserror::Error;

use crate::digest::{Hash, Salt};
use crate::event::{Idempotency, MEMORY_SAVED, MemoryPayload};
use crate::format::EventLine;

/// Version of what [`fold`] and the tables it feeds mean. A projection with another one is built again.
pub const PROJECTION_VERSION: u32 = 1;

/// One change to the projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A memory can be read and found.
    PutMemory(Box<Memory>),
    /// A request is known to be done.
    PutRequest(Request),
}

/// A memory as the projection keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Sequence number of its event.
    pub seq: u64,
    /// Id of its event.
    pub id: String,
    /// Hash of its event.
    pub hash: Hash,
    /// What it belongs to.
    pub project: String,
    /// Who said so.
    pub actor: String,
    /// The conversation it came from.
    pub session: Option<String>,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Content, title, type and tags.
    pub payload: MemoryPayload,
}

/// A request with an idempotency key, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key and what it is bound to.
    pub idempotency: Idempotency,
    /// Salt of that binding.
    pub salt: Salt,
    /// Id of the last event of the batch.
    pub id: String,
    /// First event of the batch.
    pub first_seq: u64,
    /// Last event of the batch.
    pub last_seq: u64,
    /// Hash of the last event.
    pub hash: Hash,
}

impl Request {
    /// Whether this is the request that was done, given in the same form as to [`Idempotency::new`].
    pub fn is_for(&self, request: &[u8]) -> bool {
        self.idempotency.request_sha256 == Hash::salted(self.salt, request)
    }
}

/// An event of a type the engine writes whose payload the engine did not write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("event {seq} of type {kind} has a payload of another shape")]
pub struct Unfoldable {
    /// Which event.
    pub seq: u64,
    /// Its type.
    pub kind: &'static str,
}

/// The changes that follow from one event, in order.
pub fn fold(line: &EventLine<'_>) -> Result<Vec<Change>, Unfoldable> {
    let mut changes = Vec::new();
    if line.envelope.kind == MEMORY_SAVED {
        changes.push(Change::PutMemory(Box::new(memory(line)?)));
    }
    if let Some(idempotency) = &line.envelope.idempotency {
        changes.push(Change::PutRequest(request(line, idempotency)));
    }
    Ok(changes)
}

fn memory(line: &EventLine<'_>) -> Result<Memory, Unfoldable> {
    let envelope = &line.envelope;
    let payload: MemoryPayload = serde_json::from_str(line.payload.get())
        .map_err(|_| Unfoldable { seq: envelope.seq, kind: MEMORY_SAVED })?;
    Ok(Memory {
        seq: envelope.seq,
        id: envelope.id.clone(),
        hash: line.hash,
        project: envelope.project.clone(),
        actor: envelope.actor.clone(),
        session: envelope.session.clone(),
        created_at: envelope.time,
        occurred_at: payload.occurred_at.unwrap_or(envelope.time),
        payload,
    })
}

fn request(line: &EventLine<'_>, idempotency: &Idempotency) -> Request {
    Request {
        idempotency: idempotency.clone(),
        salt: line.salt,
        id: line.envelope.id.clone(),
        first_seq: line.envelope.batch_first_seq(),
        last_seq: line.envelope.seq,
        hash: line.hash,
    }
}
