//! Two times: when a memory is true, and when the engine knew of it.

use engine_core::row::microseconds;
use engine_core::wire::Validity;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::values::{sql, time_of};

/// What a read asks about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// The clock.
    pub now: Timestamp,
    /// True at this time; now, when absent.
    pub as_of: Option<Timestamp>,
    /// As the log stood then; as it stands now, when absent.
    pub known: Option<Known>,
}

/// A state of the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    /// With this event as its last.
    Through(u64),
    /// With everything accepted until then.
    At(Timestamp),
}

/// The same as the queries take it: times are microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub as_of: i64,
    pub known_seq: i64,
    pub known_time: i64,
    /// Asks about now, as everybody does who says nothing: every row was known and most are true.
    pub is_now: bool,
}

impl Moment {
    /// Reads the clock for whom the caller cannot: a clock that was set back must not hide what was just saved, so
    /// now is never before the latest event.
    pub fn bounds(&self, connection: &Connection) -> rusqlite::Result<Bounds> {
        let latest: i64 =
            connection.prepare_cached("SELECT known FROM applied")?.query_row([], |row| row.get(0))?;
        let now = microseconds(self.now).max(latest);
        let (known_seq, known_time) = match self.known {
            None => (i64::MAX, i64::MAX),
            Some(Known::Through(seq)) => (sql(seq), i64::MAX),
            Some(Known::At(time)) => (i64::MAX, microseconds(time)),
        };
        let as_of = self.as_of.map_or(now, microseconds);
        Ok(Bounds { as_of, known_seq, known_time, is_now: as_of >= latest && self.known.is_none() })
    }
}

/// Ends that were known, of the memory whose sequence number stands in this column.
macro_rules! ended {
    ($column:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM invalidations i WHERE i.memory = ",
            $column,
            " AND i.until <= :as_of AND i.seq <= :known_seq AND i.known <= :known_time)"
        )
    };
}

/// What is true now, judged without reading the rows of the matches `f`: only memories that became true after they
/// were saved, and ends, are looked at.
pub(super) const TRUE_NOW: &str = concat!(
    "f.rowid NOT IN (SELECT seq FROM memories INDEXED BY memories_late WHERE valid_from > known AND valid_from > :as_of)
     AND NOT ",
    ended!("f.rowid")
);

/// What was true and known, judged by the rows `m`.
pub(super) const TRUE_THEN: &str = concat!(
    "m.valid_from <= :as_of AND m.seq <= :known_seq AND m.known <= :known_time AND NOT ",
    ended!("m.seq")
);

/// When a memory is true, as far as was known.
pub(super) fn validity(
    connection: &Connection,
    seq: i64,
    valid_from: i64,
    bounds: Bounds,
) -> rusqlite::Result<Validity> {
    let open = Validity {
        from: time_of(valid_from)?,
        until: None,
        invalidated_by: None,
        reason: None,
        superseded_by: None,
    };
    let ended = connection
        .prepare_cached(
            "SELECT until, id, reason, superseded_by FROM invalidations
             WHERE memory = :seq AND seq <= :known_seq AND known <= :known_time ORDER BY until, seq LIMIT 1",
        )?
        .query_row(
            named_params! {":seq": seq, ":known_seq": bounds.known_seq, ":known_time": bounds.known_time},
            |row| {
                Ok(Validity {
                    until: Some(time_of(row.get(0)?)?),
                    invalidated_by: row.get(1)?,
                    reason: row.get(2)?,
                    superseded_by: row.get(3)?,
                    ..open.clone()
                })
            },
        )
        .optional()?;
    Ok(ended.unwrap_or(open))
}

/// A memory that somebody wants to end.
#[derive(Debug)]
pub struct Target {
    pub project: String,
    pub validity: Validity,
    /// Whether the memory that is to follow exists.
    pub successor: bool,
    /// Whether the idempotency key of the request was seen before: then the answer is that of before.
    pub repeated: bool,
}

/// Everything that decides about the end of a memory, of one moment.
pub fn target(
    connection: &Connection,
    id: &str,
    successor: Option<&str>,
    key: Option<&str>,
) -> rusqlite::Result<Option<Target>> {
    let moment = connection.unchecked_transaction()?;
    let found = moment
        .prepare_cached("SELECT seq, valid_from, project FROM memories WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?)))
        .optional()?;
    let Some((seq, valid_from, project)) = found else { return Ok(None) };
    let everything = Bounds { as_of: i64::MAX, known_seq: i64::MAX, known_time: i64::MAX, is_now: true };
    let exists = |sql: &str, value: Option<&str>| match value {
        None => Ok(false),
        Some(value) => moment.prepare_cached(sql)?.exists([value]),
    };
    Ok(Some(Target {
        project,
        validity: validity(&moment, seq, valid_from, everything)?,
        successor: exists("SELECT 1 FROM memories WHERE id = ?1", successor)?,
        repeated: exists("SELECT 1 FROM requests WHERE key = ?1", key)?,
    }))
}
