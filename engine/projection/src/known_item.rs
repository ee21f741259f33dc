//! Finds memories whose texts make questions with known answers.

use rusqlite::{Connection, OptionalExtension};

/// A memory that a search should find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownItem {
    /// Its id.
    pub id: String,
    /// Its project.
    pub project: String,
    /// Its text.
    pub content: String,
}

/// The first memory from event `from` on whose validity nothing has ended; otherwise the first of all.
///
/// # Errors
/// The read fails.
pub fn known_item(connection: &Connection, from: u64) -> rusqlite::Result<Option<KnownItem>> {
    let query = "SELECT id, project, content FROM memories AS m WHERE seq >= ?1
        AND NOT EXISTS (SELECT 1 FROM invalidations AS i WHERE i.memory = m.seq) ORDER BY seq LIMIT 1";
    let mut statement = connection.prepare_cached(query)?;
    let mut find = |from: i64| {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(KnownItem { id: row.get(0)?, project: row.get(1)?, content: row.get(2)? })
        };
        statement.query_row([from], read).optional()
    };
    Ok(find(i64::try_from(from).unwrap_or(i64::MAX))?.or(find(0)?))
}
