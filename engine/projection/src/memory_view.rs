//! Converts a memory row into the view that clients get.

use engine_core::digest::Hash;
use engine_core::wire::{FeedbackSummary, MemoryView};
use rusqlite::{Connection, Row};

use super::graph::mentioned;
use super::validity::{Bounds, validity};
use super::values::{tags, time_of_text};

pub(super) fn view(
    connection: &Connection,
    bounds: Bounds,
    row: &Row<'_>,
    applied_seq: i64,
) -> rusqlite::Result<MemoryView> {
    let seq: i64 = row.get(1)?;
    Ok(MemoryView {
        id: row.get(0)?,
        seq: seq.unsigned_abs(),
        hash: Hash(row.get(2)?).to_string(),
        title: row.get(3)?,
        project: row.get(4)?,
        kind: row.get(5)?,
        tags: tags(row, 6)?,
        created_at: time_of_text(row, 7)?,
        validity: validity(connection, seq, row.get(8)?, bounds)?,
        feedback: feedback(connection, seq, bounds)?,
        entities: mentioned(connection, seq)?,
        content: row.get(9)?,
        actor: row.get(10)?,
        session: row.get(11)?,
        occurred_at: time_of_text(row, 12)?,
        applied_seq: applied_seq.unsigned_abs(),
    })
}

/// Feedback about a memory, as known at the requested moment.
fn feedback(
    connection: &Connection,
    memory: i64,
    bounds: Bounds,
) -> rusqlite::Result<Option<FeedbackSummary>> {
    let (count, sum): (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(rating), 0) FROM feedback WHERE memory = ?1 AND seq <= ?2 AND known <= ?3",
        )?
        .query_row((memory, bounds.known_seq, bounds.known_time), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mean = |count: i64| (2 * sum + count * sum.signum()) / (2 * count);
    Ok((count > 0).then(|| FeedbackSummary { count: count.unsigned_abs(), mean_milli: mean(count) }))
}
