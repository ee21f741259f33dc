//! What an engine tells those that follow it: the lines of its log after a given line, as they are stored.

use std::io::{self, BufRead};

use engine_core::digest::Hash;
use engine_core::format::{EventLine, Header};

use super::contents::{self, Contents};
use super::published::Head;
use super::reader::{ATTEMPTS, LogReader};
use super::segment::Segment;

/// Stored lines that follow a given line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowingLines {
    /// Id of the log.
    pub log_id: String,
    /// Number of its last durable event.
    pub head_seq: u64,
    /// Whether the log has the given line.
    pub has_line: bool,
    /// Complete lines: whole batches of one segment, and after its seal the header of the next one.
    pub lines: Vec<u8>,
}

impl LogReader {
    /// Returns the lines after a line that is either the event `seq`, or the header after it. `line` is its hash. With
    /// 0 and [`Hash::ZERO`], returns the first lines of the log. At most `bytes` bytes of events, but always a whole
    /// batch if there is one. `None` until the log is open.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn lines_following(&self, seq: u64, line: Hash, bytes: usize) -> io::Result<Option<FollowingLines>> {
        for attempt in 1.. {
            let Some((head, segments)) = self.published().extent() else { return Ok(None) };
            let found = match Place::of(seq, line, &segments) {
                Some(places) if seq <= head.seq => self.read_after(places, line, (&head, &segments), bytes),
                _ => Ok(None),
            };
            match found {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                found => {
                    let found = found?;
                    let (log_id, head_seq) = (head.log_id, head.seq);
                    let has_line = found.is_some();
                    let lines = found.unwrap_or_default();
                    return Ok(Some(FollowingLines { log_id, head_seq, has_line, lines }));
                }
            }
        }
        Ok(None)
    }

    fn read_after(
        &self,
        places: Vec<Place>,
        line: Hash,
        (head, segments): (&Head, &[Segment]),
        bytes: usize,
    ) -> io::Result<Option<Vec<u8>>> {
        let storage = self.storage();
        for place in places {
            let segment = segments[place.segment()];
            let end = (place.segment() + 1 == segments.len()).then_some(head.len);
            let mut contents = match place {
                Place::Event { seq, .. } => contents::lines_from(storage, segment, seq, end)?,
                Place::Start | Place::Header { .. } => contents::whole(storage, segment, end)?,
            };
            if place != Place::Start && hash_of_next(&mut contents)? != Some(line) {
                continue;
            }
            let mut lines = Vec::new();
            let is_sealed = read_batches(&mut contents, bytes, &mut lines)?;
            if is_sealed && let Some(next) = segments.get(place.segment() + 1) {
                contents::whole(storage, *next, None)?.read_until(b'\n', &mut lines)?;
            }
            return Ok(Some(lines));
        }
        Ok(None)
    }
}

/// Where a line may be: the index of its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first header.
    Start,
    Event {
        segment: usize,
        seq: u64,
    },
    Header {
        segment: usize,
    },
}

impl Place {
    /// The lines that may have this hash; none if the log has no such event.
    fn of(seq: u64, line: Hash, segments: &[Segment]) -> Option<Vec<Place>> {
        let after = segments.partition_point(|segment| segment.first_seq <= seq);
        if (seq, line) == (0, Hash::ZERO) {
            return (!segments.is_empty()).then(|| vec![Place::Start]);
        }
        let event = after.checked_sub(1).map(|segment| Place::Event { segment, seq });
        let header = segments.get(after).filter(|segment| segment.first_seq == seq + 1);
        let header = header.map(|_| Place::Header { segment: after });
        Some(event.into_iter().chain(header).collect())
    }

    fn segment(self) -> usize {
        match self {
            Place::Start => 0,
            Place::Event { segment, .. } | Place::Header { segment } => segment,
        }
    }
}

/// Reads the next line. Returns its hash if it is an event or a header.
fn hash_of_next(contents: &mut Contents) -> io::Result<Option<Hash>> {
    let mut line = Vec::new();
    contents.read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let event = EventLine::decode(line).ok().map(|event| event.hash);
    Ok(event.or_else(|| Header::decode(line).ok().map(|(_, hash)| hash)))
}

/// Reads whole batches up to the limit. Returns whether the segment was read to its seal, which is then the last line.
fn read_batches(contents: &mut Contents, bytes: usize, lines: &mut Vec<u8>) -> io::Result<bool> {
    let mut kept = 0;
    loop {
        let before = lines.len();
        if contents.read_until(b'\n', lines)? == 0 {
            lines.truncate(kept);
            return Ok(false);
        }
        let line = &lines[before..];
        if line.starts_with(b"{\"seal\"") {
            return Ok(true);
        }
        let event = EventLine::decode(line.strip_suffix(b"\n").unwrap_or(line));
        // What is not an event here is the header before the first one.
        if event.is_ok_and(|event| !event.envelope.ends_batch()) {
            continue;
        }
        if lines.len() > bytes && kept > 0 {
            lines.truncate(kept);
            return Ok(false);
        }
        kept = lines.len();
    }
}
