//! What opening a log comes to.

use std::io;

use engine_core::digest::Hash;
use engine_core::wire::IntegrityFault;

use super::active::Active;
use super::published::Head;
use super::segment::Segment;

/// A log that verifies, as far as it was read, and whose every byte is durable.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) active: Active,
    /// Hash of the last event.
    pub(super) head_hash: Hash,
    pub(super) segments: Vec<Segment>,
    pub(super) torn_bytes: u64,
    pub(super) epoch: u64,
    /// Everything up to here was read: nothing unless all of it was.
    pub(super) verified_through: u64,
}

/// What of a damaged log can be read.
#[derive(Debug)]
pub(super) struct Readable {
    pub(super) head: Head,
    pub(super) segments: Vec<Segment>,
}

/// What is wrong with a log, and what of it is not.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) fault: IntegrityFault,
    pub(super) readable: Option<Readable>,
}

/// Why a log could not be opened now.
#[derive(Debug)]
pub(super) enum Unopened {
    /// It does not verify.
    Corrupt(Box<Damage>),
    /// The volume failed.
    Io(io::Error),
}

impl From<io::Error> for Unopened {
    fn from(fault: io::Error) -> Unopened {
        Unopened::Io(fault)
    }
}
