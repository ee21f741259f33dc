//! Validates requests. This is the only code that handles unvalidated input; it returns a [`Draft`] or the first
//! violated rule.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::digest::is_id;
use crate::event::{
    Draft, InvalidationPayload, MEMORY_INVALIDATED, MEMORY_SAVED, MemoryPayload, RESERVED, Source,
};
use crate::limits::*;
use crate::policy::tokens;
use crate::strict;
use crate::wire::{AppendEvents, EventRequest, InvalidateMemory, SaveMemories, SaveMemory};
use crate::words::make_normal;

mod graph;
mod items;
mod without_values;

pub use graph::{
    Author, Ends, added_observations, created_entities, created_relations, ended_entities,
    ended_observations, ended_relations, entity_name, graph_question, opened_names,
};
pub use items::{
    ItemWrite, NamespaceQuery, deleted_item, item_namespace, item_place, listed_namespaces, put_item,
    put_item_to_live, put_text_item, refreshed_item, searched_items,
};
pub use without_values::without_values;

/// A violated rule. `Display` names the field and the rule, never the value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The body is not strict JSON, or not of the documented shape.
    #[error("the body is not valid: {0}")]
    Body(String),
    /// A field is empty that must not be.
    #[error("{0} must not be empty")]
    Empty(String),
    /// A field is too long.
    #[error("{field} has {found} characters, the limit is {limit}")]
    TooLong {
        /// Name of the field.
        field: String,
        /// Actual length, in characters.
        found: usize,
        /// Maximum length, in characters.
        limit: usize,
    },
    /// Content or payload is too large.
    #[error("{field} has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// Name of the field.
        field: String,
        /// Actual size, in bytes.
        found: usize,
        /// Maximum size, in bytes.
        limit: usize,
    },
    /// A list has too many or too few items.
    #[error("{field} has {found} items, allowed are {min} to {max}")]
    Count {
        /// Name of the list.
        field: String,
        /// Actual number of items.
        found: usize,
        /// Minimum number of items.
        min: usize,
        /// Maximum number of items.
        max: usize,
    },
    /// A number is out of range.
    #[error("{field} must be an integer from {min} to {max}")]
    Range {
        /// Name of the parameter.
        field: &'static str,
        /// Minimum.
        min: u64,
        /// Maximum.
        max: u64,
    },
    /// A value is not one of the known ones.
    #[error("{field} must be one of {known}")]
    Choice {
        /// Name of the parameter.
        field: &'static str,
        /// The known values.
        known: String,
    },
    /// A name has control characters.
    #[error("{0} must not have control characters")]
    Control(String),
    /// A payload is not an object.
    #[error("{0} must be a JSON object")]
    NotAnObject(String),
    /// An element of a list is not valid.
    #[error("{at}: {fault}")]
    Item {
        /// Position of the element.
        at: String,
        /// The rule that it violates.
        fault: Box<Refused>,
    },
    /// A rating is out of range.
    #[error("rating must be a number from -1 to 1")]
    Rating,
    /// Two mutually exclusive fields are both set.
    #[error("{0} cannot be combined with {1}")]
    Exclusive(&'static str, &'static str),
    /// A list has duplicate names.
    #[error("{0} has duplicates")]
    Twice(&'static str),
    /// None of several fields is set, one of which is required.
    #[error("{0} must be given")]
    Missing(&'static str),
    /// A cause is not an event id.
    #[error("{0} must be the id of an event (32 lower-case hex digits)")]
    NotAnId(String),
    /// An event type that only the engine writes.
    #[error("{field}: type {kind:?} is written by the engine itself")]
    Reserved {
        /// Name of the field.
        field: String,
        /// The event type.
        kind: &'static str,
    },
    /// Not an RFC 3339 time.
    #[error("{0} must be a time such as 2026-01-31T12:00:00Z (RFC 3339)")]
    Moment(&'static str),
    /// The idempotency key is not valid.
    #[error("Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters, sent once")]
    IdempotencyKey,
}

/// Parses a JSON body: checks the strict form, then the shape.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    strict::check_sent(body).map_err(|fault| Refused::Body(fault.to_string()))?;
    // Without this check serde would accept a JSON list as a struct, with its items as the fields in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Refused::NotAnObject("the body".into()));
    }
    serde_json::from_slice(body).map_err(|fault| Refused::Body(without_values(&fault.to_string())))
}

/// Validates a memory to save.
pub fn memory(request: SaveMemory) -> Result<Draft, Refused> {
    piece(request, None)
}

/// Validates a batch of memories.
pub fn memories(request: SaveMemories) -> Result<Vec<Draft>, Refused> {
    count("memories", request.memories.len(), 1, BATCH_EVENTS_MAX)?;
    let each = |(i, one)| {
        memory(one).map_err(|fault| Refused::Item { at: format!("memories[{i}]"), fault: Box::new(fault) })
    };
    request.memories.into_iter().enumerate().map(each).collect()
}

/// Validates a memory that is a piece of a document.
pub fn piece(request: SaveMemory, source: Option<Source>) -> Result<Draft, Refused> {
    let SaveMemory {
        content,
        title,
        project,
        kind,
        mut tags,
        session,
        actor,
        occurred_at,
        valid_from,
        mut entities,
        // `same_text` decides whether the memory is saved. It is not a part of the memory.
        same_text: _,
    } = request;
    tags.iter_mut().chain(&mut entities).for_each(make_normal);
    if content.trim().is_empty() {
        return Err(Refused::Empty("content".into()));
    }
    size("content", content.len())?;
    if let Some(title) = &title {
        line("title", title, TITLE_CHARS_MAX)?;
    }
    count("tags", tags.len(), 0, TAGS_MAX)?;
    for (i, tag) in tags.iter().enumerate() {
        name(&format!("tags[{i}]"), tag, TAG_CHARS_MAX)?;
    }
    count("entities", entities.len(), 0, MEMORY_ENTITIES_MAX)?;
    for (i, entity) in entities.iter().enumerate() {
        name(&format!("entities[{i}]"), entity, ENTITY_NAME_CHARS_MAX)?;
    }
    let kind = named("type", kind, MEMORY_TYPE_DEFAULT)?;
    let title = title.filter(|title| !title.is_empty());
    let payload = MemoryPayload { content, title, kind, tags, occurred_at, valid_from, source, entities };
    Ok(Draft {
        kind: MEMORY_SAVED.into(),
        actor: named("actor", actor, ACTOR_DEFAULT)?,
        project: named("project", project, PROJECT_DEFAULT)?,
        session: session.map(|session| named("session", Some(session), "")).transpose()?,
        causes: Vec::new(),
        payload: serde_json::value::to_raw_value(&payload)
            .expect("a struct of strings and a time is always JSON"),
    })
}

/// Validates the end of the validity of the memory `target` and returns its event. Does not check rules that depend on
/// the memory.
pub fn invalidation(target: &str, project: String, request: InvalidateMemory) -> Result<Draft, Refused> {
    let InvalidateMemory { valid_until, reason, superseded_by, session, actor } = request;
    if let Some(reason) = &reason {
        name("reason", reason, REASON_CHARS_MAX)?;
    }
    if superseded_by.as_deref().is_some_and(|id| !is_id(id)) {
        return Err(Refused::NotAnId("superseded_by".into()));
    }
    let causes = [Some(target), superseded_by.as_deref()].into_iter().flatten().map(str::to_owned).collect();
    let payload = InvalidationPayload { target: target.to_owned(), valid_until, reason, superseded_by };
    Ok(Draft {
        kind: MEMORY_INVALIDATED.into(),
        actor: named("actor", actor, ACTOR_DEFAULT)?,
        project,
        session: session.map(|session| named("session", Some(session), "")).transpose()?,
        causes,
        payload: serde_json::value::to_raw_value(&payload).expect("strings and a time are always JSON"),
    })
}

/// Validates a reason.
pub fn reason(reason: Option<String>) -> Result<Option<String>, Refused> {
    reason.map(|reason| name("reason", &reason, REASON_CHARS_MAX).map(|()| reason)).transpose()
}

/// Validates an actor.
pub fn actor(actor: Option<String>) -> Result<String, Refused> {
    named("actor", actor, ACTOR_DEFAULT)
}

/// Parses an RFC 3339 time.
pub fn moment(field: &'static str, text: &str) -> Result<Timestamp, Refused> {
    crate::wire::moment::read(text).ok_or(Refused::Moment(field))
}

/// Validates a batch of events.
pub fn events(request: AppendEvents) -> Result<Vec<Draft>, Refused> {
    count("events", request.events.len(), 1, BATCH_EVENTS_MAX)?;
    request
        .events
        .into_iter()
        .enumerate()
        .map(|(i, request)| event(&format!("events[{i}]"), request))
        .collect()
}

fn event(at: &str, request: EventRequest) -> Result<Draft, Refused> {
    let EventRequest { kind, actor, project, session, causes, payload } = request;
    let field = |name: &str| format!("{at}.{name}");
    name(&field("type"), &kind, NAME_CHARS_MAX)?;
    if let Some(kind) = RESERVED.iter().find(|reserved| **reserved == kind) {
        return Err(Refused::Reserved { field: field("type"), kind });
    }
    count(&field("causes"), causes.len(), 0, CAUSES_MAX)?;
    if let Some(i) = causes.iter().position(|cause| !is_id(cause)) {
        return Err(Refused::NotAnId(field(&format!("causes[{i}]"))));
    }
    Ok(Draft {
        kind,
        actor: named(&field("actor"), actor, ACTOR_DEFAULT)?,
        project: named(&field("project"), project, PROJECT_DEFAULT)?,
        session: session.map(|session| named(&field("session"), Some(session), "")).transpose()?,
        causes,
        payload: object(&field("payload"), payload)?,
    })
}

// Validates that a payload is a JSON object, and removes line feeds between its tokens, which would end the log line
// early. Inside strings JSON escapes line feeds.
fn object(field: &str, payload: Box<RawValue>) -> Result<Box<RawValue>, Refused> {
    let text = payload.get();
    if !text.starts_with('{') {
        return Err(Refused::NotAnObject(field.into()));
    }
    size(field, text.len())?;
    one_line(payload)
}

fn one_line(json: Box<RawValue>) -> Result<Box<RawValue>, Refused> {
    if !json.get().contains(['\n', '\r']) {
        return Ok(json);
    }
    let one_line = json.get().replace(['\n', '\r'], " ");
    RawValue::from_string(one_line).map_err(|fault| Refused::Body(fault.to_string()))
}

/// Validates the value of an `Idempotency-Key` header.
pub fn idempotency_key(value: &[u8]) -> Result<String, Refused> {
    let printable = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = std::str::from_utf8(value).ok().filter(|_| printable);
    let fits = |text: &&str| (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&text.len());
    text.filter(fits).map(str::to_owned).ok_or(Refused::IdempotencyKey)
}

/// Validates a project or type filter of a search.
pub fn filter(field: &str, value: &str) -> Result<(), Refused> {
    name(field, value, NAME_CHARS_MAX)
}

/// Validates an optional name and converts it to normal form.
pub fn optional(field: &str, value: &mut Option<String>, limit: usize) -> Result<(), Refused> {
    value.iter_mut().try_for_each(|value| {
        make_normal(value);
        name(field, value, limit)
    })
}

/// Validates a one-line text that must not be empty.
pub fn text(field: &str, value: &str, limit: usize) -> Result<(), Refused> {
    name(field, value, limit)
}

/// Validates the text of a search.
pub fn words(q: &str) -> Result<(), Refused> {
    chars("q", q, QUERY_CHARS_MAX)
}

/// Returns the number if it is within bounds, and the default if there is none.
pub fn within(
    field: &'static str,
    value: Option<u32>,
    min: u32,
    max: u32,
    default: u32,
) -> Result<u32, Refused> {
    let value = value.unwrap_or(default);
    let allowed = (min..=max).contains(&value);
    if allowed { Ok(value) } else { Err(Refused::Range { field, min: min.into(), max: max.into() }) }
}

/// Validates the query of a context, which must not be blank.
pub fn prompt(query: &str) -> Result<(), Refused> {
    if query.trim().is_empty() {
        return Err(Refused::Empty("query".into()));
    }
    chars("query", query, QUERY_CHARS_MAX)
}

/// Validates a list of ids.
pub fn ids(field: &str, ids: &[String], max: usize) -> Result<(), Refused> {
    count(field, ids.len(), 0, max)?;
    match ids.iter().position(|id| !is_id(id)) {
        Some(at) => Err(Refused::NotAnId(format!("{field}[{at}]"))),
        None => Ok(()),
    }
}

/// Validates a list of names.
pub fn names(field: &str, names: &mut [String], max: usize) -> Result<(), Refused> {
    count(field, names.len(), 0, max)?;
    names.iter_mut().for_each(make_normal);
    names
        .iter()
        .enumerate()
        .try_for_each(|(at, value)| name(&format!("{field}[{at}]"), value, NAME_CHARS_MAX))
}

/// Parses an integer within bounds.
pub fn number(field: &'static str, text: &str, min: u64, max: u64) -> Result<u64, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|value| digits && (min..=max).contains(value));
    value.ok_or(Refused::Range { field, min, max })
}

pub(crate) fn named(field: &str, value: Option<String>, default: &str) -> Result<String, Refused> {
    let mut value = value.unwrap_or_else(|| default.to_owned());
    make_normal(&mut value);
    name(field, &value, NAME_CHARS_MAX)?;
    Ok(value)
}

pub(crate) fn name(field: &str, value: &str, limit: usize) -> Result<(), Refused> {
    if value.trim().is_empty() {
        return Err(Refused::Empty(field.into()));
    }
    line(field, value, limit)
}

pub(crate) fn line(field: &str, value: &str, limit: usize) -> Result<(), Refused> {
    chars(field, value, limit)?;
    if value.chars().any(char::is_control) {
        return Err(Refused::Control(field.into()));
    }
    Ok(())
}

/// Length of a text, in characters. A pseudonym token counts as one character, which is less than the text that it
/// replaces. A name within the limit is therefore also within the limit in its stored form.
pub(crate) fn length(value: &str) -> usize {
    let in_tokens: usize = tokens(value).map(|token| token.len() - 1).sum();
    value.chars().count() - in_tokens
}

fn chars(field: &str, value: &str, limit: usize) -> Result<(), Refused> {
    let found = length(value);
    if found > limit {
        return Err(Refused::TooLong { field: field.into(), found, limit });
    }
    Ok(())
}

fn size(field: &str, found: usize) -> Result<(), Refused> {
    if found > CONTENT_BYTES_MAX {
        return Err(Refused::TooLarge { field: field.into(), found, limit: CONTENT_BYTES_MAX });
    }
    Ok(())
}

pub(crate) fn count(field: &str, found: usize, min: usize, max: usize) -> Result<(), Refused> {
    if !(min..=max).contains(&found) {
        return Err(Refused::Count { field: field.into(), found, min, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
