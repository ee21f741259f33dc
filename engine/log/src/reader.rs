//! Reads durable events as their stored bytes. There is no index: events are found by bisecting their segment.

use std::io::{self, BufRead, BufReader};
use std::sync::Arc;

use engine_core::digest::Hash;
use engine_core::format::EventLine;

use super::contents::lines_from;
use super::published::Published;
use super::segment::Segment;
use crate::storage::Storage;

/// Number of attempts to open a segment. The keeper may compress the segment, which happens once, between listing and
/// opening it.
pub(super) const ATTEMPTS: usize = 3;

/// Reads segments through its own file descriptors, never past the durable end.
#[derive(Debug, Clone)]
pub struct LogReader {
    storage: Arc<dyn Storage>,
    published: Published,
}

/// Complete event lines, and the remaining limits of the request.
struct Page {
    lines: Vec<u8>,
    next_seq: u64,
    count: usize,
    bytes: usize,
}

impl LogReader {
    /// A reader of the log in this storage.
    pub fn new(storage: Arc<dyn Storage>, published: Published) -> LogReader {
        LogReader { storage, published }
    }

    /// Returns the complete lines of the events after number `after`: at most `count` lines and at most `bytes` bytes,
    /// but always at least one line if one exists. Ends before the first event that does not verify.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn lines_after(&self, after: u64, count: usize, bytes: usize) -> io::Result<Vec<u8>> {
        let last = self.published.head_seq();
        let count = count.min(usize::try_from(last.saturating_sub(after)).unwrap_or(usize::MAX));
        let mut page = Page { lines: Vec::new(), next_seq: after + 1, count, bytes };
        while page.count > 0 {
            self.read_segment(&mut page)?;
        }
        Ok(page.lines)
    }

    /// Appends the lines of one segment to the page. Marks the page as complete when nothing more fits.
    fn read_segment(&self, page: &mut Page) -> io::Result<()> {
        for attempt in 1.. {
            let Some((segment, end)) = self.segment_of(page.next_seq) else { break };
            match lines_from(&*self.storage, segment, page.next_seq, end) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                lines => return page.fill(&mut lines?),
            }
        }
        page.count = 0;
        Ok(())
    }

    /// The segment that contains an event, and its durable length if it is the active one.
    fn segment_of(&self, seq: u64) -> Option<(Segment, Option<u64>)> {
        let (head, segments) = self.published.extent()?;
        let after = segments.partition_point(|segment| segment.first_seq <= seq);
        let place = after.checked_sub(1)?;
        let is_last = place + 1 == segments.len();
        Some((segments[place], is_last.then_some(head.len)))
    }

    /// The storage of the data directory.
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// The published state of the log.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Reads from the segment that contains an event. `read` gets its durable length if it is the active one.
    pub(super) fn opened_segment<T>(
        &self,
        seq: u64,
        read: impl Fn(Segment, Option<u64>) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        for attempt in 1.. {
            let Some((segment, end)) = self.segment_of(seq) else { break };
            match read(segment, end) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                outcome => return outcome.map(Some),
            }
        }
        Ok(None)
    }

    /// Hash of one event. `None` when the log does not contain it.
    ///
    /// # Errors
    /// The segment cannot be read.
    pub fn hash_of(&self, seq: u64) -> io::Result<Option<Hash>> {
        let Some(before) = seq.checked_sub(1) else { return Ok(None) };
        let line = self.lines_after(before, 1, 0)?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        Ok(EventLine::decode(line).ok().map(|event| event.hash))
    }
}

impl Page {
    fn fill(&mut self, lines: &mut BufReader<impl io::Read>) -> io::Result<()> {
        let first = self.next_seq;
        while self.count > 0 {
            let before = self.lines.len();
            let read = lines.read_until(b'\n', &mut self.lines)?;
            if read == 0 || self.lines[before..].starts_with(b"{\"seal\"") {
                self.lines.truncate(before);
                // The segment ends before an event that it should contain. The keeper reports this fault; the reader
                // only stops.
                self.count = if self.next_seq > first { self.count } else { 0 };
                return Ok(());
            }
            if before > 0 && self.lines.len() > self.bytes {
                self.lines.truncate(before);
                self.count = 0;
                return Ok(());
            }
            self.next_seq += 1;
            self.count -= 1;
        }
        Ok(())
    }
}
