//! Read-only connections with a time limit for each read.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::sql_functions;

/// Maximum duration of a read. A search for words that a million memories contain would take longer. Such a read is
/// stopped, so that it does not occupy a thread for which other reads wait.
pub(super) const READ_MAX: Duration = Duration::from_secs(3);
/// SQLite steps between two checks of the clock. They take well below a millisecond.
const STEPS: i32 = 2_000;

/// Idle connections to one database. Each connection has its own page cache. There are never more connections than
/// concurrent reads.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens one connection immediately, so that a volume that fills up later does not block readers.
    pub(super) fn open(path: PathBuf) -> rusqlite::Result<Readers> {
        let readers = Readers { path, idle: Mutex::new(Vec::new()) };
        let first = readers.connect()?;
        first.query_row("SELECT seq FROM applied", [], |_| Ok(()))?;
        readers.put_back(first);
        Ok(readers)
    }

    /// Takes a connection out of the pool.
    pub(super) fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    /// Runs a read and returns the connection to the pool.
    pub(super) fn read<T>(
        &self,
        mut connection: Connection,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let ends_at = Instant::now() + READ_MAX;
        connection.progress_handler(STEPS, Some(move || Instant::now() >= ends_at))?;
        let answer = read(&connection);
        // The connection may have caused the failure, so it is not reused.
        if answer.is_ok() {
            self.put_back(connection);
        }
        answer
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        // Only the projector checkpoints the write-ahead log, even when this connection closes last.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Plan each statement once, not again for other parameter values: planning took a third of the time of a
        // search.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(
            "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
             PRAGMA busy_timeout = 2000; PRAGMA cache_size = -4096;",
        )?;
        sql_functions::register(&connection)?;
        Ok(connection)
    }
}
