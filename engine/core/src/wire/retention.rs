//! `/v1/retention`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::NAME_PATTERN;
use super::{PlaceReport, RecordedEvent};
use crate::limits::{
    NAME_CHARS_MAX, REASON_CHARS_MAX, RETENTION_AGE_DAYS_MAX, RETENTION_ENTRIES_MAX, RETENTION_IDS_MAX,
    RETENTION_OVERRIDES_MAX,
};

/// Which memories may stay. What breaks either rule goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionRules {
    /// Memories accepted longer ago than this go; 1 to 36,500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_AGE_DAYS_MAX))]
    pub max_age_days: Option<u32>,
    /// The newest so many of each project stay; 1 to 1,000,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_ENTRIES_MAX))]
    pub max_entries_per_project: Option<u64>,
    /// Projects with rules of their own, which take the place of both above; at most 1,000.
    #[serde(
        deserialize_with = "super::object::each_or_none",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(length(max = RETENTION_OVERRIDES_MAX))]
    pub projects: Vec<ProjectRules>,
    /// What happens to what goes.
    #[serde(deserialize_with = "super::object::or_default", default)]
    pub action: RetentionAction,
}

/// Rules of one project; one without any keeps everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectRules {
    /// Its name.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: String,
    /// As above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_AGE_DAYS_MAX))]
    pub max_age_days: Option<u32>,
    /// As above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RETENTION_ENTRIES_MAX))]
    pub max_entries: Option<u64>,
}

/// What happens to what goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetentionAction {
    /// It is forgotten for good.
    #[default]
    Forget,
    /// It is true no longer and stays readable as the past.
    Invalidate,
}

/// Body of `POST /v1/retention/plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRetention {
    /// Default: those of the engine's configuration.
    #[serde(deserialize_with = "super::object::maybe", default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RetentionRules>,
    /// Ages are counted at this moment; default now. May not lie ahead.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// First of the ids that the answer names, in the order of the log; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How many ids it names, at most 1,000, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = RETENTION_IDS_MAX))]
    pub limit: Option<u64>,
}

/// How many memories go by which rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleCounts {
    /// By age alone.
    pub age: u64,
    /// By the number of entries alone.
    pub entries: u64,
    /// By both.
    pub both: u64,
}

impl RuleCounts {
    /// Counts one.
    pub fn add(&mut self, age: bool, entries: bool) {
        match (age, entries) {
            (true, true) => self.both += 1,
            (true, false) => self.age += 1,
            (false, true) => self.entries += 1,
            (false, false) => {}
        }
    }
}

/// What a project loses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectPlan {
    /// Its name.
    pub project: String,
    /// All its memories.
    pub total: u64,
    /// Those that go.
    pub memories: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// By rule.
    pub counts: RuleCounts,
}

/// Answer to `POST /v1/retention/plan`: nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetentionPlan {
    /// Names this plan: 64 hex digits.
    pub plan_hash: String,
    /// The rules in the form that was hashed.
    pub rules: RetentionRules,
    /// The moment ages were counted at.
    pub as_of: Timestamp,
    /// The state of the log it was made for.
    pub applied_seq: u64,
    /// Memories that go.
    pub memories: u64,
    /// There are more than one run removes: these are the oldest.
    pub more: bool,
    /// Bytes of their contents.
    pub bytes: u64,
    /// By rule.
    pub by_rule: RuleCounts,
    /// By project, those that lose something.
    pub by_project: Vec<ProjectPlan>,
    /// When the oldest of them was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// When the newest of them was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Ids, as many as were asked for.
    pub ids: Vec<String>,
    /// Why it is refused unless `override_spike_guard` names the number of memories.
    pub spikes: Vec<String>,
}

/// Body of `POST /v1/retention/apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRetention {
    /// Of the plan.
    pub plan_hash: String,
    /// As in the request for the plan.
    #[serde(deserialize_with = "super::object::maybe", default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RetentionRules>,
    /// As in the plan.
    #[serde(deserialize_with = "super::moment::exact")]
    pub as_of: Timestamp,
    /// As in the plan.
    pub applied_seq: u64,
    /// Goes past the guard: the number of memories, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_spike_guard: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub reason: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Answer to `POST /v1/retention/apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetentionApplied {
    /// Of the plan that was carried out.
    pub plan_hash: String,
    /// Memories that went.
    pub memories: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// The event that says so.
    pub audit: RecordedEvent,
    /// Nothing is pending.
    pub complete: bool,
    /// As in the answer to `POST /v1/forget`; empty when memories were invalidated.
    pub places: Vec<PlaceReport>,
}
