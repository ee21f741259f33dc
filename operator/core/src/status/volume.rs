//! The parts of the status about the volume.

use crds::{AccessMode, Quantity, StorageStatus};
use engine_core::wire::{Health, StorageReason};
use kube_core::DynamicObject;
use serde_json::Value;

use super::{
    facts::Facts,
    lookup::{age, before, conflict_message, name},
    outcome::Outcome,
};
use crate::{
    anchor::record::{ClaimRecord, claim_record},
    children::CHILDREN,
    conditions::{ConditionType, Reason, Truth, Verdict},
    names::ChildKey,
    observed::{Observed, StorageClassView},
    ownership::is_ours,
    storage::{self, ClaimHold},
};

/// Reasons of `StorageReady` for which someone must act.
pub(super) const OBSTACLES: &[Reason] = &[
    Reason::StorageClassMissing,
    Reason::NoDefaultStorageClass,
    Reason::ExpansionUnsupported,
    Reason::VolumeLost,
    Reason::ClaimBeingDeleted,
    Reason::VolumeFull,
];

/// After an expansion, the engine may still report a full volume for this number of seconds. It is not stalled during
/// this time.
const RESUMING_SECONDS_MAX: i64 = 60;

pub(super) fn storage_status(observed: &Observed) -> Option<StorageStatus> {
    let claim = storage::claim_of(observed, name(observed))?;
    is_ours(observed, &claim_key(observed), claim).then_some(())?;
    Some(StorageStatus {
        claim: claim.metadata.name.clone().unwrap_or_default(),
        requested: storage::requested(claim)?.0,
        capacity: storage::capacity(claim).map(|capacity| capacity.0),
    })
}

fn claim_key(observed: &Observed) -> ChildKey {
    CHILDREN.claim.key(name(observed))
}

/// The claim of the engine, if it exists.
fn claim<'a>(facts: &Facts<'a>) -> Option<&'a DynamicObject> {
    storage::claim_of(facts.observed, name(facts.observed))
}

pub(super) fn unread(facts: &Facts<'_>) -> Option<Verdict> {
    let why = facts.observed.unread.get(&claim_key(facts.observed))?;
    let message = format!("the volume claim could not be read: {why}. The operator retries");
    Some(Verdict::new(Truth::Unknown, Reason::ClaimPending, message))
}

pub(super) fn held(facts: &Facts<'_>) -> Option<Verdict> {
    let Outcome::Applied { plan, .. } = facts.outcome else { return None };
    Some(hold_verdict(plan.claim_hold.as_ref()?, name(facts.observed)))
}

pub(super) fn missing(facts: &Facts<'_>) -> Option<Verdict> {
    claim(facts)
        .is_none()
        .then(|| Verdict::new(Truth::False, Reason::ClaimPending, "the volume claim has not been made yet"))
}

pub(super) fn foreign(facts: &Facts<'_>) -> Option<Verdict> {
    let key = claim_key(facts.observed);
    (!is_ours(facts.observed, &key, claim(facts)?)).then(|| {
        let message = conflict_message(facts.observed, &[key]);
        Verdict::new(Truth::False, Reason::NameConflict, message)
    })
}

/// The verdict from the engine's report about its volume, if the report belongs to the spec that the status describes.
pub(super) fn reported(facts: &Facts<'_>) -> Option<Verdict> {
    let problem = volume_problem(facts.observed, facts.health()?, claim(facts)?)?;
    if facts.evidence.is_of_earlier_spec(facts.observed) && problem.reason != Reason::Resizing {
        return Some(Verdict::new(
            Truth::Unknown,
            Reason::PodStarting,
            "the pod still has the previous spec and is being replaced; the new pod reports whether the volume can be written",
        ));
    }
    Some(problem)
}

pub(super) fn pending(facts: &Facts<'_>) -> Option<Verdict> {
    let claim = claim(facts)?;
    let bound = claim.data.pointer("/status/phase").is_some_and(|phase| phase == "Bound");
    (!bound).then(|| pending_verdict(facts.observed, claim, facts.outcome.essentials().access_mode))
}

pub(super) fn growing(facts: &Facts<'_>) -> Option<Verdict> {
    growth_verdict(facts.observed, claim(facts)?)
}

pub(super) fn ready(facts: &Facts<'_>) -> Option<Verdict> {
    let message = format!("{} is bound, without a known problem", claim_name(claim(facts)?));
    Some(Verdict::new(Truth::True, Reason::VolumeReady, message))
}

fn claim_name(claim: &DynamicObject) -> String {
    format!("PersistentVolumeClaim {}", claim.metadata.name.as_deref().unwrap_or_default())
}

fn hold_verdict(hold: &ClaimHold, engine: &str) -> Verdict {
    match hold {
        ClaimHold::ExpansionUnsupported { class, size } if class.is_empty() => Verdict::new(
            Truth::False,
            Reason::ExpansionUnsupported,
            format!(
                "the volume cannot grow: it has no StorageClass, and without one the size of a volume is fixed. Put \
                 spec.writer.storage.size back to {size}, or make a new engine on a larger volume and copy the memories"
            ),
        ),
        ClaimHold::ExpansionUnsupported { class, size } => Verdict::new(
            Truth::False,
            Reason::ExpansionUnsupported,
            format!(
                "the volume cannot grow: StorageClass {class} does not set allowVolumeExpansion: true. Set it there if its \
                 driver can grow volumes, or put spec.writer.storage.size back to {size}"
            ),
        ),
        ClaimHold::VolumeLost { head_seq } => Verdict::new(
            Truth::False,
            Reason::VolumeLost,
            format!(
                "PersistentVolumeClaim {engine}-data is gone, and with it a log of {head_seq} events. Bring the claim \
                 back under the same name, on the PersistentVolume that has the log (`spec.volumeName`) or from a backup: it \
                 is taken over, and the log is held to what was recorded of it. Only when the memories are gone for good, \
                 make this MemoryEngine again to begin an empty log"
            ),
        ),
        ClaimHold::BeingDeleted => Verdict::new(
            Truth::False,
            Reason::ClaimBeingDeleted,
            format!(
                "PersistentVolumeClaim {engine}-data was deleted and goes as soon as its pod stops, with every memory \
                 in it. Copy the memories now; the deletion cannot be taken back"
            ),
        ),
    }
}

fn volume_problem(observed: &Observed, health: &Health, claim: &DynamicObject) -> Option<Verdict> {
    match health.storage.reason? {
        StorageReason::VolumeFull if growth_under_way(observed, claim) => Some(Verdict::new(
            Truth::False,
            Reason::Resizing,
            format!(
                "{} is full and grows: reads go on, writes resume automatically within seconds of the growth",
                claim_name(claim)
            ),
        )),
        StorageReason::VolumeFull => Some(Verdict::new(
            Truth::False,
            Reason::VolumeFull,
            format!(
                "{} is full: reads go on, writes are refused. Raise spec.writer.storage.size; writes resume automatically",
                claim_name(claim)
            ),
        )),
        StorageReason::IoError => Some(Verdict::new(
            Truth::False,
            Reason::VolumeFailing,
            format!(
                "writing to {} fails: nothing is acknowledged until it works again. Check the engine's log and the node's disk",
                claim_name(claim)
            ),
        )),
        StorageReason::LogCorrupt => None,
    }
}

/// Whether a full volume is being expanded, or was expanded just now. The claim shows the new capacity some seconds
/// before the engine checks its volume again. During this time, the engine must not be reported as stalled: a pipeline
/// that waits for the expansion would fail.
fn growth_under_way(observed: &Observed, claim: &DynamicObject) -> bool {
    let growing = growth_verdict(observed, claim);
    let just_grown = || {
        before(observed, ConditionType::StorageReady).is_some_and(|c| c.reason == Reason::Resizing.as_str())
            && before(observed, ConditionType::Reconciling)
                .is_some_and(|c| c.status == "True" && age(observed, c) < RESUMING_SECONDS_MAX)
    };
    growing.map_or_else(just_grown, |growing| growing.reason == Reason::Resizing)
}

fn pending_verdict(observed: &Observed, claim: &DynamicObject, access_mode: AccessMode) -> Verdict {
    if claim.data.pointer("/status/phase").is_some_and(|phase| phase == "Lost") {
        return Verdict::new(
            Truth::False,
            Reason::VolumeLost,
            format!(
                "{} has lost its PersistentVolume. Bring the volume back under the same name",
                claim_name(claim)
            ),
        );
    }
    match (&observed.storage_class, storage::class_of(claim)) {
        (StorageClassView::Missing(class), _) if may_hold_memories(observed, claim) => Verdict::new(
            Truth::False,
            Reason::StorageClassMissing,
            format!(
                "StorageClass {class} does not exist. Make it, or bring the claim back with the class and the name of the \
                 PersistentVolume that has the log"
            ),
        ),
        (_, None) if may_hold_memories(observed, claim) => Verdict::new(
            Truth::False,
            Reason::NoDefaultStorageClass,
            "the claim names no StorageClass and the cluster has no default. Mark one as default, or bring the claim back \
             with the class and the name of the PersistentVolume that has the log",
        ),
        (StorageClassView::Missing(class), _) => Verdict::new(
            Truth::False,
            Reason::StorageClassMissing,
            format!(
                "StorageClass {class} does not exist. Make it, or delete this MemoryEngine and its claim and make it \
                 again with another spec.writer.storage.className"
            ),
        ),
        (_, None) => Verdict::new(
            Truth::False,
            Reason::NoDefaultStorageClass,
            "the cluster has no default StorageClass. Mark one as default, or delete this MemoryEngine and its claim and \
             make it again with spec.writer.storage.className",
        ),
        (_, Some("")) => Verdict::new(
            Truth::False,
            Reason::ClaimPending,
            format!(
                "{} waits for a PersistentVolume without a class, because spec.writer.storage.className is empty. If there is \
                 none that is free, make one of at least {} with accessModes: [{}]; a claimRef keeps it for this claim",
                claim_name(claim),
                storage::requested(claim).map(|size| size.0).unwrap_or_default(),
                access_mode.as_str()
            ),
        ),
        _ => Verdict::new(
            Truth::False,
            Reason::ClaimPending,
            format!("{} waits for its volume", claim_name(claim)),
        ),
    }
}

/// Whether the volume of the claim may hold memories. This is false only for a claim that was created for an empty log
/// and has never had a volume.
fn may_hold_memories(observed: &Observed, claim: &DynamicObject) -> bool {
    let log = observed.engine.status.as_ref().and_then(|status| status.log.as_ref());
    log.is_some_and(|log| log.head_seq.max(log.size.unwrap_or_default()) > 0)
        || observed.report_on_log().is_some_and(|health| health.log.seq > 0)
        || claim.data.pointer("/spec/volumeName").is_some()
        || claim_record(Some(claim)) != ClaimRecord::New
}

/// The verdict while a bound claim has less capacity than it requests: the expansion is in progress or has failed.
pub(super) fn growth_verdict(observed: &Observed, claim: &DynamicObject) -> Option<Verdict> {
    let milli = |quantity: Option<Quantity>| quantity.and_then(|quantity| quantity.milli().ok());
    let (requested, capacity) = (storage::requested(claim), storage::capacity(claim));
    if milli(capacity.clone())? >= milli(requested.clone())? {
        return None;
    }
    let failure = resize_failure(claim).filter(|_| is_of_this_size(observed, claim));
    let name = claim_name(claim);
    let sizes = format!(
        "from {} to {}",
        capacity.map(|q| q.0).unwrap_or_default(),
        requested.map(|q| q.0).unwrap_or_default()
    );
    Some(match failure {
        Some(failure) => Verdict::new(
            Truth::False,
            Reason::ResizeFailed,
            format!(
                "{name} does not grow {sizes}: {}. Kubernetes keeps trying; check the storage driver",
                failure["message"].as_str().unwrap_or_default()
            ),
        ),
        None => Verdict::new(Truth::True, Reason::Resizing, format!("{name} grows {sizes} while in use")),
    })
}

fn resize_failure(claim: &DynamicObject) -> Option<&Value> {
    let conditions = claim.data.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| {
        matches!(condition["type"].as_str(), Some("ControllerResizeError" | "NodeResizeError"))
            && condition["status"] == "True"
    })
}

/// Whether a failed expansion was an attempt to reach the size that is now requested. The resizer normally reports the
/// size of its attempt. If it does not, the failure counts from the second reconcile with the new size.
fn is_of_this_size(observed: &Observed, claim: &DynamicObject) -> bool {
    let requested = storage::requested(claim).and_then(|size| size.milli().ok());
    let tried = claim.data.pointer("/status/allocatedResources/storage").and_then(Value::as_str);
    let last = || {
        let storage = observed.engine.status.as_ref()?.storage.as_ref()?;
        Some(storage.requested.clone())
    };
    tried.map(str::to_owned).or_else(last).is_none_or(|size| Quantity(size).milli().ok() == requested)
}
