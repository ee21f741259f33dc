//! Verifies a complete log for an audit: reports all faults, with segments read independently of each other.

use std::io::{self, BufRead};

use super::chain::Chain;
use super::lines::Lines;
use super::{Breach, Erasures, Fault, Follows, Found, Link, SegmentEnd, check_root};
use crate::digest::Hash;
use crate::format::{Header, Seal};
use crate::merkle::{self, Frontier, Span};

/// Maximum number of breaches that are kept. The count includes all breaches.
pub const BREACHES_MAX: usize = 1000;

/// Breaches found, in log order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaches<T> {
    /// The first [`BREACHES_MAX`] breaches.
    pub kept: Vec<T>,
    /// Total number of breaches.
    pub count: u64,
}

impl<T> Default for Breaches<T> {
    fn default() -> Self {
        Breaches { kept: Vec::new(), count: 0 }
    }
}

impl<T> Breaches<T> {
    fn push(&mut self, breach: T) {
        if self.kept.len() < BREACHES_MAX {
            self.kept.push(breach);
        }
        self.count += 1;
    }

    /// Drops all but the first `count` breaches.
    fn truncate(&mut self, count: u64) {
        self.count = count;
        self.kept.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    }
}

/// The part of a segment after its last complete batch. The segment itself does not show that this part was ever
/// durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Length of the part that verifies, bytes.
    pub valid_len: u64,
    /// Length of the rest, bytes.
    pub bytes: u64,
    /// The breach to report if the segment is not the last of its log.
    pub breach: Breach,
}

/// Result of reading one segment on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentAudit {
    /// The header and its hash, if the header is complete.
    pub header: Option<(Header, Hash)>,
    /// The seal and its hash, if the segment is sealed.
    pub seal: Option<(Seal, Hash)>,
    /// End of the chain after the last complete batch, if known.
    pub head: Option<Link>,
    /// Number of complete events that verify.
    pub events: u64,
    /// Length of the segment, bytes.
    pub len: u64,
    /// Breaches found.
    pub breaches: Breaches<Breach>,
    /// An unfinished write at the end.
    pub torn: Option<Torn>,
    /// Merkle tree leaves of the segment's events. Not usable if there are breaches.
    pub leaves: Span,
    /// Missing payloads and erasure events in the segment.
    pub erasures: Erasures,
}

/// Reads a segment to its end and continues after faults. `visit` is called for every event that verifies, including
/// those of an unfinished last batch.
///
/// # Errors
///
/// Errors of the reader. Damage is part of the result.
pub fn survey(reader: impl BufRead, mut visit: impl FnMut(&Found<'_>)) -> io::Result<SegmentAudit> {
    let mut lines = Lines::new(reader);
    let mut state = State::new();
    while lines.advance()? {
        state.take(&lines, &mut visit);
    }
    Ok(state.finish(lines.line.number, lines.line.offset))
}

struct State {
    chain: Chain,
    survey: SegmentAudit,
    /// A line that may come from an unfinished write, and the number of breaches before it.
    suspect: Option<(Breach, u64)>,
    valid_len: u64,
}

impl State {
    fn new() -> State {
        let survey = SegmentAudit {
            header: None,
            seal: None,
            head: None,
            events: 0,
            len: 0,
            breaches: Breaches::default(),
            torn: None,
            leaves: Span::empty(0),
            erasures: Erasures::default(),
        };
        State { chain: Chain::new(Follows::Unknown), survey, suspect: None, valid_len: 0 }
    }

    fn take<R: BufRead>(&mut self, lines: &Lines<R>, visit: &mut impl FnMut(&Found<'_>)) {
        let line = &lines.line;
        if let Some((suspect, _)) = &self.suspect
            && line.proves_durable().is_some_and(|durable| durable >= suspect.seq)
        {
            self.suspect = None;
        }
        let seq = self.chain.next_seq();
        let survey = &mut self.survey;
        let had_header = self.chain.header.is_some();
        let taken = self.chain.step(line, &mut |found: &Found<'_>| {
            survey.events += 1;
            survey.leaves.push(merkle::leaf(&found.event.hash));
            survey.erasures.see(found);
            visit(found);
        });
        if let (false, Some((header, _))) = (had_header, &self.chain.header) {
            self.survey.leaves = Span::empty(header.prev_seq);
        }
        match taken {
            Ok(()) if self.suspect.is_none() => self.keep(line.end()),
            Ok(()) => {}
            Err(reason) => {
                let lost = line.lost_its_line_feed();
                let reason = if lost { Fault::Terminator } else { reason };
                let breach = Breach { line: line.number, byte: line.offset, seq, reason };
                if !lost && line.may_be_torn() && self.suspect.is_none() {
                    self.suspect = Some((breach.clone(), self.survey.breaches.count));
                }
                self.survey.breaches.push(breach);
            }
        }
    }

    fn keep(&mut self, end: u64) {
        if self.chain.seal.is_some() {
            self.valid_len = end;
        } else if let Some(link) = self.chain.link().filter(Link::ends_batch) {
            self.valid_len = end;
            self.survey.head = Some(link);
        }
    }

    fn finish(mut self, line: u64, len: u64) -> SegmentAudit {
        let (valid_len, seq) = (self.valid_len, self.chain.next_seq());
        let bytes = len.saturating_sub(valid_len);
        if let Some((breach, before)) = self.suspect {
            self.survey.breaches.truncate(before);
            self.survey.torn = Some(Torn { valid_len, bytes, breach });
        } else if self.survey.breaches.count == 0 && (bytes > 0 || self.chain.header.is_none()) {
            let breach = Breach { line, byte: len, seq, reason: Fault::Unsealed };
            self.survey.torn = Some(Torn { valid_len, bytes, breach });
        }
        SegmentAudit { header: self.chain.header, seal: self.chain.seal, len, ..self.survey }
    }
}

impl SegmentAudit {
    /// The end that the next segment's header must follow from; None if this segment is not sealed.
    pub fn end(&self) -> Option<SegmentEnd> {
        let ((header, _), (seal, hash)) = (self.header.as_ref()?, self.seal.as_ref()?);
        Some(SegmentEnd::new(header, seal, *hash))
    }

    /// A breach at the position after the segment's last line.
    fn behind(&self, reason: Fault) -> Breach {
        let head = self.head.map_or(0, |head| head.seq);
        let before = self.header.as_ref().map_or(0, |(header, _)| header.prev_seq);
        Breach { line: head.saturating_sub(before) + 2, byte: self.len, seq: head + 1, reason }
    }
}

/// Result of verifying a complete log from its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Id of the log, if a header contains it.
    pub log_id: Option<String>,
    /// Number of complete events that verify.
    pub events: u64,
    /// End of the chain, if known.
    pub head: Option<Link>,
    /// Length of an unfinished write at the end, bytes.
    pub torn_bytes: u64,
    /// Breaches: index of the segment, and the breach.
    pub breaches: Breaches<(usize, Breach)>,
    /// The tree over all events up to [`Joined::head`], if there are no breaches and no unfinished batch.
    pub tree: Option<Frontier>,
    /// Number of forgotten payloads.
    pub forgotten: usize,
}

/// Joins the results of segments that were read independently, in the order of their file names. The number with each
/// result is the sequence number of the first event that the file name contains. Verifies the connections between
/// segments: headers against seals, the roots in the seals, and erasures.
pub fn join(segments: Vec<(u64, SegmentAudit)>) -> Joined {
    let mut joined = Joined {
        log_id: None,
        events: 0,
        head: None,
        torn_bytes: 0,
        breaches: Breaches::default(),
        tree: Some(Frontier::empty()),
        forgotten: 0,
    };
    let (mut follows, mut erasures) = (Follows::Start, Erasures::default());
    let last = segments.len().saturating_sub(1);
    let first_seqs: Vec<u64> = segments.iter().map(|(first_seq, _)| *first_seq).collect();
    for (index, (first_seq, mut survey)) in segments.into_iter().enumerate() {
        joined.segment(index, first_seq, &follows, &survey, index == last);
        follows = survey.end().map_or(Follows::Unknown, Follows::Segment);
        erasures.merge(std::mem::take(&mut survey.erasures));
    }
    joined.forgotten = erasures.forgotten();
    for gap in erasures.unaccounted() {
        let index = first_seqs.partition_point(|first_seq| *first_seq <= gap.seq).saturating_sub(1);
        let breach = Breach { line: gap.line, byte: gap.byte, seq: gap.seq, reason: Fault::Erasure };
        joined.breaches.push((index, breach));
    }
    if joined.breaches.count > 0 {
        joined.tree = None;
    }
    joined
}

impl Joined {
    fn segment(
        &mut self,
        index: usize,
        first_seq: u64,
        follows: &Follows,
        survey: &SegmentAudit,
        last: bool,
    ) {
        let at_header = |reason| (index, Breach { line: 1, byte: 0, seq: 0, reason });
        if let Some((header, _)) = &survey.header {
            self.log_id.get_or_insert_with(|| header.log_id.clone());
            let named = header.prev_seq.checked_add(1) == Some(first_seq);
            let checked = if named { follows.check(header) } else { Err(Fault::Header("prev_seq")) };
            checked.unwrap_or_else(|fault| self.breaches.push(at_header(fault)));
        }
        let unkept = survey.breaches.count - survey.breaches.kept.len() as u64;
        survey.breaches.kept.iter().for_each(|breach| self.breaches.push((index, breach.clone())));
        self.breaches.count += unkept;
        match (&survey.torn, &survey.seal) {
            (Some(torn), _) if last => self.torn_bytes = torn.bytes,
            (Some(torn), _) => self.breaches.push((index, torn.breach.clone())),
            (None, None) if !last => self.breaches.push((index, survey.behind(Fault::Unsealed))),
            _ => {}
        }
        self.events += survey.events;
        self.head = survey.head.or(self.head);
        self.grow(index, survey);
    }

    /// Extends the Merkle tree by the events of this segment, as long as there are no breaches.
    fn grow(&mut self, index: usize, survey: &SegmentAudit) {
        // Such a segment was left by an interrupted rotation and contains no events.
        if survey.header.is_none() && survey.breaches.count == 0 {
            return;
        }
        let whole =
            self.breaches.count == 0 && survey.head.is_some_and(|head| head.seq == survey.leaves.end());
        let mut tree = self.tree.take().filter(|_| whole);
        self.tree = tree.take_if(|tree| tree.append(&survey.leaves));
        if let (Some(tree), Some((seal, _))) = (&self.tree, &survey.seal)
            && let Err(fault) = check_root(seal, &tree.root())
        {
            self.breaches.push((index, Breach { seq: 0, ..survey.behind(fault) }));
        }
    }
}
