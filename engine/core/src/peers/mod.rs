//! Readers for the stores of other products, used by the import.
//!
//! Each reader converts one record of its product to a [`Record`]: the import steps in order, and a list of what could
//! not be imported unchanged. docs/guide/import.md has the same mapping as tables.

pub mod basic_memory;
pub mod mem0;
pub mod server_memory;
#[cfg(test)]
mod tests;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::digest::Hash;
use crate::limits::{ENTITY_NAME_CHARS_MAX, NAME_CHARS_MAX, OBSERVATION_CHARS_MAX};
use crate::wire::{Document, Relation, SaveMemory};
use crate::{documents, strict};

/// One import step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create an entity unless it exists.
    Entity {
        /// Name of the entity.
        name: String,
        /// Type of the entity.
        kind: String,
    },
    /// Add an observation to an entity.
    Observation {
        /// Name of the entity.
        entity: String,
        /// Text of the observation.
        content: String,
    },
    /// Create a relation unless it exists.
    Relation(Relation),
    /// Save a memory unless it exists.
    Memory {
        /// Identity of the memory in the original store. The same id with the same text always gives the same identity.
        id: String,
        /// The memory to save, without a project.
        memory: Box<SaveMemory>,
    },
    /// End the validity of a memory.
    End {
        /// Identity of the memory, as in its [`Step::Memory`].
        id: String,
        /// End of validity.
        until: Option<Timestamp>,
        /// Identity of the memory that replaces it.
        by: Option<String>,
    },
    /// Save a document.
    Document(Box<Document>),
}

impl Step {
    /// Stable name for reports.
    pub fn label(&self) -> &'static str {
        match self {
            Step::Entity { .. } => "entities",
            Step::Observation { .. } => "observations",
            Step::Relation(_) => "relations",
            Step::Memory { .. } => "memories",
            Step::End { .. } => "ends",
            Step::Document(_) => "documents",
        }
    }
}

/// Result of converting one record of another product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Import steps, in the order to carry them out.
    pub steps: Vec<Step>,
    /// Kinds of changes that were necessary to import the record.
    pub changed: Vec<&'static str>,
    /// Names of non-empty fields that have no counterpart in the engine and are not imported.
    pub left_out: Vec<String>,
    /// Parts that cannot be imported.
    pub refused: Vec<Refused>,
}

/// Why a record, or a part of it, is not imported. `Display` never quotes its content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The record is not JSON, or is ambiguous JSON that parsers could read differently.
    #[error("it is not strict JSON: {0}")]
    NotStrict(strict::NotStrict),
    /// The record is JSON, but not of the expected kind, which this contains.
    #[error("it is not {0}")]
    NotA(&'static str),
    /// The record has an unknown type.
    #[error("its type is not one that the product writes")]
    UnknownType,
    /// A required field is missing.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field has a value of the wrong kind.
    #[error("the field {field} is not {expected}")]
    Shape {
        /// Name of the field.
        field: &'static str,
        /// Expected kind of value.
        expected: &'static str,
    },
    /// A text is longer than its limit.
    #[error("{what} is longer than {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Limit, with its unit (characters or bytes).
        max: String,
    },
    /// A name is blank or has control characters.
    #[error("{0} is blank or has control characters")]
    NoName(&'static str),
}

impl Refused {
    /// Stable label for reports.
    pub fn label(&self) -> &'static str {
        match self {
            Refused::NotStrict(_) => "not_strict",
            Refused::NotA(_) => "wrong_kind",
            Refused::UnknownType => "unknown_type",
            Refused::Missing(_) => "missing_field",
            Refused::Shape { .. } => "wrong_field",
            Refused::TooLong { .. } => "too_long",
            Refused::NoName(_) => "no_name",
        }
    }
}

impl Record {
    /// The result for a record that cannot be imported at all.
    pub fn refused(why: Refused) -> Record {
        Record { refused: vec![why], ..Record::default() }
    }

    /// Adds an entity. Returns `false` if its name is refused; the caller then drops its observations too.
    fn entity(&mut self, product: &str, name: &str, kind: &str) -> bool {
        match entity_name("the name of an entity", name) {
            Ok(name) => {
                let kind = self.kind(product, "entity", kind);
                self.steps.push(Step::Entity { name, kind });
                true
            }
            Err(why) => {
                self.refused.push(why);
                false
            }
        }
    }

    /// Adds an observation. Splits it into several if it is longer than an observation may be.
    fn observation(&mut self, entity: &str, content: &str) {
        if content.trim().is_empty() {
            self.refused.push(Refused::NoName("an observation"));
            return;
        }
        // The limit is in characters, but is used as a limit in bytes: a part never has more characters than bytes.
        let parts = if content.chars().count() > OBSERVATION_CHARS_MAX {
            self.changed.push("split");
            documents::prose(content, OBSERVATION_CHARS_MAX)
        } else {
            vec![content]
        };
        let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
        let entity = || entity.to_owned();
        self.steps.extend(parts.map(|part| Step::Observation { entity: entity(), content: part.to_owned() }));
    }

    fn relation(&mut self, product: &str, (from, to): (&str, &str), kind: &str) {
        let ends = entity_name("the start of a relation", from)
            .and_then(|from| Ok((from, entity_name("the end of a relation", to)?)));
        match ends {
            Ok((from, to)) => {
                let relation_type = self.kind(product, "relation", kind);
                self.steps.push(Step::Relation(Relation { from, to, relation_type }));
            }
            Err(why) => self.refused.push(why),
        }
    }

    /// Returns the type `kind` unchanged if it is valid, otherwise a replacement derived from it, which is always the
    /// same.
    fn kind(&mut self, product: &str, default: &str, kind: &str) -> String {
        if is_name(kind, NAME_CHARS_MAX) {
            return kind.to_owned();
        }
        self.changed.push("type");
        if kind.trim().is_empty() {
            return default.to_owned();
        }
        format!("{product}.{}", &Hash::of(kind.as_bytes()).to_string()[..16])
    }

    /// Returns the name of a session or an actor unchanged if it is valid, otherwise a replacement derived from it,
    /// which is always the same.
    fn name(&mut self, product: &str, field: &'static str, name: Option<&str>) -> Option<String> {
        let name = name.filter(|name| !name.trim().is_empty())?;
        if is_name(name, NAME_CHARS_MAX) {
            return Some(name.to_owned());
        }
        self.changed.push(field);
        Some(format!("{product}.{}", &Hash::of(name.as_bytes()).to_string()[..16]))
    }

    /// Parses a time as [`time`] does, and records if it is not valid.
    fn time(&mut self, text: Option<&str>) -> Option<Timestamp> {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        let found = time(text);
        if found.is_none() {
            self.changed.push("time");
        }
        found
    }

    /// Records the names of the fields of `object` that are not empty and not in `known`.
    fn leave_out(&mut self, object: &Map<String, Value>, known: &[&str]) {
        let says = |value: &Value| match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        let left = object.iter().filter(|(name, value)| !known.contains(&name.as_str()) && says(value));
        self.left_out.extend(left.map(|(name, _)| name.clone()));
    }
}

/// Tag of an imported memory, by which it can be found from its id in the original store.
pub fn tag(product: &str, id: &str) -> String {
    format!("{product}:{}", &Hash::of(id.as_bytes()).to_string()[..16])
}

/// Parses an RFC 3339 time. Also accepts a space instead of `T`, a time without an offset (taken as UTC), and a date
/// alone.
pub fn time(text: &str) -> Option<Timestamp> {
    let utc = |local: civil::DateTime| TimeZone::UTC.to_timestamp(local).ok();
    let date = || text.parse::<civil::Date>().ok().map(|date| date.at(0, 0, 0, 0));
    text.parse().ok().or_else(|| text.parse::<civil::DateTime>().ok().or_else(date).and_then(utc))
}

fn is_name(name: &str, max: usize) -> bool {
    !name.trim().is_empty() && name.chars().count() <= max && !name.chars().any(char::is_control)
}

fn entity_name(what: &'static str, name: &str) -> Result<String, Refused> {
    if name.chars().count() > ENTITY_NAME_CHARS_MAX {
        return Err(Refused::TooLong { what, max: format!("{ENTITY_NAME_CHARS_MAX} characters") });
    }
    if is_name(name, ENTITY_NAME_CHARS_MAX) { Ok(name.to_owned()) } else { Err(Refused::NoName(what)) }
}

/// A field's value, if it is a string.
fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

/// A required string field.
fn needed<'a>(object: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, Refused> {
    match object.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refused::Shape { field, expected: "a string" }),
        None => Err(Refused::Missing(field)),
    }
}
