//! The queries.

use engine_core::digest::{Hash, hex};
use engine_core::query::{full_text, snippet};
use engine_core::wire::{MemoryView, SearchAnswer, SearchHit};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use thiserror::Error;

/// Characters of a memory that are looked through for the words it was found by.
const SNIPPET_SOURCE_CHARS: usize = 16_384;
/// Hex digits of a hash in a citation: enough to tell events apart, short enough to be written down.
const CITATION_DIGITS: usize = 12;

/// A checked search.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// Words; none finds everything, newest first.
    pub(crate) words: String,
    pub(crate) project: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) limit: u32,
    pub(crate) offset: u32,
}

/// A row that is not as the projection wrote it.
#[derive(Debug, Error)]
#[error("a row has a value of another form")]
pub(crate) struct SearchError;

/// Takes the same parameters as [`FILTER`], which are then all NULL.
const NO_FILTER: &str = ":project IS NULL AND :kind IS NULL";
const FILTER: &str = "(:project IS NULL OR m.project = :project) AND (:kind IS NULL OR m.kind = :kind)";

/// What [`Search::hit`] reads.
fn columns() -> String {
    format!(
        "m.id, m.seq, m.hash, m.title, m.project, m.kind, m.tags, m.created_at,
         substr(m.content, 1, {SNIPPET_SOURCE_CHARS})"
    )
}

impl Search {
    /// Answers from one moment of the projection.
    pub(crate) fn run(&self, connection: &Connection) -> rusqlite::Result<SearchAnswer> {
        let moment = connection.unchecked_transaction()?;
        let applied: i64 = moment.query_row("SELECT seq FROM applied", [], |row| row.get(0))?;
        let query = full_text(&self.words);
        let (items, total) = match &query {
            Some(query) => self.by_words(&moment, query)?,
            None if self.words.trim().is_empty() => self.newest(&moment)?,
            // Marks only: nothing has them as words.
            None => (Vec::new(), 0),
        };
        Ok(SearchAnswer { items, total, applied_seq: applied.unsigned_abs() })
    }

    fn by_words(&self, connection: &Connection, query: &str) -> rusqlite::Result<(Vec<SearchHit>, u64)> {
        // Without a filter the index alone ranks: the rows of thousands of memories stay unread.
        let (join, filter) = match self.project.is_some() || self.kind.is_some() {
            true => ("JOIN memories m ON m.seq = f.rowid", FILTER),
            false => ("", NO_FILTER),
        };
        let from = format!("memories_fts f {join} WHERE memories_fts MATCH :query AND {filter}");
        let total = connection.prepare_cached(&format!("SELECT count(*) FROM {from}"))?.query_row(
            named_params! {":query": query, ":project": self.project, ":kind": self.kind},
            |row| row.get::<_, i64>(0),
        )?;
        // A word in the title says more than one in the text; ties go to the newer memory. Ranked first and shown
        // after: columns of rows that are not asked for are never made.
        let columns = columns();
        let mut statement = connection.prepare_cached(&format!(
            "WITH ranked AS MATERIALIZED (
                SELECT f.rowid AS seq, -bm25(memories_fts, 4.0, 1.0, 2.0) AS score FROM {from}
                ORDER BY score DESC, f.rowid DESC LIMIT :limit OFFSET :offset
             )
             SELECT {columns}, ranked.score FROM ranked JOIN memories m ON m.seq = ranked.seq
             ORDER BY ranked.score DESC, m.seq DESC"
        ))?;
        let rows = statement.query_map(
            named_params! {
                ":query": query, ":project": self.project, ":kind": self.kind,
                ":limit": self.limit, ":offset": self.offset,
            },
            |row| self.hit(row, row.get(9)?),
        )?;
        Ok((rows.collect::<rusqlite::Result<_>>()?, total.unsigned_abs()))
    }

    fn newest(&self, connection: &Connection) -> rusqlite::Result<(Vec<SearchHit>, u64)> {
        let total = connection
            .prepare_cached(&format!("SELECT count(*) FROM memories m WHERE {FILTER}"))?
            .query_row(named_params! {":project": self.project, ":kind": self.kind}, |row| {
                row.get::<_, i64>(0)
            })?;
        let columns = columns();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {columns} FROM memories m WHERE {FILTER} ORDER BY m.seq DESC LIMIT :limit OFFSET :offset"
        ))?;
        let rows = statement.query_map(
            named_params! {
                ":project": self.project, ":kind": self.kind, ":limit": self.limit, ":offset": self.offset,
            },
            |row| self.hit(row, 0.0),
        )?;
        Ok((rows.collect::<rusqlite::Result<_>>()?, total.unsigned_abs()))
    }

    // Not FTS5's own snippet(): its time grows with the square of how often a word occurs, and one memory that
    // repeats a word a thousand times would hold up every search that finds it.
    fn hit(&self, row: &Row<'_>, score: f64) -> rusqlite::Result<SearchHit> {
        let seq = row.get::<_, i64>(1)?.unsigned_abs();
        let hash: [u8; 32] = row.get(2)?;
        let content: String = row.get(8)?;
        Ok(SearchHit {
            id: row.get(0)?,
            seq,
            citation: format!("{seq}:{}", hex(&hash[..CITATION_DIGITS / 2])),
            title: row.get(3)?,
            snippet: snippet(&content, &self.words),
            score,
            project: row.get(4)?,
            kind: row.get(5)?,
            tags: tags(row, 6)?,
            created_at: time(row, 7)?,
        })
    }
}

/// One memory by its id.
pub(crate) fn memory(connection: &Connection, id: &str) -> rusqlite::Result<Option<MemoryView>> {
    connection
        .prepare_cached(
            "SELECT id, seq, hash, title, project, kind, tags, created_at, content, actor, session, occurred_at
             FROM memories WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok(MemoryView {
                id: row.get(0)?,
                seq: row.get::<_, i64>(1)?.unsigned_abs(),
                hash: Hash(row.get(2)?).to_string(),
                title: row.get(3)?,
                project: row.get(4)?,
                kind: row.get(5)?,
                tags: tags(row, 6)?,
                created_at: time(row, 7)?,
                content: row.get(8)?,
                actor: row.get(9)?,
                session: row.get(10)?,
                occurred_at: time(row, 11)?,
            })
        })
        .optional()
}

fn tags(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|_| malformed(column))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| malformed(column))
}

fn malformed(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(SearchError))
}
