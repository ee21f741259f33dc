//! Plans what depends on a certificate that the operator does not issue.

use k8s_openapi::api::core::v1::Secret;

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

/// Whether the StatefulSet still mounts a Secret: its pod must be able to start until there is another template.
fn is_mounted(observed: &Observed, valid: &Valid, name: &str) -> bool {
    let set = observed.children.get(&CHILDREN.stateful_set.key(&valid.name));
    let volumes = set.and_then(|set| set.data.pointer("/spec/template/spec/volumes")?.as_array());
    volumes.into_iter().flatten().any(|volume| volume["secret"]["secretName"] == name)
}
