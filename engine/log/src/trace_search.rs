//! The search of a file for what should have been erased from it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use engine_core::forgetting::{TRACE_BYTES_MAX, Traces};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What a search for traces came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Searched {
    pub files: u64,
    pub bytes: u64,
    pub found: usize,
    /// There was more than may be read.
    pub cut: bool,
}

impl Searched {
    /// Takes this many bytes out of what may be read; false when it is more.
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
        // A trace that begins in the last bytes may go on in the next piece.
        let whole = end.saturating_sub(TRACE_BYTES_MAX);
        found += traces.found_within(&piece[..end], whole);
        piece.copy_within(whole..end, 0);
        (kept, offset) = (end - whole, offset + read as u64);
    }
}
