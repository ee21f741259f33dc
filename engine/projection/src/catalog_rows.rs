//! Queries of rows for the retrieval's catalogs: mostly the changes after a given event.

use engine_core::digest::is_id;
use engine_core::query::any_of;
use engine_core::row::microseconds;
use engine_core::words::normal_form;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::search::CITATION_DIGITS;

/// Maximum number of candidates whose titles are compared with a query.
const TITLED_MAX: usize = 20;

/// A memory as a catalog row. Times are microseconds since 1970.
#[derive(Debug, Clone)]
pub struct MemoryRow {
    pub seq: i64,
    /// When the engine accepted it.
    pub known: i64,
    pub valid_from: i64,
    pub occurred: i64,
    pub actor: String,
    pub kind: String,
    pub session: Option<String>,
    pub title: String,
    /// The tags as a JSON list. Only the words in it are used.
    pub tags: String,
    pub content: String,
}

/// An end of a memory's validity. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct EndRow {
    pub seq: i64,
    /// Sequence number of the memory.
    pub memory: i64,
    /// End of its validity.
    pub until: i64,
    /// When the engine accepted the end.
    pub known: i64,
}

/// Passes at most `limit` memories of a project to `each`, in log order, starting after event `after`. Returns whether
/// the project has more.
///
/// # Errors
/// The query fails.
pub fn memories_after(
    connection: &Connection,
    project: &str,
    after: i64,
    limit: usize,
    mut each: impl FnMut(&MemoryRow),
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, known, valid_from, occurred_at, actor, kind, session, title, tags, content FROM memories
         WHERE project = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = statement.query((project, after, wanted))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        if count == limit {
            return Ok(true);
        }
        each(&memory(row)?);
        count += 1;
    }
    Ok(false)
}

/// Passes at most `limit` memories of all projects, each with its project, to `each`, in log order, starting after
/// event `after`. Returns whether there are more.
///
/// # Errors
/// The query fails.
pub fn memories_of_all_after(
    connection: &Connection,
    after: i64,
    limit: usize,
    mut each: impl FnMut(&str, &MemoryRow),
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, known, valid_from, occurred_at, actor, kind, session, title, tags, content, project
         FROM memories WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = statement.query((after, wanted))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        if count == limit {
            return Ok(true);
        }
        each(row.get_ref(10)?.as_str()?, &memory(row)?);
        count += 1;
    }
    Ok(false)
}

/// Number of memories in all projects.
///
/// # Errors
/// The query fails.
pub fn memory_count(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 =
        connection.prepare_cached("SELECT count(*) FROM memories")?.query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn memory(row: &Row<'_>) -> rusqlite::Result<MemoryRow> {
    let occurred: String = row.get(3)?;
    let known = row.get(1)?;
    Ok(MemoryRow {
        seq: row.get(0)?,
        known,
        valid_from: row.get(2)?,
        occurred: occurred.parse::<Timestamp>().map_or(known, microseconds),
        actor: row.get(4)?,
        kind: row.get(5)?,
        session: row.get(6)?,
        title: row.get(7)?,
        tags: row.get(8)?,
        content: row.get(9)?,
    })
}

/// Passes the ends of validity that were recorded after event `after`, in all projects, to `each`.
///
/// # Errors
/// The query fails.
pub fn ends_after(
    connection: &Connection,
    after: i64,
    mut each: impl FnMut(&EndRow),
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT seq, memory, until, known FROM invalidations WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        each(&EndRow { seq: row.get(0)?, memory: row.get(1)?, until: row.get(2)?, known: row.get(3)? });
    }
    Ok(())
}

/// Passes the sequence numbers of the memories that were forgotten by events after event `after`, in all projects, to
/// `each`.
///
/// # Errors
/// The query fails.
pub fn forgotten_after(
    connection: &Connection,
    after: i64,
    mut each: impl FnMut(i64),
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT event FROM forgotten WHERE seq > ?1 AND event IS NOT NULL")?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?);
    }
    Ok(())
}

/// Number of the last event that the projection has applied.
///
/// # Errors
/// The query fails.
pub fn applied_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT seq FROM applied")?.query_row([], |row| row.get(0))
}

/// At most `limit` projects with their numbers of memories, the largest project first.
///
/// # Errors
/// The query fails.
pub fn projects(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT project, count(*) FROM memories GROUP BY project ORDER BY 2 DESC, 1 LIMIT ?1",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map([limit], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?.collect()
}

/// Whether a project has no memory.
///
/// # Errors
/// The query fails.
pub fn is_project_empty(connection: &Connection, project: &str) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM memories WHERE project = ?1)")?;
    statement.query_row([project], |row| row.get(0))
}

/// The latest setting with the name `name`: the sequence number and the id of its event, and the value.
///
/// # Errors
/// The query fails.
pub fn setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<(i64, String, String)>> {
    connection
        .prepare_cached("SELECT seq, id, value FROM settings WHERE name = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}

/// The sequence numbers of the memories whose id or citation equals `query`.
///
/// # Errors
/// The query fails.
pub fn exactly(connection: &Connection, query: &str) -> rusqlite::Result<Vec<i64>> {
    let query = query.trim();
    if is_id(query) {
        let mut statement = connection.prepare_cached("SELECT seq FROM memories WHERE id = ?1")?;
        return statement.query_map([query], |row| row.get(0))?.collect();
    }
    if let Some((seq, digits)) = query.split_once(':')
        && let Ok(seq) = seq.parse::<i64>()
        && digits.len() >= CITATION_DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        let mut statement = connection
            .prepare_cached("SELECT seq FROM memories WHERE seq = ?1 AND lower(hex(hash)) LIKE ?2 || '%'")?;
        return statement.query_map((seq, digits.to_ascii_lowercase()), |row| row.get(0))?.collect();
    }
    Ok(Vec::new())
}

/// Normalised form in which titles are compared.
pub fn title_form(title: &str) -> String {
    normal_form(title.trim()).to_lowercase()
}

/// Of the first `TITLED_MAX` memories in `candidates`, those whose title equals `query`, ignoring case.
///
/// # Errors
/// A query fails.
pub fn titled(
    connection: &Connection,
    query: &str,
    candidates: impl Iterator<Item = i64>,
) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT title FROM memories WHERE seq = ?1")?;
    let (wanted, mut found) = (title_form(query), Vec::new());
    for seq in candidates.take(TITLED_MAX) {
        let title: Option<String> = statement.query_row([seq], |row| row.get(0)).optional()?;
        if title.is_some_and(|title| title_form(&title) == wanted) {
            found.push(seq);
        }
    }
    Ok(found)
}

/// Passes the sequence numbers of the memories that contain any term in `terms` to `each`, in log order.
///
/// # Errors
/// The query fails.
pub fn having_any(
    connection: &Connection,
    terms: &[String],
    each: &mut dyn FnMut(i64),
) -> rusqlite::Result<()> {
    let Some(query) = any_of(terms) else { return Ok(()) };
    let sql = "SELECT rowid FROM memories_fts WHERE memories_fts MATCH ?1 ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([query])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?);
    }
    Ok(())
}
