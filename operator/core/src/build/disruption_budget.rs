use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::owned;
use crate::{names, validate::Valid};

/// One pod may always be evicted: a budget that protects a single pod would only block the drain of its node, and an
/// engine loses nothing when it moves. An unhealthy pod never blocks a drain either.
#[must_use]
pub fn disruption_budget(valid: &Valid) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: owned(valid, valid.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(LabelSelector {
                match_labels: Some(names::selector(&valid.name)),
                match_expressions: None,
            }),
            max_unavailable: Some(IntOrString::Int(1)),
            min_available: None,
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        status: None,
    }
}
