//! Reads durable events back, as the bytes they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use engine_core::digest::Hash;
use engine_core::format::EventLine;

use super::published::Published;

/// Reads the segment through its own descriptor, up to the durable end and never past it.
#[derive(Debug, Clone)]
pub(crate) struct LogReader {
    path: PathBuf,
    published: Published,
}

impl LogReader {
    pub(crate) fn new(path: PathBuf, published: Published) -> LogReader {
        LogReader { path, published }
    }

    /// Whole lines of the events after this one: at most `count`, and at most `bytes` unless the first alone has more.
    pub(crate) fn lines_after(&self, after: u64, count: usize, bytes: usize) -> io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        let Some(head) = self.published.head().filter(|head| head.seq > after) else { return Ok(lines) };
        let Some((indexed_seq, offset)) = self.published.start_for(after + 1) else { return Ok(lines) };
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut reader = BufReader::with_capacity(1 << 16, file.take(head.len.saturating_sub(offset)));
        for _ in indexed_seq..=after {
            reader.skip_until(b'\n')?;
        }
        for _ in 0..count {
            let before = lines.len();
            if reader.read_until(b'\n', &mut lines)? == 0 {
                break;
            }
            if before > 0 && lines.len() > bytes {
                lines.truncate(before);
                break;
            }
        }
        Ok(lines)
    }

    /// Hash of one event; absent when the log does not have it.
    pub(crate) fn hash_of(&self, seq: u64) -> io::Result<Option<Hash>> {
        let Some(before) = seq.checked_sub(1) else { return Ok(None) };
        let line = self.lines_after(before, 1, 0)?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        Ok(EventLine::decode(line).ok().map(|event| event.hash))
    }
}
