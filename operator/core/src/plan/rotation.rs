//! Plans the token that the operator makes, and the objects of its rotation.

use k8s_openapi::api::core::v1::Secret;

use super::{
    Plan, Rotate, Step,
    draft::{plan_child, plan_removal_of},
    given::is_mounted,
};
use crate::{
    build::{self, owned, value},
    children::rotation_keys,
    names::{self, ISSUED_AT_ANNOTATION, ROTATION_ANNOTATION},
    observed::Observed,
    ownership::is_ours,
    rotation::{Change, decide, done, phase, requested},
    validate::Valid,
};

/// Plans the objects that ask for a rotation on a schedule. After everything else, because a cluster that refuses them
/// must not hold back a change of the engine.
pub(super) fn plan_objects(observed: &Observed, valid: &Valid, plan: &mut Plan) {
    let view = observed.rotation.as_ref().filter(|view| view.unread.is_none());
    let Some(view) = view.filter(|_| valid.rotation.is_some()) else { return };
    for (key, object) in build::rotation(valid, phase(view), done(view)) {
        plan_child(observed, &key, &object, plan);
    }
}

/// Plans the Secret. Returns whether the token that the spec wants exists, or is made by this plan.
pub(super) fn plan_rotation(observed: &Observed, valid: &Valid, plan: &mut Plan) -> bool {
    let secret = names::admin_token_secret(&valid.name);
    if valid.rotation.is_none() {
        for key in rotation_keys(&valid.name) {
            plan_removal_of(observed, key, plan);
        }
        if !is_mounted(observed, valid, &secret.name) {
            plan_removal_of(observed, secret, plan);
        }
        return true;
    }
    let Some(view) = observed.rotation.as_ref().filter(|view| view.unread.is_none()) else { return false };
    if observed.children.get(&secret).is_some_and(|live| !is_ours(observed, &secret, live)) {
        plan.conflicts.push(secret);
        return false;
    }
    let request = observed.children.get(&names::rotation_request(&valid.name));
    let request = request.and_then(|live| requested(live));
    let change = decide(view, request.as_deref(), observed.now);
    let issues = change.is_some();
    plan.steps.extend(change.map(|change| Step::Rotate(step(observed, valid, change))));
    issues || view.token.as_ref().is_some_and(|token| token.is_usable)
}

/// The step, with the Secret as it should be without its values.
fn step(observed: &Observed, valid: &Valid, change: Change) -> Rotate {
    let key = names::admin_token_secret(&valid.name);
    let before = observed.children.get(&key);
    let token = observed.rotation.as_ref().and_then(|view| view.token.as_ref());
    let (issued_at, request) = match &change {
        Change::Retire => {
            (token.and_then(|token| token.issued_at), token.and_then(|token| token.request.clone()))
        }
        Change::Issue => (Some(observed.now), None),
        Change::Begin { request } => (Some(observed.now), Some(request.clone())),
    };
    let issued_at = issued_at.map(|moment| (ISSUED_AT_ANNOTATION.to_owned(), moment.to_string()));
    let request = request.map(|request| (ROTATION_ANNOTATION.to_owned(), request));
    let mut metadata = owned(valid, key.name.clone());
    metadata.annotations = Some(issued_at.into_iter().chain(request).collect());
    // A token that was changed since it was read is not replaced: the next reconcile decides again.
    metadata.resource_version = before.and_then(|live| live.metadata.resource_version.clone());
    Rotate { object: value(&Secret { metadata, ..Secret::default() }), key, change }
}
