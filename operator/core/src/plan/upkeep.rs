//! Plans upkeep: the objects of the Jobs, and the calls that the engine carries out.

use super::{
    Call, Plan, Step,
    draft::{plan_child, plan_removal_of},
};
use crate::{
    build,
    children::upkeep_keys,
    observed::Observed,
    upkeep::{SCHEDULED, answered, to_apply, to_start},
    validate::Valid,
};

/// Plans the objects and the calls. After everything else, because a cluster that refuses these objects must not hold
/// back a change of the engine.
pub(super) fn plan_upkeep(observed: &Observed, valid: &Valid, plan: &mut Plan) {
    if observed.upkeep.as_ref().is_none_or(|view| view.unread.is_some()) {
        return;
    }
    let mut calls = Vec::new();
    for row in &SCHEDULED {
        let Some(wanted) = valid.upkeep.iter().find(|wanted| wanted.task == row.task) else {
            for key in upkeep_keys(&valid.name, row.word) {
                plan_removal_of(observed, key, plan);
            }
            continue;
        };
        for (key, object) in build::upkeep(valid, wanted, answered(observed, row).as_ref()) {
            plan_child(observed, &key, &object, plan);
        }
        calls.extend(to_start(observed, row));
    }
    calls.extend(valid.essentials.retention.as_ref().and_then(|terms| to_apply(observed, terms)));
    plan.steps.extend(calls.into_iter().map(|start| Step::Call(Call::Upkeep(start))));
}
