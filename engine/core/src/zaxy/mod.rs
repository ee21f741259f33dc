//! Logs of Zaxy (PyPI `zaxy-memory`), read and verified by its own rules, and what follows from them here.
//!
//! A Zaxy log is a file of JSON objects, one a line. Each has a SHA-256 over a canonical writing of itself and the hash
//! of the line before. Three envelopes are in use and may follow each other in one file:
//!
//! * *v1* has `actorId`, `threadId` and `integrity`; hashes are written `sha256:HEX`, and the number of the event
//!   stands in its id (`evt_zaxy_000000000001_…`) or, in ids of others, is the number of its line.
//! * *legacy* has `seq`, `actor`, `thread`, `prev_hash`, `hash`; its id and causes are there, but no hash covers them.
//! * *compacted* is what `zaxy compact` makes of v1: the fields of legacy with `envelope_version` `eventloom.v1`. The
//!   hash is that of the v1 event, so that a log that was compacted is the same log.
//!
//! The canonical writing is Python's `json.dumps` with sorted keys, no spaces and ASCII only: [`canonical`] does the
//! same.

mod canonical;
mod chain;
mod record;
#[cfg(test)]
mod tests;
mod translate;

pub use chain::{Verified, Verifier};
pub use record::{Envelope, Record};
pub use translate::{
    Memory, RECORD_DEPTH_MAX, Source, Translated, Unfit, is_imported, payload, read_payload, translate,
};

use thiserror::Error;

use crate::strict::NotStrict;

/// Why a line is not the next event of a Zaxy log. `Display` never quotes what the line says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Not JSON, or JSON that two readers could understand differently.
    #[error("the line is not strict JSON: {0}")]
    NotStrict(NotStrict),
    /// JSON of another kind.
    #[error("the line is not a JSON object")]
    NotAnObject,
    /// A carriage return inside of the line: Zaxy reads two lines there.
    #[error("the line has a carriage return inside")]
    CarriageReturn,
    /// Longer than any line of a log may be.
    #[error("the line is longer than {} bytes", crate::limits::LINE_BYTES_MAX)]
    TooLong,
    /// The file ends inside of this line.
    #[error("the line was never finished")]
    Torn,
    /// A field that both envelopes need is not there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field has a value of another shape.
    #[error("the field {field} is not {expected}")]
    Shape {
        /// Which field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// An envelope that says that it is of another version.
    #[error("the envelope has an unknown version")]
    UnknownEnvelope,
    /// The time is none.
    #[error("the timestamp is not a time in ISO 8601")]
    Timestamp,
    /// Events are missing, doubled or out of order.
    #[error("event {found} stands where event {expected} should")]
    Sequence {
        /// What should stand there.
        expected: u64,
        /// What does.
        found: u64,
    },
    /// The event was changed after it was written.
    #[error("the hash does not match the event")]
    Hash,
    /// The first event of a log says that there was one before.
    #[error("the first event names a previous one")]
    FirstHasPrevious,
    /// The event before is another one than this one followed.
    #[error("the previous hash is not the hash of the event before")]
    Link,
}

impl Refused {
    /// Stable label, for reports.
    pub fn label(&self) -> &'static str {
        match self {
            Refused::NotStrict(_) => "not_strict",
            Refused::NotAnObject => "not_an_object",
            Refused::CarriageReturn => "carriage_return",
            Refused::TooLong => "too_long",
            Refused::Torn => "torn",
            Refused::Missing(_) => "missing_field",
            Refused::Shape { .. } => "wrong_field",
            Refused::UnknownEnvelope => "unknown_envelope",
            Refused::Timestamp => "timestamp",
            Refused::Sequence { .. } => "sequence",
            Refused::Hash => "hash",
            Refused::FirstHasPrevious => "first_has_previous",
            Refused::Link => "link",
        }
    }
}
