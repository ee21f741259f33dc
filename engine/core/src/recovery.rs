//! Judges a log that was found: whole, torn by a crash, or damaged.
//!
//! What a crash can leave behind the last acknowledged byte is a write that did not finish: a line without its end,
//! pages that never arrived and read as zeros, a batch of which some events are missing. None of it was ever
//! acknowledged, so it is cut off. Anything else that does not verify is damage, and nothing may be written after
//! it. The two are told apart by the `synced` field: a later line that names an event as durable proves that the
//! event had been written whole.
//!
//! Where to look: [`scan_segment`] reads one segment up to the first thing that is wrong, as a start does; [`survey`]
//! reads one to its end whatever is wrong, as an audit does, and [`join`] puts surveys together to a log. Both are
//! loops over the same `chain`.

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

/// A place where the log does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} (byte {byte}, event {seq}): {reason}")]
pub struct Breach {
    /// Line of the segment, from 1; the header is line 1.
    pub line: u64,
    /// Where that line starts, bytes from the start of the segment.
    pub byte: u64,
    /// Event that was expected there; 0 for the header, and where it is not known.
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
    /// A segment's header does not follow from the segment before it; which field says so.
    #[error("the {0} of the header does not follow from the segment before")]
    Header(&'static str),
    /// The seal does not close this segment; which field says so.
    #[error("the {0} of the seal is not that of the segment")]
    Seal(&'static str),
    /// The root in the seal is not that of the events up to there.
    #[error("the root in the seal is not the root of the events")]
    Root,
    /// A segment that others follow ends without a seal.
    #[error("the segment ends here without a seal, and is not the last one")]
    Unsealed,
    /// A segment goes on after its seal.
    #[error("the segment goes on after its seal")]
    AfterSeal,
    /// A payload is missing, and no later event says that it was forgotten.
    #[error("the payload is missing, and the log has no event that says why")]
    Erasure,
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

/// An event and its place in the segment.
#[derive(Debug)]
pub struct Found<'a> {
    /// The event.
    pub event: EventLine<'a>,
    /// Its line in the segment, from 1; the header is line 1.
    pub line: u64,
    /// Where its line starts, bytes.
    pub offset: u64,
    /// Length of its line with the line feed, bytes.
    pub len: u64,
}
