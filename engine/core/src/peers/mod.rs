//! Stores of other products, read into what is to be saved here.
//!
//! Each reader takes one record of its product and answers with [`Record`]: steps to carry out in order, and what
//! could not be taken as it is. docs/guide/import.md has the same as tables.

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

/// One thing to do in an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An entity that is to be there.
    Entity {
        /// Its name.
        name: String,
        /// Its kind.
        kind: String,
    },
    /// What was observed of an entity.
    Observation {
        /// Name of the entity.
        entity: String,
        /// Words.
        content: String,
    },
    /// A relation that is to be there.
    Relation(Relation),
    /// A memory that is to be there.
    Memory {
        /// What makes it that memory in its own store: the same id for the same words.
        id: String,
        /// What to save; its project is absent.
        memory: Box<SaveMemory>,
    },
    /// A memory is true no longer.
    End {
        /// The id in its [`Step::Memory`].
        id: String,
        /// Since when.
        until: Option<Timestamp>,
        /// The id of the memory that is true instead.
        by: Option<String>,
    },
    /// A document.
    Document(Box<Document>),
}

impl Step {
    /// Stable name, for reports.
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

/// What one record of another product becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// In this order.
    pub steps: Vec<Step>,
    /// Fields that could not be taken as they are, by what was done about it.
    pub changed: Vec<&'static str>,
    /// Names of fields that say something and have no place here.
    pub left_out: Vec<String>,
    /// Parts that cannot be taken.
    pub refused: Vec<Refused>,
}

/// Why a record, or a part of one, is not taken. `Display` never quotes what it says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Not JSON, or JSON that two readers could understand differently.
    #[error("it is not strict JSON: {0}")]
    NotStrict(strict::NotStrict),
    /// JSON of another kind.
    #[error("it is not {0}")]
    NotA(&'static str),
    /// A record of a kind that this reader does not know.
    #[error("its type is none of those that the product writes")]
    UnknownType,
    /// A field that is needed is not there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field has a value of another shape.
    #[error("the field {field} is not {expected}")]
    Shape {
        /// Which field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Longer than it may be.
    #[error("{what} is longer than {max}")]
    TooLong {
        /// What is.
        what: &'static str,
        /// Characters or bytes, with the word.
        max: String,
    },
    /// Characters that no name has.
    #[error("{0} has control characters, or nothing but blanks")]
    NoName(&'static str),
}

impl Refused {
    /// Stable label, for reports.
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
    /// A record of which nothing can be taken.
    pub fn refused(why: Refused) -> Record {
        Record { refused: vec![why], ..Record::default() }
    }

    /// An entity with what was observed of it; without it, nothing of it is taken.
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

    /// What was observed, in parts where it is longer than an observation may be.
    fn observation(&mut self, entity: &str, content: &str) {
        if content.trim().is_empty() {
            self.refused.push(Refused::NoName("an observation"));
            return;
        }
        // A character has at most four bytes, so that parts of so many bytes are never too long.
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

    /// A kind as it is, or one that stands for it: the same for the same kind.
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

    /// A name of a session or an actor, or one that stands for it.
    fn name(&mut self, product: &str, field: &'static str, name: Option<&str>) -> Option<String> {
        let name = name.filter(|name| !name.trim().is_empty())?;
        if is_name(name, NAME_CHARS_MAX) {
            return Some(name.to_owned());
        }
        self.changed.push(field);
        Some(format!("{product}.{}", &Hash::of(name.as_bytes()).to_string()[..16]))
    }

    /// A time as its product writes it.
    fn time(&mut self, text: Option<&str>) -> Option<Timestamp> {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        let found = time(text);
        if found.is_none() {
            self.changed.push("time");
        }
        found
    }

    /// Notes the fields of an object that this reader does not know and that say something.
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

/// The tag that a memory with this id in its own store has here: it is found by it.
pub fn tag(product: &str, id: &str) -> String {
    format!("{product}:{}", &Hash::of(id.as_bytes()).to_string()[..16])
}

/// A time in RFC 3339, the same with a blank, without an offset (taken as UTC), or a date alone.
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

/// A field that is a string, if it is there.
fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

/// A field that has to be a string.
fn needed<'a>(object: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, Refused> {
    match object.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refused::Shape { field, expected: "a string" }),
        None => Err(Refused::Missing(field)),
    }
}
