//! Verifies a log line by line, with the same checks in the same order as Zaxy's own verification. A line's first fault
//! is reported.

use super::{Record, Refused};
use crate::digest::Hash;

/// Verifies one log from its first line.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    lines: u64,
    head: Option<(u64, Hash)>,
    /// The previous line was refused, so the next one has no predecessor to be compared with.
    lost: bool,
}

/// A line that was verified to be the next event of its log.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    /// Sequence number of the event in its log.
    pub seq: u64,
    /// Content of the line.
    pub record: Record<'a>,
    /// The previous line was refused, so it is not proven that no event is missing before this one.
    pub after_gap: bool,
}

impl Verifier {
    /// Sequence number and hash of the last verified event.
    pub fn head(&self) -> Option<(u64, Hash)> {
        self.head
    }

    /// Verifies the next line that is not blank.
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

    /// Verifies an event whose sequence number is known from its first verification.
    pub fn next_as<'a>(&mut self, seq: u64, line: &'a [u8]) -> Result<Verified<'a>, Refused> {
        self.lines = seq.saturating_sub(1);
        self.next(line)
    }

    /// Lets the verification continue after a line that was refused or is missing. The next event may have any higher
    /// sequence number.
    pub fn skip_gap(&mut self) {
        self.lost = true;
    }

    /// Counts a line that could not be read at all, so that later line numbers stay correct.
    pub fn skip_line(&mut self) {
        self.lines += 1;
        self.lost = true;
    }
}
