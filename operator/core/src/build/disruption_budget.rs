use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::owned;
use crate::{names, validate::Valid};

/// A budget that always allows one pod to be evicted. An engine has a single pod: a budget that protected it would only
/// block the drain of its node, and no memories are lost when the pod moves. An unhealthy pod does not block a drain
/// either.
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
