//! The line of an event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{LineFault, cut_field, cut_object};
use crate::digest::{Hash, Salt};
use crate::event::{Draft, Idempotency};
use crate::limits::LINE_BYTES_MAX;
use crate::recovery::Link;
use crate::strict;

/// The hashed part of an event's line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Sequence number, from 1, without gaps.
    pub seq: u64,
    /// Id of the event.
    pub id: String,
    /// When the engine accepted it.
    pub time: Timestamp,
    /// Kind of event.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// What it belongs to.
    pub project: String,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Ids of the events it follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// `[i, n]`: the i-th of n events that became durable together. A log that ends inside a batch ends before it.
    pub batch: [u32; 2],
    /// Last event that was durable when this line was written. A line that names a later event as durable proves
    /// that damage before it is damage and not a write that never finished.
    pub synced: u64,
    /// On the last event of a batch that came with an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// Hash of the line before.
    pub prev: Hash,
    /// SHA-256 of salt and payload.
    pub payload_sha256: Hash,
}

impl Envelope {
    /// Whether the batch is whole with this event.
    pub fn ends_batch(&self) -> bool {
        self.batch[0] == self.batch[1]
    }

    /// Sequence number of the first event of the batch.
    pub fn batch_first_seq(&self) -> u64 {
        (self.seq + 1).saturating_sub(u64::from(self.batch[0]))
    }
}

/// Everything about an event but its place in the chain.
#[derive(Debug)]
pub struct Unsealed<'a> {
    /// What the client wants to have happened.
    pub draft: &'a Draft,
    /// Id of the event.
    pub id: String,
    /// Now.
    pub time: Timestamp,
    /// Fresh random bytes.
    pub salt: Salt,
    /// `[i, n]`.
    pub batch: [u32; 2],
    /// Given on the last event of a batch.
    pub idempotency: Option<Idempotency>,
}

impl Unsealed<'_> {
    /// Appends the line, with its line feed, to `out`; answers the new end of the chain. `synced` is the last event
    /// that is durable now.
    pub fn seal_after(self, end: &Link, synced: u64, out: &mut Vec<u8>) -> Link {
        let Unsealed { draft, id, time, salt, batch, idempotency } = self;
        let payload = draft.payload.get().as_bytes();
        let envelope = Envelope {
            seq: end.seq + 1,
            id,
            time,
            kind: draft.kind.clone(),
            actor: draft.actor.clone(),
            project: draft.project.clone(),
            session: draft.session.clone(),
            causes: draft.causes.clone(),
            batch,
            synced,
            idempotency,
            prev: end.hash,
            payload_sha256: Hash::salted(salt, payload),
        };
        let link_to = |hash| Link::after(&envelope, hash);
        let stored = serde_json::to_vec(&envelope).expect("a struct of strings and numbers is always JSON");
        let hash = Hash::of(&stored);
        for part in
            [OPEN, &stored, HASH, hash.to_string().as_bytes(), SALT, salt.to_string().as_bytes(), PAYLOAD]
        {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(payload);
        out.extend_from_slice(b"}\n");
        link_to(hash)
    }
}

/// One event as it stands in the log, checked against its own hash and commitment (not against its neighbours).
#[derive(Debug, Clone)]
pub struct EventLine<'a> {
    /// The hashed part.
    pub envelope: Envelope,
    /// Its hash.
    pub hash: Hash,
    /// Beside the envelope, so that it can be removed together with the payload.
    pub salt: Salt,
    /// The payload's bytes as they were appended.
    pub payload: &'a RawValue,
}

const OPEN: &[u8] = br#"{"event":"#;
const HASH: &[u8] = br#","hash":""#;
const SALT: &[u8] = br#"","salt":""#;
const PAYLOAD: &[u8] = br#"","payload":"#;

struct Cut<'a> {
    envelope: &'a [u8],
    hash: Hash,
    salt: Salt,
    payload: &'a [u8],
}

impl<'a> EventLine<'a> {
    /// Reads a line without its line feed.
    pub fn decode(line: &'a [u8]) -> Result<EventLine<'a>, LineFault> {
        if line.len() > LINE_BYTES_MAX {
            return Err(LineFault::TooLong);
        }
        let Cut { envelope, hash, salt, payload } = cut(line).ok_or(LineFault::Frame("an event"))?;
        if Hash::of(envelope) != hash {
            return Err(LineFault::Hash);
        }
        let envelope: Envelope =
            serde_json::from_slice(envelope).map_err(|fault| LineFault::Envelope(fault.to_string()))?;
        if Hash::salted(salt, payload) != envelope.payload_sha256 {
            return Err(LineFault::Commitment);
        }
        strict::check(payload).map_err(LineFault::Payload)?;
        let payload = serde_json::from_slice(payload).map_err(|_| LineFault::Frame("an event"))?;
        Ok(EventLine { envelope, hash, salt, payload })
    }
}

// The envelope is the one part without a fixed length before the end of the line: the payload is what remains.
fn cut(line: &[u8]) -> Option<Cut<'_>> {
    let (envelope, rest) = cut_object(line.strip_prefix(OPEN)?)?;
    let (hash, rest) = cut_field(rest.strip_prefix(HASH)?, 64, SALT)?;
    let (salt, rest) = cut_field(rest, 32, PAYLOAD)?;
    let payload = rest.strip_suffix(b"}")?;
    let bare = payload.first() == Some(&b'{') && payload.last() == Some(&b'}');
    bare.then_some(Cut { envelope, hash: Hash::from_hex(hash)?, salt: Salt::from_hex(salt)?, payload })
}
