//! Reads lines of bounded length and records their positions.

use std::io::{self, BufRead, Read};

use crate::format::{EventLine, Header, LineFault, Seal};
use crate::limits::LINE_BYTES_MAX;

/// Smallest unit that a disk writes: a page that was not written ends at a sector boundary.
const SECTOR_BYTES: u64 = 512;

/// One line and its position.
#[derive(Default)]
pub(super) struct Line {
    /// The line with its line feed; truncated at the maximum length.
    bytes: Vec<u8>,
    /// Line number from 1; the header is line 1.
    pub(super) number: u64,
    /// Offset from the start of the segment, bytes.
    pub(super) offset: u64,
    /// Length of the line in the file, with the line feed, bytes.
    pub(super) len: u64,
}

impl Line {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.len
    }

    fn ended(&self) -> bool {
        self.bytes.last() == Some(&b'\n')
    }

    pub(super) fn is_seal(&self) -> bool {
        Seal::is_one(&self.bytes)
    }

    pub(super) fn whole(&self) -> Result<&[u8], LineFault> {
        if self.len > LINE_BYTES_MAX as u64 + 1 {
            return Err(LineFault::TooLong);
        }
        self.bytes.strip_suffix(b"\n").ok_or(LineFault::Frame("a line that ends with a line feed"))
    }

    /// Whether this line may be the rest of an interrupted write.
    pub(super) fn may_be_torn(&self) -> bool {
        !self.ended() || self.has_hole()
    }

    /// Whether another byte replaced the line feed of a complete line. An interrupted write leaves a prefix of a line,
    /// so this is damage.
    pub(super) fn lost_its_line_feed(&self) -> bool {
        let Some((last, line)) = self.bytes.split_last() else { return false };
        // Exception: the line feed is the first byte of a sector and the only byte written to it. That sector may not
        // have been written in an interrupted write.
        let at_sector_start = (self.offset + line.len() as u64).is_multiple_of(SECTOR_BYTES);
        if *last == 0 && at_sector_start {
            return false;
        }
        let stands =
            || EventLine::decode(line).is_ok() || Header::decode(line).is_ok() || Seal::decode(line).is_ok();
        *last != b'\n' && stands()
    }

    /// Whether the line contains pages that were not written: zeros up to the end of a sector or of the file.
    fn has_hole(&self) -> bool {
        let mut end = 0;
        self.bytes.chunk_by(|a, b| (*a == 0) == (*b == 0)).any(|run| {
            end += run.len();
            let at_sector_end = (self.offset + end as u64).is_multiple_of(SECTOR_BYTES);
            run[0] == 0 && (at_sector_end || end == self.bytes.len())
        })
    }

    /// Sequence number of the last event that this line proves to have been durable when it was written.
    pub(super) fn proves_durable(&self) -> Option<u64> {
        let bytes = self.whole().ok()?;
        match self.is_seal() {
            true => Seal::decode(bytes).ok().map(|(seal, _)| seal.last_seq),
            false => EventLine::decode(bytes).ok().map(|event| event.envelope.synced),
        }
    }
}

pub(super) struct Lines<R> {
    reader: R,
    pub(super) line: Line,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Lines<R> {
        Lines::behind(reader, 0, 0)
    }

    /// Reads lines from `reader`, which is positioned `offset` bytes into the segment, after `lines` lines.
    pub(super) fn behind(reader: R, lines: u64, offset: u64) -> Lines<R> {
        Lines { reader, line: Line { number: lines, offset, ..Line::default() } }
    }

    /// Reads the next line; returns false at the end.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        let line = &mut self.line;
        line.offset += line.len;
        line.number += 1;
        line.bytes.clear();
        let kept = LINE_BYTES_MAX as u64 + 2;
        line.len = self.reader.by_ref().take(kept).read_until(b'\n', &mut line.bytes)? as u64;
        if line.len == kept && !line.ended() {
            line.len += self.reader.skip_until(b'\n')? as u64;
        }
        Ok(line.len > 0)
    }
}
