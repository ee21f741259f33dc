//! What to write, as data: an ordered list that can be printed, compared and cut short after any one write.

mod anchor;

use engine_core::wire::GivenAnchor;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube_core::DynamicObject;
use serde_json::Value;

use crate::{
    anchor::record::{self, Must},
    applied::{drift, is_repair},
    build,
    names::{self, ChildKey, ChildKind},
    observed::Observed,
    ownership::{is_ours, owners_to_keep},
    storage::{self, ClaimDecision, ClaimHold},
    validate::Valid,
};

/// Everything one reconcile writes, in order, and what it leaves alone on purpose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The writes.
    pub writes: Vec<Write>,
    /// Objects of somebody else under names this engine needs.
    pub conflicts: Vec<ChildKey>,
    /// Why the claim is left alone.
    pub claim_hold: Option<ClaimHold>,
    /// What the running engine is told after the writes.
    pub tell: Option<GivenAnchor>,
}

impl Plan {
    /// Whether anything of the engine changes. An anchor that moves on is no change of it.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.writes.iter().any(|write| !matches!(write, Write::Record { .. }))
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply of an object that is not there. Without force: should somebody else make an object of this
    /// name in the meantime, theirs wins and nothing of it is changed.
    Create {
        /// Which.
        key: ChildKey,
        /// The whole of what is ours in it.
        object: Value,
    },
    /// A patch that takes owners off an object that is ours, of exactly this one in exactly this state: engines that
    /// are gone, and any engine off a claim. Server-side apply cannot take away what others wrote.
    Release {
        /// Which.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
        /// The owners it keeps.
        owners: Vec<OwnerReference>,
    },
    /// Server-side apply, with force, of an object that is ours and of which something else is wanted than was applied
    /// last: the spec changed, or the operator did.
    Update {
        /// Which.
        key: ChildKey,
        /// The whole of what is ours in it.
        object: Value,
        /// First field that differs, for people.
        because: String,
    },
    /// Server-side apply, with force, of an object that is ours and that somebody else changed: what is wanted is what
    /// was applied last.
    Repair {
        /// Which.
        key: ChildKey,
        /// The whole of what is ours in it.
        object: Value,
        /// First field that differs, for people.
        because: String,
    },
    /// Server-side apply, with force, of an object that is ours and right, but for the anchor that has moved on.
    Record {
        /// Which.
        key: ChildKey,
        /// The whole of what is ours in it.
        object: Value,
    },
    /// Deletion of an object that is ours and no longer wanted, of exactly this one in exactly this state.
    Delete {
        /// Which.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
    },
}

impl Write {
    /// The object it is about.
    #[must_use]
    pub fn key(&self) -> &ChildKey {
        match self {
            Self::Create { key, .. }
            | Self::Release { key, .. }
            | Self::Update { key, .. }
            | Self::Repair { key, .. }
            | Self::Record { key, .. }
            | Self::Delete { key, .. } => key,
        }
    }

    /// A word for metrics.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Release { .. } => "release",
            Self::Update { .. } => "update",
            Self::Repair { .. } => "repair",
            Self::Record { .. } => "record",
            Self::Delete { .. } => "delete",
        }
    }
}

/// What carrying out a plan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects whose writes the API server took.
    pub written: Vec<ChildKey>,
    /// Whether any of them became another object by it. Anchors that move on do not count.
    pub changed: bool,
    /// What stopped it.
    pub problem: Option<Problem>,
}

impl Done {
    /// Whether an object is as the plan wants it.
    #[must_use]
    pub fn is_as_planned(&self, plan: &Plan, key: &ChildKey) -> bool {
        self.written.contains(key) || plan.writes.iter().all(|write| write.key() != key)
    }
}

/// Why a plan was not carried out to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The API server refuses the object for good.
    Refused {
        /// Which.
        key: ChildKey,
        /// Its word for it.
        why: String,
    },
    /// Somebody changes the object back as often as it is put right.
    Contested {
        /// Which.
        key: ChildKey,
        /// The field that differs.
        field: String,
    },
    /// It did not work this time.
    Failed {
        /// Which.
        key: ChildKey,
        /// How that showed.
        why: String,
    },
}

impl Problem {
    /// The object it is about.
    #[must_use]
    pub fn key(&self) -> &ChildKey {
        match self {
            Self::Refused { key, .. } | Self::Contested { key, .. } | Self::Failed { key, .. } => key,
        }
    }

    /// A stable word for metrics.
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
                "{key} is changed again and again by somebody else, last in {field}: find out who with \
                 `kubectl get -o yaml --show-managed-fields`"
            ),
            Self::Failed { key, why } => write!(f, "{key} could not be written: {why}. It is tried again"),
        }
    }
}

/// Decides what to write. Planning again after applying gives an empty plan.
#[must_use]
pub fn plan(observed: &Observed, valid: &Valid) -> Plan {
    let mut plan = Plan::default();
    if observed.engine.metadata.deletion_timestamp.is_some() {
        // Garbage collection ends the children; whatever was written now would be made only to be collected.
        return plan;
    }
    let claim = ChildKey { kind: ChildKind::PersistentVolumeClaim, name: names::claim(&valid.name) };
    if observed.unread.contains_key(&claim) {
        // What the log has to extend may stand on it, and nothing may be decided without.
        return plan;
    }
    let must = record::must(observed);
    plan_claim(observed, valid, &must, &mut plan);
    anchor::plan_config_map(observed, valid, &must, &mut plan);
    plan.tell = anchor::to_tell(observed, &must);
    let wanted = build::children(valid);
    for (key, object) in &wanted {
        plan_child(observed, key, object, &mut plan);
    }
    for key in names::possible_children(&valid.name) {
        let kept =
            key.kind == ChildKind::PersistentVolumeClaim || key.name == names::anchor_config_map(&valid.name);
        let unwanted = !kept && wanted.iter().all(|(w, _)| *w != key);
        if unwanted {
            plan_removal(observed, key, &mut plan);
        }
    }
    hold_creations(observed, &mut plan);
    plan
}

/// An engine is made whole or not at all: while it cannot have its volume or one of its names, or nobody knows whether
/// it can, nothing new is made.
fn hold_creations(observed: &Observed, plan: &mut Plan) {
    let lost = matches!(plan.claim_hold, Some(ClaimHold::VolumeLost { .. }));
    if lost || !plan.conflicts.is_empty() || !observed.unread.is_empty() {
        plan.writes.retain(|write| !matches!(write, Write::Create { .. }));
    }
}

fn plan_claim(observed: &Observed, valid: &Valid, must: &Must, plan: &mut Plan) {
    let key = ChildKey { kind: ChildKind::PersistentVolumeClaim, name: names::claim(&valid.name) };
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
            anchor::plan_claim(observed, &key, object, must, plan);
        }
    }
}

/// A claim's class and access mode are fixed when it is made: an adopted claim keeps its own, or none, asking for
/// others would be refused for ever.
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
        plan.writes.push(Write::Create { key: key.clone(), object: object.clone() });
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
        plan.writes.push(match repair {
            true => Write::Repair { key, object, because },
            false => Write::Update { key, object, because },
        });
    }
}

fn plan_release(observed: &Observed, key: &ChildKey, live: &DynamicObject, plan: &mut Plan) {
    if let (Some(owners), Some((uid, resource_version))) = (owners_to_keep(observed, key, live), state(live))
    {
        plan.writes.push(Write::Release { key: key.clone(), uid, resource_version, owners });
    }
}

/// The uid and the resourceVersion: this very object, as it was seen.
fn state(live: &DynamicObject) -> Option<(String, String)> {
    Some((live.metadata.uid.clone()?, live.metadata.resource_version.clone()?))
}

fn plan_removal(observed: &Observed, key: ChildKey, plan: &mut Plan) {
    let Some(live) = observed.children.get(&key) else { return };
    if let (true, None, Some((uid, resource_version))) =
        (is_ours(observed, &key, live), &live.metadata.deletion_timestamp, state(live))
    {
        plan.writes.push(Write::Delete { key, uid, resource_version });
    }
}
