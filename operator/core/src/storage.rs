//! Decides about the volume. This comes before everything else: nothing may delay the expansion of a full volume.

use crds::Quantity;
use kube_core::DynamicObject;

use crate::{
    children::CHILDREN,
    observed::{Observed, StorageClassView},
    validate::Valid,
};

/// The decision about the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimDecision {
    /// Request this size: the claim is new, is expanded, or is repaired in another field.
    Want(Quantity),
    /// Leave it unchanged, for this reason.
    Hold(ClaimHold),
}

/// Why the claim is left unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimHold {
    /// The class does not allow volumes to be expanded, or the volume has no class.
    ExpansionUnsupported {
        /// Name of the class; empty for a volume without one.
        class: String,
        /// Size that the claim requests.
        size: String,
    },
    /// The claim is gone, and with it the log of this engine. A new claim would silently begin an empty log.
    VolumeLost {
        /// Sequence number that the log had reached.
        head_seq: i64,
    },
    /// Someone deleted the claim; it is removed as soon as the pod is.
    BeingDeleted,
}

/// Size that a claim requests.
#[must_use]
pub fn requested(claim: &DynamicObject) -> Option<Quantity> {
    quantity(claim, "/spec/resources/requests/storage")
}

/// Actual size of a claim's volume.
#[must_use]
pub fn capacity(claim: &DynamicObject) -> Option<Quantity> {
    quantity(claim, "/status/capacity/storage")
}

fn quantity(claim: &DynamicObject, path: &str) -> Option<Quantity> {
    Some(Quantity(claim.data.pointer(path)?.as_str()?.to_owned()))
}

/// Name of a claim's class; empty for a claim without a class, and `None` while no class was assigned.
#[must_use]
pub fn class_of(claim: &DynamicObject) -> Option<&str> {
    claim.data.pointer("/spec/storageClassName")?.as_str()
}

/// The claim of an engine, if it exists.
#[must_use]
pub fn claim_of<'a>(observed: &'a Observed, name: &str) -> Option<&'a DynamicObject> {
    observed.children.get(&CHILDREN.claim.key(name)).map(AsRef::as_ref)
}

/// Whether the next decision depends on the class of the claim.
#[must_use]
pub fn needs_class(claim: &DynamicObject, wanted: &Quantity) -> bool {
    let pending = claim.data.pointer("/status/phase").is_none_or(|phase| phase != "Bound");
    pending || grows(claim, wanted)
}

fn grows(claim: &DynamicObject, wanted: &Quantity) -> bool {
    match (requested(claim).and_then(|size| size.milli().ok()), wanted.milli()) {
        (Some(now), Ok(wanted)) => wanted > now,
        _ => false,
    }
}

/// A volume created by hand has a fixed size, often larger than the claim: requesting more is always refused.
fn without_class(claim: &DynamicObject, wanted: &Quantity) -> ClaimDecision {
    let milli = |size: Option<Quantity>| size.and_then(|size| size.milli().ok());
    let asked = requested(claim).unwrap_or_else(|| wanted.clone());
    if milli(capacity(claim)) >= milli(Some(wanted.clone())) {
        return ClaimDecision::Want(asked);
    }
    ClaimDecision::Hold(ClaimHold::ExpansionUnsupported { class: String::new(), size: asked.0 })
}

/// Decides about the claim.
#[must_use]
pub fn decide(observed: &Observed, valid: &Valid) -> ClaimDecision {
    let Some(claim) = claim_of(observed, &valid.name) else {
        let log = observed.engine.status.as_ref().and_then(|status| status.log.as_ref());
        // A log that was anchored and is now reported as empty also had memories.
        let head_seq = log.map_or(0, |log| log.head_seq.max(log.size.unwrap_or_default()));
        return match head_seq {
            1.. => ClaimDecision::Hold(ClaimHold::VolumeLost { head_seq }),
            _ => ClaimDecision::Want(valid.essentials.size.clone()),
        };
    };
    if claim.metadata.deletion_timestamp.is_some() {
        return ClaimDecision::Hold(ClaimHold::BeingDeleted);
    }
    if !grows(claim, &valid.essentials.size) {
        // A claim may be larger than the spec if it was adopted or expanded by hand. Requesting less is refused.
        return ClaimDecision::Want(requested(claim).unwrap_or_else(|| valid.essentials.size.clone()));
    }
    if class_of(claim) == Some("") {
        return without_class(claim, &valid.essentials.size);
    }
    match &observed.storage_class {
        // The next reconcile reads again whether the class allows expansion.
        StorageClassView::Unread(_) => {
            ClaimDecision::Want(requested(claim).unwrap_or_else(|| valid.essentials.size.clone()))
        }
        StorageClassView::Found { name, expandable: false } => {
            let size = requested(claim).map(|size| size.0).unwrap_or_default();
            ClaimDecision::Hold(ClaimHold::ExpansionUnsupported { class: name.clone(), size })
        }
        _ => ClaimDecision::Want(valid.essentials.size.clone()),
    }
}
