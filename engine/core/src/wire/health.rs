//! `GET /health` on the admin port: what the operator reads to write a status.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::integrity::{CheckpointView, IntegrityHealth};

/// The engine's report on itself. Answered with 200 for as long as the process lives, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Version of the engine's binary.
    pub version: String,
    /// `degraded` when writes are refused or the projection cannot answer.
    pub status: EngineStatus,
    /// The log: what is durable.
    pub log: LogHealth,
    /// The projection: what can be read.
    pub projection: ProjectionHealth,
    /// The volume under both.
    pub storage: StorageHealth,
    /// When this process started, RFC 3339.
    pub started_at: Timestamp,
    /// What the engine's configuration has that this version does not know and therefore does not apply; absent when
    /// there is nothing. Only a file that an operator wrote may have such parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<NotApplied>,
}

/// A part of the configuration that the engine does not know. Values are never named: they may be confidential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotApplied {
    /// `section`, or `section.key`.
    pub key: String,
    /// What of it is unknown.
    pub unknown: Unknown,
}

/// What of the configuration an engine does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// The section.
    Section,
    /// The key.
    Key,
    /// A word that is the key's value or stands in its list.
    Value,
}

/// One word for the whole engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineStatus {
    /// Reads and writes work.
    Ok,
    /// Something is refused; `storage` and `projection` say what.
    Degraded,
}

/// The head of the log and what the last start did to its tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHealth {
    /// Minted when the log was created; never changes.
    pub id: String,
    /// Sequence number of the last durable event; 0 when there is none.
    pub seq: u64,
    /// Hash of that event, or of the log's header when there is none; 64 hex digits.
    pub hash: String,
    /// Bytes of a torn tail set aside by this start.
    pub recovered_torn_bytes: u64,
    /// The newest signed checkpoint; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointView>,
    /// Whether the log is what it was.
    #[serde(default)]
    pub integrity: IntegrityHealth,
}

/// How far the projection is behind the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionHealth {
    /// Sequence number of the last event applied.
    pub applied_seq: u64,
    /// Events in the log that are not applied yet.
    pub lag: u64,
    /// Whether it answers.
    pub state: ProjectionState,
    /// Digest of its rows as they were last checked against it; 64 hex digits, absent until the first check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When its rows and its indexes were last checked from end to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// A projection that is being built, beside the one that answers if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<RebuildHealth>,
}

/// How far a new projection is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildHealth {
    /// Sequence number of the last event in it.
    pub applied_seq: u64,
    /// Where it has to get to.
    pub head_seq: u64,
    /// Why it is being built; one of a few fixed words.
    pub reason: String,
}

/// Whether the projection answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionState {
    /// It answers; `lag` says how fresh it is.
    Ready,
    /// It is being built again from the log.
    Rebuilding,
    /// It cannot be opened or built; the engine keeps trying.
    Failed,
}

/// The volume that holds log and projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageHealth {
    /// Size of the file system, bytes.
    pub capacity_bytes: u64,
    /// Bytes an unprivileged process may still write.
    pub available_bytes: u64,
    /// Whether the engine accepts writes now.
    pub writable: bool,
    /// Why not; absent while writable.
    pub reason: Option<StorageReason>,
}

/// Why writes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageReason {
    /// No space left; writes resume by themselves once there is.
    VolumeFull,
    /// A write or sync failed; the engine goes back to the last durable byte and tries again.
    IoError,
    /// The log is not what it was; nothing is written until somebody decides. `log.integrity.fault` says in what way.
    LogCorrupt,
}
