//! Bitemporal validity: when a memory is true, and when the engine knew of it.

use engine_core::row::microseconds;
use engine_core::wire::Validity;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::values::{sql, time_of};

/// The moment that a read refers to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// The current time.
    pub now: Timestamp,
    /// Time at which memories must be valid. `None` means now.
    pub as_of: Option<Timestamp>,
    /// State of the log to use. `None` means the current state.
    pub known: Option<LogState>,
}

/// A past state of the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LogState {
    /// The log up to and including the event with this number.
    Through(u64),
    /// The log with all events that were accepted up to this time.
    At(Timestamp),
}

/// A moment as query parameters. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub as_of: i64,
    pub known_seq: i64,
    pub known_time: i64,
    /// Whether the moment is now, which is the default. Every row is then known, and most rows are valid.
    pub is_now: bool,
}

impl Moment {
    /// Converts the moment into query parameters. If the clock was set back, recently saved memories must stay visible.
    /// The current time is therefore never taken as earlier than the time of the latest event.
    ///
    /// # Errors
    /// The query fails.
    pub fn bounds(&self, connection: &Connection) -> rusqlite::Result<Bounds> {
        let latest: i64 =
            connection.prepare_cached("SELECT known FROM applied")?.query_row([], |row| row.get(0))?;
        let now = microseconds(self.now).max(latest);
        let (known_seq, known_time) = match self.known {
            None => (i64::MAX, i64::MAX),
            Some(LogState::Through(seq)) => (sql(seq), i64::MAX),
            Some(LogState::At(time)) => (i64::MAX, microseconds(time)),
        };
        let as_of = self.as_of.map_or(now, microseconds);
        Ok(Bounds { as_of, known_seq, known_time, is_now: as_of >= latest && self.known.is_none() })
    }
}

/// Condition: a known and effective end exists for the memory whose sequence number is in `$column`.
macro_rules! ended {
    ($column:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM invalidations i WHERE i.memory = ",
            $column,
            " AND i.until <= :as_of AND i.seq <= :known_seq AND i.known <= :known_time)"
        )
    };
}

/// Condition: match `f` is valid now. The condition does not read the rows of the matches. It reads only ends, and
/// memories whose validity began after they were saved.
pub(super) const VALID_NOW: &str = concat!(
    "f.rowid NOT IN (SELECT seq FROM memories INDEXED BY memories_late WHERE valid_from > known AND valid_from > :as_of)
     AND NOT ",
    ended!("f.rowid")
);

/// Condition: memory `m` was valid and known at the moment.
pub(super) const VALID_AT: &str = concat!(
    "m.valid_from <= :as_of AND m.seq <= :known_seq AND m.known <= :known_time AND NOT ",
    ended!("m.seq")
);

/// The validity of a memory, as known at the moment.
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

/// A memory to be ended by a request.
#[derive(Debug)]
pub struct Target {
    pub project: String,
    pub validity: Validity,
    /// Whether the memory that replaces this memory exists.
    pub successor: bool,
    /// Whether an earlier request had the same idempotency key. The answer to the earlier request is then repeated.
    pub repeated: bool,
}

/// Reads the data that a request to end the memory `id` needs, in one snapshot. `successor` is the id of the memory
/// that replaces it. `None` if the memory does not exist.
///
/// # Errors
/// A query fails.
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
