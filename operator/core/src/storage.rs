//! Decides about the claim of the volume. This decision is made first: nothing may delay the expansion of a full
//! volume.

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
    /// Write the claim with this size: it is created, expanded, or repaired in another field.
    Want(Quantity),
    /// Leave the claim unchanged, for this reason.
    Hold(ClaimHold),
}

/// Why the claim is left unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimHold {
    /// The volume is too small, but its class does not allow expansion, or it has no class.
    ExpansionUnsupported {
        /// Name of the class; empty for a volume without one.
        class: String,
        /// Size that the claim requests.
        size: String,
    },
    /// The claim is gone, and with it the log of this engine. With a new claim, the engine would silently begin an
    /// empty log.
    VolumeLost {
        /// The last known sequence number of the log.
        head_seq: i64,
    },
    /// Someone deleted the claim. Kubernetes removes it as soon as no pod uses it.
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

/// Name of a claim's class: empty for a claim without a class, `None` until a class is assigned.
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

/// Decides about a claim without a class. Its volume was created by hand and has a fixed size, often larger than the
/// claim requests. A request for a larger size is always refused.
fn without_class(claim: &DynamicObject, wanted: &Quantity) -> ClaimDecision {
    let milli = |size: Option<Quantity>| size.and_then(|size| size.milli().ok());
    let asked = requested(claim).unwrap_or_else(|| wanted.clone());
    if milli(capacity(claim)) >= milli(Some(wanted.clone())) {
        return ClaimDecision::Want(asked);
    }
    ClaimDecision::Hold(ClaimHold::ExpansionUnsupported { class: String::new(), size: asked.0 })
}

/// Decides whether the claim is written and with which size.
#[must_use]
pub fn decide(observed: &Observed, valid: &Valid) -> ClaimDecision {
    let Some(claim) = claim_of(observed, &valid.name) else {
        let log = observed.engine.status.as_ref().and_then(|status| status.log.as_ref());
        // The anchored size also counts: the log may have been reported as empty after it was anchored.
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
        // If the claim was adopted or expanded by hand, it may be larger than the spec. The API server would refuse a
        // smaller size.
        return ClaimDecision::Want(requested(claim).unwrap_or_else(|| valid.essentials.size.clone()));
    }
    if class_of(claim) == Some("") {
        return without_class(claim, &valid.essentials.size);
    }
    match &observed.storage_class {
        // The next reconcile reads the class again to find out whether it allows expansion.
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
