//! Default rules for retention plans.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Default rules for retention plans, used when a request for a plan does not set any. Nothing is removed
/// automatically: a client requests a plan, reviews it, and runs exactly that plan.
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
}
