//! Validates the settings of the pod and of the Service: the spec must not set labels and annotations of the operator,
//! and must not run the engine as root.

use std::collections::BTreeMap;

use crds::{MemoryEngineSpec, PodSecurity, Toleration, TolerationEffect, TolerationOperator};

use super::fault::Fault;

/// Prefixes of labels and annotations that the operator sets, or by which Kubernetes identifies objects.
const RESERVED_PREFIXES: [&str; 7] = [
    "memoryengine.io",
    "app.kubernetes.io",
    "apps.kubernetes.io",
    "statefulset.kubernetes.io",
    "seccomp.security.alpha.kubernetes.io",
    "container.seccomp.security.alpha.kubernetes.io",
    "container.apparmor.security.beta.kubernetes.io",
];
/// Single keys that are reserved for the same reasons.
const RESERVED_KEYS: [&str; 6] = [
    "controller-revision-hash",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubernetes.io/config.mirror",
    "scheduler.alpha.kubernetes.io/tolerations",
    "controller.kubernetes.io/pod-deletion-cost",
];

pub(super) fn check_shape(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    let writer = &spec.writer;
    check_keys("spec.writer.podLabels", &writer.pod_labels, faults);
    check_keys("spec.writer.podAnnotations", &writer.pod_annotations, faults);
    if let Some(service) = &spec.service {
        check_keys("spec.service.labels", &service.labels, faults);
        check_keys("spec.service.annotations", &service.annotations, faults);
    }
    let public = spec.exposure.public.as_ref();
    if let Some(balancer) = public.and_then(|public| public.load_balancer.as_ref()) {
        check_keys("spec.exposure.public.loadBalancer.annotations", &balancer.annotations, faults);
    }
    if let Some(ingress) = public.and_then(|public| public.ingress.as_ref()) {
        check_keys("spec.exposure.public.ingress.annotations", &ingress.annotations, faults);
        check_keys("spec.exposure.public.ingress.serviceAnnotations", &ingress.service_annotations, faults);
    }
    let strange = writer.tolerations.iter().enumerate().filter(|(_, one)| !is_toleration(one));
    faults.extend(strange.map(|(index, _)| Fault::Toleration(index)));
    if let Some(security) = &writer.security_context {
        check_security(security, faults);
    }
}

/// Whether the fields of a toleration fit together.
fn is_toleration(toleration: &Toleration) -> bool {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let fits = match toleration.operator {
        TolerationOperator::Exists => !is_set(&toleration.value),
        TolerationOperator::Equal => is_set(&toleration.key),
    };
    let is_bounded = toleration.toleration_seconds.is_some();
    fits && (!is_bounded || toleration.effect == Some(TolerationEffect::NoExecute))
}

fn check_keys(field: &'static str, map: &BTreeMap<String, String>, faults: &mut Vec<Fault>) {
    let reserved = map.keys().filter(|key| is_reserved(key));
    faults.extend(reserved.map(|key| Fault::Reserved { field, key: key.clone() }));
}

fn is_reserved(key: &str) -> bool {
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    RESERVED_KEYS.contains(&key)
        || RESERVED_PREFIXES.contains(&prefix)
        || prefix.ends_with(".memoryengine.io")
}

fn check_security(security: &PodSecurity, faults: &mut Vec<Fault>) {
    let numbers = [security.run_as_user, security.run_as_group, security.fs_group];
    let named = numbers.iter().flatten().chain(&security.supplemental_groups);
    if named.into_iter().any(|number| !(1..=i64::from(i32::MAX)).contains(number)) {
        faults.push(Fault::Root);
    }
}
