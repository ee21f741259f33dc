//! Lookups that several conditions share.

use engine_core::wire::Health;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_core::DynamicObject;

use crate::{
    children::CHILDREN,
    conditions::{ConditionType, Reason},
    hibernation,
    names::{ChildKey, ChildKind, ENGINE_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL},
    observed::{EngineReport, Observed},
};

/// The reported head is updated at most once in this number of seconds while the log grows, because each update is a
/// write to the API server.
pub const HEAD_REFRESH_SECONDS: i64 = 10;

/// Seconds after which a missing pod counts as overdue; normally, a StatefulSet's controller creates it within one
/// second.
const POD_MISSING_SECONDS: i64 = 20;

pub(super) fn health(observed: &Observed) -> Option<&Health> {
    match &observed.writer().report {
        EngineReport::Answered(health) => Some(health),
        EngineReport::Unreachable(_) | EngineReport::NotQueried => None,
    }
}

pub(super) fn name(observed: &Observed) -> &str {
    observed.engine.metadata.name.as_deref().unwrap_or_default()
}

/// A condition as it was at the start of the reconcile.
pub(super) fn before(observed: &Observed, kind: ConditionType) -> Option<&Condition> {
    observed.engine.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Seconds since a condition last changed its status.
pub(super) fn age(observed: &Observed, condition: &Condition) -> i64 {
    observed.now.duration_since(condition.last_transition_time.0).as_secs()
}

pub(super) fn conflict_message(observed: &Observed, conflicts: &[ChildKey]) -> String {
    let engine = name(observed);
    let is_claim = |key: &&ChildKey| key.kind == ChildKind::PersistentVolumeClaim;
    let claim = conflicts.iter().find(is_claim).map(|key| {
        format!(
            "{key} exists already, and nothing on it says that it is this engine's: it may hold data of someone else, and is \
             left alone. If its volume holds the memories of this engine, hand it over: take other owners off it and \
             `kubectl label pvc {claim} {ENGINE_LABEL}={engine} {MANAGED_BY_LABEL}={FIELD_MANAGER} --overwrite`; its \
             log is then verified against its anchor. If not, give this MemoryEngine another name",
            claim = key.name
        )
    });
    let others: Vec<String> =
        conflicts.iter().filter(|key| !is_claim(key)).map(ToString::to_string).collect();
    let others = (!others.is_empty()).then(|| {
        format!(
            "{} exist(s) already and carry no mark of this engine, or belong to another controller; left alone. Rename objects of others, or give \
             this MemoryEngine another name",
            others.join(", ")
        )
    });
    claim.into_iter().chain(others).collect::<Vec<_>>().join(". ")
}

/// Whether the pod has been missing for longer than Kubernetes normally takes to create one. The reason is then only in
/// the events of the StatefulSet.
#[must_use]
pub fn is_pod_overdue(observed: &Observed) -> bool {
    // Only conditions of the present generation count: with an earlier spec, the pod may have been missing for another
    // reason.
    let so_far = |kind, reason: Reason| {
        before(observed, kind).filter(|c| {
            c.reason == reason.as_str() && c.observed_generation == observed.engine.metadata.generation
        })
    };
    let stuck_before = so_far(ConditionType::Stalled, Reason::PodRefused).is_some();
    let overdue = so_far(ConditionType::Reconciling, Reason::PodStarting)
        .is_some_and(|c| age(observed, c).min(set_age(observed)) >= POD_MISSING_SECONDS);
    let is_wanted = stateful_set(observed).is_some() && !hibernation::is_stopped(observed);
    observed.writer().pod.is_none() && is_wanted && (stuck_before || overdue)
}

/// Seconds since this process wrote the StatefulSet; `i64::MAX` if this process has not written it.
pub(super) fn set_age(observed: &Observed) -> i64 {
    let key = CHILDREN.stateful_set.key(name(observed));
    observed.applied.get(&key).map_or(i64::MAX, |applied| observed.now.duration_since(applied.at).as_secs())
}

pub(super) fn stateful_set(observed: &Observed) -> Option<&DynamicObject> {
    let key = CHILDREN.stateful_set.key(name(observed));
    observed.children.get(&key).map(AsRef::as_ref)
}
