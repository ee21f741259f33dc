//! Line after line: what Zaxy's own verification checks, in its order, stopping at the first fault.

use super::{Record, Refused};
use crate::digest::Hash;

/// Verifies one log from its first line on.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    lines: u64,
    head: Option<(u64, Hash)>,
    /// After a refused line the next one has nothing to be compared with.
    lost: bool,
}

/// A line that is the next event of its log.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    /// Number of the event in its log.
    pub seq: u64,
    /// What the line says.
    pub record: Record<'a>,
    /// The line before it was refused: that nothing is missing between is not proven.
    pub after_gap: bool,
}

impl Verifier {
    /// Number and hash of the last event that verified.
    pub fn head(&self) -> Option<(u64, Hash)> {
        self.head
    }

    /// Takes the next line that is not blank.
    pub fn next<'a>(&mut self, line: &'a [u8]) -> Result<Verified<'a>, Refused> {
        self.lines += 1;
        let record = Record::read(line)?;
        let seq = record.seq.unwrap_or(self.lines);
        let before = self.head.map_or(0, |(seq, _)| seq);
        let in_order = if self.lost { seq > before } else { seq == before + 1 };
        if !in_order {
            return Err(Refused::Sequence { expected: before + 1, found: seq });
        }
        if record.computed_hash() != Some(record.hash) {
            return Err(Refused::Hash);
        }
        if seq == 1 && record.previous.is_some() {
            return Err(Refused::FirstHasPrevious);
        }
        if !self.lost && record.previous != self.head.map(|(_, hash)| hash) {
            return Err(Refused::Link);
        }
        self.head = Some((seq, record.hash));
        Ok(Verified { seq, record, after_gap: std::mem::take(&mut self.lost) })
    }

    /// Takes an event of which it is known which number it had when it was first verified.
    pub fn next_as<'a>(&mut self, seq: u64, line: &'a [u8]) -> Result<Verified<'a>, Refused> {
        self.lines = seq.saturating_sub(1);
        self.next(line)
    }

    /// Goes on behind a line that was refused, or that is not there: the next one may have any larger number.
    pub fn skip_gap(&mut self) {
        self.lost = true;
    }

    /// Counts a line that could not even be handed over.
    pub fn skip_line(&mut self) {
        self.lines += 1;
        self.lost = true;
    }
}
