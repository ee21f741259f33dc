//! Conversion of values into statements and out of rows.

use engine_core::wire::moment::LAST;
use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use thiserror::Error;

/// A row that differs from what the projection writes.
#[derive(Debug, Error)]
#[error("a row has a value of an unexpected type")]
pub(super) struct MalformedRow;

/// A list of texts as a statement parameter.
pub(super) fn list(values: &[String]) -> String {
    serde_json::to_string(values).expect("a list of strings is always JSON")
}

pub(super) fn tags(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|_| malformed(column))
}

pub(super) fn time_of_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| malformed(column))
}

pub(super) fn malformed(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(MalformedRow))
}

/// SQLite's integers are signed. At a million events per second a log would take 292,000 years to exceed them.
pub(super) fn sql(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(super) fn time_of(microseconds: i64) -> rusqlite::Result<Timestamp> {
    // The log may contain a time that is later than `LAST` but within the same second.
    Timestamp::from_microsecond(microseconds.min(LAST.as_microsecond()))
        .map_err(|_| rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, Box::new(MalformedRow)))
}

/// The event ids of the parameter `:ids` as a table. Each queried table is read once, for any number of ids.
pub(super) const IDS: &str = "(SELECT value FROM json_each(:ids))";
