//! When the log goes on in a new segment.

use std::time::Duration;

/// When the log goes on in a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Before a segment would have more bytes than this.
    pub segment_bytes_max: u64,
    /// When a segment with events in it is older than this.
    pub segment_age_max: Duration,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { segment_bytes_max: 64 << 20, segment_age_max: Duration::from_secs(86_400) }
    }
}
