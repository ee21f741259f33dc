//! Verifies an existing log: intact, torn by a crash, or corrupt.
//!
//! After the last acknowledged byte a crash can leave an unfinished write: a line without its end, pages that were
//! never written and read as zeros, or a batch with missing events. An unfinished write was not acknowledged, so it is
//! cut off. Any other data that does not verify is corruption, and the engine must not write after it. The `synced`
//! field distinguishes the two: if a later line names an event as durable, the event had been written completely, so
//! damage to it is corruption.
//!
//! [`scan_segment`] reads one segment up to the first fault, as the engine does when it starts. [`survey()`] reads one
//! segment to its end despite faults, as an audit does, and [`join`] combines surveys of all segments. Both use the
//! same `chain`.

mod chain;
mod erasures;
mod fault;
mod lines;
mod link;
mod segment;
mod survey;

pub use erasures::{Erasures, Gap};
pub use fault::Fault;
pub use link::{Follows, Link, SegmentEnd};
pub use segment::{Scan, ScanStart, check_root, scan, scan_segment};
pub use survey::{BREACHES_MAX, Breaches, Joined, SegmentAudit, Torn, join, survey};

use thiserror::Error;

use crate::format::EventLine;

/// Result of the verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte verifies.
    Clean,
    /// A write did not finish. Keep `valid_len` bytes and set the rest aside.
    TornTail {
        /// Length of the log up to its last complete batch, in bytes.
        valid_len: u64,
        /// Number of bytes after `valid_len`.
        torn_bytes: u64,
    },
    /// Durable data does not verify.
    Corrupt(Breach),
}

/// A place at which the log does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} (byte {byte}, event {seq}): {reason}")]
pub struct Breach {
    /// Line of the segment, from 1; the header is line 1.
    pub line: u64,
    /// Offset of the line in the segment, in bytes.
    pub byte: u64,
    /// Sequence number expected at this place; 0 for the header, or if the number is not known.
    pub seq: u64,
    /// What is wrong.
    pub reason: Fault,
}

/// An event with its place in the segment.
#[derive(Debug)]
pub struct Found<'a> {
    /// The event.
    pub event: EventLine<'a>,
    /// Line in the segment, from 1; the header is line 1.
    pub line: u64,
    /// Offset of the line, in bytes.
    pub offset: u64,
    /// Length of the line including the line feed, in bytes.
    pub len: u64,
}
