//! The first line of a segment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FORMAT, LineFault, cut_hashed, encode_hashed};
use crate::digest::Hash;

/// What a segment says about itself. The first event of the segment has the header's hash as its previous one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// Minted when the log was created: 32 hex digits, the same in every segment.
    pub log_id: String,
    /// Number of this segment, from 1.
    pub segment: u64,
    /// Which writer made it; a writer that lost its node has a smaller one than its successor.
    pub epoch: u64,
    /// Sequence number of the last event before this segment; 0 for the first.
    pub prev_seq: u64,
    /// Hash of the last line before this segment; 64 zeros for the first.
    pub prev: Hash,
    /// When it was made.
    pub created: Timestamp,
}

const OPEN: &str = r#"{"header":"#;

impl Header {
    /// The header of a new log.
    pub fn first(log_id: String, created: Timestamp) -> Header {
        Header { format: FORMAT.into(), log_id, segment: 1, epoch: 1, prev_seq: 0, prev: Hash::ZERO, created }
    }

    /// The line, with its line feed, and the hash in it.
    pub fn encode(&self) -> (Vec<u8>, Hash) {
        encode_hashed(self, OPEN)
    }

    /// Reads a line without its line feed.
    ///
    /// # Errors
    ///
    /// Why it is not the header of a segment.
    pub fn decode(line: &[u8]) -> Result<(Header, Hash), LineFault> {
        let (envelope, hash) = cut_hashed(line, OPEN, "a header")?;
        // Its format first: a later format's other fields are not this one's fault.
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

/// Name of the file of the segment whose first event has this sequence number. Names sort as numbers do.
pub fn segment_file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.jsonl")
}
