//! How a new revision is introduced, and how far it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::patterns::DNS_LABEL;

/// Longest step, seconds: 30 days.
pub const STEP_SECONDS_MAX: i32 = 2_592_000;
/// Maximum number of steps in which the canary answers.
pub const CANARY_STEPS_MAX: usize = 8;
/// Time between two pairs, milliseconds: shortest, default, longest.
pub const PAIR_INTERVAL_MILLIS: [i32; 3] = [50, 1_000, 60_000];
/// Recorded questions of a rehearsal: fewest, default, most.
pub const REHEARSAL_QUESTIONS: [i32; 3] = [1, 1_000, 10_000];
/// Age of the recorded questions of a rehearsal, seconds: shortest, default, longest.
pub const REHEARSAL_SECONDS: [i32; 3] = [60, 2_592_000, 2_678_400];
/// Maximum number of gates: one for each metric.
pub const GATES_MAX: usize = 13;
/// Maximum number of decisions in the status.
pub const DECISIONS_MAX: usize = 8;
/// Maximum number of fields of the operator's own record.
const STATE_FIELDS_MAX: usize = 16;
/// Longest text in the status, characters.
const TEXT_MAX: usize = 512;

/// How a new revision is introduced: the image, `embedding`, `rerank` and `policy`. A pod of the new revision, the
/// canary, follows the log and is asked what the present revision answers. Each pair of answers is compared, and a gate
/// that fails ends the rollout by itself. Other changes of the spec take effect at once.
///
/// A rollout that is enabled together with a new revision takes this revision as the present one: enable it first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// How long the canary follows the log without reads, seconds, 0 to 2,592,000. Defaults to 172,800 (48 hours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = STEP_SECONDS_MAX))]
    pub dark_launch_seconds: Option<i32>,

    /// How long the canary is asked what the present revision has answered, seconds, 0 to 2,592,000. Defaults to
    /// 259,200 (72 hours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = STEP_SECONDS_MAX))]
    pub shadow_seconds: Option<i32>,

    /// Steps in which the canary answers a share of the sessions, in order. Defaults to one step: 10 percent for
    /// 345,600 seconds (4 days). An empty list leaves these steps out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = CANARY_STEPS_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub canary: Option<Vec<RolloutStep>>,

    /// How long the new revision is watched after everything runs it, seconds, 0 to 2,592,000. Defaults to 86,400 (24
    /// hours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = STEP_SECONDS_MAX))]
    pub soaking_seconds: Option<i32>,

    /// How long the canary may be not ready, without a break, before the revision is rolled back, and how long each pod
    /// may take in the promotion, seconds, 30 to 86,400. A canary builds its projection from the complete log before it
    /// is ready. Defaults to 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30, max = 86_400))]
    pub ready_deadline_seconds: Option<i32>,

    /// The gates in force. Defaults to all of them. With fewer of them less harm is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = GATES_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub gates: Option<Vec<RolloutGate>>,

    /// Drills of the canary before each step, as Jobs. Without this section there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drills: Option<RolloutDrills>,

    /// Recorded questions of clients that the canary is asked before it meets a caller. Without this section no
    /// question is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<RolloutRehearsal>,

    /// Shortest time between two pairs, milliseconds, 50 to 60,000. Defaults to 1,000. With a shorter time a step needs
    /// less of it, but a short outage of a good revision counts more often and can roll it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = PAIR_INTERVAL_MILLIS[0], max = PAIR_INTERVAL_MILLIS[2]))]
    pub pair_interval_millis: Option<i32>,
}

/// Drills of the canary: a Job uses it as clients do, lets its calls of the embedding service fail, and asserts that it
/// does what an engine has to do. What a drill saves is in a project of its own, and is forgotten at its end. A step
/// ends when its drills have passed. A step whose drills fail begins anew; after three failures somebody has to decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutDrills {
    /// Name of the key in `spec.access.keys` with which the drills ask. It needs the scopes `Read` and `Write` and the
    /// projects `["*"]`, and its Secret needs the key itself, not its hash. Needed if requests without a key are
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub access_key: Option<String>,
}

/// A rehearsal: the engine keeps the distinct searches of clients on its volume, with the policy applied and
/// with the time of each. While the phase is `Shadow`, both revisions are asked them again, each about what was known
/// at its own time, and the answers count as those to clients. A question is removed when it is too old, when its
/// project has no memories any more, and when this section is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutRehearsal {
    /// How long a question is kept after it was asked last, and so how old those that are asked again can be, seconds,
    /// 60 to 2,678,400. Defaults to 2,592,000 (30 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = REHEARSAL_SECONDS[0], max = REHEARSAL_SECONDS[2]))]
    pub since_seconds: Option<i32>,

    /// How many questions each pod keeps and asks again, the newest, 1 to 10,000. Defaults to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = REHEARSAL_QUESTIONS[0], max = REHEARSAL_QUESTIONS[2]))]
    pub questions: Option<i32>,
}

/// A step in which the canary answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStep {
    /// Share of the sessions that the canary answers, percent, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// How long, seconds, 0 to 2,592,000.
    #[schemars(range(min = 0, max = STEP_SECONDS_MAX))]
    pub seconds: i32,
}

/// What is compared between the canary and the present revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RolloutGate {
    /// Reads that end with an error.
    Error,
    /// Reads that do not end in time.
    Timeout,
    /// Reads that were answered by a fallback.
    Fallback,
    /// Answers that say that they are degraded.
    Degraded,
    /// Answers slower than half of those of the present revision.
    AboveMedian,
    /// Answers slower than 95 in 100 of those of the present revision.
    AboveP95,
    /// Answers that take longer than 250 ms.
    OverLimit,
    /// Known answers that are not among the first five.
    KnownItemMissed,
    /// Answers with fewer than 8 of the same first 10 results. It holds and never fails.
    Disagreement,
    /// Another content of the projection at the same event.
    Digest,
    /// A broken chain of the log.
    Chain,
    /// A guard that turns reads off.
    Downgrade,
    /// A canary that becomes ready and not ready, more than three times.
    Readiness,
}

/// A step of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPhase {
    /// The state is missing, or cannot be: nothing moves until somebody says `abort` or `retry`.
    #[default]
    Unknown,
    /// Everything runs the stable revision.
    Stable,
    /// The canary follows the log without reads.
    DarkLaunch,
    /// The canary is asked what the stable revision has answered.
    Shadow,
    /// The canary answers a share of the sessions.
    Canary,
    /// The readers and then the writer take the new revision.
    Promoting,
    /// Everything runs the new revision and is watched.
    Soaking,
    /// The new revision failed, and everything runs the stable one.
    RolledBack,
}

/// How far the rollout of a revision is. Absent without `spec.rollout`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The step.
    pub phase: RolloutPhase,

    /// The revision that the spec asks for.
    #[schemars(length(max = 64))]
    pub wanted_revision: String,

    /// The revision that is trusted. Empty if it is not known.
    #[schemars(length(max = 64))]
    pub stable_revision: String,

    /// The revision that is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub canary_revision: Option<String>,

    /// The share of the sessions that the canary may answer, percent.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,

    /// What is waited for.
    #[schemars(length(max = TEXT_MAX))]
    pub message: String,

    /// The gates of the revision that is judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = GATES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["gate"])
    )]
    pub gates: Vec<RolloutGateStatus>,

    /// The last decisions, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = DECISIONS_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub decisions: Vec<RolloutDecision>,

    /// The operator's own record, from which it goes on. Not for other programs: it changes between versions.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "any_object")]
    pub state: Value,
}

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutGateStatus {
    /// What is compared.
    pub gate: RolloutGate,

    /// `Pass`, `Hold` (not known yet), `Fail`, or why there is no data: `TooFew`, `Stale`, `StableBad`, `Excluded`,
    /// `ControlDiffers`.
    #[schemars(length(max = 32))]
    pub verdict: String,

    /// Pairs in which only the canary was bad, since the revision is judged.
    #[schemars(range(min = 0))]
    pub canary_only: i64,

    /// Pairs in which only the stable revision was bad, since the revision is judged.
    #[schemars(range(min = 0))]
    pub stable_only: i64,

    /// All pairs since the revision is judged.
    #[schemars(range(min = 0))]
    pub pairs: i64,

    /// Pairs of this step.
    #[schemars(range(min = 0))]
    pub step_pairs: i64,

    /// Pairs that are missing for `Pass`, if they go on like this. Absent if it would not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub missing_pairs: Option<i64>,

    /// How long these take, seconds. Absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub eta_seconds: Option<i64>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutDecision {
    /// When, RFC 3339.
    #[schemars(length(max = 64))]
    pub at: String,

    /// The revision it is about.
    #[schemars(length(max = 64))]
    pub revision: String,

    /// The step before.
    pub from: RolloutPhase,

    /// The step after.
    pub to: RolloutPhase,

    /// Why, with the evidence.
    #[schemars(length(max = TEXT_MAX))]
    pub because: String,
}

/// A schema for an object of any content.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "maxProperties": STATE_FIELDS_MAX, "x-kubernetes-preserve-unknown-fields": true})
}
