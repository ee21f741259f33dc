//! Reads data of mem0 (PyPI `mem0ai`): the result of `get_all()`, and the memory history in `history.db`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Record, Refused, Step, needed, text};
use crate::digest::Hash;
use crate::limits::{CONTENT_BYTES_MAX, TAG_CHARS_MAX, TAGS_MAX};
use crate::wire::{SameText, SaveMemory};

const PRODUCT: &str = "mem0";
/// Names of fields that contain the list of memories in the result of `get_all()` and in exports made from it.
const LISTS: [&str; 4] = ["results", "memories", "data", "items"];
/// Fields of a memory that are imported, or that can be ignored without loss.
const KNOWN: [&str; 15] = [
    "id",
    "memory",
    "data",
    "text",
    "hash",
    "created_at",
    "updated_at",
    "user_id",
    "agent_id",
    "run_id",
    "actor_id",
    "metadata",
    "categories",
    "score",
    "text_lemmatized",
];

/// Converts the result of `get_all()`: the memories, and the relations that the result also contains.
pub fn export(export: &Value) -> Vec<Record> {
    let list = match export {
        Value::Array(items) => Some(items),
        Value::Object(fields) => LISTS.iter().find_map(|list| fields.get(*list)?.as_array()),
        _ => None,
    };
    let Some(items) = list else {
        return vec![Record::refused(Refused::NotA("a list of memories, alone or under \"results\""))];
    };
    let object = |item: &Value, read: fn(&Map<String, Value>) -> Result<Record, Refused>| match item {
        Value::Object(fields) => read(fields).unwrap_or_else(Record::refused),
        _ => Record::refused(Refused::NotA("a JSON object")),
    };
    let mut records: Vec<Record> = items.iter().map(|item| object(item, memory)).collect();
    let relations = export.get("relations").and_then(Value::as_array).into_iter().flatten();
    records.extend(relations.map(|item| object(item, relation)));
    records
}

/// Converts one memory, as a vector store holds it or as `get_all()` returns it.
pub fn memory(fields: &Map<String, Value>) -> Result<Record, Refused> {
    let id = needed(fields, "id")?;
    let content = ["memory", "data", "text"].iter().find_map(|field| text(fields, field));
    let content = content.ok_or(Refused::Missing("memory"))?;
    let mut record = Record::default();
    record.leave_out(fields, &KNOWN);
    let metadata = fields.get("metadata").and_then(Value::as_object);
    if let Some(metadata) = metadata {
        record.leave_out(metadata, &["category", "categories"]);
    }
    let named = |field: &str| text(fields, field).filter(|name| !name.trim().is_empty());
    let (user, agent) = (named("user_id"), named("agent_id"));
    let actor = named("actor_id").or(user).or(agent);
    for (field, name) in [("user_id", user), ("agent_id", agent)] {
        if name.is_some() && name != actor {
            record.left_out.push(field.to_owned());
        }
    }
    let categories = [fields.get("categories"), metadata.and_then(|it| it.get("categories"))];
    let mut tags: Vec<String> =
        categories.into_iter().flatten().filter_map(Value::as_array).flatten().filter_map(as_tag).collect();
    tags.extend(metadata.and_then(|metadata| metadata.get("category")).and_then(as_tag));
    let source = Source { id, content, actor, session: named("run_id"), tags };
    // The text is valid from the last update on; earlier texts are in the table `history`.
    let occurred_at = record.time(text(fields, "updated_at").or_else(|| text(fields, "created_at")));
    record.memory(source, occurred_at)?;
    Ok(record)
}

fn as_tag(value: &Value) -> Option<String> {
    let tag = value.as_str()?.trim();
    super::is_name(tag, TAG_CHARS_MAX).then(|| tag.to_owned())
}

/// Converts a relation of mem0's graph store: two names and the relation's type.
fn relation(fields: &Map<String, Value>) -> Result<Record, Refused> {
    let either =
        |one: &'static str, other: &'static str| needed(fields, one).or_else(|_| needed(fields, other));
    let from = needed(fields, "source")?;
    let kind = either("relationship", "relation")?;
    let to = either("target", "destination")?;
    let mut record = Record::default();
    record.relation(PRODUCT, (from, to), kind);
    Ok(record)
}

/// A row of the table `history`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Id of the memory.
    pub memory_id: Option<String>,
    /// Text before the change.
    pub old_memory: Option<String>,
    /// Text after the change.
    pub new_memory: Option<String>,
    /// `ADD`, `UPDATE` or `DELETE`; `NONE` and `NOOP` change nothing.
    pub event: Option<String>,
    /// When the memory was created.
    pub created_at: Option<String>,
    /// When the change was made.
    pub updated_at: Option<String>,
    /// Who made the change.
    pub actor_id: Option<String>,
}

/// Converts a change to a new memory, the end of a memory, or both. Changes must be converted in chronological order.
pub fn change(change: &Change) -> Result<Record, Refused> {
    let id = change.memory_id.as_deref().ok_or(Refused::Missing("memory_id"))?;
    let mut record = Record::default();
    let made = record.time(change.created_at.as_deref());
    let changed = record.time(change.updated_at.as_deref()).or(made);
    let source =
        |content| Source { id, content, actor: change.actor_id.as_deref(), session: None, tags: Vec::new() };
    let said =
        |words: &Option<String>| words.as_deref().filter(|words| !words.trim().is_empty()).map(str::to_owned);
    let (old, new) = (said(&change.old_memory), said(&change.new_memory));
    let event = change.event.as_deref().unwrap_or_default().to_ascii_uppercase();
    match (event.as_str(), old, new) {
        ("ADD", _, Some(new)) => record.memory(source(&new), made)?,
        ("UPDATE", old, Some(new)) if old.as_ref() != Some(&new) => {
            record.memory(source(&new), changed)?;
            if let Some(old) = old {
                let by = Some(identity(id, &new));
                record.steps.push(Step::End { id: identity(id, &old), until: changed, by });
            }
        }
        ("DELETE", Some(old), _) => {
            record.steps.push(Step::End { id: identity(id, &old), until: changed, by: None });
        }
        ("UPDATE" | "NONE" | "NOOP", ..) => {}
        ("ADD", ..) => return Err(Refused::Missing("new_memory")),
        ("DELETE", ..) => return Err(Refused::Missing("old_memory")),
        _ => return Err(Refused::UnknownType),
    }
    Ok(record)
}

/// Identity of an imported memory, from its id and its text in mem0. A new text under the same id becomes a separate
/// memory.
fn identity(id: &str, content: &str) -> String {
    format!("{id}\n{}", Hash::of(content.as_bytes()))
}

struct Source<'a> {
    id: &'a str,
    content: &'a str,
    actor: Option<&'a str>,
    session: Option<&'a str>,
    tags: Vec<String>,
}

impl Record {
    fn memory(&mut self, source: Source<'_>, occurred_at: Option<Timestamp>) -> Result<(), Refused> {
        let Source { id, content, actor, session, mut tags } = source;
        if content.trim().is_empty() {
            return Err(Refused::Shape { field: "memory", expected: "a text that is not blank" });
        }
        if content.len() > CONTENT_BYTES_MAX {
            return Err(Refused::TooLong { what: "the memory", max: format!("{CONTENT_BYTES_MAX} bytes") });
        }
        let id = identity(id, content);
        tags.insert(0, PRODUCT.to_owned());
        tags.insert(1, super::tag(PRODUCT, &id));
        let mut seen = std::collections::BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        if tags.len() > TAGS_MAX {
            tags.truncate(TAGS_MAX);
            self.changed.push("tags");
        }
        let memory = SaveMemory {
            // Two memories in mem0 may have the same text and end at different times, so both are saved.
            same_text: Some(SameText::SaveAndReport),
            content: content.to_owned(),
            title: None,
            project: None,
            kind: None,
            tags,
            session: self.name(PRODUCT, "session", session),
            actor: self.name(PRODUCT, "actor", actor),
            occurred_at,
            valid_from: None,
            entities: Vec::new(),
        };
        self.steps.push(Step::Memory { id, memory: Box::new(memory) });
        Ok(())
    }
}
