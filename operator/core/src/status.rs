//! The status, computed after the writes: what is true now, why, and what to do about it.

use crds::{Endpoints, LogStatus, MemoryEngineStatus, Phase, Quantity, StorageStatus};
use engine_core::wire::{Health, ProjectionState, StorageReason};
use jiff::{SignedDuration, Timestamp};
use kube_core::DynamicObject;

use crate::{
    conditions::{ConditionType, Reason, Truth, Verdict, condition},
    names::{API_PORT, ChildKey, ChildKind},
    observed::{EngineReport, Observed, StorageClassView},
    plan::Plan,
    pod::PodView,
    storage::{self, ClaimHold},
    validate::{Fault, Valid},
};

/// How old the reported head of the log may be while the log grows. Each refresh is a write to the API server.
pub const HEAD_REFRESH_SECONDS: i64 = 10;
/// Restarts after which a container that does not come up is called crash-looping.
const CRASHES_MIN: i64 = 3;

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
    let stalled = stalled_verdict(observed, outcome, &storage);
    let reconciling = reconciling_verdict(observed, outcome, &stalled);
    let ready = ready_verdict(observed, outcome, &storage, &stalled, &reconciling);
    let phase = phase(observed, &ready, &stalled, &reconciling);
    let conditions = [
        (ConditionType::Ready, &ready),
        (ConditionType::Reconciling, &reconciling),
        (ConditionType::Stalled, &stalled),
        (ConditionType::StorageReady, &storage),
    ]
    .map(|(kind, verdict)| condition(kind, verdict, &before.conditions, generation, observed.now));
    let health = health(observed);
    MemoryEngineStatus {
        observed_generation: Some(generation),
        phase: Some(phase),
        version: health.map(|health| health.version.clone()).or(before.version),
        endpoints: Some(endpoints(observed)),
        log: health
            .map_or(before.log.clone(), |health| Some(log_status(before.log.as_ref(), health, observed.now))),
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

/// The head moves with every memory saved; the status follows at most once in [`HEAD_REFRESH_SECONDS`].
fn log_status(before: Option<&LogStatus>, health: &Health, now: Timestamp) -> LogStatus {
    let head_seq = i64::try_from(health.log.seq).unwrap_or(i64::MAX);
    let fresh = LogStatus {
        log_id: health.log.id.clone(),
        head_seq,
        head_hash: health.log.hash.clone(),
        observed_at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    };
    let Some(before) = before else { return fresh };
    let same = before.log_id == fresh.log_id && before.head_hash == fresh.head_hash;
    let age = before.observed_at.parse::<Timestamp>().map(|then| now.duration_since(then));
    let recent = age.is_ok_and(|age| {
        age >= SignedDuration::ZERO && age < SignedDuration::from_secs(HEAD_REFRESH_SECONDS)
    });
    if same || recent { before.clone() } else { fresh }
}

fn storage_status(observed: &Observed) -> Option<StorageStatus> {
    let claim = storage::claim_of(observed, name(observed))?;
    Some(StorageStatus {
        claim: claim.metadata.name.clone().unwrap_or_default(),
        requested: storage::requested(claim)?.0,
        capacity: storage::capacity(claim).map(|capacity| capacity.0),
    })
}

fn storage_verdict(observed: &Observed, outcome: &Outcome<'_>) -> Verdict {
    if let Outcome::Applied { plan: Plan { claim_hold: Some(hold), .. }, .. } = outcome {
        return hold_verdict(hold, name(observed));
    }
    let Some(claim) = storage::claim_of(observed, name(observed)) else {
        return Verdict::new(Truth::False, Reason::ClaimPending, "the volume claim has not been made yet");
    };
    if let Some(problem) = health(observed).and_then(|health| volume_problem(health, claim)) {
        return problem;
    }
    if claim.data.pointer("/status/phase").is_none_or(|phase| phase != "Bound") {
        return pending_verdict(observed, claim);
    }
    growth_verdict(claim).unwrap_or_else(|| {
        Verdict::new(Truth::True, Reason::VolumeReady, format!("{} is bound and writable", claim_name(claim)))
    })
}

fn claim_name(claim: &DynamicObject) -> String {
    format!("PersistentVolumeClaim {}", claim.metadata.name.as_deref().unwrap_or_default())
}

fn hold_verdict(hold: &ClaimHold, engine: &str) -> Verdict {
    match hold {
        ClaimHold::ExpansionUnsupported { class } => Verdict::new(
            Truth::False,
            Reason::ExpansionUnsupported,
            format!(
                "the volume cannot grow: StorageClass {class} has no allowVolumeExpansion. Set it there, or put \
                 spec.writer.storage.size back"
            ),
        ),
        ClaimHold::VolumeLost { head_seq } => Verdict::new(
            Truth::False,
            Reason::VolumeLost,
            format!(
                "PersistentVolumeClaim {engine}-data is gone, and with it a log of {head_seq} events. Bring the claim \
                 back under the same name, or delete this MemoryEngine and make it again to begin an empty log"
            ),
        ),
        ClaimHold::BeingDeleted => Verdict::new(
            Truth::False,
            Reason::ClaimBeingDeleted,
            format!(
                "PersistentVolumeClaim {engine}-data was deleted and goes as soon as its pod stops, with every memory \
                 in it. Copy the memories now; the deletion cannot be taken back"
            ),
        ),
    }
}

fn volume_problem(health: &Health, claim: &DynamicObject) -> Option<Verdict> {
    match health.storage.reason? {
        StorageReason::VolumeFull => Some(Verdict::new(
            Truth::False,
            Reason::VolumeFull,
            format!(
                "{} is full: reads go on, writes are refused. Raise spec.writer.storage.size; writes resume by themselves",
                claim_name(claim)
            ),
        )),
        StorageReason::IoError => Some(Verdict::new(
            Truth::False,
            Reason::VolumeFailing,
            format!(
                "writing to {} fails: nothing is acknowledged until it works again. Look at the engine's log and the node's disk",
                claim_name(claim)
            ),
        )),
        StorageReason::LogCorrupt => None,
    }
}

fn pending_verdict(observed: &Observed, claim: &DynamicObject) -> Verdict {
    if claim.data.pointer("/status/phase").is_some_and(|phase| phase == "Lost") {
        return Verdict::new(
            Truth::False,
            Reason::VolumeLost,
            format!(
                "{} has lost its PersistentVolume. Bring the volume back under the same name",
                claim_name(claim)
            ),
        );
    }
    match (&observed.storage_class, storage::class_of(claim)) {
        (StorageClassView::Missing(class), _) => Verdict::new(
            Truth::False,
            Reason::StorageClassMissing,
            format!(
                "StorageClass {class} does not exist. Make it, or delete this MemoryEngine and its claim and make it \
                 again with another spec.writer.storage.className"
            ),
        ),
        (_, None) => Verdict::new(
            Truth::False,
            Reason::NoDefaultStorageClass,
            "the cluster has no default StorageClass. Mark one as default, or delete this MemoryEngine and its claim and \
             make it again with spec.writer.storage.className",
        ),
        _ => Verdict::new(
            Truth::False,
            Reason::ClaimPending,
            format!("{} waits for its volume", claim_name(claim)),
        ),
    }
}

/// What a bound claim says about growing, when it is not as large as it should be.
fn growth_verdict(claim: &DynamicObject) -> Option<Verdict> {
    let milli = |quantity: Option<Quantity>| quantity.and_then(|quantity| quantity.milli().ok());
    let (requested, capacity) = (storage::requested(claim), storage::capacity(claim));
    if milli(capacity.clone())? >= milli(requested.clone())? {
        return None;
    }
    let failure =
        claim.data.pointer("/status/conditions").and_then(|list| list.as_array()).and_then(|list| {
            list.iter().find(|c| {
                matches!(c["type"].as_str(), Some("ControllerResizeError" | "NodeResizeError"))
                    && c["status"] == "True"
            })
        });
    let name = claim_name(claim);
    let sizes = format!(
        "from {} to {}",
        capacity.map(|q| q.0).unwrap_or_default(),
        requested.map(|q| q.0).unwrap_or_default()
    );
    Some(match failure {
        Some(failure) => Verdict::new(
            Truth::False,
            Reason::ResizeFailed,
            format!(
                "{name} does not grow {sizes}: {}. Kubernetes keeps trying; look at the storage driver",
                failure["message"].as_str().unwrap_or_default()
            ),
        ),
        None => Verdict::new(Truth::True, Reason::Resizing, format!("{name} grows {sizes} while in use")),
    })
}

fn stalled_verdict(observed: &Observed, outcome: &Outcome<'_>, storage: &Verdict) -> Verdict {
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
                return stalled(Reason::ApplyRefused, format!("the API server refuses {key}: {problem}"));
            }
        }
    }
    if is_storage_obstacle(storage.reason) {
        return stalled(storage.reason, storage.message.clone());
    }
    if let Some(obstacle) = observed.pod.as_ref().and_then(pod_obstacle) {
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

/// What keeps a pod from running until somebody acts.
fn pod_obstacle(pod: &PodView) -> Option<Verdict> {
    let stalled = |reason, message: String| Some(Verdict::new(Truth::True, reason, message));
    let (reason, message) =
        pod.waiting.as_ref().map_or(("", ""), |(reason, message)| (reason.as_str(), message.as_str()));
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
        | "ImageInspectError" => stalled(
            Reason::ImagePullFailed,
            format!(
                "the image cannot be pulled ({reason}): {message}. Correct spec.image or spec.imagePullSecrets"
            ),
        ),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => stalled(
            Reason::ContainerRefused,
            format!("the container cannot be started ({reason}): {message}"),
        ),
        _ if !pod.ready && pod.restarts >= CRASHES_MIN => {
            let (word, code) = pod.last_end.clone().unwrap_or_default();
            stalled(
                Reason::CrashLooping,
                format!(
                    "the engine ended {} times, last with exit code {code} ({word}). Read `kubectl logs --previous {}`",
                    pod.restarts, pod.name
                ),
            )
        }
        _ => None,
    }
}

fn reconciling_verdict(observed: &Observed, outcome: &Outcome<'_>, stalled: &Verdict) -> Verdict {
    let busy = |reason, message: &str| Verdict::new(Truth::True, reason, message);
    if observed.engine.metadata.deletion_timestamp.is_some() {
        return busy(Reason::Deleting, "the resource is being deleted; the volume claim is kept");
    }
    // kstatus knows one of two: at work, or stuck.
    if stalled.truth == Truth::True {
        return Verdict::new(Truth::False, Reason::Blocked, "waiting for the obstacle that Stalled names");
    }
    if let Outcome::Applied { plan, .. } = outcome
        && !plan.writes.is_empty()
    {
        return busy(Reason::Applying, "objects are being made or changed");
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
    let key = ChildKey { kind: ChildKind::StatefulSet, name: name(observed).to_owned() };
    let Some(set) = observed.children.get(&key) else { return false };
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
    stalled: &Verdict,
    reconciling: &Verdict,
) -> Verdict {
    let not_ready = |reason, message: String| Verdict::new(Truth::False, reason, message);
    let serving = observed.pod.as_ref().is_some_and(|pod| pod.ready && !pod.deleting);
    if !serving {
        return not_serving(observed, stalled, reconciling);
    }
    match &observed.report {
        EngineReport::Answered(health) if health.storage.reason == Some(StorageReason::LogCorrupt) => {
            log_corrupt()
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

fn log_corrupt() -> Verdict {
    Verdict::new(
        Truth::False,
        Reason::LogCorrupt,
        "the log does not verify: nothing is written and nothing is served. Run `memory-engine verify` on the volume",
    )
}

fn not_serving(observed: &Observed, stalled: &Verdict, reconciling: &Verdict) -> Verdict {
    if let Some(health) = health(observed)
        && health.storage.reason == Some(StorageReason::LogCorrupt)
    {
        return log_corrupt();
    }
    if stalled.truth == Truth::True {
        return Verdict::new(Truth::False, stalled.reason, stalled.message.clone());
    }
    if let Some(why) = observed.pod.as_ref().and_then(|pod| pod.unschedulable.clone()) {
        return Verdict::new(
            Truth::False,
            Reason::Unschedulable,
            format!("no node takes the pod: {why}. Add room, or change spec.writer"),
        );
    }
    if observed.pod.as_ref().is_some_and(|pod| pod.running && !pod.deleting) {
        return Verdict::new(Truth::False, Reason::EngineStarting, "the engine is opening its log");
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
