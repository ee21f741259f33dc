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
    /// Leaves only the records that say something about this archive and this log. Those of an engine of the same name
    /// before, and of another destination, prove nothing about the present one. Until the log is known, they wait.
    pub fn keep_relevant(&mut self, archive: &str, log_id: Option<&str>) {
        self.records
            .retain(|record| record.spec.archive == archive && Some(record.spec.log_id.as_str()) == log_id);
    }

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
