//! Rows of the projection, which [`crate::fold`] makes from events, column by column.
//!
//! Moments that are compared are stored as integer microseconds since 1970, because times as text with different
//! precision do not sort by time. Smaller fractions are dropped.

use jiff::Timestamp;

use crate::content::{Cell, Table, row_hash};
use crate::digest::Hash;
use crate::records::{Feedback, Forgotten, Invalidation, Memory, Request, Setting};
use crate::words::normal_form;

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// Integer.
    Integer(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// The value as a [`Cell`] that borrows it.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            Value::Null => Cell::Null,
            Value::Integer(value) => Cell::Integer(*value),
            Value::Text(text) => Cell::Text(text.as_bytes()),
            Value::Blob(bytes) => Cell::Blob(bytes),
        }
    }
}

/// A row and its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Table of the row.
    pub table: Table,
    /// One value per column, in the order of the schema.
    pub values: Vec<Value>,
}

impl Row {
    /// Contribution of this row to the digest.
    pub fn hash(&self) -> Hash {
        row_hash(self.table, self.values.iter().map(Value::cell))
    }
}

/// Indexes of the columns of [`Table::Memories`] in the full-text index: title, content and tags.
pub const MEMORY_WORDS: [usize; 3] = [5, 13, 6];

impl Memory {
    /// Row of the document that the memory is a piece of; None if it is not a piece. Columns: seq, project, uri,
    /// sha256, piece, pieces. `seq` is the sequence number of the memory.
    pub fn source_row(&self) -> Option<Row> {
        let source = self.payload.source.as_ref()?;
        let values = vec![
            integer(self.seq),
            Value::Text(self.project.clone()),
            named(&source.uri),
            Value::Text(source.sha256.to_string()),
            integer(source.piece.into()),
            integer(source.pieces.into()),
        ];
        Some(Row { table: Table::Sources, values })
    }

    /// Columns: seq, id, hash, project, kind, title, tags, actor, session, occurred_at, created_at, valid_from, known,
    /// content. Content comes last, so that listing memories does not read through up to 1 MiB of each.
    pub fn into_row(self) -> Row {
        let payload = self.payload;
        let tags = serde_json::to_string(&payload.tags).expect("a list of strings is always JSON");
        let values = vec![
            integer(self.seq),
            Value::Text(self.id),
            Value::Blob(self.hash.0.to_vec()),
            Value::Text(self.project),
            Value::Text(payload.kind),
            Value::Text(payload.title.unwrap_or_default()),
            Value::Text(tags),
            Value::Text(self.actor),
            optional(self.session),
            Value::Text(self.occurred_at.to_string()),
            Value::Text(self.created_at.to_string()),
            Value::Integer(microseconds(self.valid_from)),
            Value::Integer(microseconds(self.created_at)),
            Value::Text(payload.content),
        ];
        Row { table: Table::Memories, values }
    }
}

impl Invalidation {
    /// Columns: seq, id, memory, until, known, reason, superseded_by. `memory` is the sequence number of the memory
    /// that ends.
    pub fn into_row(self, memory: u64) -> Row {
        let values = vec![
            integer(self.seq),
            Value::Text(self.id),
            integer(memory),
            Value::Integer(microseconds(self.valid_until)),
            Value::Integer(microseconds(self.created_at)),
            optional(self.reason),
            optional(self.superseded_by),
        ];
        Row { table: Table::Invalidations, values }
    }
}

impl Setting {
    /// Columns: seq, id, name, value.
    pub fn into_row(self) -> Row {
        let values = vec![
            integer(self.seq),
            Value::Text(self.id),
            Value::Text(self.name.into()),
            Value::Text(self.value),
        ];
        Row { table: Table::Settings, values }
    }
}

impl Feedback {
    /// Columns: seq, id, memory, rating, known, query_id. `memory` is the sequence number of the rated memory.
    pub fn into_row(self, memory: u64) -> Row {
        let values = vec![
            integer(self.seq),
            Value::Text(self.id),
            integer(memory),
            Value::Integer(self.rating_milli.into()),
            Value::Integer(microseconds(self.created_at)),
            optional(self.query_id),
        ];
        Row { table: Table::Feedback, values }
    }
}

impl Forgotten {
    /// Columns: target, seq, id, event, known. `event` is the sequence number of the forgotten event.
    pub fn into_row(self) -> Row {
        let values = vec![
            Value::Text(self.target),
            integer(self.seq),
            Value::Text(self.id),
            self.target_seq.map_or(Value::Null, integer),
            Value::Integer(microseconds(self.created_at)),
        ];
        Row { table: Table::Forgotten, values }
    }
}

impl Request {
    /// Columns: key, request_sha256, salt, id, first_seq, last_seq, hash.
    pub fn into_row(self) -> Row {
        let values = vec![
            Value::Text(self.idempotency.key),
            Value::Blob(self.idempotency.request_sha256.0.to_vec()),
            Value::Blob(self.salt.0.to_vec()),
            Value::Text(self.id),
            integer(self.first_seq),
            integer(self.last_seq),
            Value::Blob(self.hash.0.to_vec()),
        ];
        Row { table: Table::Requests, values }
    }
}

/// Microseconds since 1970, rounded down.
pub fn microseconds(time: Timestamp) -> i64 {
    // `as_microsecond` rounds towards 1970, which would make a moment before 1970 later than it is.
    time.as_nanosecond().div_euclid(1_000).try_into().expect("a timestamp is within 10,000 years of 1970")
}

/// A name as a value, in normal form. Older events may contain names that are not in normal form.
pub(crate) fn named(name: &str) -> Value {
    Value::Text(normal_form(name).into_owned())
}

pub(crate) fn integer(seq: u64) -> Value {
    // SQLite's integers are signed; a log with a million events a second reaches their maximum after 292,000 years.
    Value::Integer(i64::try_from(seq).unwrap_or(i64::MAX))
}

pub(crate) fn optional(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_never_lie_ahead() {
        let at = |text: &str| microseconds(text.parse().unwrap());
        assert_eq!(at("1970-01-01T00:00:00.0000019Z"), 1);
        assert_eq!(at("1969-12-31T23:59:59.9999999Z"), -1);
        assert_eq!(at("1969-12-31T23:59:59.999999Z"), -1);
        assert!(microseconds(Timestamp::MIN) < microseconds(Timestamp::MAX));
    }
}
