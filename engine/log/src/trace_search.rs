//! Searches a file for data that should have been erased.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use engine_core::forgetting::{TRACE_BYTES_MAX, Traces};

/// Bytes per read.
const PIECE_BYTES: usize = 1 << 20;

/// Result of a search for traces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceSearchResult {
    /// Files searched.
    pub files: u64,
    /// Bytes searched.
    pub bytes: u64,
    /// Traces found.
    pub found: usize,
    /// Whether the search stopped at its byte limit.
    pub cut: bool,
}

impl TraceSearchResult {
    /// Counts a file of `bytes` bytes as searched, if the total then stays within the limit `max`. Returns whether it
    /// does.
    pub fn admit(&mut self, bytes: u64, max: u64) -> bool {
        let fits = self.bytes + bytes <= max;
        if fits {
            (self.files, self.bytes) = (self.files + 1, self.bytes + bytes);
        } else {
            self.cut = true;
        }
        fits
    }
}

/// Counts the traces in a file.
///
/// # Errors
/// The file cannot be read.
pub fn found_in(file: &File, traces: &Traces) -> io::Result<usize> {
    let (mut piece, mut offset, mut found, mut kept) = (vec![0; PIECE_BYTES], 0_u64, 0, 0);
    loop {
        let read = file.read_at(&mut piece[kept..], offset)?;
        let end = kept + read;
        if read == 0 {
            return Ok(found + traces.found_in(&piece[..end]));
        }
        // A trace that starts in the last bytes may continue in the next piece.
        let whole = end.saturating_sub(TRACE_BYTES_MAX);
        found += traces.found_within(&piece[..end], whole);
        piece.copy_within(whole..end, 0);
        (kept, offset) = (end - whole, offset + read as u64);
    }
}
