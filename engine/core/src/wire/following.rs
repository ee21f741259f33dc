//! Following: what an engine says of its role, and the request for lines of a log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::drill::DrillFaultsHealth;
use super::health::Health;

/// Path of the admin port that answers with lines of the log as they are stored. Parameters: `after`, the number of the
/// last event that the client has, `line`, the hash of its last line, and `wait_ms`.
pub const LINES_PATH: &str = "/log/lines";
/// Header of the answer with the id of the log.
pub const LOG_ID_HEADER: &str = "memory-log-id";
/// Header of the answer with the number of the last event.
pub const HEAD_SEQ_HEADER: &str = "memory-log-head-seq";
/// Header of the answer that says whether the log has the client's last line: `true` or `false`.
pub const HAS_LINE_HEADER: &str = "memory-log-has-line";
/// Header of a request that an engine forwards. The answer then has [`HEAD_SEQ_HEADER`], so that the engine can wait
/// until its copy has what was written.
pub const FORWARDED_HEADER: &str = "memory-forwarded";
/// Size of the lines in one answer, bytes. A batch is never divided, so that a larger one makes a larger answer.
pub const LINES_BYTES: usize = 4 << 20;
/// Longest time that a request for lines may wait for the next one, milliseconds.
pub const LINES_WAIT_MS_MAX: u64 = 10_000;

/// Path of the admin port that answers with the newest digests of the projection.
pub const DIGEST_PATH: &str = "/log/digest";

/// The newest digests of a projection. Two engines with one log have the same digest at the same event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentDigests {
    /// Version of the projection. Those of different versions have different digests.
    pub projection_version: u32,
    /// Number of the last event that did more than add rows. Only digests from there on are compared.
    pub altered_seq: u64,
    /// Whether the guard of the engine has turned reads off.
    pub is_guarded: bool,
    /// The digests, oldest first.
    pub digests: Vec<RecentDigest>,
}

/// The digest of all rows of a projection at an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentDigest {
    /// Number of the event.
    pub seq: u64,
    /// The digest, hexadecimal digits.
    pub digest: String,
}

/// The health report with the role of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleHealth {
    /// The report.
    #[serde(flatten)]
    pub health: Health,
    /// What the engine is.
    #[serde(default)]
    pub role: Role,
    /// How it follows another engine; absent if it follows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub following: Option<FollowingHealth>,
    /// Faults that drills inject; absent unless the engine was started for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_faults: Option<DrillFaultsHealth>,
}

/// What an engine is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It owns its log.
    #[default]
    Writer,
    /// It has a copy of the log of a writer, serves reads and forwards writes.
    Reader,
    /// A role of a later version.
    #[serde(other)]
    Unknown,
}

/// How an engine follows another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowingHealth {
    /// Whether it works.
    pub state: FollowState,
    /// URL of the admin port of the engine that is followed.
    pub writer: String,
    /// Number of the last event of that engine, as of its last answer; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_seq: Option<u64>,
    /// Events that reads do not see yet.
    pub lag_events: u64,
    /// Age of the state that reads see, seconds; absent before everything was applied once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
    /// Age from which on the engine is not ready, seconds.
    pub lag_max_seconds: u64,
    /// Why the last request failed; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Why nothing is read; absent while the chain is intact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<ChainFault>,
}

/// Whether following works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowState {
    /// There was no answer yet.
    #[default]
    Starting,
    /// The last request was answered.
    Connected,
    /// The last request failed.
    Unreachable,
    /// The chain is broken. Permanent: the copy has to be thrown away.
    Broken,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// What broke the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainFault {
    /// `other_log`, `rolled_back`, `forked`, `line`, or `damaged` for the copy itself.
    pub reason: String,
    /// What was found, for people.
    pub message: String,
    /// When it was found, RFC 3339.
    pub at: Timestamp,
}
