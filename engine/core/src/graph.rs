//! The knowledge graph: entities, their observations, and the relations between them, each with a validity period.
//!
//! An entity is identified by its name within a project. Every event is folded into rows of its own, which depend on no
//! other row. After an event is forgotten, the rows are therefore exactly those of a log that never contained the
//! event. Ends of validity are applied when the graph is queried: an end applies to everything that was put before it,
//! and the end of an entity also ends its observations and relations.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::Table;
use crate::event::{
    ENTITY_ENDED, ENTITY_OBSERVED, ENTITY_PUT, OBSERVATION_ENDED, RELATION_ENDED, RELATION_PUT,
};
use crate::format::EventLine;
use crate::limits::{PHRASE_SOURCE_WORDS_MAX, PHRASE_WORDS_MAX};
use crate::row::{Row, Value, integer, microseconds, named, optional};
use crate::unexpected_payload::{UnexpectedPayload, shaped};
use crate::words::normal_form;

/// Payload of an [`ENTITY_PUT`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityPayload {
    /// Name, unique within the project.
    pub name: String,
    /// Entity type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Start of validity; absent for the moment of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
}

/// Payload of an [`ENTITY_OBSERVED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationsPayload {
    /// Name of the entity.
    pub entity: String,
    /// Observations.
    pub observations: Vec<String>,
    /// Start of validity; absent for the moment of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
}

/// Payload of a [`RELATION_PUT`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationPayload {
    /// Name of the source entity.
    pub from: String,
    /// Name of the target entity.
    pub to: String,
    /// Relation type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Start of validity; absent for the moment of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
}

/// Payload of an [`ENTITY_ENDED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityEndPayload {
    /// Name of the entity.
    pub name: String,
    /// First moment at which the entity is no longer valid; absent for the moment of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of an [`OBSERVATION_ENDED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationsEndPayload {
    /// Name of the entity.
    pub entity: String,
    /// Observations that are no longer valid, verbatim.
    pub observations: Vec<String>,
    /// First moment at which they are no longer valid; absent for the moment of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of a [`RELATION_ENDED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationEndPayload {
    /// Name of the source entity.
    pub from: String,
    /// Name of the target entity.
    pub to: String,
    /// Relation type.
    #[serde(rename = "type")]
    pub kind: String,
    /// First moment at which the relation is no longer valid; absent for the moment of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Value of the column `what` in the table of ends, for the end of an entity.
pub const ENDS_ENTITY: &str = "entity";
/// Value of the column `what` for the end of an observation.
pub const ENDS_OBSERVATION: &str = "observation";
/// Value of the column `what` for the end of a relation.
pub const ENDS_RELATION: &str = "relation";

/// Rows of a graph event with this payload; no rows for other events.
pub(crate) fn rows(line: &EventLine<'_>, payload: &str) -> Result<Vec<Row>, UnexpectedPayload> {
    Ok(match &*line.envelope.kind {
        ENTITY_PUT => vec![entity(line, shaped(line, payload, ENTITY_PUT)?)],
        ENTITY_OBSERVED => observations(line, shaped(line, payload, ENTITY_OBSERVED)?),
        RELATION_PUT => vec![relation(line, shaped(line, payload, RELATION_PUT)?)],
        ENTITY_ENDED => {
            let EntityEndPayload { name, valid_until, reason } = shaped(line, payload, ENTITY_ENDED)?;
            vec![End { what: ENDS_ENTITY, subject: name, valid_until, reason, ..End::default() }.row(line, 0)]
        }
        OBSERVATION_ENDED => observation_ends(line, shaped(line, payload, OBSERVATION_ENDED)?),
        RELATION_ENDED => {
            let RelationEndPayload { from, to, kind, valid_until, reason } =
                shaped(line, payload, RELATION_ENDED)?;
            let end = End { what: ENDS_RELATION, subject: from, object: to, kind, valid_until, reason };
            vec![end.row(line, 0)]
        }
        _ => Vec::new(),
    })
}

/// Row of a created entity. Columns: seq, id, project, name, folded, kind, valid_from, known.
fn entity(line: &EventLine<'_>, payload: EntityPayload) -> Row {
    let EntityPayload { name, kind, valid_from } = payload;
    let folded = folded(&name);
    let more = [named(&name), Value::Text(folded), named(&kind), since(line, valid_from)];
    row(Table::Entities, line, None, more)
}

/// Rows of added observations, one per observation. Columns: seq, place, id, project, entity, content, valid_from,
/// known.
fn observations(line: &EventLine<'_>, payload: ObservationsPayload) -> Vec<Row> {
    let ObservationsPayload { entity, observations, valid_from } = payload;
    let observation = |(place, content)| {
        let more = [named(&entity), Value::Text(content), since(line, valid_from)];
        row(Table::Observations, line, Some(place), more)
    };
    (0..).zip(observations).map(observation).collect()
}

/// Row of a relation. Columns: seq, id, project, source, target, kind, valid_from, known.
fn relation(line: &EventLine<'_>, payload: RelationPayload) -> Row {
    let RelationPayload { from, to, kind, valid_from } = payload;
    let more = [named(&from), named(&to), named(&kind), since(line, valid_from)];
    row(Table::Relations, line, None, more)
}

fn observation_ends(line: &EventLine<'_>, payload: ObservationsEndPayload) -> Vec<Row> {
    let ObservationsEndPayload { entity, observations, valid_until, reason } = payload;
    let end = |object| End {
        what: ENDS_OBSERVATION,
        subject: entity.clone(),
        object,
        valid_until,
        reason: reason.clone(),
        ..End::default()
    };
    (0..).zip(observations).map(|(place, content)| end(content).row(line, place)).collect()
}

#[derive(Default)]
struct End {
    what: &'static str,
    subject: String,
    object: String,
    kind: String,
    valid_until: Option<Timestamp>,
    reason: Option<String>,
}

impl End {
    /// Row of an end of validity; `place` is its position among the ends in the event. Columns: seq, place, id,
    /// project, what, subject, object, kind, reason, until, known.
    fn row(self, line: &EventLine<'_>, place: i64) -> Row {
        let more = [
            Value::Text(self.what.into()),
            named(&self.subject),
            if self.what == ENDS_RELATION { named(&self.object) } else { Value::Text(self.object) },
            named(&self.kind),
            optional(self.reason),
            since(line, self.valid_until),
        ];
        row(Table::GraphEnds, line, Some(place), more)
    }
}

/// Rows that link a memory to the entities it is about, without duplicates.
///
/// Columns: memory, place, id, project, name, folded, known. `memory` is the sequence number of the memory's event,
/// `id` its id.
pub(crate) fn mentions(line: &EventLine<'_>, entities: &[String]) -> Vec<Row> {
    let names: BTreeSet<Cow<'_, str>> = entities.iter().map(|name| normal_form(name)).collect();
    let mention = |(place, name): (i64, Cow<'_, str>)| {
        let more = [named(&name), Value::Text(folded(&name))];
        row(Table::Mentions, line, Some(place), more)
    };
    (0..).zip(names).map(mention).collect()
}

fn row<const N: usize>(table: Table, line: &EventLine<'_>, place: Option<i64>, more: [Value; N]) -> Row {
    let envelope = &line.envelope;
    let mut values = vec![integer(envelope.seq)];
    values.extend(place.map(Value::Integer));
    values.extend([Value::Text(envelope.id.to_string()), named(&envelope.project)]);
    values.extend(more);
    values.push(Value::Integer(microseconds(envelope.time)));
    Row { table, values }
}

fn since(line: &EventLine<'_>, said: Option<Timestamp>) -> Value {
    Value::Integer(microseconds(said.unwrap_or(line.envelope.time)))
}

/// A name in the form in which queries are matched against it: its words in normal form, separated by single spaces. In
/// scripts without spaces every character counts as a word, because word boundaries depend on the context in these
/// scripts.
pub fn folded(name: &str) -> String {
    words(name).join(" ")
}

/// Every sequence of words in a query that could be an entity name, up to a maximum length, in the form of [`folded`].
pub fn phrases(question: &str) -> BTreeSet<String> {
    let mut words = words(question);
    words.truncate(PHRASE_SOURCE_WORDS_MAX);
    let rows = (1..=PHRASE_WORDS_MAX.min(words.len())).flat_map(|length| words.windows(length));
    rows.map(|row| row.join(" ")).collect()
}

fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    crate::words::apart(text, |word| found.push(word.to_owned()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_a_question_whatever_its_case_and_marks() {
        let asked = phrases("What did Ana-María say of the Blue  Kettle, v2?");
        for name in ["Ana-María", "ana maría", "blue kettle", "Blue Kettle V2", "KETTLE", "v2"] {
            assert!(asked.contains(&folded(name)), "{name}");
        }
        for name in ["Ana", "kettle blue", "Ana María Blue"] {
            assert_eq!(asked.contains(&folded(name)), name == "Ana", "{name}");
        }
        assert_eq!(folded("🦀"), "");
        assert!(!phrases("🦀 x").contains(""), "a name without words matches no query");
    }

    #[test]
    fn a_question_is_looked_at_up_to_a_bound() {
        let long = "word ".repeat(10 * PHRASE_SOURCE_WORDS_MAX);
        assert_eq!(phrases(&long).len(), PHRASE_WORDS_MAX);
        let many: String = (0..10 * PHRASE_SOURCE_WORDS_MAX).map(|n| format!("w{n} ")).collect();
        assert!(phrases(&many).len() <= PHRASE_SOURCE_WORDS_MAX * PHRASE_WORDS_MAX);
        assert!(phrases("").is_empty());
    }
}
