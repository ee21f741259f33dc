//! How long memories are kept, for whoever asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules for whoever asks the engine for a retention plan without naming any. Nothing is removed by itself: somebody asks for
/// a plan, looks at it, and has exactly that plan carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Days after which a memory is too old, from when the engine accepted it, 1 to 36,500 (a hundred years), for example
    /// `365`. Left out, no memory is too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub max_age_days: Option<i32>,

    /// Memories of each project that stay, the newest ones, 1 to 1,000,000,000, for example `10000`. Left out, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_entries_per_project: Option<i32>,

    /// Percent of any project's memories that a plan may remove without being told how many they are, 1 to 100. Left out,
    /// the engine's default of 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub spike_guard_percent: Option<i32>,
}
