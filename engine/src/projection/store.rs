//! The writing side: one connection, one transaction for each group of events.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use engine_core::digest::Hash;
use engine_core::fold::{Change, Memory, PROJECTION_VERSION, Request, fold};
use engine_core::format::EventLine;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use thiserror::Error;

use crate::storage::create_directory;

const SCHEMA: &str = "
CREATE TABLE applied (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL, log_id TEXT NOT NULL, seq INTEGER NOT NULL, hash BLOB
) STRICT;
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash BLOB NOT NULL,
    project TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, tags TEXT NOT NULL,
    actor TEXT NOT NULL, session TEXT, occurred_at TEXT NOT NULL, created_at TEXT NOT NULL,
    content TEXT NOT NULL -- last: a list of memories must not read through a mebibyte of each
) STRICT;
CREATE INDEX memories_by_project ON memories (project, seq);
CREATE TABLE requests (
    key TEXT PRIMARY KEY, request_sha256 BLOB NOT NULL, salt BLOB NOT NULL,
    id TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE memories_fts USING fts5 (
    title, content, tags, content = 'memories', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2'
);
";

/// What a projection must agree with to be used.
pub(crate) struct LogView<'a> {
    pub(crate) log_id: &'a str,
    pub(crate) head_seq: u64,
    /// Hash of an event of the log.
    pub(crate) hash_of: &'a dyn Fn(u64) -> io::Result<Option<Hash>>,
}

/// A projection open for writing.
#[derive(Debug)]
pub(crate) struct ProjectionStore {
    connection: Connection,
    applied_seq: u64,
}

/// A step that failed.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("the projection does not belong to this log: {0}")]
    Foreign(&'static str),
    #[error("the projection is damaged: {0}")]
    Damaged(String),
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the projection's files: {0}")]
    Io(#[from] io::Error),
    #[error("event {0} cannot follow what was applied")]
    OutOfOrder(u64),
}

impl StoreError {
    /// Whether the projection itself is at fault, so that it has to be built again; else the volume is, and trying
    /// again is enough.
    pub(crate) fn needs_rebuild(&self) -> bool {
        match self {
            StoreError::Foreign(_) | StoreError::Damaged(_) | StoreError::OutOfOrder(_) => true,
            StoreError::Io(_) => false,
            StoreError::Sqlite(fault) => !is_of_the_volume(fault),
        }
    }
}

/// Whether a failure goes away by itself, with the projection as good as before.
fn is_of_the_volume(fault: &rusqlite::Error) -> bool {
    matches!(
        fault.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// Whether a read says that the file is not what it should be. Narrower than for writes: what a client asks for must
/// never cost the projection.
pub(super) fn is_damage(fault: &rusqlite::Error) -> bool {
    matches!(fault.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(
            fault,
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)
        )
}

/// Where the projection lies in a data directory.
pub(crate) fn directory(data: &Path) -> PathBuf {
    data.join("projection")
}

/// The database in the projection's directory.
pub(crate) fn database(directory: &Path) -> PathBuf {
    directory.join("memories.sqlite")
}

impl ProjectionStore {
    /// Opens what is there if it can be trusted.
    pub(crate) fn open(directory: &Path, log: &LogView<'_>) -> Result<ProjectionStore, StoreError> {
        if !database(directory).try_exists()? {
            return Err(StoreError::Foreign("there is none"));
        }
        let connection = connect(directory)?;
        let checked: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if checked != "ok" {
            return Err(StoreError::Damaged(checked));
        }
        let applied_seq = check_applied(&connection, log)?;
        Ok(ProjectionStore { connection, applied_seq })
    }

    /// Removes what is there and begins anew.
    pub(crate) fn create(directory: &Path, log_id: &str) -> Result<ProjectionStore, StoreError> {
        create_directory(directory)?;
        remove(directory)?;
        let mut connection = connect(directory)?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.execute(
            "INSERT INTO applied VALUES (1, ?1, ?2, 0, NULL)",
            params![PROJECTION_VERSION, log_id],
        )?;
        transaction.commit()?;
        Ok(ProjectionStore { connection, applied_seq: 0 })
    }

    pub(crate) fn applied_seq(&self) -> u64 {
        self.applied_seq
    }

    /// Applies whole lines of the log, all or none of them.
    pub(crate) fn apply<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        let mut applied_seq = self.applied_seq;
        let mut hash = None;
        for line in lines.flat_map(|lines| lines.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty())
        {
            let event =
                EventLine::decode(line).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
            if event.envelope.seq != applied_seq + 1 {
                return Err(StoreError::OutOfOrder(event.envelope.seq));
            }
            apply_event(&transaction, &event)?;
            applied_seq = event.envelope.seq;
            hash = Some(event.hash);
        }
        if let Some(hash) = hash {
            transaction
                .prepare_cached("UPDATE applied SET seq = ?1, hash = ?2")?
                .execute(params![sql(applied_seq), hash.0])?;
        }
        transaction.commit()?;
        self.applied_seq = applied_seq;
        Ok(())
    }
}

/// Removes the projection's files.
fn remove(directory: &Path) -> io::Result<()> {
    let database = database(directory);
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.clone().into_os_string();
        path.push(suffix);
        match fs::remove_file(&path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

fn connect(directory: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(database(directory))?;
    connection.set_prepared_statement_cache_capacity(32);
    // NORMAL: a power cut may cost the last transactions, which the log has. Temporary tables in memory: there is no
    // /tmp in a container with a read-only root.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 8388608; PRAGMA cache_size = -8192;",
    )?;
    Ok(connection)
}

fn check_applied(connection: &Connection, log: &LogView<'_>) -> Result<u64, StoreError> {
    let row = connection
        .query_row("SELECT version, log_id, seq, hash FROM applied", [], |row| {
            let seq: i64 = row.get(2)?;
            Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?, seq, row.get::<_, Option<Vec<u8>>>(3)?))
        })
        .optional()?;
    let (version, log_id, seq, hash) = row.ok_or(StoreError::Foreign("it is empty"))?;
    let seq = u64::try_from(seq).map_err(|_| StoreError::Foreign("its position is negative"))?;
    if version != PROJECTION_VERSION {
        return Err(StoreError::Foreign("it has another version"));
    }
    if log_id != log.log_id {
        return Err(StoreError::Foreign("it was built from another log"));
    }
    if seq > log.head_seq {
        return Err(StoreError::Foreign("it is ahead of the log"));
    }
    let in_log = (log.hash_of)(seq)?.map(|hash| hash.0.to_vec());
    if in_log != hash {
        return Err(StoreError::Foreign("it was built from another history"));
    }
    Ok(seq)
}

fn apply_event(transaction: &Transaction<'_>, event: &EventLine<'_>) -> Result<(), rusqlite::Error> {
    let changes = match fold(event) {
        Ok(changes) => changes,
        Err(unfoldable) => {
            // Building again would meet the same event: one unreadable memory must not cost all the others.
            tracing::error!(%unfoldable, "event not applied");
            return Ok(());
        }
    };
    for change in changes {
        match change {
            Change::PutMemory(memory) => put_memory(transaction, &memory)?,
            Change::PutRequest(request) => put_request(transaction, &request)?,
        }
    }
    Ok(())
}

fn put_memory(transaction: &Transaction<'_>, memory: &Memory) -> Result<(), rusqlite::Error> {
    let payload = &memory.payload;
    let title = payload.title.as_deref().unwrap_or_default();
    let tags = serde_json::to_string(&payload.tags).expect("a list of strings is always JSON");
    transaction
        .prepare_cached("INSERT INTO memories VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)")?
        .execute(params![
            sql(memory.seq),
            memory.id,
            memory.hash.0,
            memory.project,
            payload.kind,
            title,
            tags,
            memory.actor,
            memory.session,
            memory.occurred_at.to_string(),
            memory.created_at.to_string(),
            payload.content,
        ])?;
    transaction
        .prepare_cached("INSERT INTO memories_fts (rowid, title, content, tags) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sql(memory.seq), title, payload.content, tags])?;
    Ok(())
}

fn put_request(transaction: &Transaction<'_>, request: &Request) -> Result<(), rusqlite::Error> {
    let Request { idempotency, salt, id, first_seq, last_seq, hash } = request;
    // A log has each key once. Were it twice, the first is the one whose answer was promised.
    transaction
        .prepare_cached("INSERT OR IGNORE INTO requests VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            idempotency.key,
            idempotency.request_sha256.0,
            salt.0,
            id,
            sql(*first_seq),
            sql(*last_seq),
            hash.0
        ])?;
    Ok(())
}

/// SQLite's integers are signed; at a million events a second a log would take 292,000 years to get there.
pub(super) fn sql(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
