//! Finds the log files to import and reads their lines.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The log files that were found, and the files that were skipped.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) logs: Vec<SourceLog>,
    pub(super) skipped: Vec<Skipped>,
}

/// One log to import.
#[derive(Debug)]
pub(super) struct SourceLog {
    pub(super) path: PathBuf,
    /// Name of the log file without the extension. Zaxy calls it the session.
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// A file that is not imported.
#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    file: PathBuf,
    reason: &'static str,
}

/// Finds logs. If `from` is a file, it is the log. If it is a directory, the logs are the files that Zaxy itself would
/// open: `*.jsonl`, without subdirectories.
pub(super) fn find(from: &Path) -> io::Result<Found> {
    let mut found = Found { logs: Vec::new(), skipped: Vec::new() };
    if !fs::metadata(from)?.is_dir() {
        found.logs.push(SourceLog::at(from.to_owned())?);
        return Ok(found);
    }
    let mut paths = fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for file in paths {
        if fs::metadata(&file)?.is_dir() {
            found.skipped.push(Skipped { file, reason: "a directory" });
        } else if file.extension() == Some(OsStr::new("jsonl")) {
            found.logs.push(SourceLog::at(file)?);
        } else {
            found.skipped.push(Skipped { file, reason: "not named *.jsonl" });
        }
    }
    Ok(found)
}

impl SourceLog {
    fn at(path: PathBuf) -> io::Result<SourceLog> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(SourceLog { bytes: fs::metadata(&path)?.len(), name, path })
    }
}

/// Reads lines one at a time. At most `limit` bytes of a line are kept in memory.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    limit: usize,
    number: u64,
    end: u64,
    held: Vec<u8>,
}

/// One line and its position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Line number, from 1.
    pub(super) number: u64,
    /// Byte offset at which the line starts.
    pub(super) byte: u64,
    /// Content of the line without the line feed, truncated at the limit.
    pub(super) text: &'a [u8],
    /// Whether the line has more bytes than the limit.
    pub(super) too_long: bool,
    /// Whether the line ends with a line feed, which means that the writer completed the line.
    pub(super) ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Lines<R> {
        Lines { reader, limit, number: 0, end: 0, held: Vec::new() }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.end
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.held.clear();
        let (byte, mut too_long, mut ended) = (self.end, false, false);
        while !ended {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let line_feed = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..line_feed.unwrap_or(available.len())];
            let room = self.limit - self.held.len();
            too_long |= part.len() > room;
            self.held.extend_from_slice(&part[..part.len().min(room)]);
            ended = line_feed.is_some();
            let taken = part.len() + usize::from(ended);
            self.reader.consume(taken);
            self.end += taken as u64;
        }
        if self.end == byte {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(Line { number: self.number, byte, text: &self.held, too_long, ended }))
    }
}
