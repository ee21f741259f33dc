//! Operations that forget memories and apply retention rules.

use engine_core::wire::{
    ApplyRetention, ErrorCode, ForgetAnswer, ForgetMemories, PlanRetention, RetentionApplied, RetentionPlan,
};
use serde_json::{Value, json};

use super::super::operation::{ANY, BODY, CHECKED, Operation, READ, REMEMBERS, WRITE};
use super::parameters::{KEY, again, body, ok, written};

/// Listed in the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/v1/forget",
        id: "forgetMemories",
        tag: "forgetting",
        summary: "Forget memories",
        description: "Removes memories for good from every place they are in, with their invalidations and feedback. With `dry_run`, only reports what would be removed, which is a read. Takes either `ids`, or at least one of `project`, `session` and `source`.",
        parameters: &[KEY],
        body: body::<ForgetMemories>(forget),
        answers: &[ok::<ForgetAnswer>("What was forgotten, and the result of the check of each place")],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ, REMEMBERS, &[ErrorCode::EntryNotFound]],
    },
    Operation {
        method: "post",
        path: "/v1/retention/plan",
        id: "planRetention",
        tag: "forgetting",
        summary: "Plan retention",
        description: "Reports what the rules would remove; changes nothing.",
        parameters: &[],
        body: body::<PlanRetention>(plan),
        answers: &[ok::<RetentionPlan>("The plan, with the hash that identifies it")],
        refused_by: &[ANY, CHECKED, BODY, READ, REMEMBERS],
    },
    Operation {
        method: "post",
        path: "/v1/retention/apply",
        id: "applyRetention",
        tag: "forgetting",
        summary: "Carry out a retention plan",
        description: "Does exactly what the plan with this hash contains, or nothing.",
        parameters: &[KEY],
        body: body::<ApplyRetention>(apply),
        answers: &[written::<RetentionApplied>("Carried out"), again::<RetentionApplied>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ, &[ErrorCode::PlanChanged, ErrorCode::SpikeGuard]],
    },
];

fn forget() -> Value {
    json!({ "project": "kitchen", "reason": "the kitchen was sold", "dry_run": true })
}

fn plan() -> Value {
    json!({ "rules": { "max_age_days": 365 }, "limit": 10 })
}

fn apply() -> Value {
    json!({
        "plan_hash": "0000000000000000000000000000000000000000000000000000000000000000",
        "rules": { "max_age_days": 365 }, "as_of": "2026-01-31T12:00:00Z", "applied_seq": 1,
    })
}
