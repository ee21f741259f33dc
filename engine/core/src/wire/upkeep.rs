//! `/upkeep` on the admin port: work that is asked for on a schedule, such as a complete verification of the log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ErrorCode, RuleCounts};

/// Maximum length of the id of a request, bytes: that of a uid, with room.
pub const UPKEEP_REQUEST_BYTES_MAX: usize = 64;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpkeepTask {
    /// Begins a new segment of the log.
    RotateLog,
    /// Reads the complete log and the complete projection back and verifies them.
    Scrub,
    /// Makes a retention plan by the configured rules. Changes nothing.
    PlanRetention,
    /// Carries out a retention plan.
    ApplyRetention,
}

/// Body of `POST /upkeep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartUpkeep {
    /// What is done.
    pub task: UpkeepTask,
    /// Id of the request: letters, digits and hyphens. The same id again does nothing again, and is answered with the
    /// run that there is.
    pub request: String,
    /// The plan, only with `apply_retention`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<ApprovedPlan>,
}

/// A plan that may be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovedPlan {
    /// `plan_hash` of the plan.
    pub plan_hash: String,
    /// `as_of` of the plan.
    pub as_of: Timestamp,
    /// `applied_seq` of the plan.
    pub applied_seq: u64,
    /// Overrides the spike guard: must be exactly the number of memories in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_spike_guard: Option<u64>,
    /// Why, for the record in the log.
    pub reason: String,
    /// Who carries it out, for the record in the log.
    pub by: String,
}

impl StartUpkeep {
    /// Whether the id of the request has its form, and there is a plan exactly where one is needed.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_id = (1..=UPKEEP_REQUEST_BYTES_MAX).contains(&self.request.len())
            && self.request.bytes().all(is_plain);
        is_id && self.plan.is_some() == (self.task == UpkeepTask::ApplyRetention)
    }
}

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpkeepState {
    /// It goes on, also when nobody waits for it.
    Running,
    /// It is finished.
    Done,
    /// It has failed.
    Failed,
}

/// The last run of a task. An engine remembers it until it stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpkeepRun {
    /// What was done.
    pub task: UpkeepTask,
    /// Id of the request.
    pub request: String,
    /// Its state.
    pub state: UpkeepState,
    /// When it began, RFC 3339.
    pub started: Timestamp,
    /// When it ended, RFC 3339; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Why it has failed: the code of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// Why it has failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it has found or done; absent unless it is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<UpkeepResult>,
}

/// Result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpkeepResult {
    /// The segment that is being written now.
    Rotated {
        /// Its number.
        segment: u64,
        /// Number of the first event in it.
        first_seq: u64,
    },
    /// The log and the projection verify.
    Verified {
        /// Number of events in the log.
        events: u64,
        /// Last event that the projection has applied.
        applied_seq: u64,
    },
    /// A retention plan.
    Planned(RetentionSummary),
    /// A retention plan was carried out.
    Applied {
        /// Hash of the plan.
        plan_hash: String,
        /// Number of memories that were removed.
        memories: u64,
        /// The event that records it.
        seq: u64,
    },
}

/// A retention plan without its memories. Its size does not depend on how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionSummary {
    /// Hash that identifies the plan, 64 hex digits.
    pub plan_hash: String,
    /// Time at which ages were computed. RFC 3339.
    pub as_of: Timestamp,
    /// Sequence number of the last event that the plan reflects.
    pub applied_seq: u64,
    /// Number of memories to remove.
    pub memories: u64,
    /// Number of memories in all projects that have a rule.
    pub total: u64,
    /// Whether more memories break the rules than one run removes.
    pub more: bool,
    /// Size of the contents of the memories to remove, bytes.
    pub bytes: u64,
    /// The memories to remove, by the limit they break.
    pub by_rule: RuleCounts,
    /// When the oldest of them was accepted. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// When the newest of them was accepted. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Why the spike guard would refuse the plan, at most four reasons. Empty if it would not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spikes: Vec<String>,
}

/// Maximum number of reasons of the spike guard in a summary. There may be one for each project.
pub const SUMMARY_SPIKES_MAX: usize = 4;

/// Answer to `GET /upkeep`: the last run of each task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpkeepRuns {
    /// The runs.
    pub runs: Vec<UpkeepRun>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_an_id_and_a_plan_only_where_one_is_needed() {
        let plan = ApprovedPlan {
            plan_hash: "0".repeat(64),
            as_of: Timestamp::UNIX_EPOCH,
            applied_seq: 1,
            override_spike_guard: None,
            reason: "a test".to_owned(),
            by: "a tester".to_owned(),
        };
        let start = |task, request: &str, plan| StartUpkeep { task, request: request.to_owned(), plan };
        assert!(start(UpkeepTask::Scrub, "job-1", None).is_valid());
        assert!(start(UpkeepTask::ApplyRetention, "job-1", Some(plan.clone())).is_valid());
        assert!(!start(UpkeepTask::ApplyRetention, "job-1", None).is_valid());
        assert!(!start(UpkeepTask::Scrub, "job-1", Some(plan)).is_valid());
        for bad in ["", "a b", "a/b", "ä", "a\n", &"a".repeat(65)] {
            assert!(!start(UpkeepTask::Scrub, bad, None).is_valid(), "{bad:?}");
        }
    }
}
