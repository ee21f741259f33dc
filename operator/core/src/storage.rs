//! What to do about the volume. It comes before everything else: no gate may stand between a full volume and more room.

use crds::Quantity;
use kube_core::DynamicObject;

use crate::{
    children::CHILDREN,
    observed::{Observed, StorageClassView},
    validate::Valid,
};

/// What is decided about the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimDecision {
    /// Ask for this size: the claim is new, or it grows, or something else about it is put right.
    Want(Quantity),
    /// Leave it alone, for this reason.
    Hold(ClaimHold),
}

/// Why the claim is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimHold {
    /// The class does not let volumes grow, or there is none that could.
    ExpansionUnsupported {
        /// Name of the class; empty for a volume without one.
        class: String,
        /// Size the claim asks for.
        size: String,
    },
    /// The claim is gone, and with it the log this engine had. A new one would begin an empty log in silence.
    VolumeLost {
        /// Sequence number the log had reached.
        head_seq: i64,
    },
    /// Somebody deleted the claim; it goes as soon as the pod does.
    BeingDeleted,
}

/// Size a claim asks for.
#[must_use]
pub fn requested(claim: &DynamicObject) -> Option<Quantity> {
    quantity(claim, "/spec/resources/requests/storage")
}

/// Size a claim's volume has.
#[must_use]
pub fn capacity(claim: &DynamicObject) -> Option<Quantity> {
    quantity(claim, "/status/capacity/storage")
}

fn quantity(claim: &DynamicObject, path: &str) -> Option<Quantity> {
    Some(Quantity(claim.data.pointer(path)?.as_str()?.to_owned()))
}

/// The name of the class a claim is in; empty when it is in none, and nothing while nobody has decided.
#[must_use]
pub fn class_of(claim: &DynamicObject) -> Option<&str> {
    claim.data.pointer("/spec/storageClassName")?.as_str()
}

/// The claim of an engine, if it is there.
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

/// A volume made by hand is as large as it is, and often larger than the claim: asking for more is always refused.
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
        // Also a log that was anchored once and is said to be empty now had memories in it.
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
        // A claim may be larger than the spec: an adopted one, or one grown by hand. Asking for less is refused.
        return ClaimDecision::Want(requested(claim).unwrap_or_else(|| valid.essentials.size.clone()));
    }
    if class_of(claim) == Some("") {
        return without_class(claim, &valid.essentials.size);
    }
    match &observed.storage_class {
        // Whether the class lets the volume grow is asked again at the next look.
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
