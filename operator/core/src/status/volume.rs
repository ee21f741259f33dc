//! What the status says about the volume.

use crds::{Quantity, StorageStatus};
use engine_core::wire::{Health, StorageReason};
use kube_core::DynamicObject;

use super::{Outcome, age, before, health, name};
use crate::{
    conditions::{ConditionType, Reason, Truth, Verdict},
    observed::{Observed, StorageClassView},
    plan::Plan,
    storage::{self, ClaimHold},
};

/// Seconds from the start of a growth for which an engine may still find its volume full without being stuck.
const RESUMING_SECONDS_MAX: i64 = 60;

pub(super) fn storage_status(observed: &Observed) -> Option<StorageStatus> {
    let claim = storage::claim_of(observed, name(observed))?;
    Some(StorageStatus {
        claim: claim.metadata.name.clone().unwrap_or_default(),
        requested: storage::requested(claim)?.0,
        capacity: storage::capacity(claim).map(|capacity| capacity.0),
    })
}

pub(super) fn storage_verdict(observed: &Observed, outcome: &Outcome<'_>) -> Verdict {
    if let Outcome::Applied { plan: Plan { claim_hold: Some(hold), .. }, .. } = outcome {
        return hold_verdict(hold, name(observed));
    }
    let Some(claim) = storage::claim_of(observed, name(observed)) else {
        return Verdict::new(Truth::False, Reason::ClaimPending, "the volume claim has not been made yet");
    };
    if let Some(problem) = health(observed).and_then(|health| volume_problem(observed, health, claim)) {
        return problem;
    }
    if claim.data.pointer("/status/phase").is_none_or(|phase| phase != "Bound") {
        return pending_verdict(observed, claim);
    }
    growth_verdict(claim).unwrap_or_else(|| {
        Verdict::new(Truth::True, Reason::VolumeReady, format!("{} is bound and writable", claim_name(claim)))
    })
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
                "the volume cannot grow: it has no StorageClass, and without one a volume stays as large as it was made. Put \
                 spec.writer.storage.size back to {size}, or make a new engine on a larger volume and copy the memories"
            ),
        ),
        ClaimHold::ExpansionUnsupported { class, size } => Verdict::new(
            Truth::False,
            Reason::ExpansionUnsupported,
            format!(
                "the volume cannot grow: StorageClass {class} does not say allowVolumeExpansion: true. Set it there if \
                 its driver can grow volumes, or put spec.writer.storage.size back to {size}"
            ),
        ),
        ClaimHold::VolumeLost { head_seq } => Verdict::new(
            Truth::False,
            Reason::VolumeLost,
            format!(
                "PersistentVolumeClaim {engine}-data is gone, and with it a log of {head_seq} events. Bring the claim \
                 back under the same name, or delete this MemoryEngine and make it again to begin an empty log"
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
                "{} is full and grows: reads go on, writes resume by themselves within seconds of the growth",
                claim_name(claim)
            ),
        )),
        StorageReason::VolumeFull => Some(Verdict::new(
            Truth::False,
            Reason::VolumeFull,
            format!(
                "{} is full: reads go on, writes are refused. Raise spec.writer.storage.size; writes resume by themselves",
                claim_name(claim)
            ),
        )),
        StorageReason::IoError => Some(Verdict::new(
            Truth::False,
            Reason::VolumeFailing,
            format!(
                "writing to {} fails: nothing is acknowledged until it works again. Look at the engine's log and the node's disk",
                claim_name(claim)
            ),
        )),
        StorageReason::LogCorrupt => None,
    }
}

/// Whether somebody has acted on a full volume already. The claim shows its new capacity some seconds before the
/// engine has looked again: until then the engine is not stuck, and a pipeline that waits must not be told so.
fn growth_under_way(observed: &Observed, claim: &DynamicObject) -> bool {
    let growing = growth_verdict(claim);
    let just_grown = || {
        before(observed, ConditionType::StorageReady).is_some_and(|c| c.reason == Reason::Resizing.as_str())
            && before(observed, ConditionType::Reconciling)
                .is_some_and(|c| c.status == "True" && age(observed, c) < RESUMING_SECONDS_MAX)
    };
    growing.map_or_else(just_grown, |growing| growing.reason == Reason::Resizing)
}

fn pending_verdict(observed: &Observed, claim: &DynamicObject) -> Verdict {
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
                observed.engine.spec.writer.storage.access_mode.as_str()
            ),
        ),
        _ => Verdict::new(
            Truth::False,
            Reason::ClaimPending,
            format!("{} waits for its volume", claim_name(claim)),
        ),
    }
}

/// What a bound claim says about growing, when it is not as large as it should be.
pub(super) fn growth_verdict(claim: &DynamicObject) -> Option<Verdict> {
    let milli = |quantity: Option<Quantity>| quantity.and_then(|quantity| quantity.milli().ok());
    let (requested, capacity) = (storage::requested(claim), storage::capacity(claim));
    if milli(capacity.clone())? >= milli(requested.clone())? {
        return None;
    }
    let failure =
        claim.data.pointer("/status/conditions").and_then(|list| list.as_array()).and_then(|list| {
            list.iter().find(|c| {
                matches!(c["type"].as_str(), Some("ControllerResizeError" | "NodeResizeError"))
                    && c["status"] == "True"
            })
        });
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
                "{name} does not grow {sizes}: {}. Kubernetes keeps trying; look at the storage driver",
                failure["message"].as_str().unwrap_or_default()
            ),
        ),
        None => Verdict::new(Truth::True, Reason::Resizing, format!("{name} grows {sizes} while in use")),
    })
}
