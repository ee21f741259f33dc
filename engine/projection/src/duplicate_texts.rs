//! Finds earlier memories with identical text in a project.

use engine_core::digest::Hash;
use engine_core::row::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};

use super::validity::{Bounds, Moment, VALID_AT};
use super::values::malformed;

/// A text of a project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    pub project: String,
    pub content: String,
}

/// A memory with the same text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateMemory {
    pub seq: u64,
    pub id: String,
    pub hash: Hash,
}

/// Column indexes of project and content in a memory row.
const PROJECT: usize = 3;
const CONTENT: usize = 13;

/// Digest by which a text is looked up. Texts with the same digest are then compared completely.
fn digest(project: &str, content: &str) -> i64 {
    let hash = Hash::of(&[project.as_bytes(), b"\0", content.as_bytes()].concat());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.0[..8]);
    i64::from_le_bytes(first)
}

/// Adds the text of an inserted memory to the index of texts.
pub(super) fn index(transaction: &Transaction<'_>, row: &[Value]) -> rusqlite::Result<()> {
    // Column order of `engine_core::fold`.
    let (Some(Value::Integer(seq)), Some(Value::Text(project)), Some(Value::Text(content))) =
        (row.first(), row.get(PROJECT), row.get(CONTENT))
    else {
        return Err(malformed(0));
    };
    let insert = "INSERT OR IGNORE INTO memory_texts VALUES (?1, ?2)";
    transaction.prepare_cached(insert)?.execute((seq, digest(project, content))).map(drop)
}

/// For each text in `texts`, returns the first valid memory with the same text in the same project. Also returns
/// whether an earlier request had the idempotency key `key`.
///
/// # Errors
/// A query fails.
pub fn earlier(
    connection: &Connection,
    texts: &[Text],
    at: &Moment,
    key: Option<&str>,
) -> rusqlite::Result<(Vec<Option<DuplicateMemory>>, bool)> {
    let moment = connection.unchecked_transaction()?;
    let Bounds { as_of, known_seq, known_time, .. } = at.bounds(&moment)?;
    let sql = format!(
        "SELECT m.seq, m.id, m.hash FROM memory_texts t JOIN memories m ON m.seq = t.seq
         WHERE t.digest = :digest AND m.project = :project AND m.content = :content AND {VALID_AT}
         ORDER BY t.seq LIMIT 1"
    );
    let mut statement = moment.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        let seq: i64 = row.get(0)?;
        Ok(DuplicateMemory { seq: seq.unsigned_abs(), id: row.get(1)?, hash: Hash(row.get(2)?) })
    };
    let mut found = Vec::with_capacity(texts.len());
    for Text { project, content } in texts {
        let parameters = named_params! {
            ":digest": digest(project, content), ":project": project, ":content": content,
            ":as_of": as_of, ":known_seq": known_seq, ":known_time": known_time,
        };
        found.push(statement.query_row(parameters, read).optional()?);
    }
    let repeated = match key {
        None => false,
        Some(key) => moment.prepare_cached("SELECT 1 FROM requests WHERE key = ?1")?.exists([key])?,
    };
    Ok((found, repeated))
}
