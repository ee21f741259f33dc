//! Plans the drills of a canary, and what the pods that answer are granted.

use super::{Call, Plan, Step, Write, draft::plan_child, draft::plan_removal_of};
use crate::{build, children::drill_keys, observed::Observed, validate::Valid};

/// Plans the objects of drills, and a Job if one is next. After everything else, because a cluster that refuses these
/// objects must not hold back a change of the engine.
pub(super) fn plan_drills(observed: &Observed, valid: &Valid, plan: &mut Plan) {
    if observed.rollout.as_ref().is_none_or(|view| view.unread.is_some()) {
        return;
    }
    let objects = build::drills(valid);
    if objects.is_empty() {
        for key in drill_keys(&valid.name) {
            plan_removal_of(observed, key, plan);
        }
        return;
    }
    for (key, object) in &objects {
        plan_child(observed, key, object, plan);
    }
    let next = valid.rolled.as_ref().and_then(|rolled| rolled.drill.clone());
    if let Some((key, object)) =
        next.and_then(|key| Some((key.clone(), build::drill_run(valid, key.name.clone())?)))
    {
        plan.steps.push(Step::Write(Write::Create { key, object }));
    }
}

/// Plans what the pods that answer are told. It does not depend on any write.
pub(super) fn plan_grants(valid: &Valid, plan: &mut Plan) {
    let grants = valid.rolled.iter().flat_map(|rolled| rolled.grants.clone());
    plan.steps.extend(grants.map(|grant| Step::Call(Call::GrantCanary(grant))));
}
