//! Settings of the pod from the spec, and their defaults.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, PodSecurityContext, SELinuxOptions, SeccompProfile, Toleration, TopologySpreadConstraint,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde::{Serialize, de::DeserializeOwned};

use super::value;
use crate::validate::Valid;

/// ID of the user and of the group that run the engine in its image.
const ENGINE_UID: i64 = 65532;

/// Security context of the pod. With it, the kubelet refuses to run the pod as root, whatever the spec contains.
pub(super) fn security_context(valid: &Valid) -> PodSecurityContext {
    let said = &valid.security;
    let runtime_default = || SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None };
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(said.run_as_user.unwrap_or(ENGINE_UID)),
        run_as_group: Some(said.run_as_group.unwrap_or(ENGINE_UID)),
        fs_group: Some(said.fs_group.unwrap_or(ENGINE_UID)),
        fs_group_change_policy: Some(
            said.fs_group_change_policy
                .map_or_else(|| "OnRootMismatch".to_owned(), |policy| written(&policy)),
        ),
        supplemental_groups: (!said.supplemental_groups.is_empty()).then(|| said.supplemental_groups.clone()),
        se_linux_options: said.se_linux_options.as_ref().map(written::<SELinuxOptions>),
        seccomp_profile: Some(
            said.seccomp_profile.as_ref().map_or_else(runtime_default, written::<SeccompProfile>),
        ),
        ..PodSecurityContext::default()
    }
}

pub(super) fn affinity(valid: &Valid) -> Option<Affinity> {
    valid.affinity.as_ref().map(written)
}

/// The spread constraints of the spec. By default, engines are spread over the nodes where possible, so that the loss
/// of a node affects few engines. The default constraint never keeps a pod pending.
pub(super) fn topology_spread(valid: &Valid) -> Vec<TopologySpreadConstraint> {
    let engines = LabelSelector {
        match_labels: Some(BTreeMap::from([(
            "app.kubernetes.io/name".to_owned(),
            "memory-engine".to_owned(),
        )])),
        match_expressions: None,
    };
    if valid.topology_spread.is_empty() {
        return vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(engines),
            ..TopologySpreadConstraint::default()
        }];
    }
    let said = valid.topology_spread.iter().map(written::<TopologySpreadConstraint>);
    said.map(|mut rule| {
        rule.label_selector.get_or_insert_with(|| engines.clone());
        rule
    })
    .collect()
}

/// Converts a toleration and omits an empty key or value: the API server removes empty texts, so they would always look
/// like drift.
pub(super) fn toleration(toleration: &crds::Toleration) -> Toleration {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Toleration {
        key: said(&toleration.key),
        operator: Some(written(&toleration.operator)),
        value: said(&toleration.value),
        effect: toleration.effect.as_ref().map(written),
        toleration_seconds: toleration.toleration_seconds,
    }
}

/// Converts a type of the CRD to the Kubernetes type with the same fields and values.
fn written<T: DeserializeOwned>(said: &impl Serialize) -> T {
    serde_json::from_value(value(said)).expect("the resource has the fields of the Kubernetes type")
}
