//! Selects the memories to forget, and the events that refer to them.

use std::collections::BTreeSet;

use engine_core::forgetting::{TRACE_BYTES_MAX, Target, Which};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::values::sql;

/// Maximum number of memories whose texts are searched for in the files after the erasure. With more texts, the search
/// would take too long.
const TRACED_MAX: usize = 1000;

/// Result of resolving a forget request.
#[derive(Debug, Default)]
pub struct Selected {
    /// The memories, in log order.
    pub memories: Vec<Target>,
    /// The events with ends and feedback of these memories. They may repeat text of the memories.
    pub dependents: Vec<Target>,
    /// Total size of the memories' contents in bytes.
    pub bytes: u64,
    /// The beginnings of the contents of at most `TRACED_MAX` memories.
    pub texts: Vec<String>,
    /// Requested ids that are not memories.
    pub unknown: Vec<String>,
}

/// Selects the memories that the request `which` names, in one snapshot. Returns at most `max` + 1 memories.
///
/// # Errors
/// A query fails.
pub fn select(connection: &Connection, which: &Which, max: usize) -> rusqlite::Result<Selected> {
    let moment = connection.unchecked_transaction()?;
    let mut selected = Selected::default();
    let (clause, values): (String, Vec<Box<dyn ToSql>>) = clause(which);
    let statement = format!(
        "SELECT seq, id, octet_length(content) FROM memories WHERE {clause} ORDER BY seq LIMIT {}",
        max.saturating_add(1)
    );
    let mut statement = moment.prepare(&statement)?;
    let mut rows = statement.query(params_from_iter(values.iter()))?;
    while let Some(row) = rows.next()? {
        selected.memories.push(target(row)?);
        selected.bytes += row.get::<_, i64>(2)?.unsigned_abs();
    }
    if let Which::Ids(ids) = which {
        let known: BTreeSet<&str> = selected.memories.iter().map(|memory| memory.id.as_str()).collect();
        selected.unknown = ids.iter().filter(|id| !known.contains(id.as_str())).cloned().collect();
    }
    let seqs: Vec<i64> = selected.memories.iter().map(|memory| sql(memory.seq)).collect();
    let seqs_json = serde_json::to_string(&seqs).expect("a list of numbers is always JSON");
    selected.dependents = moment
        .prepare_cached(
            "WITH named AS (SELECT value AS seq FROM json_each(?1))
             SELECT seq, id FROM invalidations WHERE memory IN (SELECT seq FROM named)
             UNION ALL SELECT seq, id FROM feedback WHERE memory IN (SELECT seq FROM named)",
        )?
        .query_map([&seqs_json], target)?
        .collect::<Result<_, _>>()?;
    let mut beginning = moment
        .prepare(&format!("SELECT beginning(content, {TRACE_BYTES_MAX}) FROM memories WHERE seq = ?1"))?;
    for seq in seqs.iter().take(TRACED_MAX) {
        selected.texts.push(beginning.query_row([seq], |row| row.get(0))?);
    }
    Ok(selected)
}

fn target(row: &Row<'_>) -> rusqlite::Result<Target> {
    Ok(Target { seq: row.get::<_, i64>(0)?.unsigned_abs(), id: row.get(1)? })
}

// Each filter has its own clause, so that SQLite uses the indexes.
fn clause(which: &Which) -> (String, Vec<Box<dyn ToSql>>) {
    let (mut clauses, mut values): (Vec<&str>, Vec<Box<dyn ToSql>>) = (Vec::new(), Vec::new());
    match which {
        Which::Ids(ids) => {
            clauses.push("id IN (SELECT value FROM json_each(?))");
            values.push(Box::new(serde_json::to_string(ids).expect("a list of strings is always JSON")));
        }
        Which::Either(one, other) => {
            let ((one, mut first), (other, second)) = (clause(one), clause(other));
            first.extend(second);
            return (format!("(({one}) OR ({other}))"), first);
        }
        Which::Where { project, session, source } => {
            if let Some(project) = project {
                clauses.push("project = ?");
                values.push(Box::new(project.clone()));
            }
            if let Some(session) = session {
                clauses.push("session = ?");
                values.push(Box::new(session.clone()));
            }
            if let Some(source) = source {
                clauses.push("seq IN (SELECT seq FROM sources WHERE uri = ?)");
                values.push(Box::new(source.clone()));
            }
        }
    }
    (clauses.join(" AND "), values)
}

/// Number of memories that begin with one of the texts in `texts`: forgotten text may have been saved more than once.
///
/// # Errors
/// The query fails.
pub fn count_same_text(connection: &Connection, texts: &[String]) -> rusqlite::Result<u64> {
    let texts = serde_json::to_string(texts).expect("a list of strings is always JSON");
    let statement = format!(
        "SELECT count(*) FROM memories
         WHERE beginning(content, {TRACE_BYTES_MAX}) IN (SELECT value FROM json_each(?1))"
    );
    connection.query_row(&statement, [texts], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
}

/// Number of rows that still exist for the events in `targets`.
///
/// # Errors
/// The query fails.
pub fn rows_left(connection: &Connection, targets: &[Target]) -> rusqlite::Result<u64> {
    let ids: Vec<&str> = targets.iter().map(|target| target.id.as_str()).collect();
    let ids = serde_json::to_string(&ids).expect("a list of strings is always JSON");
    let seqs: Vec<i64> = targets.iter().map(|target| sql(target.seq)).collect();
    let seqs = serde_json::to_string(&seqs).expect("a list of numbers is always JSON");
    connection.query_row(
        "SELECT (SELECT count(*) FROM memories WHERE id IN (SELECT value FROM json_each(?1)))
              + (SELECT count(*) FROM memories_fts_docsize WHERE id IN (SELECT value FROM json_each(?2)))
              + (SELECT count(*) FROM memory_texts WHERE seq IN (SELECT value FROM json_each(?2)))
              + (SELECT count(*) FROM invalidations WHERE seq IN (SELECT value FROM json_each(?2)))
              + (SELECT count(*) FROM feedback WHERE seq IN (SELECT value FROM json_each(?2)))
              + (SELECT count(*) FROM sources WHERE seq IN (SELECT value FROM json_each(?2)))",
        [ids, seqs],
        |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()),
    )
}
