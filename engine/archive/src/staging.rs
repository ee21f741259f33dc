//! The directory in which a log is put together. It gets its place by a rename when everything is verified and durable.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use engine_core::archive::key_table::{KeyTable, Row};
use engine_core::archive::name::PieceName;
use engine_core::archive::piece::{Piece, Restored};
use engine_core::archive::volume_keys::VolumeKeys;
use engine_core::digest::Hash;
use engine_core::format::segment_file_name;
use engine_core::wire::RestoredLog;
use engine_log::storage::sync_directory;
use futures::StreamExt;

use crate::marker;
use crate::progress::Progress;
use crate::repository::{BadObject, Names, Repository, damaged, lengths};
use crate::restore_error::{Failed, RestoreError};

/// Name of the directory inside the target. What is in it never counts.
const STAGING: &str = ".restoring";
/// Directories that get their place, the log last: without it nothing was restored.
const PLACED: [&str; 2] = ["keys", "log"];
/// Directory that a new file system has.
const OF_THE_FILE_SYSTEM: &str = "lost+found";
/// Pieces that are read at the same time. One has up to 16 MiB of lines.
const READ_AHEAD: usize = 3;
/// Permissions of segments and of keys, as the engine creates them.
const SEGMENT_MODE: u32 = 0o640;
const KEY_MODE: u32 = 0o600;

#[derive(Debug)]
pub(crate) struct Staging {
    to: PathBuf,
    path: PathBuf,
}

/// What came of the pieces.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) forgotten: u64,
    pub(crate) bytes: u64,
    /// Events that tables name as those that forgot a payload, each with the name of the first such table.
    by: BTreeMap<String, String>,
}

/// A piece that was read, with the keys of its payloads.
pub(crate) struct Read {
    name: PieceName,
    piece: Piece,
    keys: KeyTable,
}

impl Read {
    /// The lines of the piece as they are in the log, up to event `until`.
    pub(crate) fn lines(&self, until: u64) -> Result<Vec<u8>, BadObject> {
        let mut lines = Vec::new();
        self.restore(until, &mut lines).map(|_| lines)
    }

    /// Hash of the line before the piece, and of its last line.
    pub(crate) fn ends(&self) -> (Hash, Hash) {
        (self.piece.prev(), self.piece.last())
    }

    /// Adds the lines of the piece as they are in the log, up to event `until`.
    pub(crate) fn restore(&self, until: u64, lines: &mut Vec<u8>) -> Result<Restored, BadObject> {
        let restored = self.piece.restore(&self.keys, until, lines);
        restored.map_err(|fault| damaged(&format!("{} or {}", self.name, self.name.keys()), &fault))
    }
}

/// The segment that is being written.
struct Segment {
    file: File,
    path: PathBuf,
}

impl Staging {
    /// Begins in a target without data. What an interrupted restore has left is removed.
    pub(crate) fn begin(to: &Path) -> Result<Staging, RestoreError> {
        let path = to.join(STAGING);
        fs::create_dir_all(to).map_err(failed(to))?;
        // A restore that was interrupted between its two renames has placed the keys, and not the log.
        if path.join("log").exists() && !to.join("log").exists() && to.join("keys").exists() {
            fs::remove_dir_all(to.join("keys")).map_err(failed(to))?;
        }
        if path.exists() && !to.join("log").exists() {
            marker::remove_leftover(to).map_err(failed(to))?;
        }
        for entry in fs::read_dir(to).map_err(failed(to))? {
            let name = entry.map_err(failed(to))?.file_name();
            if name != STAGING && name != OF_THE_FILE_SYSTEM {
                return Err(RestoreError::NotEmpty(to.to_owned()));
            }
        }
        if path.exists() {
            fs::remove_dir_all(&path).map_err(failed(&path))?;
        }
        for directory in PLACED {
            let directory = path.join(directory);
            fs::create_dir_all(&directory).map_err(failed(&directory))?;
        }
        Ok(Staging { to: to.to_owned(), path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the keys of the volume.
    pub(crate) fn keys(&self, keys: &VolumeKeys) -> Result<(), RestoreError> {
        for (name, text) in keys {
            let path = self.path.join("keys").join(name);
            let mut file = create(&path, KEY_MODE)?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&path))?;
        }
        sync(&self.path.join("keys"))
    }

    /// Reads the pieces and writes their lines as segments.
    pub(crate) async fn pieces(
        &mut self,
        (log, names): (&Repository, &Names),
        (log_id, pieces): (&str, &[PieceName]),
        until: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<Counted, Failed> {
        let lengths = lengths(names);
        let length = |name: &PieceName| lengths.get(&name.to_string()).copied().unwrap_or_default();
        progress.begins(pieces.iter().map(length).sum());
        let mut reading =
            futures::stream::iter(pieces).map(|name| read(log, log_id, name)).buffered(READ_AHEAD);
        let (mut counted, mut segment, mut last) = (Counted::default(), None, Hash::ZERO);
        while let Some(read) = reading.next().await {
            let read = read?;
            let name = read.name.to_string();
            if read.piece.prev() != last {
                return Err(damaged(&name, &"it does not follow the piece before it").into());
            }
            last = read.piece.last();
            self.piece(&read, until.unwrap_or(u64::MAX), &mut segment, &mut counted)?;
            progress.advances(length(&read.name));
        }
        finish_segment(segment)?;
        sync(&self.path.join("log"))?;
        Ok(counted)
    }

    fn piece(
        &self,
        read: &Read,
        until: u64,
        segment: &mut Option<Segment>,
        counted: &mut Counted,
    ) -> Result<(), Failed> {
        let name = read.name.to_string();
        let mut lines = Vec::new();
        let restored = read.restore(until, &mut lines)?;
        if read.piece.begins_segment().is_some() {
            finish_segment(segment.take())?;
            let path = self.path.join("log").join(segment_file_name(read.name.first_seq));
            *segment = Some(Segment { file: create(&path, SEGMENT_MODE)?, path });
        }
        let Some(Segment { file, path }) = segment else {
            return Err(damaged(&name, &"the beginning of its segment is missing").into());
        };
        file.write_all(&lines).map_err(failed(path))?;
        counted.forgotten += restored.forgotten;
        for row in &read.keys.rows {
            if let Row::Forgotten(by) = row
                && !counted.by.contains_key(by)
            {
                counted.by.insert(by.clone(), read.name.keys());
            }
        }
        counted.bytes += lines.len() as u64;
        Ok(())
    }

    /// Checks that the log says of every payload that is missing why it is. What was forgotten after event `until` is
    /// missing before it, and the event that says so is not restored.
    pub(crate) fn account(&self, counted: &Counted, until: Option<u64>) -> Result<(), Failed> {
        if counted.forgotten == 0 {
            return Ok(());
        }
        let log = self.path.join("log");
        let unexplained = crate::gaps::unexplained(&log).map_err(failed(&log))?;
        match (unexplained.into_iter().next(), until) {
            (None, _) => Ok(()),
            (Some((_, seq)), Some(until)) => Err(RestoreError::ForgottenLater { seq, until }.into()),
            (Some((by, seq)), None) => {
                let name = counted.by.get(&by).map_or("a piece", String::as_str);
                let why = format!("it says that event {seq} was forgotten, and no event of the log says so");
                Err(Failed::Unexplained(damaged(name, &why)))
            }
        }
    }

    /// Gives the log its place, and says beside it from what it was restored.
    pub(crate) fn finish(self, restored: &RestoredLog) -> Result<(), RestoreError> {
        for directory in PLACED {
            if directory == "log" {
                marker::write(&self.to, restored).map_err(failed(&self.to))?;
            }
            let (from, to) = (self.path.join(directory), self.to.join(directory));
            sync(&from)?;
            fs::rename(&from, &to).map_err(failed(&to))?;
            sync(&self.to)?;
        }
        fs::remove_dir_all(&self.path).map_err(failed(&self.path))
    }
}

pub(crate) async fn read(log: &Repository, log_id: &str, name: &PieceName) -> Result<Read, BadObject> {
    let table = name.keys();
    let (piece, keys) = futures::join!(log.piece(log_id, name), log.table(&name.sha256, &table));
    Ok(Read { name: name.clone(), piece: piece?, keys: keys? })
}

fn create(path: &Path, mode: u32) -> Result<File, RestoreError> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed(path))
}

fn finish_segment(segment: Option<Segment>) -> Result<(), RestoreError> {
    segment.map_or(Ok(()), |Segment { file, path }| file.sync_all().map_err(failed(&path)))
}

fn sync(path: &Path) -> Result<(), RestoreError> {
    sync_directory(path).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> RestoreError + use<> {
    let path = path.to_owned();
    move |source| RestoreError::Write { path: path.clone(), source }
}
