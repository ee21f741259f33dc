//! Writes and removes rows, and updates the digest with every change.

use std::io;
use std::sync::LazyLock;

use engine_core::content::{ContentDigest, Table};
use engine_core::digest::Hash;
use engine_core::fold::{Change, Feedback, Invalidation, fold};
use engine_core::format::EventLine;
use engine_core::row::{MEMORY_WORDS, Row, Value, microseconds};
use engine_core::words::normal_form;
use engine_core::words::terms::Terms;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, ToSql, Transaction, params_from_iter};

use super::store_error::StoreError;
use super::{duplicate_texts, forgetting, items};

/// An event converted into row changes.
#[derive(Debug)]
pub(super) struct EventChanges {
    pub(super) seq: u64,
    pub(super) hash: Hash,
    /// Time of the event, in microseconds since 1970.
    pub(super) known: i64,
    pub(super) project: String,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// A row with its hash and, for a memory, the terms of its title, content and tags.
    Put(Row, Hash, Option<[String; 3]>),
    /// The end of a memory. The memory is looked up when the change is written.
    End(Box<Invalidation>),
    /// Feedback about a memory. The memory is looked up when the change is written.
    Rate(Feedback),
    /// Event ids to forget.
    Forget(Vec<String>),
}

impl EventChanges {
    /// Parses one line without its line feed.
    pub(super) fn read(line: &[u8]) -> Result<EventChanges, StoreError> {
        let event =
            EventLine::decode(line).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        // The event is skipped, not treated as a failure: a rebuild would read the same event again, and one unreadable
        // memory would make all other memories unavailable.
        let changes = fold(&event).unwrap_or_else(|unfoldable| {
            tracing::error!(%unfoldable, "event not applied");
            Vec::new()
        });
        let steps = changes.into_iter().flat_map(Step::of).collect();
        let known = microseconds(event.envelope.time);
        let project = normal_form(&event.envelope.project).into_owned();
        Ok(EventChanges { seq: event.envelope.seq, hash: event.hash, known, project, steps })
    }

    /// Whether the event does more than add rows of memories, requests, sources or refreshes.
    pub(super) fn alters(&self) -> bool {
        let adds = |step: &Step| match step {
            Step::Put(row, ..) => {
                matches!(row.table, Table::Memories | Table::Requests | Table::Sources | Table::Refreshes)
            }
            Step::End(_) | Step::Rate(_) | Step::Forget(_) => false,
        };
        !self.steps.iter().all(adds)
    }

    /// Parses complete lines.
    pub(super) fn read_all(lines: &[u8]) -> impl Iterator<Item = Result<EventChanges, StoreError>> {
        lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(EventChanges::read)
    }

    /// Whether the event removes existing rows.
    pub(super) fn forgets(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Forget(_)))
    }

    /// Writes the changes of the event.
    pub(super) fn write(
        self,
        transaction: &Transaction<'_>,
        digest: &mut ContentDigest,
    ) -> rusqlite::Result<()> {
        for step in self.steps {
            match step {
                Step::Put(row, hash, terms) => put(transaction, digest, &row, hash, terms.as_ref())?,
                Step::End(end) => end_validity(transaction, digest, *end)?,
                Step::Rate(feedback) => rate(transaction, digest, feedback)?,
                Step::Forget(ids) => forgetting::forget(transaction, digest, &ids)?,
            }
        }
        Ok(())
    }
}

impl Step {
    fn of(change: Change) -> Vec<Step> {
        match change {
            Change::PutMemory(memory) => {
                let source = memory.source_row();
                [Some(memory.into_row()), source].into_iter().flatten().map(Step::put).collect()
            }
            Change::PutRequest(request) => vec![Step::put(request.into_row())],
            Change::PutRow(row) => vec![Step::put(row)],
            Change::PutSetting(setting) => vec![Step::put(setting.into_row())],
            Change::PutForgotten(forgotten) => vec![Step::put(forgotten.into_row())],
            Change::PutInvalidation(end) => vec![Step::End(end)],
            Change::PutFeedback(feedback) => vec![Step::Rate(feedback)],
            Change::Forget(ids) => vec![Step::Forget(ids)],
        }
    }

    fn put(row: Row) -> Step {
        let (hash, terms) = (row.hash(), terms_of(&row));
        Step::Put(row, hash, terms)
    }
}

/// Search terms of a memory. Computed while parsing, outside the writing thread.
fn terms_of(row: &Row) -> Option<[String; 3]> {
    static TERMS: LazyLock<Terms> = LazyLock::new(Terms::default);
    let terms = |column: usize| match &row.values[column] {
        Value::Text(text) => TERMS.index_text(text),
        _ => String::new(),
    };
    (row.table == Table::Memories).then(|| MEMORY_WORDS.map(terms))
}

fn end_validity(
    transaction: &Transaction<'_>,
    digest: &mut ContentDigest,
    end: Invalidation,
) -> rusqlite::Result<()> {
    // An end without a memory changes nothing.
    let Some(target) = memory_of(transaction, &end.target)? else { return Ok(()) };
    let row = end.into_row(target);
    let hash = row.hash();
    put(transaction, digest, &row, hash, None)
}

fn rate(
    transaction: &Transaction<'_>,
    digest: &mut ContentDigest,
    feedback: Feedback,
) -> rusqlite::Result<()> {
    let Some(target) = memory_of(transaction, &feedback.target)? else { return Ok(()) };
    let row = feedback.into_row(target);
    let hash = row.hash();
    put(transaction, digest, &row, hash, None)
}

/// Sequence number of the memory with the id `id`. `None` if the memory does not exist.
fn memory_of(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<u64>> {
    transaction
        .prepare_cached("SELECT seq FROM memories WHERE id = ?1")?
        .query_row([id], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
        .optional()
}

fn put(
    transaction: &Transaction<'_>,
    digest: &mut ContentDigest,
    row: &Row,
    hash: Hash,
    terms: Option<&[String; 3]>,
) -> rusqlite::Result<()> {
    // Ids and keys are unique in a log. If an id or a key occurred twice, the first event with it was the acknowledged
    // event.
    let insert = match row.table {
        Table::Memories => "INSERT OR IGNORE INTO memories VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        Table::Invalidations => "INSERT OR IGNORE INTO invalidations VALUES (?,?,?,?,?,?,?)",
        Table::Requests => "INSERT OR IGNORE INTO requests VALUES (?,?,?,?,?,?,?)",
        Table::Settings => "INSERT OR IGNORE INTO settings VALUES (?,?,?,?)",
        Table::Sources => "INSERT OR IGNORE INTO sources VALUES (?,?,?,?,?,?)",
        Table::Feedback => "INSERT OR IGNORE INTO feedback VALUES (?,?,?,?,?,?)",
        Table::Forgotten => "INSERT OR IGNORE INTO forgotten VALUES (?,?,?,?,?)",
        Table::Items => "INSERT OR IGNORE INTO items VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
        Table::Refreshes => "INSERT OR IGNORE INTO refreshes VALUES (?,?,?,?,?)",
        Table::Entities => "INSERT OR IGNORE INTO entities VALUES (?,?,?,?,?,?,?,?)",
        Table::Observations => "INSERT OR IGNORE INTO observations VALUES (?,?,?,?,?,?,?,?)",
        Table::Relations => "INSERT OR IGNORE INTO relations VALUES (?,?,?,?,?,?,?,?)",
        Table::GraphEnds => "INSERT OR IGNORE INTO graph_ends VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        Table::Mentions => "INSERT OR IGNORE INTO mentions VALUES (?,?,?,?,?,?,?)",
    };
    let inserted =
        transaction.prepare_cached(insert)?.execute(params_from_iter(row.values.iter().map(Bound)))?;
    if inserted == 0 {
        return Ok(());
    }
    digest.add(hash);
    if row.table == Table::Items {
        items::index(transaction, &row.values)?;
    }
    if row.table == Table::Memories {
        duplicate_texts::index(transaction, &row.values)?;
    }
    if let Some([title, content, tags]) = terms {
        transaction
            .prepare_cached("INSERT INTO memories_fts (rowid, title, content, tags) VALUES (?,?,?,?)")?
            .execute((Bound(&row.values[0]), title, content, tags))?;
    }
    Ok(())
}

struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
