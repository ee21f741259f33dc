//! The digest over the rows of the tables.

use engine_core::content::{Cell, ContentDigest, Table, row_hash};
use engine_core::digest::Hash;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

/// Computes the digest from the rows in the tables, without the stored digest.
pub(super) fn digest_of(connection: &Connection) -> rusqlite::Result<ContentDigest> {
    let mut digest = ContentDigest::EMPTY;
    for table in Table::ALL {
        let mut statement = connection.prepare(&format!("SELECT * FROM {}", table.name()))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            digest.add(hash_of(*table, row, columns)?);
        }
    }
    Ok(digest)
}

/// The hash of a row, as included in the digest.
pub(super) fn hash_of(table: Table, row: &Row<'_>, columns: usize) -> rusqlite::Result<Hash> {
    let cells = (0..columns).map(|column| row.get_ref(column)).collect::<Result<Vec<_>, _>>()?;
    Ok(row_hash(table, cells.into_iter().map(cell)))
}

fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) => Cell::Text(text),
        ValueRef::Blob(bytes) => Cell::Blob(bytes),
    }
}
