//! Test worlds: a fake engine, and functions that carry out plans as an API server would.

use std::sync::Arc;

use crds::{MemoryEngine, MemoryEngineSpec};
use engine_core::wire::{
    EngineStatus, Health, IntegrityHealth, LogHealth, ProjectionHealth, ProjectionState, StorageHealth,
    StorageReason,
};
use jiff::Timestamp;
use kube_core::DynamicObject;
use operator_core::{
    anchor::expected::expected_history,
    applied::Applied,
    names::{ChildKey, ChildKind},
    observed::{EngineReport, Observed},
    plan::{Done, Plan, Problem, Write, plan},
    pod::PodView,
    settings::Settings,
    status::{Outcome, status},
    validate::{Essentials, Fault, Valid, validate},
};
use serde_json::{Value, json};

pub(crate) fn settings() -> Settings {
    Settings {
        engine_image: Some("registry.example/engine:1".into()),
        is_namespaced: false,
        operator_image: Some("registry.example/operator:1".into()),
        operator_namespace: "memory-system".into(),
    }
}

/// An engine that was just created.
pub(crate) fn engine() -> MemoryEngine {
    let mut engine = MemoryEngine::new("notes", MemoryEngineSpec::default());
    engine.metadata.namespace = Some("team".into());
    engine.metadata.uid = Some("uid-of-notes".into());
    engine.metadata.generation = Some(1);
    engine
}

pub(crate) fn observed(engine: MemoryEngine) -> Observed {
    Observed::only(Arc::new(engine), "2026-01-02T03:04:05.5Z".parse::<Timestamp>().expect("a time"))
}

pub(crate) fn valid(observed: &Observed) -> Valid {
    validate(&observed.engine, &settings()).expect("a valid spec")
}

/// The parts of the spec that are used even if it is invalid.
pub(crate) fn essentials(observed: &Observed) -> Essentials {
    Essentials::of(&observed.engine)
}

/// The status if the spec has these faults.
pub(crate) fn status_of_faults(observed: &Observed, faults: &[Fault]) -> crds::MemoryEngineStatus {
    let outcome = Outcome::Invalid { faults, essentials: &essentials(observed) };
    status(observed, &expected_history(observed), &outcome)
}

pub(crate) fn planned(observed: &Observed) -> Plan {
    plan(observed, &valid(observed), &expected_history(observed))
}

pub(crate) fn writes(plan: &Plan) -> Vec<Write> {
    plan.writes().cloned().collect()
}

/// Carries out the first `count` writes as the API server would.
pub(crate) fn carry_out(observed: &mut Observed, plan: &Plan, count: usize) {
    for write in plan.writes().take(count) {
        match write {
            Write::Create { key, object }
            | Write::Update { key, object, .. }
            | Write::Repair { key, object, .. }
            | Write::Record { key, object } => {
                let mut after = stored(key, object);
                if let Some(before) = observed.children.get(key) {
                    keep_what_is_not_ours(&before.data, &mut after.data);
                }
                remember(observed, write, after);
            }
            Write::Release { key, owners, .. } => {
                let mut after = observed.children[key].as_ref().clone();
                after.metadata.owner_references = Some(owners.clone());
                observed.children.insert(key.clone(), Arc::new(after));
            }
            Write::Prune { key, ports, .. } => {
                let mut after = observed.children[key].as_ref().clone();
                after.data["spec"]["ports"] = json!(ports);
                observed.children.insert(key.clone(), Arc::new(after));
            }
            Write::Delete { key, .. } => {
                observed.children.remove(key);
            }
        }
    }
}

/// Stores the object after a write in the world, as the operator does.
pub(crate) fn remember(observed: &mut Observed, write: &Write, after: DynamicObject) {
    if let Some(applied) = Applied::of(write, &after, observed.now) {
        observed.applied.insert(write.key().clone(), applied);
    }
    observed.children.insert(write.key().clone(), Arc::new(after));
}

/// Copies from `before` to `after` what others wrote: the status, and the default class.
fn keep_what_is_not_ours(before: &Value, after: &mut Value) {
    after["status"] = before["status"].clone();
    let class = &before["spec"]["storageClassName"];
    if !class.is_null() {
        after["spec"]["storageClassName"] = class.clone();
    }
}

/// An applied object as the API server returns it: with a uid, a resourceVersion and a few defaults. It has no managed
/// fields, because no decision depends on them.
pub(crate) fn stored(key: &ChildKey, applied: &Value) -> DynamicObject {
    let mut object = applied.clone();
    object["metadata"]["uid"] = json!(format!("uid-of-{key}"));
    object["metadata"]["resourceVersion"] = json!("7");
    object["metadata"]["generation"] = json!(1);
    if key.kind == ChildKind::StatefulSet {
        object["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    }
    serde_json::from_value(object).expect("an object")
}

/// Changes the field at `pointer` of a child.
pub(crate) fn edit(observed: &mut Observed, kind: ChildKind, name: &str, pointer: &str, to: Value) {
    let key = ChildKey { kind, name: name.into() };
    let object = observed.children.get(&key).expect("the child is there");
    let mut value = serde_json::to_value(object.as_ref()).expect("JSON");
    let (parent, field) = pointer.rsplit_once('/').expect("a path");
    value.pointer_mut(parent).expect("the parent is there")[field] = to;
    observed.children.insert(key, Arc::new(serde_json::from_value(value).expect("an object")));
}

/// A world in which everything is as the spec requires.
pub(crate) fn settled() -> Observed {
    let mut observed = observed(engine());
    let plan = planned(&observed);
    carry_out(&mut observed, &plan, usize::MAX);
    let bound = json!({"phase": "Bound", "capacity": {"storage": "10Gi"}});
    edit(&mut observed, ChildKind::PersistentVolumeClaim, "notes-data", "/status", bound);
    edit(
        &mut observed,
        ChildKind::PersistentVolumeClaim,
        "notes-data",
        "/spec/storageClassName",
        json!("standard"),
    );
    let rolled_out = json!({
        "observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
        "currentRevision": "a", "updateRevision": "a",
    });
    edit(&mut observed, ChildKind::StatefulSet, "notes", "/status", rolled_out);
    observed.writer_mut().pod = Some(pod());
    observed.writer_mut().report = EngineReport::Answered(Box::new(health(None)));
    observed
}

pub(crate) fn pod() -> PodView {
    PodView {
        name: "notes-0".into(),
        revision: Some("a".into()),
        ip: Some("10.0.0.1".into()),
        ready: true,
        engine_ready: true,
        running: true,
        ..PodView::default()
    }
}

pub(crate) fn health(problem: Option<StorageReason>) -> Health {
    Health {
        version: "1.2.3".into(),
        status: if problem.is_none() { EngineStatus::Ok } else { EngineStatus::Degraded },
        log: LogHealth {
            id: "log-1".into(),
            seq: 42,
            hash: "ab".repeat(32),
            recovered_torn_bytes: 0,
            checkpoint: None,
            integrity: IntegrityHealth::default(),
        },
        projection: ProjectionHealth {
            applied_seq: 42,
            lag: 0,
            state: ProjectionState::Ready,
            digest: None,
            checked_at: None,
            rebuild: None,
        },
        storage: StorageHealth {
            capacity_bytes: 1,
            available_bytes: 1,
            writable: problem.is_none(),
            reason: problem,
        },
        started_at: Timestamp::UNIX_EPOCH,
        mode: None,
        not_applied: Vec::new(),
        reasons: Vec::new(),
        configuration: None,
        tls: None,
        issuers: Vec::new(),
        ticket: None,
        archive: None,
        restored: None,
    }
}

/// The status after a reconcile in which every write succeeded.
pub(crate) fn status_of(observed: &Observed) -> crds::MemoryEngineStatus {
    let plan = planned(observed);
    let written = plan.writes().map(|write| write.key().clone()).collect();
    let done = Done { written, changed: plan.is_changing(), problem: None };
    status_after(observed, &plan, &done)
}

/// The status after a reconcile with this result.
pub(crate) fn status_after(observed: &Observed, plan: &Plan, done: &Done) -> crds::MemoryEngineStatus {
    status(observed, &expected_history(observed), &Outcome::Applied { valid: &valid(observed), plan, done })
}

/// The result of a plan that stopped at this problem before its first write.
pub(crate) fn stopped(problem: Problem) -> Done {
    Done { problem: Some(problem), ..Done::default() }
}

/// One condition in the form `Type=Status/Reason`.
pub(crate) fn condition(status: &crds::MemoryEngineStatus, kind: &str) -> String {
    let condition =
        status.conditions.iter().find(|c| c.type_ == kind).expect("every condition is always there");
    format!("{}/{}", condition.status, condition.reason)
}
