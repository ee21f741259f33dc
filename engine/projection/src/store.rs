//! Writes the projection with one connection and one transaction per group of events.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use engine_core::content::ContentDigest;
use engine_core::digest::Hash;
use engine_core::fold::PROJECTION_VERSION;
use rusqlite::{Connection, OptionalExtension, params};

use super::project_versions::ChangeSet;
use super::rows::EventChanges;
use super::schema;
use super::store_error::StoreError;
use super::values::sql;

/// Databases up to this size in bytes are fully checked before use.
const CHECKED_BYTES_MAX: u64 = 16 << 20;

/// The log state that a projection must match.
pub(super) struct LogView<'a> {
    pub(super) log_id: &'a str,
    pub(super) head_seq: u64,
    /// Returns the hash of an event of the log.
    pub(super) hash_of: &'a dyn Fn(u64) -> io::Result<Option<Hash>>,
}

/// A projection open for writing.
#[derive(Debug)]
pub(super) struct ProjectionStore {
    connection: Connection,
    path: PathBuf,
    applied: Applied,
    /// Changes since the last [`ProjectionStore::take_touched`].
    touched: ChangeSet,
    /// Whether the index or the write-ahead log may contain forgotten data.
    traces: bool,
}

/// The single row of the table `applied`, committed in the same transaction as the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) version: u32,
    pub(super) log_id: String,
    pub(super) seq: u64,
    /// Hash of the last event. `None` before the first.
    pub(super) hash: Option<Hash>,
    pub(super) digest: ContentDigest,
    /// The latest event time, in microseconds since 1970.
    pub(super) known: i64,
}

impl ProjectionStore {
    /// Opens an existing projection after quick checks of its tables, its version, and its last applied event, which
    /// must be in the log. The rows are checked later by a scrub, while the projection serves.
    pub(super) fn open(path: &Path, log: &LogView<'_>) -> Result<ProjectionStore, StoreError> {
        if !path.try_exists()? {
            return Err(StoreError::Missing);
        }
        let connection = schema::connect(path)?;
        // Check the version before the schema: an older version has other tables, which is not damage.
        let version: Option<u32> =
            connection.query_row("SELECT version FROM applied", [], |row| row.get(0)).optional()?;
        if version != Some(PROJECTION_VERSION) {
            return Err(StoreError::Version);
        }
        if !schema::is_current(&connection)? {
            return Err(StoreError::Damaged("tables or indexes are missing or changed".into()));
        }
        // A small file is checked completely now, which takes milliseconds. A large file is checked while the
        // projection serves.
        if fs::metadata(path)?.len() <= CHECKED_BYTES_MAX {
            let pages: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if pages != "ok" {
                return Err(StoreError::Damaged(pages));
            }
        }
        let applied = read_applied(&connection)?;
        check_applied(&applied, log)?;
        // The previous process may not have completed the removal of forgotten data.
        let traces = connection.query_row("SELECT EXISTS (SELECT 1 FROM forgotten)", [], |row| row.get(0))?;
        Ok(ProjectionStore {
            connection,
            path: path.to_owned(),
            applied,
            touched: ChangeSet::default(),
            traces,
        })
    }

    /// Creates a new projection for loading.
    pub(super) fn create(path: &Path, log_id: &str) -> Result<ProjectionStore, StoreError> {
        let mut connection = schema::connect_for_loading(path)?;
        let transaction = connection.transaction()?;
        schema::create_tables(&transaction)?;
        transaction.execute(
            "INSERT INTO applied VALUES (1, ?1, ?2, 0, NULL, ?3, ?4)",
            params![PROJECTION_VERSION, log_id, ContentDigest::EMPTY.0, i64::MIN],
        )?;
        transaction.commit()?;
        schema::set_loading(&connection, true)?;
        schema::set_secure_index_deletes(&connection, true)?;
        let applied = read_applied(&connection)?;
        Ok(ProjectionStore {
            connection,
            path: path.to_owned(),
            applied,
            touched: ChangeSet::default(),
            traces: false,
        })
    }

    /// Ends the load: creates the indexes and closes the file. The file is not synced yet.
    pub(super) fn finish_loading(self) -> Result<Applied, StoreError> {
        schema::set_loading(&self.connection, false)?;
        schema::create_indexes(&self.connection)?;
        self.connection.close().map_err(|(_, fault)| fault)?;
        Ok(self.applied)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn applied_seq(&self) -> u64 {
        self.applied.seq
    }

    pub(super) fn digest(&self) -> ContentDigest {
        self.applied.digest
    }

    /// Returns and clears the changes since the last call.
    pub(super) fn take_touched(&mut self) -> ChangeSet {
        std::mem::take(&mut self.touched)
    }

    /// A counter that changes if and only if another connection has changed the database.
    pub(super) fn foreign_changes(&self) -> Result<i64, StoreError> {
        Ok(self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
    }

    /// Applies complete lines of the log atomically.
    pub(super) fn apply<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> Result<(), StoreError> {
        self.apply_folded(lines.flat_map(EventChanges::read_all))
    }

    /// Applies events in order and atomically, together with the digest and the position.
    pub(super) fn apply_folded(
        &mut self,
        events: impl Iterator<Item = Result<EventChanges, StoreError>>,
    ) -> Result<(), StoreError> {
        let (mut applied, mut forgets) = (self.applied.clone(), false);
        let transaction = self.connection.transaction()?;
        for event in events {
            let event = event?;
            if event.seq != applied.seq + 1 {
                return Err(StoreError::OutOfOrder(event.seq));
            }
            applied.seq = event.seq;
            applied.hash = Some(event.hash);
            applied.known = applied.known.max(event.known);
            self.touched.add(&event.project, event.seq, event.alters());
            forgets |= event.forgets();
            event.write(&transaction, &mut applied.digest)?;
        }
        transaction
            .prepare_cached("UPDATE applied SET seq = ?1, hash = ?2, digest = ?3, known = ?4")?
            .execute(params![
                sql(applied.seq),
                applied.hash.map(|hash| hash.0),
                applied.digest.0,
                applied.known
            ])?;
        transaction.commit()?;
        self.applied = applied;
        self.traces |= forgets;
        Ok(())
    }

    /// Whether the index or the write-ahead log may contain forgotten data.
    pub(super) fn has_traces(&self) -> bool {
        self.traces
    }

    /// Checkpoints and empties the write-ahead log, unless the index itself contains words of forgotten memories.
    pub(super) fn remove_traces(&mut self) -> Result<Traces, StoreError> {
        if schema::has_words_of_forgotten(&self.connection)? {
            return Ok(Traces::InIndex);
        }
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        self.traces = busy != 0;
        Ok(if self.traces { Traces::InUse } else { Traces::None })
    }
}

/// Remaining traces of forgotten data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Traces {
    /// None in any file.
    None,
    /// Words in the full-text index. Only a new index removes them.
    InIndex,
    /// Data in the write-ahead log that a reader still uses.
    InUse,
}

/// Reads the single row of `applied`.
pub(super) fn read_applied(connection: &Connection) -> Result<Applied, StoreError> {
    let row = connection
        .query_row("SELECT version, log_id, seq, hash, digest, known FROM applied", [], |row| {
            Ok(Applied {
                version: row.get(0)?,
                log_id: row.get(1)?,
                // A negative position is invalid. It is treated as ahead of every log.
                seq: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(u64::MAX),
                hash: row.get::<_, Option<[u8; 32]>>(3)?.map(Hash),
                digest: ContentDigest(row.get(4)?),
                known: row.get(5)?,
            })
        })
        .optional()?;
    row.ok_or_else(|| StoreError::Damaged("it does not contain its position".into()))
}

fn check_applied(applied: &Applied, log: &LogView<'_>) -> Result<(), StoreError> {
    if applied.log_id != log.log_id {
        return Err(StoreError::Foreign("it was built from another log"));
    }
    if applied.seq > log.head_seq {
        return Err(StoreError::Foreign("it is ahead of the log"));
    }
    if (log.hash_of)(applied.seq)? != applied.hash {
        return Err(StoreError::Foreign("it was built from another history"));
    }
    Ok(())
}
