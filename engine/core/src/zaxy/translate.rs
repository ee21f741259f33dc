//! Translates a verified event to one event of the engine that contains the original line, and to a memory if the event
//! has text that a person would search for. docs/guide/import.md has the same mapping as a table.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::canonical::Fields;
use super::{Record, Verified};
use crate::digest::Hash;
use crate::limits::{CONTENT_BYTES_MAX, JSON_DEPTH_MAX, NAME_CHARS_MAX, TITLE_CHARS_MAX};

/// Type prefix of imported events.
const PREFIX: &str = "zaxy.";
/// Type of an imported event whose original type is not valid here.
const KIND_UNFIT: &str = "zaxy.event";
/// Type of a memory if the event's type is not valid here.
const MEMORY_KIND_UNFIT: &str = "note";
/// The only key of a payload that Zaxy encrypted.
const CIPHER_KEY: &str = "__zaxy_cipher";
/// Maximum nesting depth of an imported line: the payload, the event, the list of events and the request body around
/// the line take four levels.
pub const RECORD_DEPTH_MAX: usize = JSON_DEPTH_MAX - 4;

/// Field with the text of an event, by event type; `content` takes precedence.
const TEXTS: [(&str, &str); 9] = [
    ("coordination.finding.reported", "summary"),
    ("decision.accepted", "decision"),
    ("decision.made", "decision"),
    ("goal.created", "title"),
    ("handoff.created", "summary"),
    ("issue.diagnosed", "issue"),
    ("task.completed", "summary"),
    ("task.proposed", "title"),
    ("verification.recorded", "summary"),
];
/// Prefixes of internal event types of Zaxy and its observers. Such events are imported, but no memories are made from
/// them.
const NO_MEMORIES: [&str; 7] =
    ["code.", "hook.", "llm.", "memory.forgotten", "memory.reinforcement", "source.", "tool."];

/// Origin of an imported event, stored beside the original line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// File name of the log, without its extension.
    pub log: String,
    /// Hash of the first event of the log. Identifies the log independently of its file name.
    pub chain: Hash,
    /// Sequence number in the original log.
    pub seq: u64,
    /// Hash in the original log.
    pub hash: Hash,
}

/// An event ready to be appended.
#[derive(Debug, Clone)]
pub struct Translated {
    /// Event type.
    pub kind: String,
    /// Actor.
    pub actor: String,
    /// Conversation of the event.
    pub session: Option<String>,
    /// [`Source`] and the original line.
    pub payload: Box<RawValue>,
    /// Memory to save with the event.
    pub memory: Option<Memory>,
    /// Fields that could not be imported unchanged; their values are in the original line only.
    pub changed: Vec<&'static str>,
    /// The payload is encrypted with keys that only Zaxy has.
    pub encrypted: bool,
}

/// A memory, with the fields of `POST /v1/memories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Text of the memory, unchanged.
    pub content: String,
    /// Short title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Event type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `zaxy`, and `zaxy:` with the first 16 digits of the event's hash.
    pub tags: Vec<String>,
    /// Actor of the event.
    pub actor: String,
    /// Conversation of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Time of the event.
    pub occurred_at: jiff::Timestamp,
}

/// Why a verified event cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TranslateError {
    /// The line is too large for one event.
    #[error("the event has {0} bytes here, the limit is {CONTENT_BYTES_MAX}")]
    TooLarge(usize),
    /// The line is nested too deeply.
    #[error("the event is nested deeper than {RECORD_DEPTH_MAX} levels")]
    TooDeep,
}

impl TranslateError {
    /// Stable label for reports.
    pub fn label(&self) -> &'static str {
        match self {
            TranslateError::TooLarge(_) => "too_large",
            TranslateError::TooDeep => "too_deep",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload<'a> {
    source: Source,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// Whether an event of this type may come from an import.
pub fn is_imported(kind: &str) -> bool {
    kind.starts_with(PREFIX)
}

/// Splits the payload of an imported event into its origin and the original line; None if no import wrote the payload.
pub fn read_payload(payload: &RawValue) -> Option<(Source, &RawValue)> {
    let Payload { source, record } = serde_json::from_str(payload.get()).ok()?;
    Some((source, record))
}

/// Payload of an imported event. It contains the original line byte for byte.
pub fn payload(source: Source, record: &RawValue) -> Result<Box<RawValue>, TranslateError> {
    if depth(record.get()) > RECORD_DEPTH_MAX {
        return Err(TranslateError::TooDeep);
    }
    let payload = serde_json::value::to_raw_value(&Payload { source, record })
        .expect("a struct of strings and a JSON text is always JSON");
    let size = payload.get().len();
    if size > CONTENT_BYTES_MAX { Err(TranslateError::TooLarge(size)) } else { Ok(payload) }
}

/// Translates an event. `log` is the name of its file, `chain` the hash of the file's first event.
pub fn translate(event: &Verified<'_>, log: &str, chain: Hash) -> Result<Translated, TranslateError> {
    let record = &event.record;
    let source = Source { log: log.to_owned(), chain, seq: event.seq, hash: record.hash };
    let payload = payload(source, record.text)?;
    let mut changed = Vec::new();
    let mut fitting = |field, name: &str| {
        if fits(name) {
            return name.to_owned();
        }
        changed.push(field);
        stand_in(name)
    };
    let actor = fitting("actor", &record.actor);
    let session = Some(&record.thread).filter(|thread| !thread.is_empty());
    let session = session.map(|thread| fitting("session", thread));
    let mut kind = format!("{PREFIX}{}", record.kind);
    if !fits(&kind) {
        changed.push("type");
        kind = KIND_UNFIT.to_owned();
    }
    let fields: Fields<'_> = serde_json::from_str(record.payload.get()).unwrap_or_default();
    let memory = memory(record, &fields, &actor, session.as_deref());
    Ok(Translated {
        kind,
        actor,
        session,
        payload,
        memory,
        changed,
        encrypted: fields.contains_key(CIPHER_KEY),
    })
}

fn memory(record: &Record<'_>, fields: &Fields<'_>, actor: &str, session: Option<&str>) -> Option<Memory> {
    if NO_MEMORIES.iter().any(|family| record.kind.starts_with(family)) {
        return None;
    }
    let text = |field: &str| -> Option<String> {
        let text: String = serde_json::from_str(fields.get(field)?.get()).ok()?;
        Some(text).filter(|text| !text.trim().is_empty() && text.len() <= CONTENT_BYTES_MAX)
    };
    let named = TEXTS.iter().find(|(kind, _)| *kind == record.kind).map(|(_, field)| *field);
    let (content, field) =
        ["content"].into_iter().chain(named).find_map(|field| Some((text(field)?, field)))?;
    let title = text(if record.kind == "document.indexed" { "path" } else { "title" });
    let recognisable = |title: &String| {
        field != "title" && title.chars().count() <= TITLE_CHARS_MAX && !title.chars().any(char::is_control)
    };
    let kind = if fits(&record.kind) { record.kind.clone() } else { MEMORY_KIND_UNFIT.to_owned() };
    let hash = record.hash.to_string();
    Some(Memory {
        content,
        title: title.filter(recognisable),
        kind,
        tags: vec!["zaxy".to_owned(), format!("zaxy:{}", &hash[..16])],
        actor: actor.to_owned(),
        session: session.map(str::to_owned),
        occurred_at: record.time,
    })
}

/// Whether the engine accepts a name unchanged.
fn fits(name: &str) -> bool {
    let chars = name.chars().count();
    !name.trim().is_empty() && chars <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

/// A replacement for an invalid name. The same name always gives the same replacement, so that related events stay
/// related.
fn stand_in(name: &str) -> String {
    format!("{PREFIX}{}", &Hash::of(name.as_bytes()).to_string()[..16])
}

/// Nesting depth of a valid JSON text.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
