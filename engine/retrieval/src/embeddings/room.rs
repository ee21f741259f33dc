//! Space on the volume for vectors.

use engine_log::storage::Space;

/// No vectors are stored when less than one part in this many of the volume is free, because the log needs the space.
const FREE_SHARE_MIN: u64 = 20;
/// On a large volume, this many free bytes are enough: what the log needs does not grow with the volume.
const FREE_BYTES_ENOUGH: u64 = 1 << 30;

/// Whether a volume has space for vectors beside the log. A size that is not known yet prevents nothing.
pub(super) fn has_room(space: Space) -> bool {
    space.available >= (space.capacity / FREE_SHARE_MIN).min(FREE_BYTES_ENOUGH)
}
