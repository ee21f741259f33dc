//! Results of opening a log.

use std::io;

use engine_core::digest::Hash;
use engine_core::wire::IntegrityFault;

use super::active_segment::Active;
use super::published::Head;
use super::segment::Segment;

/// An open log. The part that was read verifies, and all bytes are durable.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) active: Active,
    /// Hash of the last event.
    pub(super) head_hash: Hash,
    pub(super) segments: Vec<Segment>,
    pub(super) torn_bytes: u64,
    pub(super) epoch: u64,
    /// Number of the last verified event; 0 unless the complete log was read.
    pub(super) verified_through: u64,
}

/// The readable part of a damaged log.
#[derive(Debug)]
pub(super) struct Readable {
    pub(super) head: Head,
    pub(super) segments: Vec<Segment>,
}

/// The integrity fault of a log, and the part that is still readable.
#[derive(Debug)]
pub(super) struct DamagedLog {
    pub(super) fault: IntegrityFault,
    pub(super) readable: Option<Readable>,
}

/// Why a log could not be opened.
#[derive(Debug)]
pub(super) enum OpenFailure {
    /// It does not verify.
    Corrupt(Box<DamagedLog>),
    /// The volume failed.
    Io(io::Error),
}

impl From<io::Error> for OpenFailure {
    fn from(fault: io::Error) -> OpenFailure {
        OpenFailure::Io(fault)
    }
}
