//! `/v1/retention`: plans and applies retention rules.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::NAME_PATTERN;
use super::{PlaceReport, RecordedEvent};
use crate::limits::{
    NAME_CHARS_MAX, REASON_CHARS_MAX, RETENTION_AGE_DAYS_MAX, RETENTION_ENTRIES_MAX, RETENTION_IDS_MAX,
    RETENTION_OVERRIDES_MAX,
};

/// Retention rules. A memory that breaks either limit is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionRules {
    /// Maximum age since the memory was accepted, days; 1 to 36,500. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_AGE_DAYS_MAX))]
    pub max_age_days: Option<u32>,
    /// Number of newest memories to keep in each project; 1 to 1,000,000,000. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_ENTRIES_MAX))]
    pub max_entries_per_project: Option<u64>,
    /// Projects with their own limits, which replace both limits above; at most 1,000.
    #[serde(
        deserialize_with = "super::object::each_or_none",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(length(max = RETENTION_OVERRIDES_MAX))]
    pub projects: Vec<ProjectRules>,
    /// How memories are removed.
    #[serde(deserialize_with = "super::object::or_default", default)]
    pub action: RetentionAction,
}

/// Limits for one project. Without any limit, the project keeps everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectRules {
    /// Name of the project.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: String,
    /// Maximum age since the memory was accepted, days; 1 to 36,500. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_AGE_DAYS_MAX))]
    pub max_age_days: Option<u32>,
    /// Number of newest memories to keep; 1 to 1,000,000,000. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_ENTRIES_MAX))]
    pub max_entries: Option<u64>,
}

/// How memories are removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetentionAction {
    /// Forget them for good.
    #[default]
    Forget,
    /// End their validity; they can still be read as history.
    Invalidate,
}

/// Body of `POST /v1/retention/plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRetention {
    /// The rules; default those in the engine's configuration.
    #[serde(deserialize_with = "super::object::maybe", default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RetentionRules>,
    /// Time at which ages are computed; default now. Must not be in the future. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Index of the first id to return, in log order; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Most ids to return, 0 to 1,000; default 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = RETENTION_IDS_MAX))]
    pub limit: Option<u64>,
}

/// Number of memories to remove, by the limit they break.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleCounts {
    /// Break only the age limit.
    pub age: u64,
    /// Break only the limit on the number of memories.
    pub entries: u64,
    /// Break both limits.
    pub both: u64,
}

impl RuleCounts {
    /// Adds one memory.
    pub fn add(&mut self, age: bool, entries: bool) {
        match (age, entries) {
            (true, true) => self.both += 1,
            (true, false) => self.age += 1,
            (false, true) => self.entries += 1,
            (false, false) => {}
        }
    }
}

/// What would be removed from a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectPlan {
    /// Name of the project.
    pub project: String,
    /// Number of memories the project has.
    pub total: u64,
    /// Number of memories to remove.
    pub memories: u64,
    /// Size of their contents, bytes.
    pub bytes: u64,
    /// The memories to remove, by the limit they break.
    pub counts: RuleCounts,
}

/// Answer to `POST /v1/retention/plan`. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetentionPlan {
    /// Hash that identifies this plan, 64 hex digits.
    pub plan_hash: String,
    /// The rules in the form that was hashed.
    pub rules: RetentionRules,
    /// Time at which ages were computed. RFC 3339.
    pub as_of: Timestamp,
    /// Sequence number of the last event that the plan reflects.
    pub applied_seq: u64,
    /// Number of memories to remove.
    pub memories: u64,
    /// Whether more memories break the rules than one run removes; the plan then contains the oldest.
    pub more: bool,
    /// Size of their contents, bytes.
    pub bytes: u64,
    /// The memories to remove, by the limit they break.
    pub by_rule: RuleCounts,
    /// The projects from which memories would be removed.
    pub by_project: Vec<ProjectPlan>,
    /// When the oldest of them was accepted. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// When the newest of them was accepted. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Ids of the memories to remove: the page requested with `offset` and `limit`.
    pub ids: Vec<String>,
    /// Why the spike guard would refuse the plan unless `override_spike_guard` gives the number of memories. Empty if
    /// it would not.
    pub spikes: Vec<String>,
}

/// Body of `POST /v1/retention/apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRetention {
    /// `plan_hash` of the plan.
    pub plan_hash: String,
    /// `rules` as sent in the request for the plan.
    #[serde(deserialize_with = "super::object::maybe", default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RetentionRules>,
    /// `as_of` of the plan.
    #[serde(deserialize_with = "super::moment::exact")]
    pub as_of: Timestamp,
    /// `applied_seq` of the plan.
    pub applied_seq: u64,
    /// Overrides the spike guard: must be exactly the number of memories in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_spike_guard: Option<u64>,
    /// Reason, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: Option<String>,
    /// Actor that applies the plan; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Answer to `POST /v1/retention/apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetentionApplied {
    /// `plan_hash` of the applied plan.
    pub plan_hash: String,
    /// Number of memories removed.
    pub memories: u64,
    /// Size of their contents, bytes.
    pub bytes: u64,
    /// The event that records the run.
    pub audit: RecordedEvent,
    /// Whether the removal is complete: no place of this engine is pending.
    pub complete: bool,
    /// As in the answer to `POST /v1/forget`; empty if the memories were invalidated.
    pub places: Vec<PlaceReport>,
}
