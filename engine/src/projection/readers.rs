//! Connections that only read.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

/// Idle connections to one database. Each costs a page cache, so there are never more than reads at one time.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens one connection at once, so that a volume that fills up later does not keep readers out.
    pub(super) fn open(path: PathBuf) -> rusqlite::Result<Readers> {
        let readers = Readers { path, idle: Mutex::new(Vec::new()) };
        let first = readers.connect()?;
        first.query_row("SELECT seq FROM applied", [], |_| Ok(()))?;
        readers.put_back(first);
        Ok(readers)
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| self.connect(), Ok)?;
        let answer = read(&connection);
        // A connection that failed may be the reason.
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
        connection.execute_batch(
            "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
             PRAGMA busy_timeout = 2000; PRAGMA cache_size = -4096;",
        )?;
        Ok(connection)
    }
}
