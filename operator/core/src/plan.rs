//! What to do, as data: an ordered list of steps that can be printed, compared, and interrupted after any step.

mod anchor;
mod progress;
mod step;

use engine_core::wire::GivenAnchor;
use kube_core::DynamicObject;
use serde_json::Value;

pub use progress::{Answer, Failure, NamespaceEnding, Progress, Written, acknowledge_anchor};
pub use step::{Call, Expectation, Request, Step, Write};

use crate::{
    anchor::expected::ExpectedHistory,
    applied::{drift, is_repair},
    build,
    children::CHILDREN,
    names::ChildKey,
    observed::Observed,
    ownership::{is_ours, owners_to_keep},
    storage::{self, ClaimDecision, ClaimHold},
    validate::Valid,
};

/// The steps of one reconcile, in order, and what it leaves unchanged on purpose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps: first the writes, then the calls to the engine, which do not depend on the writes.
    pub steps: Vec<Step>,
    /// Objects of others with names that this engine needs.
    pub conflicts: Vec<ChildKey>,
    /// Why the claim is left unchanged.
    pub claim_hold: Option<ClaimHold>,
}

impl Plan {
    /// The writes among the steps.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.steps.iter().filter_map(Step::write)
    }

    /// The anchor to push to the running engine, if any.
    #[must_use]
    pub fn pushed_anchor(&self) -> Option<&GivenAnchor> {
        self.steps.iter().find_map(|step| match step {
            Step::Call(Call::PushAnchor(given)) => Some(given),
            Step::Write(_) => None,
        })
    }

    /// Whether the plan changes the engine. Recording a newer anchor does not count.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.writes().any(|write| !matches!(write, Write::Record { .. }))
    }

    fn write(&mut self, write: Write) {
        self.steps.push(Step::Write(write));
    }
}

/// Result of carrying out a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects whose writes the API server accepted.
    pub written: Vec<ChildKey>,
    /// Whether a write changed an object. Recording a newer anchor does not count.
    pub changed: bool,
    /// The problem that ended it.
    pub problem: Option<Problem>,
}

impl Done {
    /// Whether an object is as the plan wants it.
    #[must_use]
    pub fn is_as_planned(&self, plan: &Plan, key: &ChildKey) -> bool {
        self.written.contains(key) || plan.writes().all(|write| write.key() != key)
    }
}

/// Why a plan was not carried out completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The API server refuses the object permanently.
    Refused {
        /// The object.
        key: ChildKey,
        /// The API server's message.
        why: String,
    },
    /// Someone reverts the object each time it is repaired.
    Contested {
        /// The object.
        key: ChildKey,
        /// The field that differs.
        field: String,
    },
    /// The write failed this time.
    Failed {
        /// The object.
        key: ChildKey,
        /// Description of the failure.
        why: String,
    },
}

impl Problem {
    /// The object with the problem.
    #[must_use]
    pub fn key(&self) -> &ChildKey {
        match self {
            Self::Refused { key, .. } | Self::Contested { key, .. } | Self::Failed { key, .. } => key,
        }
    }

    /// A stable label value for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Contested { .. } => "contested",
            Self::Failed { .. } => "apply",
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { key, why } => write!(f, "the API server refuses {key}: {why}"),
            Self::Contested { key, field } => write!(
                f,
                "{key} is changed repeatedly by someone else, last in {field}: find the field manager with \
                 `kubectl get -o yaml --show-managed-fields`"
            ),
            Self::Failed { key, why } => write!(f, "{key} could not be written: {why}. The operator retries"),
        }
    }
}

/// Decides what to do. Planning again after the plan was carried out returns an empty plan.
#[must_use]
pub fn plan(observed: &Observed, valid: &Valid, expected: &ExpectedHistory) -> Plan {
    let mut plan = Plan::default();
    if observed.engine.metadata.deletion_timestamp.is_some() {
        // Garbage collection deletes the children, and would delete anything created now.
        return plan;
    }
    let claim = CHILDREN.claim.key(&valid.name);
    if observed.unread.contains_key(&claim) {
        // The claim may record the history that the log must extend: nothing may be decided without it.
        return plan;
    }
    plan_claim(observed, valid, expected, &mut plan);
    anchor::plan_config_map(observed, valid, expected, &mut plan);
    for (key, object) in CHILDREN.wanted(valid) {
        plan_child(observed, &key, &object, &mut plan);
    }
    for key in CHILDREN.unwanted(valid) {
        plan_removal(observed, key, &mut plan);
    }
    hold_creations(observed, &mut plan);
    plan.steps
        .extend(anchor::push_anchor(observed, expected).map(|given| Step::Call(Call::PushAnchor(given))));
    plan
}

/// Nothing new is created while the engine cannot have its volume or one of its names, or while this is unknown: an
/// engine is created completely or not at all.
fn hold_creations(observed: &Observed, plan: &mut Plan) {
    let lost = matches!(plan.claim_hold, Some(ClaimHold::VolumeLost { .. }));
    if lost || !plan.conflicts.is_empty() || !observed.unread.is_empty() {
        plan.steps.retain(|step| !matches!(step, Step::Write(Write::Create { .. })));
    }
}

fn plan_claim(observed: &Observed, valid: &Valid, expected: &ExpectedHistory, plan: &mut Plan) {
    let key = CHILDREN.claim.key(&valid.name);
    match storage::decide(observed, valid) {
        ClaimDecision::Hold(hold) => plan.claim_hold = Some(hold),
        ClaimDecision::Want(size) => {
            let object = |note: Option<&str>| {
                let mut object = build::value(&build::claim(valid, &size, note));
                if let (Some(live), Some(spec)) =
                    (observed.children.get(&key), object["spec"].as_object_mut())
                {
                    keep_immutable(live, spec);
                }
                object
            };
            anchor::plan_claim(observed, &key, object, expected, plan);
        }
    }
}

/// Keeps the class and access mode of an existing claim, which are immutable. For an adopted claim, applying other
/// values would always be refused.
fn keep_immutable(live: &DynamicObject, spec: &mut serde_json::Map<String, Value>) {
    for field in ["storageClassName", "accessModes"] {
        match live.data.pointer(&format!("/spec/{field}")) {
            Some(value) if spec.contains_key(field) => {
                spec.insert(field.to_owned(), value.clone());
            }
            Some(_) => {}
            None => {
                spec.remove(field);
            }
        }
    }
}

fn plan_child(observed: &Observed, key: &ChildKey, object: &Value, plan: &mut Plan) {
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

fn plan_release(observed: &Observed, key: &ChildKey, live: &DynamicObject, plan: &mut Plan) {
    if let (Some(owners), Some((uid, resource_version))) = (owners_to_keep(observed, key, live), state(live))
    {
        plan.write(Write::Release { key: key.clone(), uid, resource_version, owners });
    }
}

/// The uid and the resourceVersion: exactly this object in the observed state.
fn state(live: &DynamicObject) -> Option<(String, String)> {
    Some((live.metadata.uid.clone()?, live.metadata.resource_version.clone()?))
}

fn plan_removal(observed: &Observed, key: ChildKey, plan: &mut Plan) {
    let Some(live) = observed.children.get(&key) else { return };
    if let (true, None, Some((uid, resource_version))) =
        (is_ours(observed, &key, live), &live.metadata.deletion_timestamp, state(live))
    {
        plan.write(Write::Delete { key, uid, resource_version });
    }
}
