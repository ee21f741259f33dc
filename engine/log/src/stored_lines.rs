//! Reads whole lines of a segment as they are stored, with its header and its seal, for an archive.

use std::io::{self, BufRead};

use engine_core::digest::Hash;

use super::contents::{self, Contents};
use super::local_checkpoint::header_of;
use super::reader::LogReader;

/// Consecutive lines of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredLines {
    /// Complete lines, each with its line feed.
    pub lines: Vec<u8>,
    /// Whether the segment is sealed.
    pub sealed: bool,
}

impl LogReader {
    /// Returns durable lines of the segment that has event `after` + 1: at most `bytes` bytes, but always at least one
    /// event. They begin with the header of the segment if that event is its first one, and end with the seal if they
    /// reach it. `None` if that event is not in the log.
    ///
    /// # Errors
    /// The segment cannot be read.
    pub fn stored_lines_after(&self, after: u64, bytes: usize) -> io::Result<Option<StoredLines>> {
        if after >= self.published().head_seq() {
            return Ok(None);
        }
        let storage = self.storage();
        self.opened_segment(after + 1, |segment, end| {
            let lines = match segment.first_seq == after + 1 {
                true => contents::whole(storage, segment, end)?,
                false => contents::lines_from(storage, segment, after + 1, end)?,
            };
            Ok(StoredLines { lines: read(lines, bytes)?, sealed: end.is_none() })
        })
    }

    /// The hashes of the lines that follow one another after event `seq` and before event `seq` + 1: that of the event,
    /// and that of the seal if the event is the last of its segment. Empty if the log does not have the event.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn hashes_at(&self, seq: u64) -> io::Result<Vec<Hash>> {
        if seq == 0 {
            return Ok(vec![Hash::ZERO]);
        }
        let Some(event) = self.hash_of(seq)? else { return Ok(Vec::new()) };
        let next = self.opened_segment(seq + 1, |segment, _| {
            let begins = segment.first_seq == seq + 1;
            begins.then(|| header_of(self.storage(), segment)).transpose()
        })?;
        Ok([event].into_iter().chain(next.flatten().map(|(header, _)| header.prev)).collect())
    }
}

/// Reads lines up to the limit. A seal is not counted, because no piece may consist of it alone.
fn read(mut from: Contents, bytes: usize) -> io::Result<Vec<u8>> {
    let (mut lines, mut events) = (Vec::new(), 0);
    loop {
        let before = lines.len();
        if from.read_until(b'\n', &mut lines)? == 0 {
            return Ok(lines);
        }
        if lines.last() != Some(&b'\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the last durable line is not complete"));
        }
        let line = &lines[before..];
        if line.starts_with(b"{\"seal\"") {
            return Ok(lines);
        }
        let is_event = line.starts_with(b"{\"event\"");
        if is_event && events > 0 && lines.len() > bytes {
            lines.truncate(before);
            return Ok(lines);
        }
        events += u64::from(is_event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::published::{Head, Published};
    use crate::segment::Segment;
    use crate::storage::faulty::FaultyStorage;
    use crate::storage::{FilePermissions, Storage};

    /// Two segments; the bytes after the durable end are of a write in progress.
    fn log() -> LogReader {
        let storage = FaultyStorage::new();
        let event = |seq: u64| format!("{{\"event\":{{\"seq\":{seq}}}}}\n");
        let first = format!("{{\"header\":1}}\n{}{}{}{{\"seal\":1}}\n", event(1), event(2), event(3));
        let second = format!("{{\"header\":2}}\n{}", event(4));
        for (segment, text) in [(1, first), (4, format!("{second}{{\"eve"))] {
            let file = storage.create(&Segment::raw(segment).path(), FilePermissions::Group).unwrap();
            file.write_at(text.as_bytes(), 0).unwrap();
        }
        let published = Published::new();
        let head = Head {
            log_id: String::new(),
            seq: 4,
            hash: Hash::ZERO,
            line: Hash::ZERO,
            len: second.len() as u64,
        };
        published.opened(head, vec![Segment::raw(1), Segment::raw(4)]);
        LogReader::new(Arc::new(storage), published)
    }

    #[test]
    fn lines_of_one_segment_have_its_header_and_its_seal_and_nothing_that_is_not_durable() {
        let log = log();
        let lines = |after, bytes| {
            let read = log.stored_lines_after(after, bytes).unwrap();
            read.map(|read| (String::from_utf8(read.lines).unwrap().lines().count(), read.sealed))
        };
        assert_eq!(lines(0, usize::MAX), Some((5, true)), "header, three events, seal");
        assert_eq!(lines(0, 0), Some((2, true)), "header and one event");
        assert_eq!(lines(1, usize::MAX), Some((3, true)));
        assert_eq!(lines(2, 0), Some((2, true)), "the last event brings the seal");
        assert_eq!(lines(3, usize::MAX), Some((2, false)), "header and event, and not the write in progress");
        assert_eq!(lines(4, usize::MAX), None);
    }
}
