//! The first line of a segment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FORMAT, LineFault, cut_hashed, encode_hashed};
use crate::digest::Hash;

/// Describes a segment. The segment's first event has the header's hash as its previous hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Name of the format, [`FORMAT`].
    pub format: String,
    /// Id of the log, created together with the log: 32 hex digits, the same in every segment.
    pub log_id: String,
    /// Number of this segment, from 1.
    pub segment: u64,
    /// Epoch of the writer that created the segment. Every new writer of a log has a larger epoch than the writer it
    /// replaces, for example after a node failure.
    pub epoch: u64,
    /// Sequence number of the last event before this segment; 0 for the first.
    pub prev_seq: u64,
    /// Hash of the last line before this segment; 64 zeros for the first.
    pub prev: Hash,
    /// When the segment was created.
    pub created: Timestamp,
}

const OPEN: &str = r#"{"header":"#;

impl Header {
    /// The header of a new log.
    pub fn first(log_id: String, created: Timestamp) -> Header {
        Header { format: FORMAT.into(), log_id, segment: 1, epoch: 1, prev_seq: 0, prev: Hash::ZERO, created }
    }

    /// Returns the header's line, with its line feed, and the hash that the line contains.
    pub fn encode(&self) -> (Vec<u8>, Hash) {
        encode_hashed(self, OPEN)
    }

    /// Parses a line given without its line feed.
    ///
    /// # Errors
    ///
    /// Why it is not a segment header.
    pub fn decode(line: &[u8]) -> Result<(Header, Hash), LineFault> {
        let (envelope, hash) = cut_hashed(line, OPEN, "a header")?;
        // Check the format first: a later format may have other fields, and an error about them would hide the real
        // reason.
        let format = serde_json::from_str::<FormatOnly>(envelope)
            .map_err(|fault| LineFault::Envelope(fault.to_string()))?
            .format;
        if format != FORMAT {
            return Err(LineFault::UnknownFormat(format));
        }
        let header =
            serde_json::from_str(envelope).map_err(|fault| LineFault::Envelope(fault.to_string()))?;
        Ok((header, hash))
    }
}

#[derive(Deserialize)]
struct FormatOnly {
    format: String,
}

/// File name of the segment whose first event has this sequence number. Names sort in the order of the numbers.
pub fn segment_file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.jsonl")
}
