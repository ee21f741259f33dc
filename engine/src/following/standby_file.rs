//! `follow/standby.json`: what a standby keeps across restarts.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use engine_core::following::standby::Rebuild;
use engine_core::wire::StartedOver;
use engine_log::storage::{FilePermissions, Storage, read_small, replace};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const DIRECTORY: &str = "follow";
const FILE: &str = "standby.json";
/// Maximum size of the file, bytes. A reason has a few hundred.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Directories and a file that have rows, vectors or names of the copy, and nothing else.
const MADE_OF_THE_COPY: [&str; 2] = ["projection", "vectors"];
const SEARCHED: &str = "searched.json";
/// Where the copy is, and the files in it that stay: one is locked, and the other says that a log in this directory is
/// a copy. Without that mark nobody could tell what an interruption leaves from a log of its own.
const LOG: &str = "log";
const STAY: [&str; 2] = ["lock", "copy"];

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// The largest number of a writer whose fence was in the archive when the copy was continued last.
    pub(super) writer: u64,
    /// When the present rebuild began.
    rebuild_began: Option<Timestamp>,
    /// How long the last complete rebuild took, milliseconds, and its events.
    rebuild_ms: Option<u64>,
    rebuild_events: u64,
    /// When and why the copy was thrown away last.
    pub(super) started_over: Option<StartedOver>,
    /// Whether the copy is still to be thrown away.
    pub(super) is_left: bool,
}

impl Kept {
    pub(super) fn rebuild(&self) -> Rebuild {
        let took = self.rebuild_ms.map(|ms| (Duration::from_millis(ms), self.rebuild_events));
        Rebuild { began: self.rebuild_began, took }
    }

    /// The same, when the log has left the branch of the copy: the next start throws it away.
    pub(super) fn left(&self, reason: String, at: Timestamp) -> Kept {
        Kept { started_over: Some(StartedOver { reason, at }), is_left: true, ..self.clone() }
    }

    pub(super) fn set_rebuild(&mut self, Rebuild { began, took }: Rebuild) {
        self.rebuild_began = began;
        if let Some((took, events)) = took {
            self.rebuild_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            self.rebuild_events = events;
        }
    }
}

/// Reads the file. One that cannot be understood says nothing.
pub(super) fn read(storage: &dyn Storage) -> io::Result<Kept> {
    match read_small(storage, &format!("{DIRECTORY}/{FILE}"), FILE_BYTES_MAX) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        bytes => Ok(serde_json::from_slice(&bytes?).unwrap_or_else(|fault| {
            tracing::warn!(%fault, "{DIRECTORY}/{FILE} cannot be read: what it said of earlier rebuilds is lost");
            Kept::default()
        })),
    }
}

pub(super) fn write(storage: &dyn Storage, kept: &Kept) -> io::Result<()> {
    storage.create_directory(DIRECTORY)?;
    replace(storage, DIRECTORY, FILE, FilePermissions::Group, &serde_json::to_vec(kept)?)
}

/// Throws the copy of a standby away if the last process has found that the log has left it. It is called with the lock
/// of the directory, before anything is opened. After an interruption it is repeated.
///
/// # Errors
/// The directory cannot be read or changed.
pub(crate) fn remove_what_was_left(data: &Path, storage: &dyn Storage) -> io::Result<()> {
    let kept = read(storage)?;
    if !kept.is_left {
        return Ok(());
    }
    for directory in MADE_OF_THE_COPY {
        missing_is_fine(fs::remove_dir_all(data.join(directory)))?;
    }
    missing_is_fine(fs::remove_file(data.join(SEARCHED)))?;
    for entry in fs::read_dir(data.join(LOG))? {
        let entry = entry?;
        if STAY.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let is_directory = entry.file_type()?.is_dir();
        missing_is_fine(if is_directory {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        })?;
    }
    storage.sync_directory(LOG)?;
    let reason = kept.started_over.as_ref().map(|started_over| started_over.reason.as_str());
    tracing::warn!(reason, "the copy was thrown away: it is made again from the archive");
    write(storage, &Kept { writer: 0, rebuild_began: None, is_left: false, ..kept })
}

fn missing_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use engine_log::storage::DiskStorage;
    use engine_log::{LogDirectory, is_copy};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_a_copy_that_was_left_is_thrown_away_and_the_mark_of_a_copy_stays() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let lock = LogDirectory::lock(data).unwrap();
        let storage = lock.storage();
        for folder in ["projection", "vectors", "mode"] {
            fs::create_dir(data.join(folder)).unwrap();
        }
        let files =
            ["log/copy", "log/00000000000000000001.jsonl", "log/tree", "projection/1.db", "mode/mode.json"];
        for file in files.iter().chain(&["searched.json"]) {
            fs::write(data.join(file), "x").unwrap();
        }
        let mut kept = Kept { writer: 7, ..Kept::default() };
        kept.set_rebuild(Rebuild { began: Some(at(1)), took: Some((Duration::from_millis(2_500), 9)) });
        write(&*storage, &kept).unwrap();
        remove_what_was_left(data, &*storage).unwrap();
        assert!(files.iter().all(|file| data.join(file).exists()), "nothing was left");
        write(&*storage, &kept.left("a fence".to_owned(), at(2))).unwrap();
        for _ in 0..2 {
            remove_what_was_left(data, &*storage).unwrap();
            let there: Vec<bool> = files.iter().map(|file| data.join(file).exists()).collect();
            assert_eq!(there, [true, false, false, false, true]);
            assert!(is_copy(&*storage).unwrap() && !data.join("searched.json").exists());
        }
        let now = read(&*storage).unwrap();
        assert_eq!((now.writer, now.is_left), (0, false));
        assert_eq!(now.rebuild(), Rebuild { began: None, took: Some((Duration::from_millis(2_500), 9)) });
        let started_over = now.started_over.unwrap();
        assert_eq!((started_over.reason.as_str(), started_over.at), ("a fence", at(2)));
    }

    #[test]
    fn a_file_that_cannot_be_understood_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let storage = DiskStorage::new(directory.path().to_owned());
        assert_eq!(read(&storage).unwrap(), Kept::default());
        fs::create_dir(directory.path().join(DIRECTORY)).unwrap();
        fs::write(directory.path().join(DIRECTORY).join(FILE), "{").unwrap();
        assert_eq!(read(&storage).unwrap(), Kept::default());
    }
}
