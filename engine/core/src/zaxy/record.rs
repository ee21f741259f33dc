//! Parses one line of a Zaxy log and computes its hash.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Refused;
use super::canonical::{self, Fields};
use crate::digest::Hash;
use crate::strict;

/// Key in a v1 payload whose value is Zaxy's classification of the event. Legacy lines have it in the field `security`.
const SECURITY_KEY: &str = "__zaxy_security";
/// Fields of v1: a line with all of these fields is v1, any other line is legacy.
const V1_MARKS: [&str; 7] = ["id", "type", "actorId", "threadId", "timestamp", "payload", "integrity"];
/// Thread of a legacy line without a thread.
const THREAD_DEFAULT: &str = "default";
/// Fields covered by the hash of a v1 line, and the field with the hash itself.
const V1_SEALED: [&str; 9] =
    ["id", "type", "actorId", "threadId", "parentEventId", "causedBy", "timestamp", "payload", "integrity"];
/// `envelope_version` of a compacted v1 event.
const COMPACTED_VERSION: &str = "eventloom.v1";
/// Fields covered by the hash of a compacted event, the hash itself, and the two fields without information of their
/// own. The sequence number is covered only if the id contains it.
const COMPACTED_SEALED: [&str; 12] = [
    "timestamp",
    "type",
    "actor",
    "thread",
    "payload",
    "security",
    "prev_hash",
    "hash",
    "id",
    "parent_event_id",
    "caused_by",
    "envelope_version",
];
/// Fields covered by the hash of a legacy line, and the two fields without information of their own.
const LEGACY_SEALED: [&str; 10] = [
    "seq",
    "timestamp",
    "type",
    "actor",
    "thread",
    "payload",
    "security",
    "prev_hash",
    "hash",
    "envelope_version",
];

/// Envelope format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Envelope {
    /// Has `integrity`.
    V1,
    /// Has `seq`.
    Legacy,
    /// A v1 event written by `zaxy compact`: legacy fields, but the hash of v1.
    Compacted,
}

impl Envelope {
    /// Stable label.
    pub fn label(self) -> &'static str {
        match self {
            Envelope::V1 => "v1",
            Envelope::Legacy => "legacy",
            Envelope::Compacted => "compacted",
        }
    }
}

/// A parsed line. Neither its hash nor its link to the previous line is verified yet.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// The line without surrounding white space.
    pub text: &'a RawValue,
    /// Envelope format.
    pub envelope: Envelope,
    /// Sequence number in the line; absent in v1 events whose id was not made by Zaxy.
    pub seq: Option<u64>,
    /// Time of the event, as written.
    pub timestamp: String,
    /// Time of the event. A time without an offset is UTC, as Zaxy's documentation specifies.
    pub time: Timestamp,
    /// Event type.
    pub kind: String,
    /// Actor.
    pub actor: String,
    /// Conversation of the event.
    pub thread: String,
    /// Payload, a JSON object.
    pub payload: &'a RawValue,
    /// Hash of the previous event.
    pub previous: Option<Hash>,
    /// Hash that the line states.
    pub hash: Hash,
    /// Fields that are not empty and that no hash covers.
    pub unsealed: Vec<String>,
    sealed: Sealed<'a>,
}

/// Hashed fields that only one envelope format has.
#[derive(Debug, Clone)]
enum Sealed<'a> {
    V1 {
        id: String,
        parent: Option<String>,
        causes: Vec<String>,
        payload: Fields<'a>,
        security: Option<Security>,
    },
    Legacy {
        seq: u64,
        security: Option<Security>,
    },
    Compacted {
        id: String,
        parent: Option<String>,
        causes: Vec<String>,
        payload: Fields<'a>,
        security: Option<Security>,
    },
}

#[derive(Debug, Clone)]
struct Security {
    sensitivity: String,
    redacted_paths: Vec<String>,
}

impl<'a> Record<'a> {
    /// Parses a line, ignoring white space around it.
    pub fn read(line: &'a [u8]) -> Result<Record<'a>, Refused> {
        let line = line.trim_ascii();
        strict::check(line).map_err(Refused::NotStrict)?;
        if line.contains(&b'\r') {
            return Err(Refused::CarriageReturn);
        }
        if line.first() != Some(&b'{') {
            return Err(Refused::NotAnObject);
        }
        let text: &RawValue = serde_json::from_slice(line).map_err(|_| Refused::NotAnObject)?;
        let fields: Fields<'a> = serde_json::from_str(text.get()).map_err(|_| Refused::NotAnObject)?;
        if V1_MARKS.iter().all(|mark| fields.contains_key(*mark)) {
            Record::v1(text, &fields)
        } else {
            Record::legacy(text, &fields)
        }
    }

    fn v1(text: &'a RawValue, fields: &Fields<'a>) -> Result<Record<'a>, Refused> {
        let integrity: Fields<'a> = object(fields, "integrity")?;
        let id = name(fields, "id")?;
        let timestamp = string(fields, "timestamp")?;
        let payload = object(fields, "payload")?;
        let sealed = Sealed::V1 {
            id: id.clone(),
            parent: optional(fields, "parentEventId", "an id")?,
            causes: optional(fields, "causedBy", "a list of ids")?.unwrap_or_default(),
            security: in_payload(&payload)?,
            payload,
        };
        Ok(Record {
            text,
            envelope: Envelope::V1,
            seq: seq_in_id(&id),
            time: time(&timestamp)?,
            timestamp,
            kind: name(fields, "type")?,
            actor: name(fields, "actorId")?,
            thread: string(fields, "threadId")?,
            payload: fields["payload"],
            previous: hash(&integrity, "previousHash")?,
            hash: hash(&integrity, "hash")?.ok_or(Refused::Missing("integrity.hash"))?,
            unsealed: unsealed(fields, &V1_SEALED),
            sealed,
        })
    }

    fn legacy(text: &'a RawValue, fields: &Fields<'a>) -> Result<Record<'a>, Refused> {
        let version: Option<String> = optional(fields, "envelope_version", "a version")?;
        let compacted = match version.as_deref() {
            None | Some("zaxy.legacy") => false,
            Some(COMPACTED_VERSION) => true,
            Some(_) => return Err(Refused::UnknownEnvelope),
        };
        let seq: u64 = required(fields, "seq", "an integer from 1")?;
        if seq == 0 {
            return Err(Refused::Shape { field: "seq", expected: "an integer from 1" });
        }
        let timestamp = string(fields, "timestamp")?;
        let payload = match fields.get("payload") {
            Some(payload) => object(fields, "payload").map(|_| *payload)?,
            None => serde_json::from_str("{}").map_err(|_| Refused::Missing("payload"))?,
        };
        let (kind, actor) = (name(fields, "type")?, name(fields, "actor")?);
        let security = security(fields, "security")?;
        let sealed = if compacted {
            let id = optional(fields, "id", "an id")?;
            Sealed::Compacted {
                id: id.unwrap_or_else(|| made_id(seq, &kind, &actor, &timestamp)),
                parent: optional(fields, "parent_event_id", "an id")?,
                causes: optional(fields, "caused_by", "a list of ids")?.unwrap_or_default(),
                payload: serde_json::from_str(payload.get()).map_err(|_| Refused::Missing("payload"))?,
                security,
            }
        } else {
            Sealed::Legacy { seq, security }
        };
        let numbered = matches!(&sealed, Sealed::Compacted { id, .. } if seq_in_id(id) == Some(seq));
        let mut unsealed = unsealed(fields, if compacted { &COMPACTED_SEALED } else { &LEGACY_SEALED });
        unsealed.retain(|field| field != "seq" || !numbered);
        Ok(Record {
            text,
            envelope: if compacted { Envelope::Compacted } else { Envelope::Legacy },
            seq: Some(seq),
            time: time(&timestamp)?,
            timestamp,
            kind,
            actor,
            thread: optional(fields, "thread", "a string")?.unwrap_or_else(|| THREAD_DEFAULT.to_owned()),
            payload,
            previous: hash(fields, "prev_hash")?,
            hash: hash(fields, "hash")?.ok_or(Refused::Missing("hash"))?,
            unsealed,
            sealed,
        })
    }

    /// Hash of the event by Zaxy's rules. None only if the line cannot be serialised; [`Record::read`] refuses such
    /// lines.
    pub fn computed_hash(&self) -> Option<Hash> {
        let mut written = Vec::with_capacity(self.text.get().len());
        match &self.sealed {
            Sealed::V1 { .. } | Sealed::Compacted { .. } => self.write_v1(&mut written),
            Sealed::Legacy { .. } => self.write_legacy(&mut written),
        }
        .ok()
        .map(|()| Hash::of(&written))
    }

    fn write_v1(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let (Sealed::V1 { id, parent, causes, payload, security }
        | Sealed::Compacted { id, parent, causes, payload, security }) = &self.sealed
        else {
            return Ok(());
        };
        out.extend_from_slice(br#"{"event":{"actorId":"#);
        canonical::write_string(&self.actor, out);
        out.extend_from_slice(br#","causedBy":"#);
        write_strings(causes, out);
        out.extend_from_slice(br#","id":"#);
        canonical::write_string(id, out);
        out.extend_from_slice(br#","parentEventId":"#);
        write_optional(parent.as_deref(), out);
        out.extend_from_slice(br#","payload":"#);
        if self.envelope == Envelope::V1 {
            write_v1_payload(payload, security.as_ref(), out)?;
        } else {
            write_compacted_payload(payload, security.as_ref(), out)?;
        }
        for (key, value) in [("threadId", &self.thread), ("timestamp", &self.timestamp), ("type", &self.kind)]
        {
            out.push(b',');
            canonical::write_string(key, out);
            out.push(b':');
            canonical::write_string(value, out);
        }
        out.extend_from_slice(br#"},"previousHash":"#);
        write_optional(self.previous.map(|hash| format!("sha256:{hash}")).as_deref(), out);
        out.push(b'}');
        Ok(())
    }

    fn write_legacy(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let Sealed::Legacy { seq, security } = &self.sealed else { return Ok(()) };
        out.extend_from_slice(br#"{"actor":"#);
        canonical::write_string(&self.actor, out);
        out.extend_from_slice(br#","payload":"#);
        canonical::write(self.payload, out)?;
        out.extend_from_slice(br#","prev_hash":"#);
        write_optional(self.previous.map(|hash| hash.to_string()).as_deref(), out);
        if let Some(security) = security {
            out.extend_from_slice(br#","security":"#);
            security.write(out);
        }
        out.extend_from_slice(format!(r#","seq":{seq}"#).as_bytes());
        for (key, value) in [("thread", &self.thread), ("timestamp", &self.timestamp), ("type", &self.kind)] {
            out.push(b',');
            canonical::write_string(key, out);
            out.push(b':');
            canonical::write_string(value, out);
        }
        out.push(b'}');
        Ok(())
    }
}

impl Security {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"redacted_paths":"#);
        write_strings(&self.redacted_paths, out);
        out.extend_from_slice(br#","sensitivity":"#);
        canonical::write_string(&self.sensitivity, out);
        out.push(b'}');
    }
}

// Writes a v1 payload in the form that Zaxy hashes. When Zaxy reads a line, it removes its own classification from the
// payload; when it hashes the event, it adds the classification again, with all fields.
fn write_v1_payload(
    payload: &Fields<'_>,
    security: Option<&Security>,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let hashed = payload.iter().filter(|(key, _)| *key != SECURITY_KEY || security.is_some());
    canonical::write_entries(hashed.map(|(key, value)| (key.as_str(), (key, *value))), out, |entry, out| {
        match (entry, security) {
            ((key, _), Some(security)) if key == SECURITY_KEY => security.write(out),
            ((_, value), _) => canonical::write(value, out)?,
        }
        Ok(())
    })
}

// Writes a compacted payload in the form that Zaxy hashes. Compaction stores the classification beside the payload, but
// the hash was made with the classification inside the payload.
fn write_compacted_payload(
    payload: &Fields<'_>,
    security: Option<&Security>,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let mut hashed: BTreeMap<&str, Option<&RawValue>> =
        payload.iter().map(|(key, value)| (key.as_str(), Some(*value))).collect();
    if security.is_some() {
        hashed.insert(SECURITY_KEY, None);
    }
    canonical::write_entries(hashed.into_iter(), out, |value, out| {
        match (value, security) {
            (Some(value), _) => canonical::write(value, out)?,
            (None, Some(security)) => security.write(out),
            (None, None) => {}
        }
        Ok(())
    })
}

/// The id that Zaxy gives an event without one.
fn made_id(seq: u64, kind: &str, actor: &str, timestamp: &str) -> String {
    let mut seed = br#"{"actor":"#.to_vec();
    canonical::write_string(actor, &mut seed);
    seed.extend_from_slice(format!(r#","seq":{seq}"#).as_bytes());
    for (key, value) in [("timestamp", timestamp), ("type", kind)] {
        seed.extend_from_slice(format!(r#","{key}":"#).as_bytes());
        canonical::write_string(value, &mut seed);
    }
    seed.push(b'}');
    format!("evt_zaxy_{seq:012}_{}", &Hash::of(&seed).to_string()[..16])
}

fn write_strings(items: &[String], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        canonical::write_string(item, out);
    }
    out.push(b']');
}

fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => canonical::write_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Sequence number in an id made by Zaxy; None for other ids and for the number 0.
fn seq_in_id(id: &str) -> Option<u64> {
    let (seq, digest) = id.strip_prefix("evt_zaxy_")?.split_once('_')?;
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let formed = seq.len() == 12
        && seq.bytes().all(|byte| byte.is_ascii_digit())
        && digest.len() == 16
        && digest.bytes().all(hex);
    seq.parse().ok().filter(|seq| formed && *seq > 0)
}

fn time(text: &str) -> Result<Timestamp, Refused> {
    let naive = |text: &str| {
        let local: civil::DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    };
    text.parse().ok().or_else(|| naive(text)).ok_or(Refused::Timestamp)
}

fn required<T: DeserializeOwned>(
    fields: &Fields<'_>,
    field: &'static str,
    expected: &'static str,
) -> Result<T, Refused> {
    let value = fields.get(field).ok_or(Refused::Missing(field))?;
    serde_json::from_str(value.get()).map_err(|_| Refused::Shape { field, expected })
}

fn optional<T: DeserializeOwned>(
    fields: &Fields<'_>,
    field: &'static str,
    expected: &'static str,
) -> Result<Option<T>, Refused> {
    match fields.get(field) {
        Some(value) if value.get() != "null" => required(fields, field, expected).map(Some),
        _ => Ok(None),
    }
}

fn string(fields: &Fields<'_>, field: &'static str) -> Result<String, Refused> {
    required(fields, field, "a string")
}

fn name(fields: &Fields<'_>, field: &'static str) -> Result<String, Refused> {
    let name = string(fields, field)?;
    if name.is_empty() {
        Err(Refused::Shape { field, expected: "a string that is not blank" })
    } else {
        Ok(name)
    }
}

fn object<'a>(fields: &Fields<'a>, field: &'static str) -> Result<Fields<'a>, Refused> {
    let value = fields.get(field).ok_or(Refused::Missing(field))?;
    let wrong = Refused::Shape { field, expected: "an object" };
    if !value.get().starts_with('{') {
        return Err(wrong);
    }
    serde_json::from_str(value.get()).map_err(|_| wrong)
}

/// Parses the hash in a field, with or without the prefix that names its algorithm.
fn hash(fields: &Fields<'_>, field: &'static str) -> Result<Option<Hash>, Refused> {
    let expected = "a SHA-256 in 64 lower-case hexadecimal digits";
    let Some(text) = optional::<String>(fields, field, expected)? else { return Ok(None) };
    let digits = text.strip_prefix("sha256:").unwrap_or(&text);
    Hash::from_hex(digits.as_bytes()).map(Some).ok_or(Refused::Shape { field, expected })
}

/// Classification of a v1 event. A value that is not an object is not a classification, and Zaxy does not hash it.
fn in_payload(payload: &Fields<'_>) -> Result<Option<Security>, Refused> {
    let value = payload.get(SECURITY_KEY).filter(|value| value.get().starts_with('{'));
    value.map(|_| classified(&object(payload, SECURITY_KEY)?)).transpose()
}

fn security(fields: &Fields<'_>, field: &'static str) -> Result<Option<Security>, Refused> {
    let value = fields.get(field).filter(|value| value.get() != "null");
    value.map(|_| classified(&object(fields, field)?)).transpose()
}

fn classified(fields: &Fields<'_>) -> Result<Security, Refused> {
    let (sensitivity, paths) = ("sensitivity", "redacted_paths");
    let given = |field: &str| fields.contains_key(field);
    let public = || Ok("public".to_owned());
    Ok(Security {
        sensitivity: if given(sensitivity) { string(fields, sensitivity) } else { public() }?,
        redacted_paths: if given(paths) {
            required(fields, paths, "a list of paths")
        } else {
            Ok(Vec::new())
        }?,
    })
}

fn unsealed(fields: &Fields<'_>, sealed: &[&str]) -> Vec<String> {
    let says_nothing = |value: &RawValue| matches!(value.get(), "null" | "[]");
    let outside = |key: &&String| !sealed.contains(&key.as_str()) && !says_nothing(fields[*key]);
    fields.keys().filter(outside).cloned().collect()
}
