//! Offline check of a projection by another process.

use std::io;
use std::path::{Path, PathBuf};

use engine_core::fold::PROJECTION_VERSION;
use rusqlite::{Connection, OpenFlags};

use super::background_job::Stop;
use super::files;
use super::schema;
use super::scrub::{Finding, ScrubOutcome, check_rows, check_words};
use super::store::read_applied;
use super::store_error::StoreError;

/// Results of the checks. The checks are independent of each other. An error is a message for the operator.
#[derive(Debug)]
pub struct Examined {
    /// Path of the database.
    pub database: PathBuf,
    /// The log and the position of the projection, as stored in the database.
    pub place: Result<Place, String>,
    /// Digest of the rows, after checking pages and rows.
    pub rows: Result<String, String>,
    /// Result of comparing the full-text index with the rows. `None` while an engine runs, because the check would
    /// block the engine's writes.
    pub words: Option<Result<(), String>>,
}

/// The log from which a projection was built, and the last applied event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Id of the log.
    pub log_id: String,
    /// Number of the last applied event.
    pub seq: u64,
    /// Hash of that event. `None` before the first.
    pub hash: Option<String>,
}

/// Checks the newest projection in `directory` without changing it. `None` if the directory contains no projection.
/// `exclusive` means that no engine uses the projection.
///
/// # Errors
/// The directory or its files cannot be read.
pub fn examine(directory: &Path, exclusive: bool) -> io::Result<Option<Examined>> {
    let Some(generation) = files::newest(directory)? else { return Ok(None) };
    let database = files::database(directory, generation);
    let stop = Stop::default();
    let place = place(&database).map_err(|fault| fault.to_string());
    let outcome = check_rows(&database, &stop);
    let rows = match &outcome {
        Ok(Finding::Sound(digest)) => Ok(digest.to_string()),
        _ => Err(sentence(&outcome)),
    };
    let words = |digest| match check_words(&database, &stop, digest) {
        Ok(Finding::Sound(_)) => Ok(()),
        other => Err(sentence(&other)),
    };
    let words = exclusive.then(|| match outcome {
        Ok(Finding::Sound(digest)) => words(digest),
        _ => Err("not checked: pages or rows are damaged".into()),
    });
    Ok(Some(Examined { database, place, rows, words }))
}

fn sentence(outcome: &ScrubOutcome) -> String {
    match outcome {
        Ok(Finding::Wrong(_, why)) => why.clone(),
        Ok(Finding::Sound(_)) => String::new(),
        Err(fault) => fault.to_string(),
    }
}

fn place(database: &Path) -> Result<Place, StoreError> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version: u32 = connection.query_row("SELECT version FROM applied", [], |row| row.get(0))?;
    if version != PROJECTION_VERSION {
        return Err(StoreError::Version);
    }
    if !schema::is_current(&connection)? {
        return Err(StoreError::Damaged("tables or indexes are missing or changed".into()));
    }
    let applied = read_applied(&connection)?;
    Ok(Place { log_id: applied.log_id, seq: applied.seq, hash: applied.hash.map(|hash| hash.to_string()) })
}
