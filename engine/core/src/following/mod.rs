//! What an engine that follows another one does with each answer of that engine: append lines to its copy of the log,
//! wait, ask again, or stop because the log is not the one that it has a copy of.
//!
//! A copy has the same lines as the log that it is made from, so [`crate::recovery`] verifies them exactly as it does
//! when an engine reads its own log. [`freshness`] decides how far the copy is behind, [`self_checks`] counts what an
//! engine finds when it compares itself with the other one, and [`standby`] judges a copy that is made from an archive.

pub mod freshness;
pub mod self_checks;
pub mod standby;

use std::ops::Range;

use thiserror::Error;

use crate::digest::Hash;
use crate::event::{ForgottenPayload, MEMORY_FORGOTTEN};
use crate::format::{Header, Seal};
use crate::merkle::{Frontier, leaf};
use crate::recovery::{Breach, Follows, Found, Link, Scan, ScanStart, Verdict, check_root, scan_segment};

/// End of a copy: its last line, and the segment that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Header of the last segment.
    pub header: Header,
    /// Hash of that header.
    pub header_hash: Hash,
    /// The last line, an event or the header.
    pub link: Link,
    /// Length of the last segment, bytes.
    pub len: u64,
}

/// An answer of the engine that is followed.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Id of its log.
    pub log_id: &'a str,
    /// Number of its last event.
    pub head_seq: u64,
    /// Whether its log has the last line of the copy.
    pub has_end: bool,
    /// The lines that follow that line.
    pub lines: &'a [u8],
}

/// What to do with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'a> {
    /// There is nothing new.
    Wait,
    /// The lines stop within the first batch or line: ask again. Nothing of them is used.
    AskAgain,
    /// Carry out these steps in order. Every line of them verifies. What follows them in the answer stops within a
    /// batch or a line and has to be asked for again.
    Append(Vec<Step<'a>>),
}

/// One change of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// Begin the first or the next segment with this line.
    Begin { header: Header, hash: Hash, line: &'a [u8] },
    /// Append these lines, which are complete batches.
    Events(Events<'a>),
    /// Append this line, which seals the segment. [`Step::Begin`] always follows, because a log never ends with a seal.
    Seal { line: &'a [u8] },
}

/// Consecutive events of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events<'a> {
    /// Complete lines.
    pub lines: &'a [u8],
    /// Hash of each event.
    pub hashes: Vec<Hash>,
    /// End of the chain after them.
    pub end: Link,
    /// The erasures among them.
    pub erasures: Vec<Erasure>,
}

/// A batch that records what was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Number of the event before the batch.
    pub after: u64,
    /// Ids of the events whose payloads are removed.
    pub targets: Vec<String>,
}

/// Why the log that is followed is not the one that the copy was made from. Nobody may read a copy whose chain is
/// broken: either the copy or the log has a history that did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broken {
    #[error("the engine that is followed has another log, {found}, and this copy is of {own}")]
    OtherLog { own: String, found: String },
    #[error(
        "the log that is followed ends at event {found}, but this copy has event {own}: it was rolled back"
    )]
    RolledBack { own: u64, found: u64 },
    #[error(
        "the log that is followed has another line at event {0}: its history was rewritten, or it is a fork"
    )]
    Forked(u64),
    #[error("a line of the log that is followed does not verify: {0}")]
    Line(#[from] Breach),
}

impl Broken {
    /// Stable label for metrics and reports.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Broken::OtherLog { .. } => "other_log",
            Broken::RolledBack { .. } => "rolled_back",
            Broken::Forked(_) => "forked",
            Broken::Line(_) => "line",
        }
    }
}

/// Decides what to do with an answer. `end` is the end of the copy, `None` if it is empty; `tree` is the tree of its
/// events.
///
/// # Errors
/// The log is not the one that the copy was made from, or does not verify.
pub fn decide<'a>(end: Option<&End>, tree: &Frontier, answer: &Answer<'a>) -> Result<Decision<'a>, Broken> {
    if let Some(End { header, link, .. }) = end {
        if header.log_id != answer.log_id {
            let (own, found) = (header.log_id.clone(), answer.log_id.to_owned());
            return Err(Broken::OtherLog { own, found });
        }
        if answer.head_seq < link.seq {
            return Err(Broken::RolledBack { own: link.seq, found: answer.head_seq });
        }
        if !answer.has_end {
            return Err(Broken::Forked(link.seq));
        }
    }
    let mut reading = Reading {
        place: end.cloned().map_or(Place::AtHeader(Follows::Start), |end| Place::Inside(Box::new(end))),
        tree: tree.clone(),
        steps: Vec::new(),
    };
    let mut rest = answer.lines;
    while !rest.is_empty() {
        let segment = Chunk::first_of(rest);
        if !reading.take(answer.log_id, segment)? {
            break;
        }
        rest = &rest[segment.len..];
    }
    Ok(match reading.finished() {
        steps if !steps.is_empty() => Decision::Append(steps),
        _ if answer.lines.is_empty() => Decision::Wait,
        _ => Decision::AskAgain,
    })
}

/// Lines of one segment at the start of an answer.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    bytes: &'a [u8],
    /// Length, bytes.
    len: usize,
    /// Where its seal begins, if it has one.
    seal: usize,
}

impl<'a> Chunk<'a> {
    fn first_of(lines: &'a [u8]) -> Chunk<'a> {
        let mut end = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let start = end;
            end += line.len();
            if Seal::is_one(line) {
                return Chunk { bytes: &lines[..end], len: end, seal: start };
            }
        }
        Chunk { bytes: lines, len: end, seal: end }
    }
}

enum Place {
    AtHeader(Follows),
    Inside(Box<End>),
}

/// State while an answer is read.
struct Reading<'a> {
    place: Place,
    tree: Frontier,
    steps: Vec<Step<'a>>,
}

impl<'a> Reading<'a> {
    /// Verifies lines of one segment and adds the steps for them. Returns whether all of them were used.
    fn take(&mut self, log_id: &str, chunk: Chunk<'a>) -> Result<bool, Broken> {
        let (begin, offset) = match &self.place {
            Place::AtHeader(follows) => (ScanStart::AtHeader(follows.clone()), 0),
            Place::Inside(end) => {
                let End { header, header_hash, link, len } = (**end).clone();
                (ScanStart::Inside { header, header_hash, link, offset: len }, len)
            }
        };
        let mut seen = Vec::new();
        // Reading bytes in memory does not fail.
        let scan = scan_segment(chunk.bytes, begin, true, |found| seen.push(Seen::of(found)))
            .expect("a slice can always be read");
        if let Verdict::Corrupt(breach) = &scan.verdict {
            return Err(breach.clone().into());
        }
        let used = usize::try_from(scan.valid_len.saturating_sub(offset)).unwrap_or(chunk.len);
        let Some(after_header) = self.begin(log_id, &scan, chunk)? else { return Ok(false) };
        let events = after_header..if scan.seal.is_some() { chunk.seal } else { used };
        self.events(&scan, chunk, events, seen);
        match &scan.seal {
            Some((seal, _)) => self.seal(seal, &scan, chunk).map(|()| true),
            None => Ok(used == chunk.len),
        }
    }

    /// Adds the step for the header, if the lines begin with one. Returns where the events begin; `None` if the header
    /// is not complete.
    fn begin(&mut self, log_id: &str, scan: &Scan, chunk: Chunk<'a>) -> Result<Option<usize>, Broken> {
        if let Place::Inside(_) = self.place {
            return Ok(Some(0));
        }
        let Some((header, hash)) = scan.header.clone() else { return Ok(None) };
        if header.log_id != log_id {
            return Err(Broken::OtherLog { own: log_id.to_owned(), found: header.log_id });
        }
        let len = chunk.bytes.iter().position(|byte| *byte == b'\n').map_or(chunk.len, |feed| feed + 1);
        let link = Link::after_header(&header, hash);
        self.steps.push(Step::Begin { header: header.clone(), hash, line: &chunk.bytes[..len] });
        self.place = Place::Inside(Box::new(End { header, header_hash: hash, link, len: len as u64 }));
        Ok(Some(len))
    }

    /// Adds the step for the events in a range of the lines.
    fn events(&mut self, scan: &Scan, chunk: Chunk<'a>, range: Range<usize>, seen: Vec<Seen>) {
        let (Place::Inside(end), Some(link)) = (&mut self.place, scan.head) else { return };
        let seen: Vec<Seen> = seen.into_iter().filter(|seen| seen.seq <= link.seq).collect();
        if seen.is_empty() {
            return;
        }
        let hashes: Vec<Hash> = seen.iter().map(|seen| seen.hash).collect();
        let mut stored = Vec::new();
        for hash in &hashes {
            self.tree.push(leaf(hash), &mut stored);
            stored.clear();
        }
        (end.link, end.len) = (link, end.len + range.len() as u64);
        let lines = &chunk.bytes[range];
        self.steps.push(Step::Events(Events { lines, hashes, end: link, erasures: erasures(seen) }));
    }

    fn seal(&mut self, seal: &Seal, scan: &Scan, chunk: Chunk<'a>) -> Result<(), Broken> {
        if let Err(reason) = check_root(seal, &self.tree.root()) {
            let Place::Inside(end) = &self.place else { return Ok(()) };
            let (line, byte, seq) = (scan.events + 2, end.len, seal.last_seq);
            return Err(Breach { line, byte, seq, reason }.into());
        }
        self.steps.push(Step::Seal { line: &chunk.bytes[chunk.seal..] });
        self.place = Place::AtHeader(scan.end().map_or(Follows::Unknown, Follows::Segment));
        Ok(())
    }

    /// The steps, without a last seal that no header follows.
    fn finished(mut self) -> Vec<Step<'a>> {
        if matches!(self.steps.last(), Some(Step::Seal { .. })) {
            self.steps.pop();
        }
        self.steps
    }
}

/// What is kept of a verified event.
struct Seen {
    seq: u64,
    hash: Hash,
    erasure: Option<Erasure>,
}

impl Seen {
    fn of(found: &Found<'_>) -> Seen {
        let (event, envelope) = (&found.event, &found.event.envelope);
        let payload = event.payload().filter(|_| envelope.kind == MEMORY_FORGOTTEN);
        let payload = payload.and_then(|text| serde_json::from_str::<ForgottenPayload>(text).ok());
        let after = envelope.seq.saturating_sub(u64::from(envelope.batch[0]));
        let erasure = payload.map(|payload| Erasure { after, targets: payload.targets });
        Seen { seq: envelope.seq, hash: event.hash, erasure }
    }
}

/// The erasures among events, one for each batch.
fn erasures(seen: Vec<Seen>) -> Vec<Erasure> {
    let mut erasures: Vec<Erasure> = Vec::new();
    for erasure in seen.into_iter().filter_map(|seen| seen.erasure) {
        match erasures.last_mut().filter(|last| last.after == erasure.after) {
            Some(last) => last.targets.extend(erasure.targets),
            None => erasures.push(erasure),
        }
    }
    erasures
}

#[cfg(test)]
mod tests;
