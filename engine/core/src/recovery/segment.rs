//! Verifies one segment at startup, up to the first fault.

use std::io::{self, BufRead};

use super::chain::Chain;
use super::lines::Lines;
use super::{Breach, Fault, Follows, Found, Link, SegmentEnd, Verdict};
use crate::digest::Hash;
use crate::format::{Header, Seal};

/// Result of scanning a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The header and its hash, if the header is complete.
    pub header: Option<(Header, Hash)>,
    /// End of the chain after the last complete batch, if there is a header.
    pub head: Option<Link>,
    /// The seal and its hash, if the segment is sealed.
    pub seal: Option<(Seal, Hash)>,
    /// Length of the valid part of the segment, bytes.
    pub valid_len: u64,
    /// Number of complete events in the segment, including those before the start of the scan.
    pub events: u64,
    /// Result of the verification.
    pub verdict: Verdict,
}

/// Where a scan starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanStart {
    /// At the first byte, with the header.
    AtHeader(Follows),
    /// Inside the segment, after the part that a checkpoint covers.
    Inside {
        /// Header of the segment, already read and verified by the caller.
        header: Header,
        /// Hash of the header.
        header_hash: Hash,
        /// End of the chain before the start of the scan.
        link: Link,
        /// Position of the reader, bytes from the start of the segment.
        offset: u64,
    },
}

/// Reads a segment to its end and verifies it. Only the last segment of a log may be open or torn; `last` tells whether
/// this is the last segment. A clean segment is sealed if the result contains a seal. `visit` is called for every
/// complete event in order, including those of a last batch that turns out to be torn; their offsets are at or after
/// [`Scan::valid_len`]. The root in the seal is not verified here, because that needs the Merkle tree: the caller must
/// call [`check_root`].
///
/// # Errors
///
/// Errors of the reader. Damage is a verdict, not an error.
pub fn scan_segment(
    reader: impl BufRead,
    begin: ScanStart,
    last: bool,
    mut visit: impl FnMut(&Found<'_>),
) -> io::Result<Scan> {
    let (mut chain, mut lines) = begin.open(reader);
    let mut scan = Scan::at(&chain, lines.line.offset);
    let mut broken = None;
    while lines.advance()? {
        let seq = chain.next_seq();
        match chain.step(&lines.line, &mut visit) {
            Ok(()) => scan.keep(&chain, lines.line.end()),
            Err(reason) => {
                let breach = Breach { line: lines.line.number, byte: lines.line.offset, seq, reason };
                broken = Some(judge(&mut lines, breach)?);
                break;
            }
        }
    }
    scan.verdict = scan.conclude(broken, last, &lines.line, chain.next_seq());
    Ok(scan)
}

/// Reads the first segment of a log that has no other segments, and verifies it; see [`scan_segment`].
///
/// # Errors
///
/// Errors of the reader. Damage is a verdict, not an error.
pub fn scan(reader: impl BufRead, visit: impl FnMut(&Found<'_>)) -> io::Result<Scan> {
    scan_segment(reader, ScanStart::AtHeader(Follows::Start), true, visit)
}

/// Checks that the root in a seal matches the root computed from the events.
///
/// # Errors
///
/// [`Fault::Root`].
pub fn check_root(seal: &Seal, root: &Hash) -> Result<(), Fault> {
    if seal.root == *root { Ok(()) } else { Err(Fault::Root) }
}

impl ScanStart {
    fn open<R: BufRead>(self, reader: R) -> (Chain, Lines<R>) {
        match self {
            ScanStart::AtHeader(follows) => (Chain::new(follows), Lines::new(reader)),
            ScanStart::Inside { header, header_hash, link, offset } => {
                let lines_before = link.seq.saturating_sub(header.prev_seq) + 1;
                (Chain::inside(header, header_hash, link), Lines::behind(reader, lines_before, offset))
            }
        }
    }
}

/// Classification of a line that does not verify.
enum Broken {
    /// The line and everything after it were never durable.
    Torn(Breach),
    /// The line was durable and is damaged.
    Corrupt(Breach),
}

/// Decides whether the line that was read last is an unfinished write or damage. Reads further lines until one of them
/// proves damage, or to the end.
fn judge<R: BufRead>(lines: &mut Lines<R>, breach: Breach) -> io::Result<Broken> {
    if lines.line.lost_its_line_feed() {
        return Ok(Broken::Corrupt(Breach { reason: Fault::Terminator, ..breach }));
    }
    if !lines.line.may_be_torn() {
        return Ok(Broken::Corrupt(breach));
    }
    while lines.advance()? {
        if lines.line.proves_durable().is_some_and(|durable| durable >= breach.seq) {
            return Ok(Broken::Corrupt(breach));
        }
    }
    Ok(Broken::Torn(breach))
}

impl Scan {
    fn at(chain: &Chain, valid_len: u64) -> Scan {
        let mut scan =
            Scan { header: None, head: None, seal: None, valid_len, events: 0, verdict: Verdict::Clean };
        scan.keep(chain, valid_len);
        scan
    }

    /// If a batch or the whole segment is complete at `end`, records that everything before `end` is valid.
    fn keep(&mut self, chain: &Chain, end: u64) {
        if self.header.is_none() {
            self.header.clone_from(&chain.header);
        }
        if let Some((seal, hash)) = &chain.seal {
            self.seal = Some((seal.clone(), *hash));
            self.valid_len = end;
        }
        if let Some(link) = chain.link().filter(Link::ends_batch) {
            let before = self.header.as_ref().map_or(0, |(header, _)| header.prev_seq);
            self.events = link.seq.saturating_sub(before);
            self.valid_len = end;
            self.head = Some(link);
        }
    }

    fn conclude(&self, broken: Option<Broken>, last: bool, line: &super::lines::Line, seq: u64) -> Verdict {
        let torn_bytes = line.end().saturating_sub(self.valid_len);
        let torn = Verdict::TornTail { valid_len: self.valid_len, torn_bytes };
        match broken {
            Some(Broken::Corrupt(breach)) => Verdict::Corrupt(breach),
            Some(Broken::Torn(_)) if last => torn,
            Some(Broken::Torn(breach)) => Verdict::Corrupt(breach),
            None if self.seal.is_some() => Verdict::Clean,
            None if !last => {
                let reason = Fault::Unsealed;
                Verdict::Corrupt(Breach { line: line.number, byte: line.offset, seq, reason })
            }
            None if torn_bytes > 0 || self.header.is_none() => torn,
            None => Verdict::Clean,
        }
    }

    /// The end that the next segment's header must follow from; None if this segment is not sealed.
    pub fn end(&self) -> Option<SegmentEnd> {
        let ((header, _), (seal, hash)) = (self.header.as_ref()?, self.seal.as_ref()?);
        Some(SegmentEnd::new(header, seal, *hash))
    }
}
