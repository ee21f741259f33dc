//! The bytes of the log, format `memory-log/1`. docs/FORMAT.md describes the same for people and other programs.
//!
//! A hash always covers bytes as they are stored, so that checking never writes JSON again: a reader cuts the
//! envelope out of the line and hashes it.

mod header;
mod line;

pub use header::{Header, segment_file_name};
pub use line::{Envelope, EventLine, Unsealed};

use thiserror::Error;

use crate::strict::NotStrict;

/// Name of this format, the first thing in a log.
pub const FORMAT: &str = "memory-log/1";

/// Why a line is not a line of this format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineFault {
    /// The fixed text between the parts is not there.
    #[error("the line does not have the form of {0}")]
    Frame(&'static str),
    /// Longer than any line may be.
    #[error("the line is longer than {} bytes", crate::limits::LINE_BYTES_MAX)]
    TooLong,
    /// The stored hash is not the hash of the stored bytes.
    #[error("the hash does not match the bytes it covers")]
    Hash,
    /// The hashed part has fields that this format does not.
    #[error("the hashed part is not of format {FORMAT}: {0}")]
    Envelope(String),
    /// The payload is not what the envelope commits to.
    #[error("the payload does not match its commitment")]
    Commitment,
    /// The payload is not strict JSON.
    #[error("the payload is not strict JSON: {0}")]
    Payload(NotStrict),
    /// Another format, or a later one.
    #[error("the log has format {0:?}, this engine reads {FORMAT}")]
    UnknownFormat(String),
}

impl LineFault {
    /// Stable label, for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            LineFault::Frame(_) => "frame",
            LineFault::TooLong => "too_long",
            LineFault::Hash => "hash",
            LineFault::Envelope(_) => "envelope",
            LineFault::Commitment => "commitment",
            LineFault::Payload(_) => "payload",
            LineFault::UnknownFormat(_) => "unknown_format",
        }
    }
}

/// Reads one JSON object in the strict form from the start of `bytes`; answers it and what follows.
fn cut_object(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<&serde_json::value::RawValue>();
    values.next()?.ok()?;
    Some(bytes.split_at(values.byte_offset()))
}

/// Takes `count` bytes and the fixed text after them.
fn cut_field<'a>(bytes: &'a [u8], count: usize, then: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (field, rest) = bytes.split_at_checked(count)?;
    Some((field, rest.strip_prefix(then)?))
}
