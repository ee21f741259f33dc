//! Decides what to do. The result is data: an ordered list of steps that can be printed and compared. It can be
//! interrupted after any step, and the next reconcile plans the rest.

mod anchor;
mod backup;
pub(crate) mod certificates;
mod deletion;
mod draft;
mod given;
mod problem;
mod progress;
mod restarts;
mod rollout;
mod rotation;
mod secrets;
mod step;
mod upkeep;

use kube_core::DynamicObject;
use serde_json::Value;

pub use draft::Plan;
pub use problem::Problem;
pub use progress::{Answer, Failure, NamespaceEnding, Progress, Written, acknowledge_anchor};
pub use step::{
    Call, Copy, Deliver, Expectation, Issue, Publish, Remember, Request, Rotate, Step, Ticket, Write,
};

pub(crate) use draft::{plan_child, plan_pruning, plan_removal_of};

use crate::{
    anchor::expected::ExpectedHistory,
    build,
    children::CHILDREN,
    deletion::is_held,
    hibernation, mode,
    names::{ChildKey, ChildKind},
    observed::Observed,
    storage::{self, ClaimDecision, ClaimHold},
    validate::{Essentials, Valid},
};

/// Kinds whose wanted objects need the Secrets: the ConfigMap names their directories, and the pod mounts them.
const NEED_SECRETS: [ChildKind; 2] = [ChildKind::ConfigMap, ChildKind::StatefulSet];

/// Result of carrying out a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects whose writes the API server accepted.
    pub written: Vec<ChildKey>,
    /// Whether a write changed an object. Recording a newer anchor does not count.
    pub changed: bool,
    /// The first problem, after which other writes were skipped.
    pub problem: Option<Problem>,
}

impl Done {
    /// Whether an object is as the plan wants it: its write succeeded, or the plan has no write for it.
    #[must_use]
    pub fn is_as_planned(&self, plan: &Plan, key: &ChildKey) -> bool {
        self.written.contains(key) || plan.writes().all(|write| write.key() != key)
    }
}

/// Plans the steps of a reconcile. Planning again after all of them were carried out returns an empty plan.
#[must_use]
pub fn plan(observed: &Observed, valid: &Valid, expected: &ExpectedHistory) -> Plan {
    let mut plan = Plan::default();
    let stopped;
    let valid = match hibernation::decide(observed, &valid.essentials).is_stopped() {
        true => {
            stopped = Valid { is_stopped: true, ..valid.clone() };
            &stopped
        }
        false => valid,
    };
    // A hold must not wait for anything else.
    plan.steps.extend(mode::calls(observed, valid.essentials.mode).into_iter().map(Step::Call));
    if observed.engine.metadata.deletion_timestamp.is_some() {
        // Garbage collection deletes the children, and it would also delete an object created now.
        deletion::plan_deletion(observed, &valid.essentials, Some(valid), &mut plan);
        return plan;
    }
    let claim = CHILDREN.claim.key(&valid.name);
    if observed.unread.contains_key(&claim) {
        // The claim may record the history that the log must extend. Nothing is planned before the claim can be read.
        return plan;
    }
    deletion::plan_hold(observed, &valid.essentials, &mut plan);
    plan_claim(observed, valid, expected, &mut plan);
    anchor::plan_config_map(observed, valid, expected, &mut plan);
    let has_certificate = certificates::plan_secrets(observed, valid, &mut plan);
    plan_authorities(observed, valid, &mut plan);
    let has_given = given::plan_given(observed, valid, &mut plan);
    secrets::plan_ages(observed, valid, &mut plan);
    let has_token = rotation::plan_rotation(observed, valid, &mut plan);
    let has_bad_secret = secrets::hold_changes(observed);
    // A pod whose volume names a missing Secret does not start: the pod before stays until there is one.
    let is_held = has_bad_secret || !has_certificate || !has_given || !has_token;
    let wanted = restarts::wanted(observed, valid, is_held, &mut plan);
    for (key, object) in wanted {
        if !is_held || !NEED_SECRETS.contains(&key.kind) {
            plan_child(observed, &key, &object, &mut plan);
        } else if secrets::would_change(observed, &key, &object) {
            plan.secrets_hold |= has_bad_secret || !has_token;
            plan.certificate_hold |= !has_given;
        }
    }
    restarts::plan_stop(observed, valid, is_held, &mut plan);
    rotation::plan_objects(observed, valid, &mut plan);
    backup::plan_backups(observed, valid, &mut plan);
    upkeep::plan_upkeep(observed, valid, &mut plan);
    rollout::plan_drills(observed, valid, &mut plan);
    for key in CHILDREN.unwanted(valid) {
        plan_removal_of(observed, key, &mut plan);
    }
    hold_creations(observed, &mut plan);
    plan.steps
        .extend(anchor::push_anchor(observed, expected).map(|given| Step::Call(Call::PushAnchor(given))));
    rollout::plan_grants(valid, &mut plan);
    plan
}

/// Plans what is done for a spec that is not valid: only the calls that set the mode, and none if it suspends the
/// engine.
#[must_use]
pub fn plan_mode(observed: &Observed, essentials: &Essentials) -> Plan {
    let mut plan = Plan {
        steps: match essentials.suspend {
            true => Vec::new(),
            false => mode::calls(observed, essentials.mode).into_iter().map(Step::Call).collect(),
        },
        ..Plan::default()
    };
    // A deletion with a spec that cannot be carried out takes no backup, so that nothing has to wait for one.
    let is_living = observed.engine.metadata.deletion_timestamp.is_none();
    plan.steps.extend((is_living && is_held(&observed.engine)).then_some(Step::Hold(false)));
    deletion::plan_deletion(observed, essentials, None, &mut plan);
    plan
}

/// Plans the ConfigMap with the authorities of the certificate that the pod gets.
fn plan_authorities(observed: &Observed, valid: &Valid, plan: &mut Plan) {
    let found = observed.tls.as_ref().and_then(|view| view.certificate.present());
    let Some(found) = found.filter(|_| valid.tls.is_some()) else { return };
    let given = observed.given.as_ref().filter(|_| valid.essentials.given_certificate.is_some());
    let authorities = given.map_or(&found.bundle, |given| &given.authorities);
    if authorities.is_empty() {
        // Clients know the authority of a given certificate that comes without it.
        return;
    }
    let mut object = build::value(&build::authorities_config_map(valid, authorities));
    build::stamp(&mut object);
    plan_child(observed, &CHILDREN.authorities.key(&valid.name), &object, plan);
}

/// Removes the creations from the plan if the volume is lost, an object of someone else has one of the engine's names,
/// or an object could not be read: an engine is created completely or not at all.
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

/// Copies the class and the access modes of the existing claim `live` into the wanted `spec`. These fields are
/// immutable: for an adopted claim with other values, the API server would always refuse the write.
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
