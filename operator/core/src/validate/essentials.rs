//! The sections of a spec that are used whatever is wrong with the rest of it.

use crds::{AcceptRollback, AccessMode, MemoryEngineSpec, Quantity};
use jiff::SignedDuration;

/// Seconds between two anchors, least and most.
pub(super) const ANCHOR_INTERVAL_SECONDS: (i32, i32) = (1, 3600);

/// What is read from every spec, valid or not: the log of a running engine goes on being judged and anchored, and its
/// volume goes on being reported, while the spec cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Essentials {
    /// Time between two anchors while the log grows; within its bounds, also when the spec's is not.
    pub anchor_interval: SignedDuration,
    /// Somebody's decision to go on with a log that is not what was anchored. A head that cannot be one is that of no
    /// log.
    pub accept_rollback: Option<AcceptRollback>,
    /// Size of the volume.
    pub size: Quantity,
    /// How the volume is mounted.
    pub access_mode: AccessMode,
}

impl Essentials {
    /// Reads a spec.
    #[must_use]
    pub fn of(spec: &MemoryEngineSpec) -> Self {
        let (min, max) = ANCHOR_INTERVAL_SECONDS;
        let seconds = spec.integrity.anchor_interval_seconds.clamp(min, max);
        Self {
            anchor_interval: SignedDuration::from_secs(seconds.into()),
            accept_rollback: spec.integrity.accept_rollback.clone(),
            size: spec.writer.storage.size.clone(),
            access_mode: spec.writer.storage.access_mode,
        }
    }
}
