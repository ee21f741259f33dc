//! Decides which engine an object belongs to. The decision uses only what a backup keeps: the name, the owners, and the
//! labels and annotations that the operator sets. Managed fields are not used: an object that was created again from a
//! saved manifest does not have them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube_core::DynamicObject;

use crate::{
    names::{
        ANCHOR_ANNOTATION, APPLIED_HASH_ANNOTATION, ChildKey, ChildKind, ENGINE_LABEL, FIELD_MANAGER,
        MANAGED_BY_LABEL,
    },
    observed::Observed,
};

/// Whether the operator may write `object`, which has the name of the child `key`.
///
/// The operator may write an object whose controlling owner is this engine or an earlier engine of the same name. It
/// may also write an object that has the operator's labels and no controlling owner. A claim also belongs to this
/// engine if the engine had a log: the pod mounts the claim of this name anyway, and the log on it is verified against
/// the anchor.
#[must_use]
pub fn is_ours(observed: &Observed, key: &ChildKey, object: &DynamicObject) -> bool {
    let mut owners = object.metadata.owner_references.iter().flatten();
    if let Some(controller) = owners.clone().find(|owner| owner.controller == Some(true)) {
        return is_this_engine(observed, controller);
    }
    if owners.any(|owner| is_this_engine(observed, owner)) {
        return true;
    }
    match key.kind {
        ChildKind::PersistentVolumeClaim => {
            is_labelled(observed, object) || has_annotation(object, ANCHOR_ANNOTATION) || had_a_log(observed)
        }
        _ => {
            is_labelled(observed, object)
                || (has_annotation(object, APPLIED_HASH_ANNOTATION)
                    && !is_labelled_for_another(observed, object))
        }
    }
}

/// The owner references that the object may keep; `None` if it may keep all. A reference to an engine that no longer
/// exists must be removed: because of it, garbage collection would delete the object, and the right reference could not
/// be set. A claim keeps no reference to this engine either, because it would be deleted with the engine.
#[must_use]
pub fn owners_to_keep(
    observed: &Observed,
    key: &ChildKey,
    object: &DynamicObject,
) -> Option<Vec<OwnerReference>> {
    let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
    let may_stay = |owner: &&OwnerReference| {
        let owned = key.kind != ChildKind::PersistentVolumeClaim
            && Some(owner.uid.as_str()) == observed.engine.metadata.uid.as_deref();
        owned || !is_this_engine(observed, owner)
    };
    let keep: Vec<OwnerReference> = owners.iter().filter(may_stay).cloned().collect();
    (keep.len() < owners.len()).then_some(keep)
}

/// Whether the owner is this engine, or an earlier engine with the same name and namespace.
fn is_this_engine(observed: &Observed, owner: &OwnerReference) -> bool {
    let metadata = &observed.engine.metadata;
    let group = |version: &str| version.split_once('/').map(|(group, _)| group.to_owned());
    let named = owner.kind == "MemoryEngine"
        && group(&owner.api_version) == group(crds::API_VERSION)
        && Some(owner.name.as_str()) == metadata.name.as_deref();
    named || metadata.uid.as_deref().is_some_and(|uid| uid == owner.uid)
}

fn label<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn is_labelled(observed: &Observed, object: &DynamicObject) -> bool {
    label(object, MANAGED_BY_LABEL) == Some(FIELD_MANAGER)
        && label(object, ENGINE_LABEL).is_some()
        && label(object, ENGINE_LABEL) == observed.engine.metadata.name.as_deref()
}

fn is_labelled_for_another(observed: &Observed, object: &DynamicObject) -> bool {
    label(object, ENGINE_LABEL).is_some_and(|engine| Some(engine) != observed.engine.metadata.name.as_deref())
}

fn has_annotation(object: &DynamicObject, key: &str) -> bool {
    object.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(key))
}

fn had_a_log(observed: &Observed) -> bool {
    observed.engine.status.as_ref().is_some_and(|status| status.log.is_some())
}
