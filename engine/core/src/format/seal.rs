//! The last line of a closed segment. Nothing is appended after it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LineFault, cut_hashed, encode_hashed};
use crate::digest::Hash;

/// Summary of a segment at the time it was closed. The next segment's header has the seal's hash as its previous hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Number of the segment, as in its header.
    pub segment: u64,
    /// Id of the log, as in the segment's header.
    pub log_id: String,
    /// Number of events in this segment.
    pub events: u64,
    /// Sequence number of the last event of the segment.
    pub last_seq: u64,
    /// Hash of the previous line.
    pub prev: Hash,
    /// Root of the Merkle tree over the events 1 to `last_seq`.
    pub root: Hash,
    /// When the segment was closed.
    pub sealed: Timestamp,
}

const OPEN: &str = r#"{"seal":"#;

impl Seal {
    /// Returns the seal's line, with its line feed, and the hash that the line contains.
    pub fn encode(&self) -> (Vec<u8>, Hash) {
        encode_hashed(self, OPEN)
    }

    /// Parses a line given without its line feed.
    ///
    /// # Errors
    ///
    /// Why it is not a segment seal.
    pub fn decode(line: &[u8]) -> Result<(Seal, Hash), LineFault> {
        let (stored, hash) = cut_hashed(line, OPEN, "a seal")?;
        let seal = serde_json::from_str(stored).map_err(|fault| LineFault::Envelope(fault.to_string()))?;
        Ok((seal, hash))
    }

    /// Whether a line, given with or without its line feed, has the form of a seal and not of an event.
    pub fn is_one(line: &[u8]) -> bool {
        line.starts_with(OPEN.as_bytes())
    }
}
