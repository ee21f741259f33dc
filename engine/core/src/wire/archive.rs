//! The archive of a log, as the engine reports it, and a backup.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Maximum length of the id of a request for a backup, bytes: that of a uid, with room.
pub const BACKUP_REQUEST_BYTES_MAX: usize = 64;

/// Whether the log is archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveState {
    /// The archive was not read yet.
    #[default]
    Opening,
    /// The log is archived.
    Archiving,
    /// The last step failed and is repeated.
    Failing,
    /// The archive has events that this log does not have: the volume is an older copy. Nothing is stored until an
    /// administrator decides.
    Ahead,
    /// The task ended unexpectedly.
    Ended,
}

/// The archive in the health report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveHealth {
    /// Whether the log is archived.
    pub state: ArchiveState,
    /// Last event that is in the archive.
    pub archived_seq: u64,
    /// Age of the state that a restore would give, seconds.
    pub lag_seconds: u64,
    /// Whether the store honours conditional creates; absent until that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional_put: Option<bool>,
    /// Whether the store of the keys keeps older versions of them: then what is forgotten can be read with one of
    /// these. Absent until that is known, and for stores that do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_versioned: Option<bool>,
    /// Why the last step failed; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last backup of this process; absent before it took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<BackupTaken>,
}

/// A request for a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeBackup {
    /// Id of the request, which the report of the backup repeats. Letters, digits and hyphens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Names of backups that stay, whatever their age is: those that were verified. At most 64. Absent if the caller
    /// knows of none that counts: then no backup is removed after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Vec<String>>,
}

impl TakeBackup {
    /// Whether the id of the request has its form.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        self.request
            .as_deref()
            .is_none_or(|id| (1..=BACKUP_REQUEST_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_plain))
    }
}

/// A backup that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTaken {
    /// Id of the log.
    pub log_id: String,
    /// Name of the manifest.
    pub name: String,
    /// Number of events.
    pub size: u64,
    /// Root of the tree over them, 64 lower-case hexadecimal digits.
    pub root: String,
    /// When it was taken, RFC 3339.
    pub created: Timestamp,
    /// Until when its age keeps it, RFC 3339: `backup.keepDays` after it was taken. The newest ones, and those that a
    /// request for another backup names, stay longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Number of pieces.
    pub pieces: usize,
    /// Bytes of all its objects.
    pub bytes: u64,
    /// Bytes that were stored for it.
    pub stored_bytes: u64,
    /// Time that it took, milliseconds.
    #[serde(default)]
    pub elapsed_ms: u64,
    /// Id of the request for it; absent if the engine took it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What was removed from the archive after it; absent if the request did not say what stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Backups that were removed.
    pub backups: Vec<String>,
    /// Number of pieces that were removed.
    pub pieces: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Number of tables of keys, and of objects with keys of the volume, that were removed.
    pub keys: usize,
    /// Number of backups that stay.
    pub kept: usize,
    /// Why nothing, or not everything, was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// From what a log was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredLog {
    /// Id of the request, if it has one: the same request restores once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Id of the log.
    pub log_id: String,
    /// Name of the manifest.
    pub backup: String,
    /// Number of events that were restored.
    pub events: u64,
    /// Root of the tree over them, 64 lower-case hexadecimal digits.
    pub root: String,
    /// Whether the root was compared with one that was given.
    pub anchored: bool,
    /// Number of objects that could not be used: with one of these the log is not the newest that the archive once had.
    #[serde(default)]
    pub damaged: u64,
    /// When it was restored, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_request_is_short_and_plain() {
        let of = |id: &str| TakeBackup { request: Some(id.to_owned()), keep: None }.is_valid();
        assert!(TakeBackup::default().is_valid() && of("a-1") && of(&"a".repeat(64)));
        for wrong in ["", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(!of(wrong), "{wrong:?}");
        }
    }
}
