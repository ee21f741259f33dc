//! When the log rotates to a new segment.

use std::time::Duration;

/// Limits that trigger a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Maximum bytes of a segment. The writer rotates before exceeding it.
    pub segment_bytes_max: u64,
    /// Maximum age of a segment that contains events.
    pub segment_age_max: Duration,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { segment_bytes_max: 64 << 20, segment_age_max: Duration::from_secs(86_400) }
    }
}
