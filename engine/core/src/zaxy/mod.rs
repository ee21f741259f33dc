//! Reads logs of Zaxy (PyPI `zaxy-memory`), verifies them by Zaxy's own rules, and translates them for import.
//!
//! A Zaxy log is a file of JSON objects, one per line. Each line has a SHA-256 over its own canonical form and the hash
//! of the previous line. Three envelope formats are in use and may alternate in one file:
//!
//! * *v1* has `actorId`, `threadId` and `integrity`. Hashes are written `sha256:HEX`. The sequence number of the event
//!   is in its id (`evt_zaxy_000000000001_…`); for an id not made by Zaxy it is the line number.
//! * *legacy* has `seq`, `actor`, `thread`, `prev_hash` and `hash`. Id and causes are present, but no hash covers them.
//! * *compacted* is what `zaxy compact` makes of v1: legacy fields with `envelope_version` `eventloom.v1`. The hash is
//!   that of the v1 event, so compaction does not change the chain.
//!
//! The canonical form is Python's `json.dumps` with sorted keys, no spaces and ASCII only, implemented in
//! [`canonical`].

mod canonical;
mod chain;
mod record;
#[cfg(test)]
mod tests;
mod translate;

pub use chain::{Verified, Verifier};
pub use record::{Envelope, Record};
pub use translate::{
    Memory, RECORD_DEPTH_MAX, Source, TranslateError, Translated, is_imported, payload, read_payload,
    translate,
};

use thiserror::Error;

use crate::strict::NotStrict;

/// Why a line is not the next event of a Zaxy log. `Display` never quotes the line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The line is not JSON, or is ambiguous JSON that parsers could read differently.
    #[error("the line is not strict JSON: {0}")]
    NotStrict(NotStrict),
    /// The line is JSON, but not an object.
    #[error("the line is not a JSON object")]
    NotAnObject,
    /// The line contains a carriage return, which Zaxy reads as a line end.
    #[error("the line has a carriage return inside")]
    CarriageReturn,
    /// The line is longer than the limit for lines of a log.
    #[error("the line is longer than {} bytes", crate::limits::LINE_BYTES_MAX)]
    TooLong,
    /// The file ends within this line.
    #[error("the line is incomplete")]
    Torn,
    /// A field that every envelope format requires is missing.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field has a value of the wrong kind.
    #[error("the field {field} is not {expected}")]
    Shape {
        /// Name of the field.
        field: &'static str,
        /// Expected kind of value.
        expected: &'static str,
    },
    /// The envelope states an unknown version.
    #[error("the envelope has an unknown version")]
    UnknownEnvelope,
    /// The timestamp is not a time.
    #[error("the timestamp is not a time in ISO 8601")]
    Timestamp,
    /// Events are missing, duplicated or out of order.
    #[error("found event {found} where event {expected} was expected")]
    Sequence {
        /// Expected sequence number.
        expected: u64,
        /// Actual sequence number.
        found: u64,
    },
    /// The event was changed after it was written.
    #[error("the hash does not match the event")]
    Hash,
    /// The first event of a log names a previous event.
    #[error("the first event names a previous one")]
    FirstHasPrevious,
    /// The previous event is not the one that this event followed when it was written.
    #[error("the previous hash is not the hash of the event before")]
    Link,
}

impl Refused {
    /// Stable label for reports.
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
