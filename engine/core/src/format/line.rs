//! The line of an event.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{CLOSE, Envelope, HASH, LineFault, cut_field, cut_object};
use crate::digest::{Hash, Salt, is_id};
use crate::event::{Draft, Idempotency};
use crate::limits::LINE_BYTES_MAX;
use crate::recovery::Link;
use crate::strict;

/// An event before it is appended: everything except its sequence number and the previous hash.
#[derive(Debug)]
pub struct Unsealed<'a> {
    /// The event as requested by the client.
    pub draft: &'a Draft,
    /// Id of the event.
    pub id: String,
    /// When the engine accepts the event.
    pub time: Timestamp,
    /// Fresh random bytes.
    pub salt: Salt,
    /// Position in the batch, as in [`Envelope::batch`].
    pub batch: [u32; 2],
    /// Set on the last event of a batch.
    pub idempotency: Option<Idempotency>,
}

impl Unsealed<'_> {
    /// Appends the event's line, with its line feed, to `out` and returns the new end of the chain. `end` is the
    /// current end of the chain, `synced` the sequence number of the last event that is already durable.
    pub fn seal_after(self, end: &Link, synced: u64, out: &mut Vec<u8>) -> Link {
        let Unsealed { draft, id, time, salt, batch, idempotency } = self;
        let envelope = Envelope {
            seq: end.seq + 1,
            id: Cow::Owned(id),
            time,
            kind: Cow::Borrowed(&draft.kind),
            actor: Cow::Borrowed(&draft.actor),
            project: Cow::Borrowed(&draft.project),
            session: draft.session.as_deref().map(Cow::Borrowed),
            causes: draft.causes.iter().map(|cause| Cow::Borrowed(cause.as_str())).collect(),
            batch,
            synced,
            idempotency,
            prev: end.hash,
            payload_sha256: Hash::salted(salt, draft.payload.get().as_bytes()),
        };
        let link_to = |hash| Link::after(&envelope, hash);
        let stored = serde_json::to_vec(&envelope).expect("a struct of strings and numbers is always JSON");
        let hash = Hash::of(&stored);
        out.extend_from_slice(OPEN.as_bytes());
        out.extend_from_slice(&stored);
        let (hash_text, salt_text) = (hash.to_string(), salt.to_string());
        for part in [HASH, &hash_text, SALT, &salt_text, PAYLOAD, draft.payload.get(), "}\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        link_to(hash)
    }
}

/// The part of a line after the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// The payload is present.
    Whole {
        /// The salt. It is outside of the envelope, so that it can be removed together with the payload.
        salt: Salt,
        /// A JSON object in the strict form.
        payload: &'a str,
    },
    /// Salt and payload were removed.
    Forgotten {
        /// Id of the erasure event, which comes later in the log.
        by: &'a str,
    },
}

/// One event as stored in the log. Its hash and its payload commitment were verified, but not that it follows the
/// previous line.
#[derive(Debug, Clone)]
pub struct EventLine<'a> {
    /// The hashed part.
    pub envelope: Envelope<'a>,
    /// Hash of the envelope.
    pub hash: Hash,
    /// Salt and payload, or the erasure that removed them.
    pub body: Body<'a>,
}

const OPEN: &str = r#"{"event":"#;
pub(super) const SALT: &str = r#"","salt":""#;
pub(super) const PAYLOAD: &str = r#"","payload":"#;
pub(super) const FORGOTTEN: &str = r#"","forgotten":""#;

impl<'a> EventLine<'a> {
    /// Parses a line given without its line feed. Copies nothing if this engine wrote the line and its envelope has no
    /// escapes, causes or idempotency key.
    ///
    /// # Errors
    ///
    /// Why it is not an event line.
    pub fn decode(line: &'a [u8]) -> Result<EventLine<'a>, LineFault> {
        const FORM: LineFault = LineFault::Frame("an event");
        if line.len() > LINE_BYTES_MAX {
            return Err(LineFault::TooLong);
        }
        let line = std::str::from_utf8(line).map_err(|_| LineFault::Utf8)?;
        let start = line.strip_prefix(OPEN).ok_or(FORM)?;
        let plain = Envelope::read_plain(start);
        let stored = match &plain {
            Some((_, len)) => &start[..*len],
            None => cut_object(start).ok_or(FORM)?,
        };
        let (hash, body) = cut_body(&start[stored.len()..]).ok_or(FORM)?;
        if Hash::of(stored.as_bytes()) != hash {
            return Err(LineFault::Hash);
        }
        let envelope = match plain {
            Some((envelope, _)) => envelope,
            None => serde_json::from_str(stored).map_err(|fault| LineFault::Envelope(fault.to_string()))?,
        };
        if let Body::Whole { salt, payload } = body {
            if Hash::salted(salt, payload.as_bytes()) != envelope.payload_sha256 {
                return Err(LineFault::Commitment);
            }
            strict::check_text(payload).map_err(LineFault::Payload)?;
        }
        Ok(EventLine { envelope, hash, body })
    }

    /// The payload, unless it was forgotten.
    pub fn payload(&self) -> Option<&'a str> {
        match self.body {
            Body::Whole { payload, .. } => Some(payload),
            Body::Forgotten { .. } => None,
        }
    }

    /// The salt, unless it was forgotten.
    pub fn salt(&self) -> Option<Salt> {
        match self.body {
            Body::Whole { salt, .. } => Some(salt),
            Body::Forgotten { .. } => None,
        }
    }
}

/// Returns the line that replaces `line` when its payload is forgotten; both without their line feed. The envelope and
/// its hash stay unchanged. `by` is the id of the erasure event, which must already be durable.
///
/// # Errors
///
/// Why `line` is not an event line. A line whose payload was forgotten before is no error; it is returned unchanged.
pub fn forget(line: &[u8], by: &str) -> Result<Vec<u8>, LineFault> {
    let event = EventLine::decode(line)?;
    let Body::Whole { payload, .. } = event.body else { return Ok(line.to_vec()) };
    if !is_id(by) {
        return Err(LineFault::Frame("an id"));
    }
    let beside = SALT.len() + 32 + PAYLOAD.len() + payload.len() + "}".len();
    Ok([&line[..line.len() - beside], FORGOTTEN.as_bytes(), by.as_bytes(), CLOSE.as_bytes()].concat())
}

// Splits the part of a line after the envelope into the hash and the body. All parts except the payload have a fixed
// length, so the payload is what remains.
fn cut_body(rest: &str) -> Option<(Hash, Body<'_>)> {
    let (hash, rest) = cut_field(rest.strip_prefix(HASH)?, 64)?;
    let hash = Hash::from_hex(hash.as_bytes())?;
    if let Some(rest) = rest.strip_prefix(FORGOTTEN) {
        let by = rest.strip_suffix(CLOSE).filter(|by| is_id(by))?;
        return Some((hash, Body::Forgotten { by }));
    }
    let (salt, rest) = cut_field(rest.strip_prefix(SALT)?, 32)?;
    let payload = rest.strip_prefix(PAYLOAD)?.strip_suffix('}')?;
    let bare = payload.starts_with('{') && payload.ends_with('}');
    bare.then_some((hash, Body::Whole { salt: Salt::from_hex(salt.as_bytes())?, payload }))
}
