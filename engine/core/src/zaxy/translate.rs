//! What a verified event becomes here: one event with the original line in it, and a memory when it says something that
//! a person would search for. docs/guide/import.md has the same as a table.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::canonical::Fields;
use super::{Record, Verified};
use crate::digest::Hash;
use crate::limits::{CONTENT_BYTES_MAX, JSON_DEPTH_MAX, NAME_CHARS_MAX, TITLE_CHARS_MAX};

/// Before the type of every imported event.
const PREFIX: &str = "zaxy.";
/// Type of an imported event whose own type does not fit.
const KIND_UNFIT: &str = "zaxy.event";
/// Type of a memory whose event's type does not fit.
const MEMORY_KIND_UNFIT: &str = "note";
/// The one key of a payload that Zaxy encrypted.
const CIPHER_KEY: &str = "__zaxy_cipher";
/// Deepest nesting of a line: around it stand the payload, the event, the list of events and the body.
pub const RECORD_DEPTH_MAX: usize = JSON_DEPTH_MAX - 4;

/// Where the text of an event stands, unless in `content`.
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
/// Bookkeeping of Zaxy and its observers: kept, but nobody's memory.
const NO_MEMORIES: [&str; 7] =
    ["code.", "hook.", "llm.", "memory.forgotten", "memory.reinforcement", "source.", "tool."];

/// Where an imported event comes from; stands beside the original line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the log's file without its ending.
    pub log: String,
    /// Hash of the first event of the log: what makes it that log, whatever its file is called.
    pub chain: Hash,
    /// Number of the event in its log.
    pub seq: u64,
    /// Its hash there.
    pub hash: Hash,
}

/// An event ready to be appended.
#[derive(Debug, Clone)]
pub struct Translated {
    /// Kind of event.
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// The conversation it came from.
    pub session: Option<String>,
    /// [`Source`] and the original line.
    pub payload: Box<RawValue>,
    /// What to save beside it.
    pub memory: Option<Memory>,
    /// Fields that could not be taken as they are, and stand in the original line alone.
    pub changed: Vec<&'static str>,
    /// The payload can be read with keys only that Zaxy keeps elsewhere.
    pub encrypted: bool,
}

/// A memory, in the fields of `POST /v1/memories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The text, as it stands in the event.
    pub content: String,
    /// A line to recognise it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Type of the event.
    #[serde(rename = "type")]
    pub kind: String,
    /// `zaxy`, and `zaxy:` with the first 16 digits of the event's hash.
    pub tags: Vec<String>,
    /// Who said so.
    pub actor: String,
    /// The conversation it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it happened.
    pub occurred_at: jiff::Timestamp,
}

/// An event that verifies and that the log here cannot take as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// Too large for one event.
    #[error("the event has {0} bytes here, the limit is {CONTENT_BYTES_MAX}")]
    TooLarge(usize),
    /// Nested too deeply.
    #[error("the event is nested deeper than {RECORD_DEPTH_MAX} levels")]
    TooDeep,
}

impl Unfit {
    /// Stable label, for reports.
    pub fn label(&self) -> &'static str {
        match self {
            Unfit::TooLarge(_) => "too_large",
            Unfit::TooDeep => "too_deep",
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

/// Whether an event of this type may be an imported one.
pub fn is_imported(kind: &str) -> bool {
    kind.starts_with(PREFIX)
}

/// Takes an imported event's payload apart; absent when it was not written by an import.
pub fn read_payload(payload: &RawValue) -> Option<(Source, &RawValue)> {
    let Payload { source, record } = serde_json::from_str(payload.get()).ok()?;
    Some((source, record))
}

/// The payload of an imported event. The original line stays byte for byte.
pub fn payload(source: Source, record: &RawValue) -> Result<Box<RawValue>, Unfit> {
    if depth(record.get()) > RECORD_DEPTH_MAX {
        return Err(Unfit::TooDeep);
    }
    let payload = serde_json::value::to_raw_value(&Payload { source, record })
        .expect("a struct of strings and a JSON text is always JSON");
    let size = payload.get().len();
    if size > CONTENT_BYTES_MAX { Err(Unfit::TooLarge(size)) } else { Ok(payload) }
}

/// Says what an event becomes. `log` is the name of its file, `chain` the hash of that file's first event.
pub fn translate(event: &Verified<'_>, log: &str, chain: Hash) -> Result<Translated, Unfit> {
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

/// Whether a name may stand here as it is.
fn fits(name: &str) -> bool {
    let chars = name.chars().count();
    !name.trim().is_empty() && chars <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

/// The same name always has the same stand-in, so that what belongs together stays together.
fn stand_in(name: &str) -> String {
    format!("{PREFIX}{}", &Hash::of(name.as_bytes()).to_string()[..16])
}

/// Levels of a JSON text that was checked before.
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
