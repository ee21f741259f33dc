//! Judges a log that was found: whole, torn by a crash, or damaged.
//!
//! What a crash can leave behind the last acknowledged byte is a write that did not finish: a line without its end,
//! pages that never arrived and read as zeros, a batch of which some events are missing. None of it was ever
//! acknowledged, so it is cut off. Anything else that does not verify is damage, and nothing may be written after
//! it. The two are told apart by the `synced` field: a later line that names an event as durable proves that the
//! event had been written whole.

use std::io::{self, BufRead, Read};

use thiserror::Error;

use crate::digest::Hash;
use crate::format::{Envelope, EventLine, Header, LineFault};
use crate::limits::{BATCH_EVENTS_MAX, LINE_BYTES_MAX};

/// Smallest unit a disk writes: a page that never arrived ends where a sector does.
const SECTOR_BYTES: u64 = 512;

/// What to do with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte verifies.
    Clean,
    /// A write did not finish: keep `valid_len` bytes, set the rest aside.
    TornTail {
        /// Length of the log up to its last whole batch, bytes.
        valid_len: u64,
        /// Bytes after that.
        torn_bytes: u64,
    },
    /// Something that was durable does not verify.
    Corrupt(Breach),
}

/// The first place where the log does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} (byte {byte}, event {seq}): {reason}")]
pub struct Breach {
    /// Line of the segment, from 1; the header is line 1.
    pub line: u64,
    /// Where that line starts, bytes from the start of the segment.
    pub byte: u64,
    /// Event that was expected there; 0 for the header.
    pub seq: u64,
    /// What is wrong with it.
    pub reason: Fault,
}

/// Why a line cannot stand where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The line itself is damaged.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The line is whole and follows from another line than the one before it.
    #[error("the previous hash is not the hash of the line before")]
    Link,
    /// Events are missing, doubled or in another order.
    #[error("the event says it is number {0}")]
    Sequence(u64),
    /// The batch marks do not count up.
    #[error("the batch marks do not follow from the line before")]
    Batch,
    /// The durable mark names an event that cannot have been the last durable one.
    #[error("the durable mark does not follow from the line before")]
    Synced,
    /// The line is whole but its line feed is another byte.
    #[error("the line feed after the line is damaged")]
    Terminator,
}

impl Fault {
    /// Stable label, for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            Fault::Line(fault) => fault.label(),
            Fault::Link => "link",
            Fault::Sequence(_) => "sequence",
            Fault::Batch => "batch",
            Fault::Synced => "synced",
            Fault::Terminator => "terminator",
        }
    }
}

/// An event and its place in the segment.
#[derive(Debug)]
pub struct Found<'a> {
    /// The event.
    pub event: EventLine<'a>,
    /// Where its line starts, bytes.
    pub offset: u64,
    /// Length of its line with the line feed, bytes.
    pub len: u64,
}

/// End of a chain: what the next line has to follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Sequence number of the last event.
    pub seq: u64,
    /// Hash of the last line.
    pub hash: Hash,
    synced: u64,
    batch: [u32; 2],
}

impl Link {
    /// The end of a segment that has nothing but its header.
    pub fn after_header(header: &Header, hash: Hash) -> Link {
        Link { seq: header.prev_seq, hash, synced: header.prev_seq, batch: [1, 1] }
    }

    /// The end of the chain once this event stands there.
    pub fn after(envelope: &Envelope, hash: Hash) -> Link {
        Link { seq: envelope.seq, hash, synced: envelope.synced, batch: envelope.batch }
    }

    fn ends_batch(&self) -> bool {
        self.batch[0] == self.batch[1]
    }

    /// Whether an event may follow.
    pub fn check_next(&self, next: &Envelope) -> Result<(), Fault> {
        if next.seq != self.seq + 1 {
            return Err(Fault::Sequence(next.seq));
        }
        if next.prev != self.hash {
            return Err(Fault::Link);
        }
        if !self.batch_goes_on(next) {
            return Err(Fault::Batch);
        }
        // Lines of one write share the mark; the first line of the next write names the last line before it.
        let same_write = next.synced == self.synced;
        let next_write = self.ends_batch() && next.synced == self.seq;
        if same_write || next_write { Ok(()) } else { Err(Fault::Synced) }
    }

    fn batch_goes_on(&self, next: &Envelope) -> bool {
        let [i, n] = next.batch;
        let counts = match self.ends_batch() {
            true => i == 1 && (1..=BATCH_EVENTS_MAX).contains(&(n as usize)),
            false => next.batch == [self.batch[0] + 1, self.batch[1]],
        };
        counts && (next.ends_batch() || next.idempotency.is_none())
    }
}

/// What was found in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The header and its hash, when it is whole.
    pub header: Option<(Header, Hash)>,
    /// End of the chain after the last whole batch, when there is a header.
    pub head: Option<Link>,
    /// Length of what verifies, bytes.
    pub valid_len: u64,
    /// Whole events.
    pub events: u64,
    /// What to do.
    pub verdict: Verdict,
}

/// Reads a segment from its first byte to its last and judges it. `visit` sees every whole event in order, also those
/// of a last batch that turns out to be torn: their offsets are at or after [`Scan::valid_len`].
///
/// # Errors
///
/// Those of the reader. Damage is a verdict, not an error.
pub fn scan(reader: impl BufRead, mut visit: impl FnMut(&Found<'_>)) -> io::Result<Scan> {
    let mut lines = Lines::new(reader);
    let mut scan = Scan { header: None, head: None, valid_len: 0, events: 0, verdict: Verdict::Clean };
    let mut link: Option<Link> = None;
    let mut corrupt = None;
    while corrupt.is_none() && lines.advance()? {
        let line = &lines.line;
        let checked = match link {
            None => read_header(line, &mut scan),
            Some(link) => read_event(line, link, &mut visit),
        };
        match checked {
            Ok(next) => {
                link = Some(next);
                scan.keep(next, line.end());
            }
            Err(reason) => {
                let seq = link.map_or(0, |link| link.seq + 1);
                let breach = Breach { line: line.number, byte: line.offset, seq, reason };
                corrupt = judge(&mut lines, breach)?;
            }
        }
    }
    scan.verdict = match corrupt {
        Some(breach) => Verdict::Corrupt(breach),
        None if lines.line.end() > scan.valid_len || scan.header.is_none() => {
            Verdict::TornTail { valid_len: scan.valid_len, torn_bytes: lines.line.end() - scan.valid_len }
        }
        None => Verdict::Clean,
    };
    Ok(scan)
}

impl Scan {
    /// Everything up to a whole batch stands, and nothing less.
    fn keep(&mut self, link: Link, end: u64) {
        if link.ends_batch() {
            let before = self.header.as_ref().map_or(0, |(header, _)| header.prev_seq);
            self.events = link.seq - before;
            self.valid_len = end;
            self.head = Some(link);
        }
    }
}

fn read_header(line: &Line, scan: &mut Scan) -> Result<Link, Fault> {
    let (header, hash) = Header::decode(line.whole()?)?;
    let link = Link::after_header(&header, hash);
    scan.header = Some((header, hash));
    Ok(link)
}

fn read_event(line: &Line, link: Link, visit: &mut impl FnMut(&Found<'_>)) -> Result<Link, Fault> {
    let event = EventLine::decode(line.whole()?)?;
    link.check_next(&event.envelope)?;
    let next = Link::after(&event.envelope, event.hash);
    visit(&Found { event, offset: line.offset, len: line.len });
    Ok(next)
}

/// Decides between an unfinished write and damage for the line read last: the breach, if it is damage. Reads on to
/// the end, or to a proof.
fn judge<R: BufRead>(lines: &mut Lines<R>, breach: Breach) -> io::Result<Option<Breach>> {
    if lines.line.lost_its_line_feed() {
        return Ok(Some(Breach { reason: Fault::Terminator, ..breach }));
    }
    if lines.line.ended() && !lines.line.has_hole() {
        return Ok(Some(breach));
    }
    while lines.advance()? {
        let later = lines.line.whole().ok().and_then(|bytes| EventLine::decode(bytes).ok());
        if later.is_some_and(|later| later.envelope.synced >= breach.seq) {
            return Ok(Some(breach));
        }
    }
    Ok(None)
}

/// One line with its place.
#[derive(Default)]
struct Line {
    /// With the line feed; cut at the longest line there may be.
    bytes: Vec<u8>,
    number: u64,
    offset: u64,
    /// Of the line as it stands in the file, with the line feed.
    len: u64,
}

impl Line {
    fn end(&self) -> u64 {
        self.offset + self.len
    }

    fn ended(&self) -> bool {
        self.bytes.last() == Some(&b'\n')
    }

    fn whole(&self) -> Result<&[u8], LineFault> {
        if self.len > LINE_BYTES_MAX as u64 + 1 {
            return Err(LineFault::TooLong);
        }
        self.bytes.strip_suffix(b"\n").ok_or(LineFault::Frame("a line that ends with a line feed"))
    }

    /// A write that stopped leaves the start of a line, never a whole line with another byte behind it.
    fn lost_its_line_feed(&self) -> bool {
        let Some((last, line)) = self.bytes.split_last() else { return false };
        *last != b'\n' && (EventLine::decode(line).is_ok() || Header::decode(line).is_ok())
    }

    /// Pages that never arrived: zeros up to the end of a sector or of the file.
    fn has_hole(&self) -> bool {
        let mut end = 0;
        self.bytes.chunk_by(|a, b| (*a == 0) == (*b == 0)).any(|run| {
            end += run.len();
            let at_sector_end = (self.offset + end as u64).is_multiple_of(SECTOR_BYTES);
            run[0] == 0 && (at_sector_end || end == self.bytes.len())
        })
    }
}

/// Lines of bounded length with their places.
struct Lines<R> {
    reader: R,
    line: Line,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Lines<R> {
        Lines { reader, line: Line::default() }
    }

    /// Reads the next line; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
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
