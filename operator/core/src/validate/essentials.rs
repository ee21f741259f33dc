//! The parts of a spec that are used even if other parts are invalid.

use crds::{AcceptRollback, AccessMode, MemoryEngineSpec, Quantity};
use jiff::SignedDuration;

/// Bounds of the seconds between two anchors.
pub(super) const ANCHOR_INTERVAL_SECONDS: (i32, i32) = (1, 3600);

/// The parts that are read from every spec, valid or not. While a spec cannot be carried out, the log of a running
/// engine is still verified and anchored, and its volume is still reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Essentials {
    /// Time between two anchors while the log grows. Always within its bounds, even if the value in the spec is not.
    pub anchor_interval: SignedDuration,
    /// Decision to accept a log that does not extend its anchor. A head that is not valid matches no log.
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
