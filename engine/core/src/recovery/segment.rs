//! The judgement of one segment, as a start needs it: up to the first thing that is wrong.

use std::io::{self, BufRead};

use super::chain::Chain;
use super::lines::Lines;
use super::{Breach, Fault, Follows, Found, Link, SegmentEnd, Verdict};
use crate::digest::Hash;
use crate::format::{Header, Seal};

/// What was found in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The header and its hash, when it is whole.
    pub header: Option<(Header, Hash)>,
    /// End of the chain after the last whole batch, when there is a header.
    pub head: Option<Link>,
    /// The seal and its hash, when the segment has one.
    pub seal: Option<(Seal, Hash)>,
    /// Length of what verifies, bytes.
    pub valid_len: u64,
    /// Whole events in the segment, those before the place where the scan began counted.
    pub events: u64,
    /// What to do.
    pub verdict: Verdict,
}

/// Where a scan begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// At the first byte, with the header.
    AtHeader(Follows),
    /// In the middle, behind what a checkpoint vouches for.
    Inside {
        /// Header of the segment, read and checked by the caller.
        header: Header,
        /// Its hash.
        header_hash: Hash,
        /// What stands before.
        link: Link,
        /// Where the reader stands, bytes from the start of the segment.
        offset: u64,
    },
}

/// Reads a segment to its end and judges it. Only the last segment of a log may be open or torn: `last` says whether
/// it is. A clean one is sealed when the answer has a seal. `visit` sees every whole event in order, also those of a
/// last batch that turns out to be torn: their offsets are at or after [`Scan::valid_len`]. The root in the seal is
/// the caller's to check, who has the tree, with [`check_root`].
///
/// # Errors
///
/// Those of the reader. Damage is a verdict, not an error.
pub fn scan_segment(
    reader: impl BufRead,
    begin: Begin,
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

/// Reads the first segment of a log that has no other, and judges it; see [`scan_segment`].
///
/// # Errors
///
/// Those of the reader. Damage is a verdict, not an error.
pub fn scan(reader: impl BufRead, visit: impl FnMut(&Found<'_>)) -> io::Result<Scan> {
    scan_segment(reader, Begin::AtHeader(Follows::Start), true, visit)
}

/// Whether a seal names the root that its events have.
///
/// # Errors
///
/// [`Fault::Root`].
pub fn check_root(seal: &Seal, root: &Hash) -> Result<(), Fault> {
    if seal.root == *root { Ok(()) } else { Err(Fault::Root) }
}

impl Begin {
    fn open<R: BufRead>(self, reader: R) -> (Chain, Lines<R>) {
        match self {
            Begin::AtHeader(follows) => (Chain::new(follows), Lines::new(reader)),
            Begin::Inside { header, header_hash, link, offset } => {
                let lines_before = link.seq.saturating_sub(header.prev_seq) + 1;
                (Chain::inside(header, header_hash, link), Lines::behind(reader, lines_before, offset))
            }
        }
    }
}

/// What a line that does not verify turned out to be.
enum Broken {
    /// It and what follows was never durable.
    Torn(Breach),
    /// It was.
    Corrupt(Breach),
}

/// Decides between an unfinished write and damage for the line read last. Reads on to the end, or to a proof.
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

    /// Everything up to a whole batch stands, and nothing less.
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

    /// What the header of the next segment has to follow from, when this one is sealed.
    pub fn end(&self) -> Option<SegmentEnd> {
        let ((header, _), (seal, hash)) = (self.header.as_ref()?, self.seal.as_ref()?);
        Some(SegmentEnd::new(header, seal, *hash))
    }
}
