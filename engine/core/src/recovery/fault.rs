//! Why a line is not valid at its place.

use thiserror::Error;

use crate::format::LineFault;

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
    /// The field `synced` names an event that cannot have been the last durable event.
    #[error("the durable mark does not follow from the line before")]
    Synced,
    /// The header of a segment does not follow from the previous segment; names the field.
    #[error("the {0} of the header does not follow from the segment before")]
    Header(&'static str),
    /// The seal does not match this segment; names the field.
    #[error("the {0} in the seal does not match the segment")]
    Seal(&'static str),
    /// The Merkle root in the seal is not the root over the events up to the seal.
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
    /// The line is intact, but ends with another byte in place of the line feed.
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
