//! A projection looked over by somebody who does not run it.

use std::io;
use std::path::{Path, PathBuf};

use engine_core::fold::PROJECTION_VERSION;
use rusqlite::{Connection, OpenFlags};

use super::files;
use super::job::Stop;
use super::schema;
use super::scrub::{Finding, Looked, look_at_rows, look_at_words};
use super::store::read_applied;
use super::store_error::StoreError;

/// What was found. Each part is looked at whatever the others say; an error is a sentence.
#[derive(Debug)]
pub struct Examined {
    pub database: PathBuf,
    /// What it says of itself.
    pub place: Result<Place, String>,
    /// Pages and rows: their digest.
    pub rows: Result<String, String>,
    /// The full-text index against the rows; absent while an engine runs, whose writes would have to wait.
    pub words: Option<Result<(), String>>,
}

/// Which log a projection was built from, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub log_id: String,
    pub seq: u64,
    /// Hash of that event; absent before the first.
    pub hash: Option<String>,
}

/// Looks at the newest projection in this directory; `None` when there is none. Changes nothing. `exclusive` says that
/// no engine runs on it.
pub fn examine(directory: &Path, exclusive: bool) -> io::Result<Option<Examined>> {
    let Some(generation) = files::newest(directory)? else { return Ok(None) };
    let database = files::database(directory, generation);
    let stop = Stop::default();
    let place = place(&database).map_err(|fault| fault.to_string());
    let looked = look_at_rows(&database, &stop);
    let rows = match &looked {
        Ok(Finding::Sound(digest)) => Ok(digest.to_string()),
        _ => Err(sentence(&looked)),
    };
    let words = |digest| match look_at_words(&database, &stop, digest) {
        Ok(Finding::Sound(_)) => Ok(()),
        other => Err(sentence(&other)),
    };
    let words = exclusive.then(|| match looked {
        Ok(Finding::Sound(digest)) => words(digest),
        _ => Err("not looked at: pages or rows are damaged".into()),
    });
    Ok(Some(Examined { database, place, rows, words }))
}

fn sentence(looked: &Looked) -> String {
    match looked {
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
