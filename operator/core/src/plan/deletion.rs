//! Plans what happens before an engine is deleted, if its spec asks for a last backup.

use engine_core::wire::TakeBackup;

use super::{Call, Plan, Step, Write, backup::records};
use crate::{
    backup::log_id,
    build,
    children::CHILDREN,
    deletion::{self, Farewell},
    names::final_verification,
    observed::Observed,
    ownership::is_ours,
    validate::{Essentials, Valid},
};

/// Plans whether the resource waits for us before it goes.
pub(super) fn plan_hold(observed: &Observed, essentials: &Essentials, plan: &mut Plan) {
    plan.steps.extend(deletion::wanted_hold(&observed.engine, essentials).map(Step::Hold));
}

/// Plans the next step of a deletion. `valid` is `None` if the spec cannot be carried out.
pub(super) fn plan_deletion(
    observed: &Observed,
    essentials: &Essentials,
    valid: Option<&Valid>,
    plan: &mut Plan,
) {
    let Some(farewell) = deletion::decide(observed, essentials, valid.is_some()) else { return };
    if let Some((valid, view)) = valid.zip(observed.backup.as_ref()) {
        plan.steps.extend(records(observed, valid, view).into_iter().map(Step::Record));
    }
    match (farewell, valid) {
        (Farewell::TakeBackup(request), _) => {
            // Nothing is removed from the archive now: what is there may be all that is left soon.
            let wanted = TakeBackup { request: Some(request), keep: None };
            plan.steps.push(Step::Call(Call::TakeBackup(wanted)));
        }
        (Farewell::Verify(backup), Some(valid)) => {
            let key = final_verification(&valid.name, &backup);
            let object = build::final_verification(valid, log_id(observed).as_deref(), &backup);
            plan.steps.extend(object.map(|object| Step::Write(Write::Create { key, object })));
        }
        (Farewell::DeleteClaim, _) => plan_claim(observed, plan),
        (Farewell::Release, _) => plan.steps.push(Step::Hold(false)),
        (Farewell::Verify(_) | Farewell::Wait | Farewell::Say(_), _) => {}
    }
}

fn plan_claim(observed: &Observed, plan: &mut Plan) {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let key = CHILDREN.claim.key(name);
    let Some(live) = observed.children.get(&key).filter(|live| is_ours(observed, &key, live)) else { return };
    let (Some(uid), Some(resource_version)) =
        (live.metadata.uid.clone(), live.metadata.resource_version.clone())
    else {
        return;
    };
    plan.steps.push(Step::Write(Write::Delete { key, uid, resource_version }));
}
