//! What to write, as data: an ordered list that can be printed, compared and cut short after any one write.

mod anchor;

use engine_core::wire::GivenAnchor;
use kube_core::DynamicObject;
use serde_json::Value;

use crate::{
    anchor::record::{self, Must},
    build,
    drift::first_difference,
    names::{self, ChildKey, ChildKind},
    observed::Observed,
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
    /// Server-side apply, with force, of an object that is ours and has drifted.
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
            Self::Repair { .. } => "repair",
            Self::Record { .. } => "record",
            Self::Delete { .. } => "delete",
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
    hold_creations(&mut plan);
    plan
}

/// An engine is made whole or not at all: while it cannot have its volume or one of its names, nothing new is made.
fn hold_creations(plan: &mut Plan) {
    let lost = matches!(plan.claim_hold, Some(ClaimHold::VolumeLost { .. }));
    if lost || !plan.conflicts.is_empty() {
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

/// A claim's class and access mode are fixed when it is made: an adopted claim keeps its own, asking for others
/// would be refused for ever.
fn keep_immutable(live: &DynamicObject, spec: &mut serde_json::Map<String, Value>) {
    for field in ["storageClassName", "accessModes"] {
        if let (true, Some(value)) = (spec.contains_key(field), live.data.pointer(&format!("/spec/{field}")))
        {
            spec.insert(field.to_owned(), value.clone());
        }
    }
}

fn plan_child(observed: &Observed, key: &ChildKey, object: &Value, plan: &mut Plan) {
    let Some(live) = observed.children.get(key) else {
        plan.writes.push(Write::Create { key: key.clone(), object: object.clone() });
        return;
    };
    if !observed.is_ours(live) {
        plan.conflicts.push(key.clone());
    } else if live.metadata.deletion_timestamp.is_none()
        && let Some(because) = first_difference(object, &build::value(live.as_ref()))
    {
        plan.writes.push(Write::Repair { key: key.clone(), object: object.clone(), because });
    }
}

fn plan_removal(observed: &Observed, key: ChildKey, plan: &mut Plan) {
    let Some(live) = observed.children.get(&key) else { return };
    let state = (live.metadata.uid.clone(), live.metadata.resource_version.clone());
    if let (true, None, (Some(uid), Some(resource_version))) =
        (observed.is_ours(live), &live.metadata.deletion_timestamp, state)
    {
        plan.writes.push(Write::Delete { key, uid, resource_version });
    }
}
