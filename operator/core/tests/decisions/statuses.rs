//! Statuses as users and pipelines see them.

use std::sync::Arc;

use crds::Phase;
use engine_core::wire::StorageReason;
use jiff::SignedDuration;
use operator_core::{
    names::{ChildKey, ChildKind},
    notices::notices,
    observed::{EngineReport, Observed, StorageClassView},
    plan::Problem,
    validate::Fault,
};
use serde_json::json;

use crate::world::{
    condition, edit, engine, health, observed, planned, settled, status_after, status_of, status_of_faults,
    stopped,
};

/// Checks Ready, Reconciling, Stalled, StorageReady and the phase, in this order.
fn check(world: &Observed, expected: [&str; 4], phase: Phase) {
    let status = status_of(world);
    let kinds = ["Ready", "Reconciling", "Stalled", "StorageReady"];
    assert_eq!(kinds.map(|kind| condition(&status, kind)), expected, "{:#?}", status.conditions);
    assert_eq!(status.phase, Some(phase));
}

#[test]
fn a_settled_engine_is_ready() {
    let ready = ["True/Serving", "False/Settled", "False/NoObstacle", "True/VolumeReady"];
    check(&settled(), ready, Phase::Running);
}

#[test]
fn a_new_engine_is_being_made() {
    let expected = ["False/Applying", "True/Applying", "False/NoObstacle", "False/ClaimPending"];
    check(&observed(engine()), expected, Phase::Pending);
}

#[test]
fn an_engine_whose_pod_starts_is_not_ready_yet() {
    let mut world = settled();
    let pod = world.writer_mut().pod.as_mut().expect("a pod");
    (pod.ready, pod.engine_ready) = (false, false);
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/readyReplicas", json!(0));
    let expected = ["False/EngineStarting", "True/PodStarting", "False/NoObstacle", "True/VolumeReady"];
    check(&world, expected, Phase::Pending);
}

/// If the StatefulSet's controller has not processed the newest template, the numbers in its status belong to the old
/// template and do not count.
#[test]
fn figures_of_an_older_template_do_not_count() {
    let mut world = settled();
    edit(&mut world, ChildKind::StatefulSet, "notes", "/metadata/generation", json!(2));
    let expected = ["False/PodStarting", "True/PodStarting", "False/NoObstacle", "True/VolumeReady"];
    check(&world, expected, Phase::Updating);
}

#[test]
fn a_full_volume_is_said_and_reads_go_on() {
    let mut world = settled();
    world.writer_mut().report = EngineReport::Answered(Box::new(health(Some(StorageReason::VolumeFull))));
    let expected = ["False/VolumeFull", "False/Blocked", "True/VolumeFull", "False/VolumeFull"];
    check(&world, expected, Phase::Degraded);
}

/// A full volume is being expanded: the engine must not be Stalled during the expansion, nor until it has checked its
/// volume again, because a pipeline may wait for it. If the expansion did not help, this is reported.
#[test]
fn a_full_volume_that_grows_is_not_stuck() {
    let mut world = settled();
    world.writer_mut().report = EngineReport::Answered(Box::new(health(Some(StorageReason::VolumeFull))));
    let full = world.clone();
    let request = "/spec/resources/requests/storage";
    edit(&mut world, ChildKind::PersistentVolumeClaim, "notes-data", request, json!("20Gi"));
    let expected = ["False/Resizing", "True/Resizing", "False/NoObstacle", "False/Resizing"];
    check(&world, expected, Phase::Updating);
    let mut grown = with_status(&full, status_of(&world));
    check(&grown, expected, Phase::Updating);
    grown.now += SignedDuration::from_secs(61);
    assert_eq!(condition(&status_of(&grown), "Stalled"), "True/VolumeFull");
}

/// If the pod is missing for some time, the message points to the events of the StatefulSet: only they contain the
/// reason.
#[test]
fn a_pod_that_kubernetes_does_not_make_stalls_after_a_while() {
    let mut world = settled();
    world.writer_mut().pod = None;
    world.writer_mut().report = EngineReport::NotQueried;
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/readyReplicas", json!(0));
    let starting = status_of(&world);
    assert_eq!(condition(&starting, "Reconciling"), "True/PodStarting");
    let mut later = with_status(&world, starting);
    later.now += SignedDuration::from_secs(19);
    assert_eq!(condition(&status_of(&later), "Stalled"), "False/NoObstacle");
    later.now += SignedDuration::from_secs(1);
    let expected = ["False/PodRefused", "False/Blocked", "True/PodRefused", "True/VolumeReady"];
    check(&later, expected, Phase::Failed);
    check(&with_status(&world, status_of(&later)), expected, Phase::Failed);
}

#[test]
fn a_corrupt_log_is_said_although_the_pod_is_not_ready() {
    let mut world = settled();
    world.writer_mut().pod.as_mut().expect("a pod").ready = false;
    world.writer_mut().report = EngineReport::Answered(Box::new(health(Some(StorageReason::LogCorrupt))));
    assert_eq!(condition(&status_of(&world), "Ready"), "False/LogCorrupt");
}

#[test]
fn an_engine_nobody_can_ask_is_neither_ready_nor_not() {
    let mut world = settled();
    world.writer_mut().report = EngineReport::Unreachable("no answer".into());
    let expected = ["Unknown/EngineUnreachable", "False/Settled", "False/NoObstacle", "True/VolumeReady"];
    check(&world, expected, Phase::Degraded);
}

#[test]
fn a_missing_class_stalls() {
    let mut world = settled();
    world.writer_mut().pod = None;
    world.writer_mut().report = EngineReport::NotQueried;
    edit(&mut world, ChildKind::PersistentVolumeClaim, "notes-data", "/status", json!({"phase": "Pending"}));
    world.storage_class = StorageClassView::Missing("fast".into());
    let missing = "StorageClassMissing";
    let expected = [
        format!("False/{missing}"),
        "False/Blocked".into(),
        format!("True/{missing}"),
        format!("False/{missing}"),
    ];
    check(&world, [&expected[0], &expected[1], &expected[2], &expected[3]], Phase::Failed);
}

#[test]
fn an_image_that_cannot_be_pulled_stalls() {
    let mut world = settled();
    let pod = world.writer_mut().pod.as_mut().expect("a pod");
    (pod.ready, pod.engine_ready, pod.running) = (false, false, false);
    pod.waiting = Some(("ImagePullBackOff".into(), "not found".into()));
    world.writer_mut().report = EngineReport::NotQueried;
    let expected = ["False/ImagePullFailed", "False/Blocked", "True/ImagePullFailed", "True/VolumeReady"];
    check(&world, expected, Phase::Failed);
}

#[test]
fn an_invalid_spec_and_a_refused_object_stall() {
    let world = settled();
    let invalid = status_of_faults(&world, &[Fault::NoImage]);
    assert_eq!(condition(&invalid, "Stalled"), "True/InvalidSpec");
    let key = ChildKey { kind: ChildKind::StatefulSet, name: "notes".into() };
    let done = stopped(Problem::Refused { key, why: "too large".into() });
    let refused = status_after(&world, &planned(&world), &done);
    assert_eq!(condition(&refused, "Stalled"), "True/ApplyRefused");
}

fn with_status(world: &Observed, status: crds::MemoryEngineStatus) -> Observed {
    let mut engine = world.engine.as_ref().clone();
    engine.status = Some(status);
    Observed { engine: Arc::new(engine), ..world.clone() }
}

/// The status of an unchanged world stays the same at any later time, so that it causes no write.
#[test]
fn an_unchanged_world_has_an_unchanged_status() {
    let world = settled();
    let before = status_of(&world);
    let mut later = with_status(&world, before.clone());
    later.now = later.now.checked_add(SignedDuration::from_hours(5)).expect("a time");
    assert_eq!(status_of(&later), before);
}

/// The head of a log with many writes is updated at most every ten seconds, with its newest value.
#[test]
fn the_head_of_a_busy_log_is_reported_at_intervals() {
    let world = settled();
    let before = status_of(&world);
    let mut busy = with_status(&world, before.clone());
    let mut report = health(None);
    (report.log.seq, report.log.hash) = (43, "cd".repeat(32));
    busy.writer_mut().report = EngineReport::Answered(Box::new(report));
    let at = |seconds| {
        let now = world.now.checked_add(SignedDuration::from_secs(seconds)).expect("a time");
        status_of(&Observed { now, ..busy.clone() }).log.expect("a log").head_seq
    };
    assert_eq!([at(1), at(9), at(11)], [42, 42, 43]);
}

#[test]
fn one_event_per_reason_and_none_for_what_stays() {
    let good = status_of(&settled());
    let mut world = settled();
    world.writer_mut().report = EngineReport::Answered(Box::new(health(Some(StorageReason::VolumeFull))));
    let full = status_of(&world);
    let said =
        |before, after| notices(before, after).into_iter().map(|n| (n.warning, n.reason)).collect::<Vec<_>>();
    assert_eq!(said(Some(&good), &full), [(true, "VolumeFull".into())]);
    assert_eq!(said(Some(&full), &full), []);
    assert_eq!(said(Some(&full), &good), [(false, "Serving".into())]);
    assert_eq!(
        said(None, &status_of(&observed(engine()))),
        [(false, "Applying".into()), (false, "ClaimPending".into())]
    );
}
