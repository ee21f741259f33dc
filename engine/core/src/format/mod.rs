//! Encoding of the log, format `memory-log/1`. docs/FORMAT.md describes it for people and for other programs.
//!
//! Every hash covers bytes as they are stored: a reader cuts the envelope out of the line and hashes it. Verification
//! therefore never has to re-serialise JSON.

pub(crate) mod archived;
mod cursor;
mod envelope;
mod header;
mod line;
mod seal;

pub use envelope::Envelope;
pub use header::{Header, segment_file_name};
pub use line::{Body, EventLine, Unsealed, forget};
pub use seal::Seal;

use serde::Serialize;
use thiserror::Error;

use crate::digest::Hash;
use crate::limits::LINE_BYTES_MAX;
use crate::strict::{self, NotStrict};

/// Name of this format; the first field of every segment.
pub const FORMAT: &str = "memory-log/1";

const HASH: &str = r#","hash":""#;
const CLOSE: &str = r#""}"#;

/// Why a line is not valid in this format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineFault {
    /// The fixed text between the parts is missing.
    #[error("the line is malformed: expected {0}")]
    Frame(&'static str),
    /// The line is not UTF-8.
    #[error("the line is not UTF-8")]
    Utf8,
    /// The line is longer than the limit for lines.
    #[error("the line is longer than {} bytes", crate::limits::LINE_BYTES_MAX)]
    TooLong,
    /// The stored hash is not the hash of the stored bytes.
    #[error("the hash does not match the bytes it covers")]
    Hash,
    /// The hashed part does not have the fields of this format.
    #[error("the `event` object of the line does not have the fields of format {FORMAT}: {0}")]
    Envelope(String),
    /// The payload does not match the commitment in the envelope.
    #[error("the payload does not match its commitment")]
    Commitment,
    /// The payload is not strict JSON.
    #[error("the payload is not strict JSON: {0}")]
    Payload(NotStrict),
    /// The segment has another format, or a later version of this format.
    #[error("the log has format {0:?}, this engine reads {FORMAT}")]
    UnknownFormat(String),
}

impl LineFault {
    /// Stable label, for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            LineFault::Frame(_) => "frame",
            LineFault::Utf8 => "utf8",
            LineFault::TooLong => "too_long",
            LineFault::Hash => "hash",
            LineFault::Envelope(_) => "envelope",
            LineFault::Commitment => "commitment",
            LineFault::Payload(_) => "payload",
            LineFault::UnknownFormat(_) => "unknown_format",
        }
    }
}

/// Returns the JSON object at the start of `text`, if there is one.
fn cut_object(text: &str) -> Option<&str> {
    if !text.starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&serde_json::value::RawValue>();
    values.next()?.ok()?;
    text.get(..values.byte_offset())
}

/// Splits `text` after `count` bytes; None if that is not possible.
fn cut_field(text: &str, count: usize) -> Option<(&str, &str)> {
    text.split_at_checked(count)
}

/// Parses a line that consists of one hashed object: `OPEN OBJECT ,"hash":"HASH"}`, with `open` as OPEN. Verifies the
/// hash and returns the object as stored and the hash.
fn cut_hashed<'a>(line: &'a [u8], open: &str, what: &'static str) -> Result<(&'a str, Hash), LineFault> {
    if line.len() > LINE_BYTES_MAX {
        return Err(LineFault::TooLong);
    }
    let line = std::str::from_utf8(line).map_err(|_| LineFault::Utf8)?;
    let cut = || {
        let start = line.strip_prefix(open)?;
        let stored = cut_object(start)?;
        let (hash, end) = cut_field(start[stored.len()..].strip_prefix(HASH)?, 64)?;
        let hash = Hash::from_hex(hash.as_bytes())?;
        (end == CLOSE).then_some((stored, hash))
    };
    let (stored, hash) = cut().ok_or(LineFault::Frame(what))?;
    if Hash::of(stored.as_bytes()) != hash {
        return Err(LineFault::Hash);
    }
    strict::check_text(stored).map_err(|fault| LineFault::Envelope(fault.to_string()))?;
    Ok((stored, hash))
}

/// Encodes the line that [`cut_hashed`] parses, with its line feed. Returns the line and its hash.
fn encode_hashed(object: &impl Serialize, open: &str) -> (Vec<u8>, Hash) {
    let stored = serde_json::to_vec(object).expect("a struct of strings and numbers is always JSON");
    let hash = Hash::of(&stored);
    let hash_text = hash.to_string();
    let line = [open.as_bytes(), &stored, HASH.as_bytes(), hash_text.as_bytes(), CLOSE.as_bytes(), b"\n"];
    (line.concat(), hash)
}
