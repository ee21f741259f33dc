//! Plans what depends on a certificate that the operator does not issue.

use k8s_openapi::api::core::v1::Secret;
use kube_core::DynamicObject;
use serde_json::Value;

use super::{
    Copy, Plan, Step,
    draft::{plan_child, plan_removal_of},
};
use crate::{
    build::{self, owned, value},
    children::CHILDREN,
    names,
    observed::Observed,
    ownership::is_ours,
    tls::GivenSource,
    validate::Valid,
};

/// Annotation with which cert-manager marks a Secret that it fills.
const CERTIFICATE_NAME_ANNOTATION: &str = "cert-manager.io/certificate-name";

/// Plans the order to cert-manager, and the copy of a good certificate. Returns whether the certificate that the spec
/// wants is where the pod mounts it, or is copied by this plan.
pub(super) fn plan_given(observed: &Observed, valid: &Valid, plan: &mut Plan) -> bool {
    let copy = names::api_certificate_secret(&valid.name);
    let Some(source) = &valid.essentials.given_certificate else {
        if !is_mounted(observed, valid, &copy.name) {
            plan_removal_of(observed, copy, plan);
        }
        return true;
    };
    let Some(view) = &observed.given else { return false };
    if *source == GivenSource::CertManager && !view.lacks_cert_manager && view.unread.is_none() {
        let order = names::certificate_order(&valid.name);
        let secret = names::secret(&order.name);
        // cert-manager would overwrite what somebody else has there.
        let is_foreign = |live: &DynamicObject| !is_of_order(live, &order.name);
        let is_taken = observed.children.get(&secret).is_some_and(|live| is_foreign(live));
        if is_taken && !observed.children.contains_key(&order) {
            plan.conflicts.push(secret);
            return view.delivered.is_some();
        }
        plan_child(observed, &order, &build::certificate_order(valid), plan);
    }
    if observed.children.get(&copy).is_some_and(|live| !is_ours(observed, &copy, live)) {
        plan.conflicts.push(copy);
        return false;
    }
    let is_good = matches!(view.given, Some(Ok(_)));
    if is_good && !view.is_current {
        let object = value(&Secret { metadata: owned(valid, copy.name.clone()), ..Secret::default() });
        plan.steps.push(Step::Copy(Copy {
            from: names::secret(&source.secret(&valid.name)),
            key: copy,
            object,
        }));
    }
    is_good || view.delivered.is_some()
}

/// Whether cert-manager has filled a Secret for this order.
fn is_of_order(secret: &DynamicObject, order: &str) -> bool {
    let annotations = secret.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(CERTIFICATE_NAME_ANNOTATION)).is_some_and(|name| name == order)
}

/// Whether the StatefulSet still mounts a Secret: its pod must be able to start until there is another template.
pub(super) fn is_mounted(observed: &Observed, valid: &Valid, name: &str) -> bool {
    let set = observed.children.get(&CHILDREN.stateful_set.key(&valid.name));
    let volumes = set.and_then(|set| set.data.pointer("/spec/template/spec/volumes")?.as_array());
    let projected = |volume: &Value| {
        let sources = volume["projected"]["sources"].as_array().cloned().unwrap_or_default();
        sources.iter().any(|source| source["secret"]["name"] == name)
    };
    volumes.into_iter().flatten().any(|volume| volume["secret"]["secretName"] == name || projected(volume))
}
