//! The line of an event.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{CLOSE, Envelope, HASH, LineFault, cut_field, cut_object};
use crate::digest::{Hash, Salt, is_id};
use crate::event::{Draft, Idempotency};
use crate::limits::LINE_BYTES_MAX;
use crate::recovery::Link;
use crate::strict;

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

/// What stands beside the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// The payload, as it was appended.
    Whole {
        /// Beside the envelope, so that it can be removed together with the payload.
        salt: Salt,
        /// A JSON object in the strict form.
        payload: &'a str,
    },
    /// Salt and payload were removed.
    Forgotten {
        /// Id of the event that says so, which comes later in the log.
        by: &'a str,
    },
}

/// One event as it stands in the log, checked against its own hash and commitment (not against its neighbours).
#[derive(Debug, Clone)]
pub struct EventLine<'a> {
    /// The hashed part.
    pub envelope: Envelope<'a>,
    /// Its hash.
    pub hash: Hash,
    /// Salt and payload, or what became of them.
    pub body: Body<'a>,
}

const OPEN: &str = r#"{"event":"#;
const SALT: &str = r#"","salt":""#;
const PAYLOAD: &str = r#"","payload":"#;
const FORGOTTEN: &str = r#"","forgotten":""#;

impl<'a> EventLine<'a> {
    /// Reads a line without its line feed. It copies nothing of a line that this engine wrote and that has no escapes,
    /// causes or idempotency key in its envelope.
    ///
    /// # Errors
    ///
    /// Why it is not the line of an event.
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

/// The line that takes the place of this one, both without their line feed, once its payload is forgotten: the envelope
/// and its hash stay as they are. `by` is the id of the erasure event, which must be durable before.
///
/// # Errors
///
/// Why it is not the line of an event. A line that was forgotten before stays as it is.
pub fn forget(line: &[u8], by: &str) -> Result<Vec<u8>, LineFault> {
    let event = EventLine::decode(line)?;
    let Body::Whole { payload, .. } = event.body else { return Ok(line.to_vec()) };
    if !is_id(by) {
        return Err(LineFault::Frame("an id"));
    }
    let beside = SALT.len() + 32 + PAYLOAD.len() + payload.len() + "}".len();
    Ok([&line[..line.len() - beside], FORGOTTEN.as_bytes(), by.as_bytes(), CLOSE.as_bytes()].concat())
}

// The envelope is the one part without a fixed length before the end of the line: the payload is what remains.
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
