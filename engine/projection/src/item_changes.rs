//! Queries of the changes of items after a given event, for the catalogs of the retrieval.

use engine_core::query::any_of;
use rusqlite::{Connection, Row, named_params};

use super::catalog_rows::{EndRow, MemoryRow};
use super::items::EXPIRES;

/// A change of one item of a project.
#[derive(Debug)]
pub struct ItemChange {
    /// Number of the event.
    pub seq: i64,
    /// Number of the version that this change replaces, if any.
    pub replaces: Option<i64>,
    /// The item stored by this change and its expiry, if the item still exists in this version and has words.
    pub put: Option<(MemoryRow, Option<i64>)>,
}

/// Passes at most `limit` changes of a project's items to `each`, in log order, starting after event `after`. Returns
/// whether there are more.
///
/// # Errors
/// The query fails.
pub fn item_changes_after(
    connection: &Connection,
    project: &str,
    after: i64,
    limit: usize,
    each: impl FnMut(ItemChange),
) -> rusqlite::Result<bool> {
    changes(connection, project, "1", (after, limit), each)
}

/// Like [`item_changes_after`], but passes only the current versions of items that have words.
///
/// # Errors
/// The query fails.
pub fn items_after(
    connection: &Connection,
    project: &str,
    after: i64,
    limit: usize,
    mut each: impl FnMut(&MemoryRow),
) -> rusqlite::Result<bool> {
    let is_there = "i.words <> '' AND NOT EXISTS (SELECT 1 FROM items l WHERE l.project = i.project
        AND l.namespace = i.namespace AND l.key = i.key AND l.seq > i.seq)";
    changes(connection, project, is_there, (after, limit), |change| {
        if let Some((row, _)) = &change.put {
            each(row);
        }
    })
}

fn changes(
    connection: &Connection,
    project: &str,
    which: &str,
    (after, limit): (i64, usize),
    mut each: impl FnMut(ItemChange),
) -> rusqlite::Result<bool> {
    let same = "project = i.project AND namespace = i.namespace AND key = i.key";
    let sql = format!(
        "SELECT i.seq, i.known, i.namespace, i.actor, i.session, {EXPIRES},
                (SELECT max(seq) FROM items WHERE {same} AND seq < i.seq),
                CASE WHEN NOT EXISTS (SELECT 1 FROM items l WHERE l.project = i.project
                    AND l.namespace = i.namespace AND l.key = i.key AND l.seq > i.seq) THEN i.words END
         FROM items i WHERE i.project = :project AND i.seq > :after AND {which} ORDER BY i.seq LIMIT :limit"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = statement.query(named_params! {
        ":project": project, ":after": after, ":limit": wanted, ":known_seq": i64::MAX, ":known_time": i64::MAX,
    })?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        if count == limit {
            return Ok(true);
        }
        count += 1;
        let words: Option<String> = row.get(7)?;
        let words = words.filter(|words| !words.is_empty());
        let until: Option<i64> = row.get(5)?;
        let put = words.map(|words| Ok::<_, rusqlite::Error>((item_row(row, words)?, until))).transpose()?;
        each(ItemChange { seq: row.get(0)?, replaces: row.get(6)?, put });
    }
    Ok(false)
}

/// An item as a catalog row, with its namespace as the kind.
fn item_row(row: &Row<'_>, words: String) -> rusqlite::Result<MemoryRow> {
    let known: i64 = row.get(1)?;
    Ok(MemoryRow {
        seq: row.get(0)?,
        known,
        // Items have no start of validity: only the versions of an item decide when it exists.
        valid_from: i64::MIN,
        occurred: known,
        actor: row.get(3)?,
        kind: row.get(2)?,
        session: row.get(4)?,
        title: String::new(),
        tags: "[]".to_owned(),
        content: words,
    })
}

/// Passes the extensions of item lifetimes that were recorded after event `after`, in all projects: the number of the
/// version, and its new expiry.
///
/// # Errors
/// The query fails.
pub fn refreshes_after(
    connection: &Connection,
    after: i64,
    mut each: impl FnMut(&EndRow),
) -> rusqlite::Result<()> {
    let sql = "SELECT seq, item, expires, known FROM refreshes WHERE seq > ?1 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        each(&EndRow { seq: row.get(0)?, memory: row.get(1)?, until: row.get(2)?, known: row.get(3)? });
    }
    Ok(())
}

/// Passes the version numbers of the items, in all projects, that contain any term in `terms` to `each`, in log order.
///
/// # Errors
/// The query fails.
pub fn items_having_any(
    connection: &Connection,
    terms: &[String],
    each: &mut dyn FnMut(i64),
) -> rusqlite::Result<()> {
    let Some(query) = any_of(terms) else { return Ok(()) };
    let sql = "SELECT rowid FROM items_fts WHERE items_fts MATCH ?1 ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([query])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?);
    }
    Ok(())
}

/// At most `limit` projects that have items. The project with the most item versions comes first.
///
/// # Errors
/// The query fails.
pub fn item_projects(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT project FROM items GROUP BY project ORDER BY count(*) DESC, 1 LIMIT ?1";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.query_map([limit], |row| row.get(0))?.collect()
}
