//! Reads the contents of a segment, raw or compressed, from its start or from a given event.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use super::frame_file::Frames;
use super::segment::{Form, Segment};
use crate::storage::{Access, RangeReader, Storage, StoredFile};

/// Bisection stops when fewer bytes than this remain, because reading them sequentially is as fast.
const WINDOW_BYTES: u64 = 32 << 10;
/// Bytes per read while searching for the start of a line.
const PROBE_BYTES: usize = 4 << 10;
/// The fixed text of a line before its event number.
const BEFORE_SEQ: &[u8] = br#"{"event":{"seq":"#;

/// The contents of a segment as JSON Lines.
pub(super) type Contents = BufReader<Box<dyn Read + Send>>;

/// A complete segment from its first byte, up to offset `end` if given.
pub(super) fn whole(storage: &dyn Storage, segment: Segment, end: Option<u64>) -> io::Result<Contents> {
    from_offset(storage, segment, 0, end)
}

/// A raw segment from a byte offset, or a compressed one from its start.
pub(super) fn from_offset(
    storage: &dyn Storage,
    segment: Segment,
    offset: u64,
    end: Option<u64>,
) -> io::Result<Contents> {
    let file = storage.open(&segment.path(), Access::Read)?;
    let reading: Box<dyn Read + Send> = match segment.form {
        Form::Raw => Box::new(RangeReader::new(file, offset, end.unwrap_or(u64::MAX))),
        Form::Compressed => Box::new(Frames::open(file)?.reading(0)),
    };
    Ok(BufReader::with_capacity(1 << 18, reading))
}

/// The lines of a segment, starting with event `seq`.
pub(super) fn lines_from(
    storage: &dyn Storage,
    segment: Segment,
    seq: u64,
    end: Option<u64>,
) -> io::Result<Contents> {
    let file = storage.open(&segment.path(), Access::Read)?;
    let reading: Box<dyn Read + Send> = match segment.form {
        Form::Raw => {
            let end = end.map_or_else(|| file.size(), Ok)?;
            let start = bisect(&file, seq, end)?;
            Box::new(RangeReader::new(file, start, end))
        }
        Form::Compressed => {
            let frames = Frames::open(file)?;
            let first = frames.frame_of(seq);
            Box::new(frames.reading(first))
        }
    };
    skip_to(BufReader::with_capacity(1 << 16, reading), seq)
}

/// Skips lines until the next line is event `seq` or the end of the segment is reached.
fn skip_to(mut lines: Contents, seq: u64) -> io::Result<Contents> {
    loop {
        let start = lines.fill_buf()?;
        if start.is_empty() || start.starts_with(b"{\"seal\"") {
            return Ok(lines);
        }
        // The start of a line, which contains the event number, may extend beyond the buffered bytes.
        let mut first = start[..start.len().min(PROBE_BYTES)].to_vec();
        if first.len() < 64 && !first.contains(&b'\n') {
            let known = first.len();
            lines.consume(known);
            lines.read_until(b'\n', &mut first)?;
            if seq_of(&first) == Some(seq) {
                let (buffer, rest) = (lines.buffer().to_vec(), lines.into_inner());
                let again: Box<dyn Read + Send> =
                    Box::new(io::Cursor::new(first).chain(io::Cursor::new(buffer)).chain(rest));
                return Ok(BufReader::with_capacity(1 << 16, again));
            }
            continue;
        }
        match seq_of(&first) {
            Some(found) if found == seq => return Ok(lines),
            _ => lines.skip_until(b'\n')?,
        };
    }
}

/// Offset of the line of event `seq`, or of a line shortly before it.
fn bisect(file: &Arc<dyn StoredFile>, seq: u64, end: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, end);
    while high - low > WINDOW_BYTES {
        let middle = low + (high - low) / 2;
        match line_after(file, middle, high)? {
            Some((start, Some(found))) if found <= seq => low = start,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Finds the first line that starts after `offset` and before `end`. Returns the offset of the line, and the event
/// number if the line is an event.
fn line_after(file: &Arc<dyn StoredFile>, offset: u64, end: u64) -> io::Result<Option<(u64, Option<u64>)>> {
    let mut reader = BufReader::with_capacity(PROBE_BYTES, RangeReader::new(Arc::clone(file), offset, end));
    let start = offset + reader.skip_until(b'\n')? as u64;
    if start >= end {
        return Ok(None);
    }
    let mut first = Vec::new();
    RangeReader::new(Arc::clone(file), start, end).take(64).read_to_end(&mut first)?;
    Ok(Some((start, seq_of(&first))))
}

/// Event number of the line that begins with these bytes.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(BEFORE_SEQ)?;
    let count = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..count]).ok()?.parse().ok()
}
