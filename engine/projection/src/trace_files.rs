//! Searches the projection's files for data that should have been erased.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine_core::forgetting::Traces;
use engine_log::{TraceSearchResult, found_in};

use crate::files;

/// The files of the projection, searched as bytes.
#[derive(Debug)]
pub struct TraceFiles {
    directory: PathBuf,
    /// Open descriptors, one per existing file. Closing a descriptor of a file that SQLite has open would release
    /// SQLite's locks in this process. The descriptors therefore stay open until the file's name is removed.
    open: Mutex<BTreeMap<PathBuf, File>>,
}

impl TraceFiles {
    /// The projection's files in this data directory.
    pub fn new(data: &Path) -> TraceFiles {
        TraceFiles { directory: files::directory(data), open: Mutex::default() }
    }

    /// Searches every file of the projection for traces, reading at most `bytes_max` bytes.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn search(&self, traces: &Traces, bytes_max: u64) -> io::Result<TraceSearchResult> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            paths.push(entry?.path());
        }
        open.retain(|path, _| paths.contains(path));
        let mut searched = TraceSearchResult::default();
        for path in paths {
            if !open.contains_key(&path) {
                match File::open(&path) {
                    // The file was removed after the directory was listed.
                    Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                    file => drop(open.insert(path.clone(), file?)),
                }
            }
            let Some(file) = open.get(&path) else { continue };
            if searched.admit(file.metadata()?.len(), bytes_max) {
                searched.found += found_in(file, traces)?;
            }
        }
        Ok(searched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of bytes that the search reads from a file at once.
    const PIECE_BYTES: usize = 1 << 20;

    #[test]
    fn a_trace_is_found_wherever_it_lies() {
        let data = tempfile::tempdir().unwrap();
        let directory = files::directory(data.path());
        fs::create_dir(&directory).unwrap();
        let (text, files) = ("a text that is to be found", TraceFiles::new(data.path()));
        let traces = Traces::of([text]);
        for place in [0, 10, PIECE_BYTES - 10, PIECE_BYTES, 2 * PIECE_BYTES - 30] {
            let mut bytes = vec![b'.'; 2 * PIECE_BYTES];
            bytes[place..place + text.len()].copy_from_slice(text.as_bytes());
            fs::write(directory.join("memories-1.sqlite"), bytes).unwrap();
            let searched = files.search(&traces, u64::MAX).unwrap();
            assert_eq!((searched.found, searched.files, searched.cut), (1, 1, false), "at {place}");
        }
        assert!(files.search(&traces, 1).unwrap().cut);
    }
}
