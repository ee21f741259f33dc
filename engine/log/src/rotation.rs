//! When the log rotates to a new segment.

use std::time::Duration;

use engine_core::configuration;

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
        Rotation::from(&configuration::Rotation::default())
    }
}

impl From<&configuration::Rotation> for Rotation {
    fn from(section: &configuration::Rotation) -> Rotation {
        Rotation {
            segment_bytes_max: section.max_segment_bytes(),
            segment_age_max: Duration::from_secs(section.max_segment_age_seconds()),
        }
    }
}
