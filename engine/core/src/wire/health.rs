//! `GET /health` on the admin port: the report from which the Kubernetes operator derives the status of the custom
//! resource.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::archive::{ArchiveHealth, RestoredLog};
use super::integrity::{CheckpointView, IntegrityHealth};
use super::mode::ModeHealth;
use super::ticket::TicketHealth;

/// Health report of the engine. The HTTP status is 200 as long as the process runs, whatever the report contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Version of the engine's binary.
    pub version: String,
    /// `degraded` when something does not work or is not in force; `reasons` says what. The engine may still serve.
    pub status: EngineStatus,
    /// Why the status is `degraded`; absent when it is `ok`, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<DegradedReason>,
    /// State of the log, which holds what is durable.
    pub log: LogHealth,
    /// State of the projection, which answers reads.
    pub projection: ProjectionHealth,
    /// State of the volume that holds both.
    pub storage: StorageHealth,
    /// When this process started, RFC 3339.
    pub started_at: Timestamp,
    /// The mode, and why it is what it is; absent in the report of an engine that has no modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeHealth>,
    /// Parts of the engine's configuration that this version does not know and therefore does not apply; absent when
    /// there are none. Only a file written by the Kubernetes operator may have such parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<NotApplied>,
    /// The configuration that is in force; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationHealth>,
    /// The certificates of the ports; absent if no port has TLS, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsHealth>,
    /// The issuers of tokens; absent if none is configured, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerHealth>,
    /// The ticket of the public port; absent if there is no such port, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketHealth>,
    /// The archive of the log; absent if there is none, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveHealth>,
    /// From what the log was restored; absent if it was not, and in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredLog>,
}

/// An issuer of tokens, and its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerHealth {
    /// URL of the issuer.
    pub issuer: String,
    /// Number of keys that verify its tokens. Without a key its tokens are refused.
    pub keys: usize,
    /// When the keys were received last, RFC 3339; absent if they never were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// Why the last attempt to fetch them failed; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The certificates of the ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsHealth {
    /// Certificate of the memory API; absent if the API is served without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<PortCertificate>,
    /// Certificate of the admin port; absent if the port is served without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<PortCertificate>,
}

/// The certificate that a port serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCertificate {
    /// Serial number, lower-case hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the certificate, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Last moment at which the certificate is valid, RFC 3339.
    pub not_after: Timestamp,
    /// SHA-256 of the file with the trusted authorities, 64 lower-case hexadecimal digits; absent without the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities_sha256: Option<String>,
    /// Why the newest files are not in force; absent if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Why an engine is degraded. A version may add reasons: a client treats one that it does not know as any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DegradedReason {
    /// The log is being opened; nothing is served yet.
    LogOpening,
    /// No space is left on the volume; writes are refused.
    VolumeFull,
    /// A write or a sync failed; writes are refused until one succeeds.
    IoError,
    /// The log failed verification; writes are refused.
    LogCorrupt,
    /// The projection is being rebuilt and does not answer yet; reads are refused.
    ProjectionRebuilding,
    /// The projection cannot be opened or built; reads are refused.
    ProjectionFailed,
    /// The embedding service does not answer; searches use the built-in vectors.
    EmbeddingUnavailable,
    /// The reranking service does not answer; results keep their order.
    RerankUnavailable,
    /// The key of the pseudonyms is missing; writes with personal data in names are refused.
    PseudonymKeyLost,
    /// The configuration file cannot be read or is invalid; the configuration that was read before is in force.
    ConfigurationInvalid,
    /// The files of a certificate have changed and cannot be used; the certificate before is served.
    CertificateInvalid,
    /// Somebody else can read or change a file with a key, such as that of a certificate.
    SecretFileExposed,
    /// An issuer of tokens has no keys that can be used; its tokens are refused.
    IssuerUnavailable,
    /// The guard or a hold of a person allows less than the wanted mode; `mode` says why and until when.
    ModeForced,
    /// The file with the mode cannot be read; reads are off until it can be, a mode is set, or it is removed.
    ModeUnreadable,
    /// The log that this engine follows is not the one that it has a copy of, or does not verify; reads are refused.
    ChainBroken,
    /// The copy has not caught up with the log that this engine follows, or is further behind than it may be.
    CopyBehind,
    /// A reason of a later version.
    #[serde(other)]
    Unknown,
}

/// The configuration that is in force, and the state of its file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationHealth {
    /// SHA-256 of the file whose complete content is in force, 64 lower-case hexadecimal digits; absent without a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// State of the file now.
    pub file: ConfigurationFile,
    /// Keys of the file that take effect at the next start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_required: Vec<String>,
}

/// State of the configuration file, compared with the configuration in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigurationFile {
    /// The engine was started without a file.
    #[default]
    None,
    /// The complete content of the file is in force.
    InForce,
    /// The file has changed, and a part of it takes effect only at the next start.
    RestartRequired,
    /// The file has changed and is invalid; the configuration that was read before is in force.
    Invalid,
    /// The file cannot be read; the configuration that was read before is in force.
    Unreadable,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// A part of the configuration that the engine does not know. The value is never reported, because it may be
/// confidential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotApplied {
    /// `section`, or `section.key`.
    pub key: String,
    /// Whether the section, the key or the value is unknown.
    pub unknown: Unknown,
}

/// The level of the configuration that is unknown to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// The section.
    Section,
    /// The key.
    Key,
    /// A word that is the key's value or an item of its list.
    Value,
}

/// State of the engine as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineStatus {
    /// Reads and writes work.
    Ok,
    /// Something does not work or is not in force; `reasons` says what.
    Degraded,
}

/// Head of the log, and what recovery removed from its end at the last start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHealth {
    /// Id of the log. Created together with the log; never changes.
    pub id: String,
    /// Sequence number of the last durable event; 0 when there is none.
    pub seq: u64,
    /// Hash of the last durable event, or of the log's header if there is no event; 64 hex digits.
    pub hash: String,
    /// Bytes of an unfinished write that this start removed from the end of the log and set aside.
    pub recovered_torn_bytes: u64,
    /// The newest signed checkpoint; absent until the first one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointView>,
    /// Result of verifying the log.
    #[serde(default)]
    pub integrity: IntegrityHealth,
}

/// How far the projection is behind the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionHealth {
    /// Sequence number of the last event applied.
    pub applied_seq: u64,
    /// Number of events in the log that are not applied yet.
    pub lag: u64,
    /// Whether the projection answers.
    pub state: ProjectionState,
    /// Digest of the projection's rows at the last check, 64 hex digits; absent until the first check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When the projection's rows and indexes were last checked completely. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// A rebuild in progress; the current projection, if there is one, answers reads until the rebuild is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<RebuildHealth>,
}

/// Progress of a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildHealth {
    /// Sequence number of the last event applied to the new projection.
    pub applied_seq: u64,
    /// Sequence number up to which events have to be applied.
    pub head_seq: u64,
    /// Why the projection is being rebuilt; one of a fixed set of words.
    pub reason: String,
}

/// Whether the projection answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionState {
    /// It answers; `lag` shows how many events it is behind.
    Ready,
    /// It is being rebuilt from the log.
    Rebuilding,
    /// It cannot be opened or built; the engine keeps retrying.
    Failed,
}

/// The volume that holds the log and the projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageHealth {
    /// Size of the file system, bytes.
    pub capacity_bytes: u64,
    /// Space that an unprivileged process can still use, bytes.
    pub available_bytes: u64,
    /// Whether the engine accepts writes now.
    pub writable: bool,
    /// Why writes are refused; absent while writable.
    pub reason: Option<StorageReason>,
}

/// Why writes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageReason {
    /// No space is left; writes resume automatically once there is space.
    VolumeFull,
    /// A write or sync failed; the engine returns to the last durable byte and retries.
    IoError,
    /// The log failed verification; writes stay refused until an administrator decides. `log.integrity.fault` describes
    /// the fault.
    LogCorrupt,
}
