//! `rotation`: when the log begins a new segment file.

use super::key::Key;
use super::section::section;

/// Bounds of the size of a segment, bytes.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// A year.
const AGE_SECONDS_MAX: u64 = 31_536_000;

section! {
    /// When the log begins a new segment file.
    "rotation" => Rotation {
        /// size at which the log begins a new file
        "maxSegmentBytes" max_segment_bytes: u64, or 64 << 20, since "0.1.0"
            => Key::bytes(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).field("spec.rotation.maxSegmentSize");
        /// age at which the log begins a new file
        "maxSegmentAgeSeconds" max_segment_age_seconds: u64, or 86_400, since "0.1.0"
            => Key::integer(60, AGE_SECONDS_MAX).field("spec.rotation.maxSegmentAgeSeconds");
    }
}
