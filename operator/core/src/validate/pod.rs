//! Validates the settings of the pod and of the Service: the spec must not set labels and annotations of the operator,
//! and must not run the engine as root.

use std::collections::BTreeMap;

use crds::{MemoryEngineSpec, PodSecurity};

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
    if let Some(security) = &writer.security_context {
        check_security(security, faults);
    }
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
