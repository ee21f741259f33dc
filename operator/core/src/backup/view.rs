//! The records of an engine, and what was found about them.

use crds::{BackupPhase, MemoryBackup};
use jiff::Timestamp;

use super::drill::Drill;
use crate::tls::Unread;

/// What one reconcile found about backups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackupView {
    /// Why an object could not be read. Nothing is written then.
    pub unread: Option<Unread>,
    /// The records of this engine.
    pub records: Vec<MemoryBackup>,
    /// Verifications that have ended.
    pub drills: Vec<Drill>,
    /// Why the engine has not reported the backup that it was asked for in this reconcile.
    pub refusal: Option<String>,
}

impl BackupView {
    /// The record of a backup.
    #[must_use]
    pub fn record(&self, backup: &str) -> Option<&MemoryBackup> {
        self.records.iter().find(|record| record.spec.backup == backup)
    }

    /// The record of the newest backup.
    #[must_use]
    pub fn newest(&self) -> Option<&MemoryBackup> {
        self.records.iter().max_by_key(|record| taken_at(record))
    }

    /// The record of the newest backup that was verified, and when.
    #[must_use]
    pub fn last_verified(&self) -> Option<(&MemoryBackup, Timestamp)> {
        let verified = self.records.iter().filter(|record| phase(record) == BackupPhase::Verified);
        let timed = verified.filter_map(|record| Some((record, verified_at(record)?)));
        timed.max_by_key(|(record, at)| (taken_at(record), *at))
    }
}

/// Whether a record says that its backup was verified.
#[must_use]
pub fn phase(record: &MemoryBackup) -> BackupPhase {
    record.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

/// When a backup was taken.
#[must_use]
pub fn taken_at(record: &MemoryBackup) -> Option<Timestamp> {
    record.spec.taken_at.parse().ok()
}

/// When a backup was verified last.
#[must_use]
pub fn verified_at(record: &MemoryBackup) -> Option<Timestamp> {
    record.status.as_ref()?.verified_at.as_ref()?.parse().ok()
}
