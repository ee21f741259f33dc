//! The plan, and the functions that add the write of a child to it.

use engine_core::wire::GivenAnchor;
use kube_core::DynamicObject;
use serde_json::Value;

use super::step::{Call, Step, Write};
use crate::{
    applied_drift::{drift, is_repair},
    names::ChildKey,
    observed::Observed,
    ownership::{is_ours, owners_to_keep},
    storage::ClaimHold,
    update::{Held, Update},
};

/// The ordered steps of one reconcile, and what the reconcile leaves unchanged on purpose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps: first the writes, then the calls to the engine, which do not depend on the writes.
    pub steps: Vec<Step>,
    /// Objects of someone else that have names which this engine needs.
    pub conflicts: Vec<ChildKey>,
    /// Why the claim is left unchanged; `None` if it is not.
    pub claim_hold: Option<ClaimHold>,
    /// Whether a change of the pod or of its configuration waits for a Secret that cannot be used.
    pub secrets_hold: bool,
    /// Whether such a change waits for a given certificate.
    pub certificate_hold: bool,
    /// What is done about a change of the pod; `None` if there is none.
    pub update: Option<Update>,
    /// What would be changed if the spec did not suspend the engine; `None` if it does not.
    pub suspended: Option<Vec<String>>,
}

impl Plan {
    /// The update that waits, if any.
    #[must_use]
    pub fn held_update(&self) -> Option<&Held> {
        match &self.update {
            Some(Update::Held(held)) => Some(held),
            Some(Update::Applied { .. }) | None => None,
        }
    }

    /// Whether the engine is told its mode.
    #[must_use]
    pub fn tells_mode(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Call(Call::PushMode(_))))
    }

    /// The writes among the steps.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.steps.iter().filter_map(Step::write)
    }

    /// The anchor to push to the running engine, if any.
    #[must_use]
    pub fn pushed_anchor(&self) -> Option<&GivenAnchor> {
        self.steps.iter().find_map(|step| match step {
            Step::Call(Call::PushAnchor(given)) => Some(given),
            Step::Write(_)
            | Step::Issue(_)
            | Step::Deliver(_)
            | Step::Publish(_)
            | Step::Remember(_)
            | Step::Record(_)
            | Step::Hold(_)
            | Step::Copy(_)
            | Step::Rotate(_)
            | Step::Call(
                Call::PushMode(_)
                | Call::PushHold(_)
                | Call::TakeBackup(_)
                | Call::Upkeep(_)
                | Call::DeliverTicket(_)
                | Call::GrantCanary(_),
            ) => None,
        })
    }

    /// Whether the plan changes an object. Recording a newer anchor does not count.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        let is_issuing = self.steps.iter().any(|step| matches!(step, Step::Issue(_) | Step::Copy(_)));
        is_issuing || self.writes().any(|write| !matches!(write, Write::Record { .. }))
    }

    pub(super) fn write(&mut self, write: Write) {
        self.steps.push(Step::Write(write));
    }
}

pub(crate) fn plan_child(observed: &Observed, key: &ChildKey, object: &Value, plan: &mut Plan) {
    if observed.unread.contains_key(key) {
        return;
    }
    let Some(live) = observed.children.get(key) else {
        plan.write(Write::Create { key: key.clone(), object: object.clone() });
        return;
    };
    if !is_ours(observed, key, live) {
        plan.conflicts.push(key.clone());
        return;
    }
    if live.metadata.deletion_timestamp.is_some() {
        return;
    }
    plan_release(observed, key, live, plan);
    if let Some(because) = drift(observed, key, object, live) {
        let (repair, key, object) = (is_repair(observed, key, object, live), key.clone(), object.clone());
        plan.write(match repair {
            true => Write::Repair { key, object, because },
            false => Write::Update { key, object, because },
        });
    }
}

pub(super) fn plan_release(observed: &Observed, key: &ChildKey, live: &DynamicObject, plan: &mut Plan) {
    if let (Some(owners), Some((uid, resource_version))) = (owners_to_keep(observed, key, live), state(live))
    {
        plan.write(Write::Release { key: key.clone(), uid, resource_version, owners });
    }
}

/// The uid and the resourceVersion of an object: as a precondition, they stand for exactly this object in exactly this
/// state.
pub(super) fn state(live: &DynamicObject) -> Option<(String, String)> {
    Some((live.metadata.uid.clone()?, live.metadata.resource_version.clone()?))
}

/// Plans the removal of ports that somebody else has added to a Service of this engine.
pub(crate) fn plan_pruning(observed: &Observed, key: &ChildKey, object: &Value, plan: &mut Plan) {
    let Some(live) = observed.children.get(key) else { return };
    if !is_ours(observed, key, live) || live.metadata.deletion_timestamp.is_some() {
        return;
    }
    let ports = |object: Option<&Value>| object.and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted = ports(object.pointer("/spec/ports"));
    let found = ports(live.data.pointer("/spec/ports"));
    // By these keys the API server tells ports apart. The rest of a port, such as that of the nodes, is kept.
    let is_wanted = |port: &Value| {
        wanted.iter().any(|one| one["port"] == port["port"] && one["protocol"] == port["protocol"])
    };
    let kept: Vec<Value> = found.iter().filter(|port| is_wanted(port)).cloned().collect();
    if let (true, false, Some((uid, resource_version))) =
        (kept.len() < found.len(), kept.is_empty(), state(live))
    {
        plan.write(Write::Prune { key: key.clone(), uid, resource_version, ports: kept });
    }
}

/// Plans the deletion of an object that is no longer wanted.
pub(crate) fn plan_removal_of(observed: &Observed, key: ChildKey, plan: &mut Plan) {
    let Some(live) = observed.children.get(&key) else { return };
    if let (true, None, Some((uid, resource_version))) =
        (is_ours(observed, &key, live), &live.metadata.deletion_timestamp, state(live))
    {
        plan.write(Write::Delete { key, uid, resource_version });
    }
}
