//! The status, computed after the writes: what is true now, why, and what to do about it.

mod integrity;
mod pod;
mod projection;
mod volume;

use crds::{Endpoints, MemoryEngineStatus, Phase};
use engine_core::wire::{Health, ProjectionState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_core::DynamicObject;

use crate::{
    conditions::{ConditionType, Reason, Truth, Verdict, condition},
    names::{API_PORT, ChildKey, ChildKind},
    observed::{EngineReport, Observed},
    plan::Plan,
    refusal, storage,
    validate::{Fault, Valid},
};
use integrity::{integrity, log_status};
use pod::{no_pod, not_up, pod_obstacle};
use projection::{projection_status, projection_verdict};
use volume::{growth_verdict, storage_status, storage_verdict};

/// How old the reported head of the log may be while the log grows. Each refresh is a write to the API server.
pub const HEAD_REFRESH_SECONDS: i64 = 10;
/// Seconds a StatefulSet may take to make its pod; it takes one.
const POD_MISSING_SECONDS: i64 = 20;

/// What a reconcile came to, after its writes.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The spec cannot be carried out.
    Invalid(&'a [Fault]),
    /// The plan was carried out, up to the first refusal.
    Applied {
        /// The checked spec.
        valid: &'a Valid,
        /// What was planned.
        plan: &'a Plan,
        /// What the API server refused, and why.
        refused: Option<(ChildKey, String)>,
    },
}

/// Computes the status. `observed` holds the children as the writes left them.
#[must_use]
pub fn status(observed: &Observed, outcome: &Outcome<'_>) -> MemoryEngineStatus {
    let engine = &observed.engine;
    let before = engine.status.clone().unwrap_or_default();
    let generation = engine.metadata.generation.unwrap_or_default();
    let storage = storage_verdict(observed, outcome);
    let integrity = integrity(observed);
    let log = &integrity.verdict;
    let stalled = stalled_verdict(observed, outcome, &storage, log);
    let reconciling = reconciling_verdict(observed, outcome, &storage, log, &stalled);
    let ready = ready_verdict(observed, outcome, &storage, log, &stalled, &reconciling);
    let phase = phase(observed, &ready, &stalled, &reconciling);
    let conditions = [
        (ConditionType::Ready, &ready),
        (ConditionType::Reconciling, &reconciling),
        (ConditionType::Stalled, &stalled),
        (ConditionType::StorageReady, &storage),
        (ConditionType::LogIntegrity, log),
        (ConditionType::ProjectionReady, &projection_verdict(observed)),
    ]
    .map(|(kind, verdict)| condition(kind, verdict, &before.conditions, generation, observed.now));
    let health = health(observed);
    let log = log_status(observed, &integrity);
    MemoryEngineStatus {
        observed_generation: Some(generation),
        phase: Some(phase),
        version: health.map(|health| health.version.clone()).or(before.version),
        endpoints: Some(endpoints(observed)),
        projection: projection_status(observed, log.as_ref()),
        log,
        storage: storage_status(observed).or(before.storage),
        conditions: conditions.to_vec(),
    }
}

fn health(observed: &Observed) -> Option<&Health> {
    match &observed.report {
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

/// A condition as it was when the reconcile began.
fn before(observed: &Observed, kind: ConditionType) -> Option<&Condition> {
    observed.engine.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Seconds for which a condition has had its status.
fn age(observed: &Observed, condition: &Condition) -> i64 {
    observed.now.duration_since(condition.last_transition_time.0).as_secs()
}

fn stalled_verdict(observed: &Observed, outcome: &Outcome<'_>, storage: &Verdict, log: &Verdict) -> Verdict {
    let stalled = |reason, message: String| Verdict::new(Truth::True, reason, message);
    match outcome {
        Outcome::Invalid(faults) => {
            let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return stalled(Reason::InvalidSpec, texts.join("; "));
        }
        Outcome::Applied { plan, refused, .. } => {
            if !plan.conflicts.is_empty() {
                return stalled(Reason::NameConflict, conflict_message(&plan.conflicts));
            }
            if let Some((key, problem)) = refused {
                let what_to_do = refusal::explained(problem, &[]).map(|text| format!(". {text}"));
                return stalled(
                    Reason::ApplyRefused,
                    format!("the API server refuses {key}: {problem}{}", what_to_do.unwrap_or_default()),
                );
            }
        }
    }
    if is_storage_obstacle(storage.reason) {
        return stalled(storage.reason, storage.message.clone());
    }
    if log.truth == Truth::False {
        return stalled(log.reason, log.message.clone());
    }
    if let Some(obstacle) = observed.pod.as_ref().map_or_else(|| no_pod(observed), pod_obstacle) {
        return obstacle;
    }
    Verdict::new(Truth::False, Reason::NoObstacle, "nothing is in the way")
}

fn conflict_message(conflicts: &[ChildKey]) -> String {
    let names: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    format!(
        "{} exist(s) already and belong(s) to somebody else; left alone. Delete or rename it, or give this MemoryEngine \
         another name",
        names.join(", ")
    )
}

fn is_storage_obstacle(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::StorageClassMissing
            | Reason::NoDefaultStorageClass
            | Reason::ExpansionUnsupported
            | Reason::VolumeLost
            | Reason::ClaimBeingDeleted
            | Reason::VolumeFull
    )
}

/// Whether Kubernetes has made no pod for longer than it takes. Why, it says only in events of the StatefulSet.
#[must_use]
pub fn is_pod_overdue(observed: &Observed) -> bool {
    let stuck_before =
        before(observed, ConditionType::Stalled).is_some_and(|c| c.reason == Reason::PodRefused.as_str());
    let overdue = before(observed, ConditionType::Reconciling)
        .is_some_and(|c| c.reason == Reason::PodStarting.as_str() && age(observed, c) >= POD_MISSING_SECONDS);
    let acted = stateful_set(observed).is_some_and(|set| {
        let seen = set.data.pointer("/status/observedGeneration").and_then(serde_json::Value::as_i64);
        seen == set.metadata.generation
    });
    observed.pod.is_none() && acted && (stuck_before || overdue)
}

fn stateful_set(observed: &Observed) -> Option<&DynamicObject> {
    let key = ChildKey { kind: ChildKind::StatefulSet, name: name(observed).to_owned() };
    observed.children.get(&key).map(AsRef::as_ref)
}

fn reconciling_verdict(
    observed: &Observed,
    outcome: &Outcome<'_>,
    storage: &Verdict,
    log: &Verdict,
    stalled: &Verdict,
) -> Verdict {
    let busy = |reason, message: &str| Verdict::new(Truth::True, reason, message);
    if observed.engine.metadata.deletion_timestamp.is_some() {
        return busy(Reason::Deleting, "the resource is being deleted; the volume claim is kept");
    }
    // kstatus knows one of two: at work, or stuck.
    if stalled.truth == Truth::True {
        return Verdict::new(Truth::False, Reason::Blocked, "waiting for the obstacle that Stalled names");
    }
    if let Outcome::Applied { plan, .. } = outcome
        && plan.is_changing()
    {
        return busy(Reason::Applying, "objects are being made or changed");
    }
    if log.reason == Reason::RollbackAccepted {
        return busy(log.reason, &log.message);
    }
    if storage.reason == Reason::Resizing {
        return busy(Reason::Resizing, &storage.message);
    }
    if let Some(growing) = storage::claim_of(observed, name(observed)).and_then(growth_verdict) {
        return Verdict::new(Truth::True, growing.reason, growing.message);
    }
    if !rolled_out(observed) {
        return busy(Reason::PodStarting, "the pod is being made, moved or replaced");
    }
    Verdict::new(Truth::False, Reason::Settled, "everything is as the spec wants it")
}

/// Whether the StatefulSet's controller has seen the newest template and its pod is the one.
fn rolled_out(observed: &Observed) -> bool {
    let Some(set) = stateful_set(observed) else { return false };
    let at = |path: &str| set.data.pointer(path).filter(|value| !value.is_null());
    let number = |path: &str| at(path).and_then(serde_json::Value::as_i64).unwrap_or_default();
    number("/status/observedGeneration") == set.metadata.generation.unwrap_or_default()
        && number("/status/updatedReplicas") == 1
        && number("/status/readyReplicas") == 1
        && at("/status/currentRevision") == at("/status/updateRevision")
}

fn ready_verdict(
    observed: &Observed,
    outcome: &Outcome<'_>,
    storage: &Verdict,
    log: &Verdict,
    stalled: &Verdict,
    reconciling: &Verdict,
) -> Verdict {
    let not_ready = |reason, message: String| Verdict::new(Truth::False, reason, message);
    let serving = observed.pod.as_ref().is_some_and(|pod| pod.ready && !pod.deleting);
    if !serving {
        return not_serving(observed, log, stalled, reconciling);
    }
    match &observed.report {
        EngineReport::Answered(_) if log.truth == Truth::False || log.reason == Reason::RollbackAccepted => {
            not_ready(log.reason, log.message.clone())
        }
        EngineReport::Answered(health) if !health.storage.writable => {
            not_ready(storage.reason, storage.message.clone())
        }
        EngineReport::Answered(health) if health.projection.state == ProjectionState::Failed => not_ready(
            Reason::EngineDegraded,
            "searches fail: the projection cannot be built; read the engine's log".into(),
        ),
        EngineReport::Answered(_)
            if matches!(outcome, Outcome::Invalid(_)) || stalled.truth == Truth::True =>
        {
            not_ready(stalled.reason, stalled.message.clone())
        }
        EngineReport::Answered(_)
            if reconciling.truth == Truth::True && reconciling.reason != Reason::Resizing =>
        {
            not_ready(reconciling.reason, reconciling.message.clone())
        }
        EngineReport::Answered(_) => Verdict::new(Truth::True, Reason::Serving, "reads and writes work"),
        EngineReport::Unreachable(how) => Verdict::new(
            Truth::Unknown,
            Reason::EngineUnreachable,
            format!(
                "the pod is up but its administration port does not answer the operator: {how}. Look at network policies"
            ),
        ),
        EngineReport::NotAsked => not_ready(Reason::EngineStarting, "the pod has no address yet".into()),
    }
}

fn not_serving(observed: &Observed, log: &Verdict, stalled: &Verdict, reconciling: &Verdict) -> Verdict {
    if health(observed).is_some() && log.truth == Truth::False {
        return Verdict::new(Truth::False, log.reason, log.message.clone());
    }
    if stalled.truth == Truth::True {
        return Verdict::new(Truth::False, stalled.reason, stalled.message.clone());
    }
    if let Some(verdict) = observed.pod.as_ref().and_then(not_up) {
        return verdict;
    }
    match reconciling.truth {
        Truth::True => Verdict::new(Truth::False, reconciling.reason, reconciling.message.clone()),
        Truth::False | Truth::Unknown => {
            Verdict::new(Truth::False, Reason::PodStarting, "the pod is not ready")
        }
    }
}

fn phase(observed: &Observed, ready: &Verdict, stalled: &Verdict, reconciling: &Verdict) -> Phase {
    let serving = observed.pod.as_ref().is_some_and(|pod| pod.ready);
    match (ready.truth, stalled.truth, reconciling.truth) {
        (Truth::True, _, Truth::True) => Phase::Updating,
        (Truth::True, ..) => Phase::Running,
        (_, Truth::True, _) if serving => Phase::Degraded,
        (_, Truth::True, _) => Phase::Failed,
        (_, _, Truth::True) if serving => Phase::Updating,
        _ if serving => Phase::Degraded,
        _ => Phase::Pending,
    }
}
