//! The engine's report on itself.

use engine_core::wire::{
    EngineStatus, Health, LogHealth, ProjectionHealth, ProjectionState, StorageHealth, StorageReason,
};

use super::Engine;
use crate::log::Store;

impl Engine {
    /// The engine's report on itself.
    pub(crate) fn health(&self) -> Health {
        let storage = self.storage_health();
        let projection = self.projection_health();
        let ok = storage.writable && projection.state == ProjectionState::Ready;
        let head = self.published.head();
        Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: if ok { EngineStatus::Ok } else { EngineStatus::Degraded },
            log: LogHealth {
                id: head.as_ref().map(|head| head.log_id.clone()).unwrap_or_default(),
                seq: head.as_ref().map_or(0, |head| head.seq),
                hash: head.map(|head| head.hash.to_string()).unwrap_or_default(),
                recovered_torn_bytes: self.published.torn_bytes(),
                checkpoint: self.parts.attestation.recent(&self.parts),
                integrity: self.published.integrity(),
            },
            projection,
            storage,
            started_at: self.started_at,
            not_applied: self.not_applied.clone(),
        }
    }

    fn storage_health(&self) -> StorageHealth {
        let space = self.published.space();
        let reason = match self.published.store() {
            Store::Writable | Store::Opening => None,
            Store::Full => Some(StorageReason::VolumeFull),
            Store::Failing => Some(StorageReason::IoError),
            Store::Corrupt(_) => Some(StorageReason::LogCorrupt),
        };
        let writable = self.published.store() == Store::Writable;
        StorageHealth { capacity_bytes: space.capacity, available_bytes: space.available, writable, reason }
    }

    fn projection_health(&self) -> ProjectionHealth {
        let applied_seq = self.projection.applied_seq();
        let unverified =
            matches!(self.published.store(), Store::Corrupt(_)) && self.published.head().is_none();
        ProjectionHealth {
            applied_seq,
            lag: self.published.head_seq().saturating_sub(applied_seq),
            state: if unverified { ProjectionState::Failed } else { self.projection.state() },
            digest: self.projection.checked().map(|(digest, _)| digest.to_string()),
            checked_at: self.projection.checked().map(|(_, at)| at),
            rebuild: self.projection.rebuild(self.published.head_seq()),
        }
    }
}
