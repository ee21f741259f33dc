//! Verifies an existing log: intact, torn by a crash, or corrupt.
//!
//! After the last acknowledged byte a crash can leave an unfinished write: a line without its end, pages that were
//! never written and read as zeros, or a batch with missing events. None of it was acknowledged, so it is cut off.
//! Anything else that does not verify is corruption, and nothing may be written after it. The `synced` field
//! distinguishes the two: if a later line names an event as durable, the event had been written completely.
//!
//! [`scan_segment`] reads one segment up to the first fault, as a start does. [`survey`] reads one segment to its end
//! despite faults, as an audit does, and [`join`] combines surveys of all segments. Both use the same `chain`.

mod chain;
mod erasures;
mod lines;
mod link;
mod segment;
mod survey;

pub use erasures::{Erasures, Gap};
pub use link::{Follows, Link, SegmentEnd};
pub use segment::{Begin, Scan, check_root, scan, scan_segment};
pub use survey::{BREACHES_MAX, Breaches, Joined, Survey, Torn, join, survey};

use thiserror::Error;

use crate::format::{EventLine, LineFault};

/// Result of the verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte verifies.
    Clean,
    /// A write did not finish. Keep `valid_len` bytes and set the rest aside.
    TornTail {
        /// Length of the log up to its last complete batch, in bytes.
        valid_len: u64,
        /// Number of bytes after that.
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
    /// Sequence number expected there; 0 for the header and if unknown.
    pub seq: u64,
    /// What is wrong.
    pub reason: Fault,
}

/// Why a line is not valid at its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The line itself is damaged.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The line is intact but does not follow the previous line.
    #[error("the previous hash is not the hash of the line before")]
    Link,
    /// Events are missing, duplicated or out of order.
    #[error("the sequence number {0} is out of order")]
    Sequence(u64),
    /// Batch positions are not consecutive.
    #[error("the batch marks do not follow from the line before")]
    Batch,
    /// The durable mark names an event that cannot have been the last durable one.
    #[error("the durable mark does not follow from the line before")]
    Synced,
    /// The header of a segment does not follow from the previous segment; names the field.
    #[error("the {0} of the header does not follow from the segment before")]
    Header(&'static str),
    /// The seal does not match this segment; names the field.
    #[error("the {0} of the seal is not that of the segment")]
    Seal(&'static str),
    /// The root in the seal is not the root of the events up to there.
    #[error("the root in the seal is not the root of the events")]
    Root,
    /// A segment other than the last one ends without a seal.
    #[error("the segment ends here without a seal, and is not the last one")]
    Unsealed,
    /// A segment continues after its seal.
    #[error("the segment goes on after its seal")]
    AfterSeal,
    /// A payload is missing, and no later event records that it was forgotten.
    #[error("the payload is missing, and no event in the log explains it")]
    Erasure,
    /// The line is intact, but another byte replaces its line feed.
    #[error("the line feed after the line is damaged")]
    Terminator,
}

impl Fault {
    /// Stable label for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            Fault::Line(fault) => fault.label(),
            Fault::Link => "link",
            Fault::Sequence(_) => "sequence",
            Fault::Batch => "batch",
            Fault::Synced => "synced",
            Fault::Header(_) => "header",
            Fault::Seal(_) => "seal",
            Fault::Root => "root",
            Fault::Unsealed => "unsealed",
            Fault::AfterSeal => "after_seal",
            Fault::Erasure => "erasure",
            Fault::Terminator => "terminator",
        }
    }
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
