//! Places in a log, and how much of it one piece has.

use engine_core::archive::name::ShortHash;

/// Maximum bytes of the lines that one piece is made of, unless a single line is larger. A piece is held in memory
/// about three times while it is made.
/// Unit tests use smaller ones, so that a log of a few megabytes has many.
pub(crate) const PIECE_RAW_BYTES: usize = if cfg!(test) { 1 << 20 } else { 16 << 20 };

/// A place between two lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the last event before it.
    pub(crate) seq: u64,
    /// Hash of the last line before it.
    pub(crate) last: ShortHash,
}

impl Place {
    pub(crate) const START: Place = Place { seq: 0, last: ShortHash::ZERO };
}
