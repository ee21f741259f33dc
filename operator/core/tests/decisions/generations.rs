//! After a change of the spec, evidence of the earlier spec must not give a verdict in any condition.

use std::sync::Arc;

use engine_core::wire::{IntegrityFaultKind, ProjectionState, StorageReason};
use jiff::SignedDuration;
use operator_core::{
    names::ChildKind,
    observed::{EngineReport, Observed},
};
use serde_json::json;

use crate::history::{accept, anchored, find, later, log, look, message, serve, stored};
use crate::world::{carry_out, condition, edit, planned, settled, status_of};

/// A fault: its name, the change to the world that causes it, and the expected conditions Stalled, StorageReady,
/// LogIntegrity and ProjectionReady.
type Fault = (&'static str, fn(&mut Observed), [&'static str; 4]);

const GOOD: [&str; 4] = ["False/NoObstacle", "True/VolumeReady", "True/Anchored", "True/ProjectionServing"];

fn waiting(world: &mut Observed, reason: &str) {
    let pod = world.writer_mut().pod.as_mut().expect("a pod");
    (pod.ready, pod.engine_ready, pod.running) = (false, false, false);
    pod.waiting = Some((reason.into(), "because".into()));
    edit(world, ChildKind::StatefulSet, "notes", "/status/readyReplicas", json!(0));
    world.writer_mut().report = EngineReport::NotQueried;
}

fn reported(world: &mut Observed, change: impl FnOnce(&mut engine_core::wire::Health)) {
    let EngineReport::Answered(report) = &mut world.writer_mut().report else { panic!("no report") };
    change(report);
}

fn faults() -> Vec<Fault> {
    vec![
        (
            "image",
            |world| waiting(world, "ImagePullBackOff"),
            ["True/ImagePullFailed", GOOD[1], GOOD[2], GOOD[3]],
        ),
        (
            "container",
            |world| waiting(world, "CreateContainerError"),
            ["True/ContainerRefused", GOOD[1], GOOD[2], GOOD[3]],
        ),
        (
            "crashes",
            |world| {
                waiting(world, "CrashLoopBackOff");
                world.writer_mut().pod.as_mut().expect("a pod").restarts = 9;
            },
            ["True/CrashLooping", GOOD[1], GOOD[2], GOOD[3]],
        ),
        (
            "full",
            |world| {
                reported(world, |report| {
                    (report.storage.writable, report.storage.reason) =
                        (false, Some(StorageReason::VolumeFull));
                });
            },
            ["True/VolumeFull", "False/VolumeFull", GOOD[2], GOOD[3]],
        ),
        (
            "failing",
            |world| {
                reported(world, |report| {
                    (report.storage.writable, report.storage.reason) = (false, Some(StorageReason::IoError));
                });
            },
            [GOOD[0], "False/VolumeFailing", GOOD[2], GOOD[3]],
        ),
        (
            "projection",
            |world| reported(world, |report| report.projection.state = ProjectionState::Failed),
            [GOOD[0], GOOD[1], GOOD[2], "False/ProjectionFailed"],
        ),
        (
            "log",
            |world| find(world, IntegrityFaultKind::Truncated),
            ["True/LogTruncated", GOOD[1], "False/LogTruncated", GOOD[3]],
        ),
        (
            "unschedulable",
            |world| {
                waiting(world, "");
                world.writer_mut().pod.as_mut().expect("a pod").unschedulable = Some("no room".into());
            },
            [GOOD[0], GOOD[1], GOOD[2], GOOD[3]],
        ),
        (
            "unreachable",
            |world| world.writer_mut().report = EngineReport::Unreachable("no answer".into()),
            [GOOD[0], GOOD[1], GOOD[2], GOOD[3]],
        ),
    ]
}

const KINDS: [&str; 4] = ["Stalled", "StorageReady", "LogIntegrity", "ProjectionReady"];

/// A world with this fault, and with the resulting status.
fn faulty(fault: &Fault) -> Observed {
    let mut world = anchored(5);
    look(&mut world, &log(5));
    (fault.1)(&mut world);
    look(&mut world, &log(5));
    let said = KINDS.map(|kind| condition(&stored(&world), kind));
    assert_eq!(said, fault.2, "{}: the fault is reported while its spec is the present one", fault.0);
    assert!(!condition(&stored(&world), "Ready").starts_with("True"), "{}", fault.0);
    world
}

/// The user corrects the image in the spec, and the operator has written the StatefulSet.
fn corrected(world: &mut Observed) {
    let mut engine = world.engine.as_ref().clone();
    engine.metadata.generation = Some(2);
    engine.spec.image = Some("registry.example/engine:2".into());
    world.engine = Arc::new(engine);
    let plan = planned(world);
    carry_out(world, &plan, usize::MAX);
    edit(world, ChildKind::StatefulSet, "notes", "/metadata/generation", json!(2));
}

/// A moment of a rollout: its name, and the change to the world.
type Moment = (&'static str, fn(&mut Observed));

/// The successive moments of a rollout as the StatefulSet's controller and the watches show them. The old pod still
/// exists in all of them.
fn moments() -> [Moment; 4] {
    [
        ("the StatefulSet is written", |_| {}),
        ("its controller has seen it", |world| {
            edit(world, ChildKind::StatefulSet, "notes", "/status/observedGeneration", json!(2));
            edit(world, ChildKind::StatefulSet, "notes", "/status/updateRevision", json!("b"));
        }),
        ("the old pod is being ended", |world| {
            edit(world, ChildKind::StatefulSet, "notes", "/status/observedGeneration", json!(2));
            edit(world, ChildKind::StatefulSet, "notes", "/status/updateRevision", json!("b"));
            world.writer_mut().pod.as_mut().expect("a pod").deleting = true;
        }),
        ("the watch of pods is late", |world| {
            let status = json!({"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1,
                "currentRevision": "b", "updateRevision": "b"});
            edit(world, ChildKind::StatefulSet, "notes", "/status", status);
        }),
    ]
}

/// Under a new generation, the old pod gives no verdict: kstatus shows that work is in progress, and each condition
/// that has another verdict names the generation of that verdict.
#[test]
fn what_an_old_pod_shows_is_no_verdict_under_a_new_generation() {
    for fault in faults() {
        for (moment, change) in moments() {
            let mut world = faulty(&fault);
            corrected(&mut world);
            change(&mut world);
            let status = status_of(&world);
            let what = format!("{}, {moment}: {:#?}", fault.0, status.conditions);
            assert_eq!(status.observed_generation, Some(2));
            assert_eq!(condition(&status, "Stalled"), "False/NoObstacle", "{what}");
            assert_eq!(condition(&status, "Reconciling"), "True/PodStarting", "{what}");
            assert_eq!(condition(&status, "Ready"), "False/PodStarting", "{what}");
            assert_eq!(condition(&status, "ProjectionReady"), "Unknown/PodStarting", "{what}");
            let storage = condition(&status, "StorageReady");
            assert!(["True/VolumeReady", "Unknown/PodStarting"].contains(&storage.as_str()), "{what}");
        }
    }
}

/// A new pod is judged as soon as it exists, even if it has the same fault.
#[test]
fn a_new_pod_with_the_same_fault_is_judged() {
    for fault in faults() {
        let mut world = faulty(&fault);
        corrected(&mut world);
        let ready = i64::from(world.writer().pod.as_ref().is_some_and(|pod| pod.ready));
        let status = json!({"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": 1,
            "currentRevision": "b", "updateRevision": "b"});
        edit(&mut world, ChildKind::StatefulSet, "notes", "/status", status);
        world.writer_mut().pod.as_mut().expect("a pod").revision = Some("b".into());
        look(&mut world, &log(5));
        assert_eq!(condition(&stored(&world), "Stalled"), fault.2[0], "{}", fault.0);
        assert_eq!(condition(&stored(&world), "LogIntegrity"), fault.2[2], "{}", fault.0);
    }
}

/// If a change of the spec does not affect the pod, a fault of the pod is still reported.
#[test]
fn a_pod_that_is_still_wanted_is_judged_under_a_new_generation() {
    for fault in faults().into_iter().filter(|fault| fault.0 != "unreachable") {
        let mut world = faulty(&fault);
        let mut engine = world.engine.as_ref().clone();
        engine.metadata.generation = Some(2);
        world.engine = Arc::new(engine);
        let status = status_of(&world);
        assert_eq!(condition(&status, "Stalled"), fault.2[0], "{}", fault.0);
    }
}

/// If the pod is missing when the spec changes, Kubernetes again gets twenty seconds to create it under the new spec.
#[test]
fn a_missing_pod_has_its_time_again_under_a_new_spec() {
    let mut world = settled();
    world.writer_mut().pod = None;
    world.writer_mut().report = EngineReport::NotQueried;
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/readyReplicas", json!(0));
    for seconds in [0, 25] {
        later(&mut world, seconds);
        look(&mut world, &log(0));
    }
    assert_eq!(condition(&stored(&world), "Stalled"), "True/PodRefused");
    corrected(&mut world);
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/observedGeneration", json!(2));
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/updateRevision", json!("b"));
    for (seconds, expected) in
        [(0, "False/NoObstacle"), (19, "False/NoObstacle"), (1, "True/PodRefused"), (60, "True/PodRefused")]
    {
        later(&mut world, seconds);
        look(&mut world, &log(0));
        assert_eq!(condition(&stored(&world), "Stalled"), expected, "{seconds}");
    }
}

/// Each change of the spec while the pod is missing restarts this wait, however long the engine has been reconciling.
#[test]
fn a_missing_pod_is_not_counted_from_the_spec_before() {
    let mut world = settled();
    world.writer_mut().pod = None;
    world.writer_mut().report = EngineReport::NotQueried;
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/readyReplicas", json!(0));
    look(&mut world, &log(0));
    later(&mut world, 19);
    corrected(&mut world);
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/observedGeneration", json!(2));
    look(&mut world, &log(0));
    later(&mut world, 5);
    look(&mut world, &log(0));
    assert_eq!(condition(&stored(&world), "Stalled"), "False/NoObstacle");
}

/// An expansion to one size failed, and the user requests another size: the failure is not reported for the new size.
#[test]
fn a_failure_to_grow_is_of_the_size_that_failed() {
    let claim = ChildKind::PersistentVolumeClaim;
    let with = |requested: &str, tried: Option<&str>| {
        let mut world = settled();
        edit(&mut world, claim, "notes-data", "/spec/resources/requests/storage", json!(requested));
        let failed = json!([{"type": "ControllerResizeError", "status": "True", "message": "too large"}]);
        edit(&mut world, claim, "notes-data", "/status/conditions", failed);
        if let Some(tried) = tried {
            edit(&mut world, claim, "notes-data", "/status/allocatedResources", json!({"storage": tried}));
        }
        world
    };
    let says = |world: &Observed| condition(&status_of(world), "StorageReady");
    assert_eq!(says(&with("20Gi", Some("20Gi"))), "False/ResizeFailed");
    assert_eq!(says(&with("20480Mi", Some("20Gi"))), "False/ResizeFailed");
    assert_eq!(says(&with("15Gi", Some("20Gi"))), "True/Resizing");
    // If the resizer does not report the size of its attempt, the size that the last reconcile requested stands for it:
    // this size has failed, and another size has not.
    let mut world = with("20Gi", None);
    look(&mut world, &log(0));
    assert_eq!(says(&world), "False/ResizeFailed");
    edit(&mut world, claim, "notes-data", "/spec/resources/requests/storage", json!("15Gi"));
    assert_eq!(says(&world), "True/Resizing");
}

/// The spec accepts the head of the log, but the engine cannot be queried for a moment: the engine is not Stalled, but
/// only for a limited time.
#[test]
fn an_accepted_rollback_waits_for_the_engine_before_it_is_called_stuck() {
    let mut world = anchored(5);
    serve(&mut world, &log(3));
    look(&mut world, &log(3));
    assert_eq!(condition(&stored(&world), "Stalled"), "True/LogTruncated");
    let root = log(3).view().root;
    accept(&mut world, 3, &root, "it is what there is");
    let mut engine = world.engine.as_ref().clone();
    engine.metadata.generation = Some(2);
    world.engine = Arc::new(engine);
    let answering = world.clone();
    world.writer_mut().report = EngineReport::Unreachable("no answer".into());
    for (seconds, stalled, reconciling) in [
        (0, "False/NoObstacle", "True/EngineStarting"),
        (60, "False/NoObstacle", "True/EngineStarting"),
        (60, "True/LogTruncated", "False/Blocked"),
        (60, "True/LogTruncated", "False/Blocked"),
    ] {
        later(&mut world, seconds);
        look(&mut world, &log(3));
        assert_eq!(condition(&stored(&world), "Stalled"), stalled);
        assert_eq!(condition(&stored(&world), "Reconciling"), reconciling);
        assert_eq!(condition(&stored(&world), "LogIntegrity"), "False/LogTruncated", "an alarm stays");
        let integrity =
            stored(&world).conditions.into_iter().find(|c| c.type_ == "LogIntegrity").expect("there");
        assert_eq!(integrity.observed_generation, Some(1), "and the condition names its generation");
    }
    let mut world = answering;
    look(&mut world, &log(3));
    assert_eq!(condition(&stored(&world), "LogIntegrity"), "Unknown/RollbackAccepted", "{}", message(&world));
    assert_eq!(condition(&stored(&world), "Stalled"), "False/NoObstacle");
}

/// The pod of an earlier engine of the same name is still terminating: it gives no verdict on the new engine.
#[test]
fn the_pod_of_an_engine_before_is_not_this_ones() {
    let mut world = settled();
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status", json!({}));
    let status = status_of(&world);
    assert!(condition(&status, "Ready").starts_with("False"), "{:#?}", status.conditions);
    world.now += SignedDuration::from_secs(1);
    waiting_words(&mut world);
    assert_eq!(condition(&status_of(&world), "Stalled"), "False/NoObstacle");
}

fn waiting_words(world: &mut Observed) {
    world.writer_mut().pod.as_mut().expect("a pod").waiting =
        Some(("ImagePullBackOff".into(), "because".into()));
}
