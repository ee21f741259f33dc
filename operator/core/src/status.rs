//! Computes the status after the writes: the current state, its reason, and what to do about it.

mod configuration;
mod evidence;
mod facts;
mod integrity;
mod pod;
mod projection;
mod ready;
mod reconciling;
mod stalled;
mod table;
mod volume;

use crds::{Endpoints, MemoryEngineStatus, Phase};
use engine_core::wire::Health;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_core::DynamicObject;

use crate::{
    anchor::expected::ExpectedHistory,
    children::CHILDREN,
    conditions::{ConditionType, Reason, Truth, condition},
    names::{API_PORT, ChildKey, ChildKind, ENGINE_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL},
    observed::{EngineReport, Observed},
    plan::{Done, Plan},
    validate::{Essentials, Fault, Valid},
};
use evidence::Evidence;
use facts::Facts;
use integrity::{integrity, log_status};
use projection::projection_status;
use volume::storage_status;

/// Maximum age of the reported head while the log grows. Each update is a write to the API server.
pub const HEAD_REFRESH_SECONDS: i64 = 10;
/// Seconds that a StatefulSet may take to create its pod; normally one.
const POD_MISSING_SECONDS: i64 = 20;

/// Result of a reconcile, after its writes.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The spec cannot be carried out.
    Invalid {
        /// Faults in it.
        faults: &'a [Fault],
        /// The parts of it that are used nevertheless.
        essentials: &'a Essentials,
    },
    /// The plan was carried out, up to the first problem.
    Applied {
        /// The checked spec.
        valid: &'a Valid,
        /// The plan.
        plan: &'a Plan,
        /// Its result.
        done: &'a Done,
    },
}

impl Outcome<'_> {
    /// The parts of the spec that are used whether it is valid or not.
    #[must_use]
    pub fn essentials(&self) -> &Essentials {
        match self {
            Self::Invalid { essentials, .. } => essentials,
            Self::Applied { valid, .. } => &valid.essentials,
        }
    }
}

/// Computes the status. `observed` contains the children after the writes.
#[must_use]
pub fn status(observed: &Observed, expected: &ExpectedHistory, outcome: &Outcome<'_>) -> MemoryEngineStatus {
    let engine = &observed.engine;
    let before = engine.status.clone().unwrap_or_default();
    let generation = engine.metadata.generation.unwrap_or_default();
    let integrity = integrity(observed, outcome.essentials(), expected);
    let evidence = Evidence::of(observed, outcome);
    let mut facts = Facts { observed, outcome, evidence, integrity: &integrity, decided: Vec::new() };
    table::decide(&mut facts);
    let conditions = ConditionType::ALL
        .map(|kind| condition(kind, facts.verdict(kind), &before.conditions, generation, observed.now));
    let health = health(observed);
    let log = log_status(observed, &integrity);
    MemoryEngineStatus {
        observed_generation: Some(generation),
        phase: Some(phase(&facts)),
        version: health.map(|health| health.version.clone()).or(before.version),
        endpoints: Some(endpoints(observed)),
        projection: projection_status(observed, log.as_ref()),
        log,
        storage: storage_status(observed).or(before.storage),
        conditions: conditions.to_vec(),
    }
}

fn health(observed: &Observed) -> Option<&Health> {
    match &observed.writer().report {
        EngineReport::Answered(health) => Some(health),
        EngineReport::Unreachable(_) | EngineReport::NotAsked => None,
    }
}

fn name(observed: &Observed) -> &str {
    observed.engine.metadata.name.as_deref().unwrap_or_default()
}

fn endpoints(observed: &Observed) -> Endpoints {
    let namespace = observed.engine.metadata.namespace.as_deref().unwrap_or_default();
    Endpoints { api: format!("http://{}.{namespace}.svc:{API_PORT}", name(observed)) }
}

/// A condition as it was at the start of the reconcile.
fn before(observed: &Observed, kind: ConditionType) -> Option<&Condition> {
    observed.engine.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Seconds since a condition last changed its status.
fn age(observed: &Observed, condition: &Condition) -> i64 {
    observed.now.duration_since(condition.last_transition_time.0).as_secs()
}

fn conflict_message(observed: &Observed, conflicts: &[ChildKey]) -> String {
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
            "{} exist(s) already and have no label of this engine; left alone. Rename objects of others, or give \
             this MemoryEngine another name",
            others.join(", ")
        )
    });
    claim.into_iter().chain(others).collect::<Vec<_>>().join(". ")
}

/// Whether there has been no pod for longer than Kubernetes takes to create one. Kubernetes reports the reason only in
/// events of the StatefulSet.
#[must_use]
pub fn is_pod_overdue(observed: &Observed) -> bool {
    // Both must be of this generation: the pod may be missing because of an earlier spec.
    let so_far = |kind, reason: Reason| {
        before(observed, kind).filter(|c| {
            c.reason == reason.as_str() && c.observed_generation == observed.engine.metadata.generation
        })
    };
    let stuck_before = so_far(ConditionType::Stalled, Reason::PodRefused).is_some();
    let overdue = so_far(ConditionType::Reconciling, Reason::PodStarting)
        .is_some_and(|c| age(observed, c).min(set_age(observed)) >= POD_MISSING_SECONDS);
    observed.writer().pod.is_none() && stateful_set(observed).is_some() && (stuck_before || overdue)
}

/// Seconds since this operator wrote the StatefulSet; a very large number if that was before its start.
fn set_age(observed: &Observed) -> i64 {
    let key = CHILDREN.stateful_set.key(name(observed));
    observed.applied.get(&key).map_or(i64::MAX, |applied| observed.now.duration_since(applied.at).as_secs())
}

fn stateful_set(observed: &Observed) -> Option<&DynamicObject> {
    let key = CHILDREN.stateful_set.key(name(observed));
    observed.children.get(&key).map(AsRef::as_ref)
}

/// Whether the StatefulSet's controller has acted on the newest template, and the pod was created from it.
fn rolled_out(observed: &Observed, evidence: Evidence) -> bool {
    let Some(set) = stateful_set(observed) else { return false };
    let at = |path: &str| set.data.pointer(path).filter(|value| !value.is_null());
    let number = |path: &str| at(path).and_then(serde_json::Value::as_i64).unwrap_or_default();
    evidence.set
        && !evidence.is_old(observed)
        && number("/status/updatedReplicas") == 1
        && number("/status/readyReplicas") == 1
        && at("/status/currentRevision") == at("/status/updateRevision")
}

/// A summary in one word, from the three conditions of kstatus.
fn phase(facts: &Facts<'_>) -> Phase {
    let serving = facts.observed.writer().pod.as_ref().is_some_and(|pod| pod.ready);
    let truth = |kind| facts.verdict(kind).truth;
    let kstatus = [ConditionType::Ready, ConditionType::Stalled, ConditionType::Reconciling].map(truth);
    match kstatus {
        [Truth::True, _, Truth::True] => Phase::Updating,
        [Truth::True, ..] => Phase::Running,
        [_, Truth::True, _] if serving => Phase::Degraded,
        [_, Truth::True, _] => Phase::Failed,
        [_, _, Truth::True] if serving => Phase::Updating,
        _ if serving => Phase::Degraded,
        _ => Phase::Pending,
    }
}
