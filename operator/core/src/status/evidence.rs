//! Which spec the evidence belongs to. A pod of an earlier template, a StatefulSet whose controller has not acted
//! since, or a failure to expand to another size prove nothing about a new generation.

use kube_core::DynamicObject;

use super::{
    lookup::{name, stateful_set},
    outcome::Outcome,
};
use crate::{children::CHILDREN, observed::Observed};

/// What may be judged under the generation that the status describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The StatefulSet is as the spec requires, and its controller has acted on it.
    pub(super) stateful_set_is_current: bool,
    /// The pod, and so its engine's report, is of that StatefulSet's template.
    pub(super) pod_is_current: bool,
}

impl Evidence {
    pub(super) fn of(observed: &Observed, outcome: &Outcome<'_>) -> Self {
        let key = CHILDREN.stateful_set.key(name(observed));
        let wanted = match outcome {
            // Nothing is written for an invalid spec: the running engine is left unchanged.
            Outcome::Invalid { .. } => true,
            Outcome::Applied { plan, done, .. } => done.is_as_planned(plan, &key),
        };
        let Some(set) = observed.children.get(&key) else {
            return Self { stateful_set_is_current: false, pod_is_current: false };
        };
        let seen = wanted && number(set, "/status/observedGeneration") == set.metadata.generation;
        let newest = set.data.pointer("/status/updateRevision").and_then(serde_json::Value::as_str);
        let revision = observed.writer().pod.as_ref().and_then(|pod| pod.revision.as_deref());
        Self { stateful_set_is_current: seen, pod_is_current: seen && newest.is_some() && revision == newest }
    }

    /// There is a pod, and it belongs to an earlier spec.
    pub(super) fn is_of_earlier_spec(self, observed: &Observed) -> bool {
        observed.writer().pod.is_some() && !self.pod_is_current
    }
}

fn number(set: &DynamicObject, path: &str) -> Option<i64> {
    set.data.pointer(path).and_then(serde_json::Value::as_i64)
}

/// Whether the StatefulSet's controller has acted on the newest template, and the pod was created from it.
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
