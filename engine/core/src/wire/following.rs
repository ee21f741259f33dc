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

/// Path of the admin port that answers with the root of the log at a number of events, the parameter `size`.
pub const ROOT_PATH: &str = "/log/root";

/// The root of a log at a number of events, for an engine that has a copy of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRoot {
    /// Id of the log.
    pub log_id: String,
    /// Number of its last event.
    pub head_seq: u64,
    /// Root of the tree over the first `size` events, hexadecimal digits; absent if there are fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Age of the event after them, milliseconds, by the clock of the engine that answers; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_age_ms: Option<u64>,
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
    /// What a standby knows of itself and of the archive; absent on an engine that asks the writer for lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<StandbyHealth>,
}

/// What a standby, an engine that follows an archive alone, found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyHealth {
    /// Number of the last event that is restored.
    pub seq: u64,
    /// Whether the last comparison with the writer found the same log, and everything in the archive can be used.
    pub verified: bool,
    /// When that was so last, RFC 3339; absent if it never was since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// How the log of the writer differs, as of the last comparison; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub different: Option<StandbyDifference>,
    /// The object of the archive that cannot be used, or the events that it lost; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
    /// Why the last comparison could not be made; absent if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Age of the oldest acknowledged event that is not restored, seconds; absent before the writer was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<u64>,
    /// Time from an empty copy to a copy that had caught up, milliseconds; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_ms: Option<u64>,
    /// Events that this copy had then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_events: Option<u64>,
    /// How long the last catching up with the archive took, milliseconds; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up_ms: Option<u64>,
    /// When and why the copy was thrown away last; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_over: Option<StartedOver>,
}

/// Two logs that are not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyDifference {
    /// `root`, `other_log`, `shorter` (the writer has fewer events) or `digest` (the rows of both projections differ).
    pub reason: String,
    /// Number of events that were compared.
    pub size: u64,
    /// What is different, for people, with both roots.
    pub message: String,
    /// When it was found first, RFC 3339.
    pub at: Timestamp,
}

/// A copy that was thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedOver {
    /// Why, for people.
    pub reason: String,
    /// When, RFC 3339.
    pub at: Timestamp,
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
    /// An object of the archive cannot be used, or events are gone from it: nothing after that is restored. It is
    /// looked at again.
    Damaged,
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
