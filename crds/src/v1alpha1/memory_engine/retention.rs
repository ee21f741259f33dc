//! Rules for retention plans, and when plans are made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secrets::{SCHEDULE, TIME_ZONE};
use super::upkeep::RetentionApply;

/// How long memories are kept. The rules are used when a request for a plan does not set any. With a schedule the
/// operator has a plan made by them, and exactly that plan carried out when it was approved. The operator then needs
/// permission on Secrets and Jobs in this namespace. Without a schedule nothing is removed automatically.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Maximum age of a memory in days since the engine accepted it, 1 to 36,500 (a hundred years), for example `365`.
    /// Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub max_age_days: Option<i32>,

    /// Number of memories to keep in each project, newest first, 1 to 1,000,000,000, for example `10000`. Defaults to
    /// no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_entries_per_project: Option<i32>,

    /// Maximum share of a project's memories, in percent, that a plan may remove without a confirmation of their
    /// number, 1 to 100. Defaults to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub spike_guard_percent: Option<i32>,

    /// When a plan is made, as a cron expression with the fields minute, hour, day of the month, month and day of the
    /// week, for example `0 5 * * 1`, or `@weekly`. Numbers only; Sunday is 0. Defaults to never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = SCHEDULE))]
    pub schedule: Option<String>,

    /// Time zone of the schedule, for example `Europe/Berlin`. Defaults to `Etc/UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: Option<String>,

    /// Whether the schedule is suspended. Nothing is removed meanwhile; a Job that somebody creates makes a plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// When a plan is carried out. Defaults to `OnApproval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<RetentionApply>,

    /// Share of all memories, in percent, that `apply: Auto` removes at once at most, 1 to 100. Defaults to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub auto_max_percent: Option<i32>,

    /// Hours. Nothing is removed unless the last verification of a backup that succeeded is younger: see
    /// `status.backup.lastVerified`. 1 to 8,760. Defaults to no such rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8760))]
    pub verified_backup_max_age_hours: Option<i32>,
}
