//! Plans what depends on the Secrets that the spec refers to.

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::{
    Plan, Remember, Step,
    draft::{plan_child, plan_removal_of},
};
use crate::{
    build::{owned, value},
    names::{self, ChildKey},
    observed::Observed,
    ownership::is_ours,
    validate::Valid,
};

/// Plans the Secret with the ages of values. A Secret of somebody else under its name is left alone: the ages are then
/// unknown.
pub(super) fn plan_ages(observed: &Observed, valid: &Valid, plan: &mut Plan) {
    let Some(view) = &observed.secrets else { return };
    let key = names::ages_secret(&valid.name);
    if view.findings.is_empty() {
        plan_removal_of(observed, key, plan);
        return;
    }
    let live = observed.children.get(&key);
    let is_free =
        live.is_none_or(|live| is_ours(observed, &key, live) && live.metadata.deletion_timestamp.is_none());
    if is_free && view.to_remember.is_some() && view.to_remember != view.remembered {
        let object = value(&Secret { metadata: owned(valid, key.name.clone()), ..Secret::default() });
        plan.steps.push(Step::Remember(Remember { key, object }));
    }
}

/// Whether a bad Secret keeps the ConfigMap and the StatefulSet as they are: a pod that mounts it would not start, or
/// would accept a key that everybody can guess.
pub(super) fn hold_changes(observed: &Observed) -> bool {
    observed.secrets.as_ref().is_some_and(crate::secrets::SecretsView::holds_changes)
}

/// Whether an object would be written.
pub(super) fn would_change(observed: &Observed, key: &ChildKey, object: &Value) -> bool {
    let mut draft = Plan::default();
    plan_child(observed, key, object, &mut draft);
    !draft.steps.is_empty()
}
