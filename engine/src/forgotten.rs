//! Who is told when memories are forgotten, and the search for what may be left of them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine_core::forgetting::{TRACE_BYTES_MAX, Traces};

use crate::projection;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

type Listener = Box<dyn Fn(&[String]) + Send + Sync>;

/// Holders of copies, such as caches.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl Listeners {
    /// Calls this with the ids of memories that are forgotten, after their rows are gone and before anybody is told
    /// that they are. It must drop its copies before it returns.
    pub(crate) fn add(&self, listener: impl Fn(&[String]) + Send + Sync + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// Tells everybody; how many that were.
    pub(crate) fn tell(&self, ids: &[String]) -> usize {
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().for_each(|listener| listener(ids));
        listeners.len()
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners(..)")
    }
}

/// What a search for traces came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Searched {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) found: usize,
    /// There was more than may be read.
    pub(crate) cut: bool,
}

impl Searched {
    /// Takes this many bytes out of what may be read; false when it is more.
    pub(crate) fn admit(&mut self, bytes: u64, max: u64) -> bool {
        let fits = self.bytes + bytes <= max;
        if fits {
            (self.files, self.bytes) = (self.files + 1, self.bytes + bytes);
        } else {
            self.cut = true;
        }
        fits
    }
}

/// The projection's files as bytes.
#[derive(Debug)]
pub(crate) struct TraceFiles {
    directory: PathBuf,
    /// What SQLite has open must not be closed by anybody else in the process: that would let go of SQLite's locks. One
    /// descriptor for each file stays open as long as its name is there.
    open: Mutex<BTreeMap<PathBuf, File>>,
}

impl TraceFiles {
    pub(crate) fn new(data: &Path) -> TraceFiles {
        TraceFiles { directory: projection::directory(data), open: Mutex::default() }
    }

    /// Looks for traces in every file of the projection, at most so many bytes of them.
    pub(crate) fn search(&self, traces: &Traces, bytes_max: u64) -> io::Result<Searched> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            paths.push(entry?.path());
        }
        open.retain(|path, _| paths.contains(path));
        let mut searched = Searched::default();
        for path in paths {
            if !open.contains_key(&path) {
                match File::open(&path) {
                    // Gone since the listing.
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

fn found_in(file: &File, traces: &Traces) -> io::Result<usize> {
    let (mut piece, mut offset, mut found, mut kept) = (vec![0; PIECE_BYTES], 0_u64, 0, 0);
    loop {
        let read = file.read_at(&mut piece[kept..], offset)?;
        let end = kept + read;
        if read == 0 {
            return Ok(found + traces.found_in(&piece[..end]));
        }
        // A trace that begins in the last bytes may go on in the next piece.
        let whole = end.saturating_sub(TRACE_BYTES_MAX);
        found += traces.found_within(&piece[..end], whole);
        piece.copy_within(whole..end, 0);
        (kept, offset) = (end - whole, offset + read as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn everybody_is_told_what_is_forgotten() {
        let (told, listeners) = (Arc::new(Mutex::new(Vec::new())), Listeners::default());
        for _ in 0..2 {
            let told = Arc::clone(&told);
            listeners.add(move |ids| told.lock().unwrap().extend_from_slice(ids));
        }
        assert_eq!(listeners.tell(&["x".into()]), 2);
        assert_eq!(*told.lock().unwrap(), ["x", "x"]);
    }

    #[test]
    fn a_trace_is_found_wherever_it_lies() {
        let data = tempfile::tempdir().unwrap();
        let directory = projection::directory(data.path());
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
