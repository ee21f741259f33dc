//! Work that the operator has an engine do on a schedule: a new segment of the log, a complete verification, and
//! retention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secrets::{SCHEDULE, TIME_ZONE};
use crate::patterns::NAME_LENGTH_MAX;
use crate::rules::Rule;

/// Maximum number of reasons for which a retention plan is not carried out.
pub const RETENTION_HOLDS_MAX: usize = 8;

/// When the engine verifies the complete log and the complete projection: a CronJob `NAME-scrub` asks for it. The
/// engine does so every `verifyIntervalSeconds` too, at a time of its own. The operator needs permission on Secrets and
/// Jobs in this namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scrub {
    /// When, as a cron expression with the fields minute, hour, day of the month, month and day of the week, for
    /// example `30 1 * * 0`, or `@weekly`. Numbers only; Sunday is 0.
    #[schemars(length(min = 1, max = 128), regex(pattern = SCHEDULE))]
    pub schedule: String,

    /// Time zone of the schedule, for example `Europe/Berlin`. Defaults to `Etc/UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: Option<String>,

    /// Whether the schedule is suspended. A Job that somebody creates runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// When a retention plan is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionApply {
    /// When the annotation `memoryengine.io/approve-retention` has its hash: see `status.retention.plan`.
    #[default]
    OnApproval,
    /// At once, if it removes at most `autoMaxPercent` of the memories and the spike guard does not hold it; otherwise
    /// as with `OnApproval`.
    Auto,
}

/// What is done on a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum UpkeepTask {
    /// The active segment of the log is sealed.
    #[default]
    RotateLog,
    /// The complete log and the complete projection are verified.
    Scrub,
    /// A retention plan is made.
    PlanRetention,
}

/// A schedule, and since when it is in force. A run that would have been due before is not missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleInForce {
    /// The cron expression and the time zone, for example `15 2 * * * Etc/UTC`.
    #[schemars(length(max = 200))]
    pub schedule: String,
    /// Since when, RFC 3339.
    #[schemars(length(max = 64))]
    pub since: String,
}

/// A task that is done on a schedule, and its last run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpkeepStatus {
    /// The task.
    pub task: UpkeepTask,
    /// The schedule, and since when it is in force. Absent while it is suspended or the engine hibernates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleInForce>,
    /// When it is done next, RFC 3339. Absent while the schedule is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next_run: Option<String>,
    /// The last run that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<UpkeepRun>,
    /// Why a request waits, or an object of the schedule cannot be read. Absent if nothing is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub problem: Option<String>,
}

/// A run that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpkeepRun {
    /// Id of the request: that of the Job.
    #[schemars(length(max = 64))]
    pub request: String,
    /// When it ended, RFC 3339.
    #[schemars(length(max = 64))]
    pub finished_at: String,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// What it found or did, or why it failed.
    #[schemars(length(max = 512))]
    pub result: String,
}

/// Retention by schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionStatus {
    /// The last plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<RetentionPlan>,
    /// Why it is not carried out. Empty if it was, or is about to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = RETENTION_HOLDS_MAX), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub holds: Vec<String>,
    /// The last plan that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedRetention>,
}

/// What retention would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPlan {
    /// Hash of the plan, 64 hexadecimal digits. An approval names it.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// Time for which ages were computed, RFC 3339.
    #[schemars(length(max = 64))]
    pub made: String,
    /// Last event that it takes into account.
    #[schemars(range(min = 0))]
    pub applied_seq: i64,
    /// Number of memories that it removes.
    #[schemars(range(min = 0))]
    pub entries: i64,
    /// Number of memories that there are.
    #[schemars(range(min = 0))]
    pub total: i64,
    /// Whether more memories break the rules than one run removes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Size of the memories that it removes, bytes.
    #[schemars(range(min = 0))]
    pub bytes: i64,
    /// The same number by reason.
    pub counts: RetentionCounts,
    /// When the oldest of them was accepted, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub oldest: Option<String>,
    /// When the newest of them was accepted, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub newest: Option<String>,
    /// Why the spike guard holds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub spikes: Vec<String>,
    /// Why it can no longer be carried out. Absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub stale: Option<String>,
}

/// Memories by the rule that removes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionCounts {
    /// Only too old.
    #[schemars(range(min = 0))]
    pub age: i64,
    /// Only more than a project keeps.
    #[schemars(range(min = 0))]
    pub entries: i64,
    /// Both.
    #[schemars(range(min = 0))]
    pub both: i64,
}

/// A plan that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedRetention {
    /// Its hash.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// When, RFC 3339.
    #[schemars(length(max = 64))]
    pub at: String,
    /// Number of memories that were removed.
    #[schemars(range(min = 0))]
    pub entries: i64,
    /// The event of the log that records it.
    #[schemars(range(min = 0))]
    pub event_seq: i64,
    /// Why, and who approved it.
    #[schemars(length(max = NAME_LENGTH_MAX))]
    pub because: String,
}

const ROTATION: &str = "/properties/spec/properties/rotation";
const SCRUB: &str = "/properties/spec/properties/integrity/properties/scrub";
const RETENTION: &str = "/properties/spec/properties/retention";
const NO_LOCAL: &str = "!has(self.timeZone) || self.timeZone != 'Local'";
const LOCAL: &str = "timeZone: Local depends on the machine: write a name such as Etc/UTC or Europe/Berlin";

/// Relations of the sections.
pub(super) const RULES: [Rule; 7] = [
    Rule { object: ROTATION, expression: NO_LOCAL, message: LOCAL },
    Rule { object: SCRUB, expression: NO_LOCAL, message: LOCAL },
    Rule { object: RETENTION, expression: NO_LOCAL, message: LOCAL },
    Rule {
        object: ROTATION,
        expression: "has(self.schedule) || !has(self.timeZone)",
        message: "rotation: timeZone has no effect without schedule: add it, or remove timeZone",
    },
    Rule {
        object: RETENTION,
        expression: "has(self.schedule) || (!has(self.timeZone) && !has(self.apply) && !has(self.autoMaxPercent) && \
                     !has(self.verifiedBackupMaxAgeHours))",
        message: "retention: timeZone, apply, autoMaxPercent and verifiedBackupMaxAgeHours have no effect without \
                  schedule: add it, or remove them",
    },
    Rule {
        object: RETENTION,
        expression: "!has(self.schedule) || has(self.maxAgeDays) || has(self.maxEntriesPerProject)",
        message: "retention: a schedule needs a rule: add maxAgeDays or maxEntriesPerProject",
    },
    Rule {
        object: "/properties/spec",
        expression: "!has(self.retention) || !has(self.retention.verifiedBackupMaxAgeHours) || has(self.backup)",
        message: "retention.verifiedBackupMaxAgeHours needs backup: without it no plan is ever carried out",
    },
];
