//! Decides which generation of the spec the evidence belongs to. Three things prove nothing about a new generation: a
//! pod of an earlier template, a StatefulSet that its controller has not processed since, and a failed expansion to
//! another size.

use kube_core::DynamicObject;

use super::{
    lookup::{name, stateful_set},
    outcome::Outcome,
};
use crate::{children::CHILDREN, observed::Observed};

/// Which objects show the result of the generation that the status describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The StatefulSet is as the spec requires, and its controller has processed it.
    pub(super) stateful_set_is_current: bool,
    /// The pod was created from the template of that StatefulSet; so the engine's report is also current.
    pub(super) pod_is_current: bool,
}

impl Evidence {
    pub(super) fn of(observed: &Observed, outcome: &Outcome<'_>) -> Self {
        let key = CHILDREN.stateful_set.key(name(observed));
        let wanted = match outcome {
            // Nothing is written for an invalid spec: the running engine is left unchanged.
            Outcome::Invalid { .. } => true,
            Outcome::Applied { plan, done, .. } => {
                !plan.secrets_hold && !plan.certificate_hold && done.is_as_planned(plan, &key)
            }
        };
        let Some(set) = observed.children.get(&key) else {
            return Self { stateful_set_is_current: false, pod_is_current: false };
        };
        let seen = wanted && number(set, "/status/observedGeneration") == set.metadata.generation;
        let newest = set.data.pointer("/status/updateRevision").and_then(serde_json::Value::as_str);
        let revision = observed.writer().pod.as_ref().and_then(|pod| pod.revision.as_deref());
        Self { stateful_set_is_current: seen, pod_is_current: seen && newest.is_some() && revision == newest }
    }

    /// Whether a pod exists that belongs to an earlier spec.
    pub(super) fn is_of_earlier_spec(self, observed: &Observed) -> bool {
        observed.writer().pod.is_some() && !self.pod_is_current
    }
}

fn number(set: &DynamicObject, path: &str) -> Option<i64> {
    set.data.pointer(path).and_then(serde_json::Value::as_i64)
}

/// Whether the rollout is complete: the StatefulSet's controller has processed the newest template, and the pod created
/// from it is ready.
pub(super) fn rolled_out(observed: &Observed, evidence: Evidence) -> bool {
    let Some(set) = stateful_set(observed) else { return false };
    let at = |path: &str| set.data.pointer(path).filter(|value| !value.is_null());
    let number = |path: &str| at(path).and_then(serde_json::Value::as_i64).unwrap_or_default();
    evidence.stateful_set_is_current
        && !evidence.is_of_earlier_spec(observed)
        && number("/status/updatedReplicas") == 1
        && number("/status/readyReplicas") == 1
        && at("/status/currentRevision") == at("/status/updateRevision")
}
