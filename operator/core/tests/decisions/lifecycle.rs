//! Engines that are suspended, hibernate, or whose writes are fenced.

use std::sync::Arc;

use crds::{EngineMode, Fence, MemoryEngine, Phase, PublicExposure, PublicLoadBalancer};
use engine_core::{mode::Mode, wire::Teller};
use operator_core::{
    anchor::expected::expected_history,
    backoff::next_reconcile,
    hibernation::WAIT_MAX,
    mode::acknowledge_mode,
    names::{ChildKey, ChildKind, PUBLIC_VALUE},
    notices::notices,
    observed::{EngineReport, Observed},
    plan::{Call, Done, Plan, Step, plan_mode},
    publication::plan_all,
    status::{Outcome, status},
    validate::Fault,
};
use proptest::prelude::*;
use serde_json::json;

use crate::history::{anchored, later, log, look, serve, stored};
use crate::modes::mode;
use crate::world::{
    carry_out, condition, edit, essentials, observed, planned, settings, settled, status_of,
    status_of_faults, valid,
};

const SIZE: u64 = 7;

fn change(world: &mut Observed, change: impl FnOnce(&mut MemoryEngine)) {
    let engine = Arc::make_mut(&mut world.engine);
    change(engine);
    *engine.metadata.generation.as_mut().expect("a generation") += 1;
}

fn all(world: &Observed) -> Plan {
    plan_all(world, &expected_history(world), &valid(world))
}

fn status_all(world: &Observed) -> crds::MemoryEngineStatus {
    let (plan, valid) = (all(world), valid(world));
    let outcome = Outcome::Applied { valid: &valid, plan: &plan, done: &Done::default() };
    status(world, &expected_history(world), &outcome)
}

fn message(status: &crds::MemoryEngineStatus, kind: &str) -> String {
    status.conditions.iter().find(|one| one.type_ == kind).expect("a condition").message.clone()
}

/// An anchored engine that has its mode.
fn awake() -> Observed {
    let mut world = anchored(SIZE);
    let told = mode(&world, Mode::ReadWrite);
    acknowledge_mode(&mut world, told);
    assert_eq!(all(&world), Plan::default());
    world
}

/// The engine takes over the mode that it was told.
fn obey(world: &mut Observed, effective: Mode) {
    let mut told = mode(world, effective);
    told.wanted = effective;
    told.told_by = Some(Teller {
        uid: world.engine.metadata.uid.clone().unwrap_or_default(),
        generation: world.engine.metadata.generation.unwrap_or_default(),
    });
    acknowledge_mode(world, told);
}

/// The engine reports a log of this size with its present mode.
fn report(world: &mut Observed, size: u64) {
    let EngineReport::Answered(before) = world.writer().report.clone() else { panic!("no report") };
    serve(world, &log(size));
    if let EngineReport::Answered(health) = &mut world.writer_mut().report {
        health.mode = before.mode;
    }
}

fn fence(reason: &str) -> Option<Fence> {
    Some(Fence { reason: reason.into(), by: "operations".into() })
}

#[test]
fn a_suspended_engine_is_left_as_it_is_and_says_what_waits() {
    let mut world = awake();
    change(&mut world, |engine| engine.spec.suspend = true);
    assert_eq!(all(&world).steps, []);
    let nothing = status_all(&world);
    assert_eq!(condition(&nothing, "Suspended"), "True/SuspendedBySpec");
    assert_eq!(condition(&nothing, "Ready"), "True/Serving", "nothing waits");
    assert_eq!(nothing.observed_generation, Some(2));
    change(&mut world, |engine| {
        engine.spec.mode = EngineMode::ReadOnly;
        engine.spec.writer.drain_seconds = 33;
    });
    edit(&mut world, ChildKind::Service, "notes", "/spec/selector", json!({"app": "other"}));
    let plan = all(&world);
    assert_eq!(plan.steps, []);
    let waits = status_all(&world);
    assert_eq!(condition(&waits, "Stalled"), "True/ChangeSuspended", "a pipeline must not go on");
    assert_eq!(condition(&waits, "Ready"), "False/ModePending");
    assert_eq!(condition(&waits, "ReadsEnabled"), "False/ModePending");
    assert_eq!(condition(&waits, "LogIntegrity"), "True/Anchored", "the log is verified as always");
    let said = message(&waits, "Suspended");
    for part in ["set the mode read_only", "update StatefulSet/notes", "repair Service/notes"] {
        assert!(said.contains(part), "{said}");
    }
    change(&mut world, |engine| engine.spec.suspend = false);
    let verbs: Vec<_> =
        all(&world).writes().map(|write| format!("{} {}", write.verb(), write.key())).collect();
    assert_eq!(verbs, ["update ConfigMap/notes-config", "repair Service/notes", "update StatefulSet/notes"]);
    assert_eq!(condition(&status_all(&world), "Suspended"), "False/NotSuspended");
}

/// The log of a suspended engine goes on: its newest anchor is in the status, where the API server protects it.
#[test]
fn the_anchor_of_a_suspended_engine_moves_on_in_the_status_only() {
    let mut world = awake();
    change(&mut world, |engine| engine.spec.suspend = true);
    report(&mut world, SIZE + 3);
    later(&mut world, 60);
    let before = world.children.clone();
    let answer = log(SIZE + 3).answer(Some(SIZE));
    world.checkpoints = operator_core::observed::CheckpointReport::Answered(vec![answer]);
    let status = status_all(&world);
    assert_eq!(status.log.as_ref().and_then(|log| log.size), Some(10));
    Arc::make_mut(&mut world.engine).status = Some(status);
    let plan = all(&world);
    assert_eq!((plan.steps, plan.suspended), (vec![], Some(vec![])), "an anchor is no change that waits");
    assert_eq!(world.children, before);
}

/// Whoever suspends an engine must not keep one open that is not safe.
#[test]
fn an_exposure_that_is_not_safe_ends_also_while_an_engine_is_suspended() {
    let mut world = awake();
    world.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
    change(&mut world, |engine| engine.spec.suspend = true);
    let steps = all(&world).steps;
    assert!(matches!(steps.as_slice(), [Step::Publish(publish)] if !publish.is_public), "{steps:?}");
}

#[test]
fn nothing_is_sent_to_a_suspended_engine_with_an_invalid_spec() {
    let mut world = awake();
    change(&mut world, |engine| engine.spec.mode = EngineMode::ReadOnly);
    assert_eq!(plan_mode(&world, &essentials(&world)).steps.len(), 1);
    change(&mut world, |engine| engine.spec.suspend = true);
    assert_eq!(plan_mode(&world, &essentials(&world)).steps, []);
    let status = status_of_faults(&world, &[Fault::NoImage]);
    assert_eq!(condition(&status, "Suspended"), "True/SuspendedBySpec");
}

#[test]
fn a_deleted_engine_is_not_kept_by_a_suspension() {
    let mut world = awake();
    change(&mut world, |engine| {
        engine.spec.suspend = true;
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(settled().now);
        engine.metadata.deletion_timestamp = Some(now);
    });
    assert_eq!(all(&world).steps, []);
    assert!(world.engine.metadata.finalizers.is_none(), "nothing waits for the operator");
}

/// Reconciles until nothing changes, with an engine that does what it is told.
fn settle(world: &mut Observed, size: u64) {
    for _ in 0..6 {
        let plan = look(world, &log(size));
        if plan.steps.iter().any(|step| matches!(step, Step::Call(Call::PushMode(_)))) {
            obey(world, essentials(world).mode);
        }
    }
}

fn replicas(world: &Observed) -> i64 {
    let key = ChildKey { kind: ChildKind::StatefulSet, name: "notes".into() };
    world.children[&key].data["spec"]["replicas"].as_i64().expect("a number")
}

/// First no write is accepted any more, then the anchor covers everything, then the pod stops.
#[test]
fn an_engine_hibernates_after_its_last_anchor_and_wakes() {
    let mut world = awake();
    change(&mut world, |engine| engine.spec.hibernate = true);
    report(&mut world, SIZE + 2);
    let plan = look(&mut world, &log(SIZE + 2));
    assert!(plan.tells_mode() && replicas(&world) == 1, "{plan:?}");
    let stopping = stored(&world);
    assert_eq!(condition(&stopping, "Ready"), "False/Hibernating");
    assert_eq!(condition(&stopping, "Reconciling"), "True/Hibernating");
    obey(&mut world, Mode::ReadOnly);
    report(&mut world, SIZE + 3);
    later(&mut world, 20);
    look(&mut world, &log(SIZE + 3));
    assert_eq!(replicas(&world), 1, "the last event is not anchored in what was read");
    settle(&mut world, SIZE + 3);
    assert_eq!(replicas(&world), 0);
    assert_eq!(stored(&world).log.and_then(|log| log.size), Some(10), "the anchor covers the complete log");
    let children = world.children.len();
    world.writer_mut().pod = None;
    world.writer_mut().report = EngineReport::NotQueried;
    let none = json!({"observedGeneration": 1, "currentRevision": "a", "updateRevision": "a"});
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status", none);
    settle(&mut world, SIZE + 3);
    assert_eq!(world.children.len(), children, "the claim and every other object stay");
    let asleep = stored(&world);
    assert_eq!(asleep.phase, Some(Phase::Hibernated));
    for (kind, expected) in [
        ("Ready", "False/Hibernated"),
        ("Reconciling", "False/Settled"),
        ("Stalled", "False/NoObstacle"),
        ("StorageReady", "True/VolumeReady"),
        ("LogIntegrity", "True/Anchored"),
        ("ProjectionReady", "Unknown/Hibernated"),
        ("ReadsEnabled", "Unknown/Hibernated"),
    ] {
        assert_eq!(condition(&asleep, kind), expected);
    }
    assert!(next_reconcile(&asleep, 1.0).as_secs() >= 10, "nobody is asked all the time");
    later(&mut world, 3600);
    assert_eq!(condition(&status_of(&world), "Stalled"), "False/NoObstacle", "a missing pod is no alarm");
    let warnings: Vec<_> = notices(Some(&stopping), &asleep).into_iter().filter(|one| one.warning).collect();
    assert_eq!(warnings, []);
    change(&mut world, |engine| engine.spec.hibernate = false);
    look(&mut world, &log(SIZE + 3));
    assert_eq!(replicas(&world), 1);
    let waking = stored(&world);
    assert_eq!(condition(&waking, "Reconciling"), "True/PodStarting");
    assert_eq!((waking.hibernation, waking.phase), (None, Some(Phase::Pending)));
}

/// An engine that does not answer stops too, and it is said what was not waited for.
#[test]
fn an_engine_that_does_not_answer_hibernates_after_a_while() {
    let mut world = awake();
    change(&mut world, |engine| engine.spec.hibernate = true);
    world.writer_mut().report = EngineReport::Unreachable("no answer".into());
    look(&mut world, &log(SIZE));
    later(&mut world, WAIT_MAX.as_secs() - 1);
    look(&mut world, &log(SIZE));
    assert_eq!(replicas(&world), 1);
    later(&mut world, 1);
    look(&mut world, &log(SIZE));
    assert_eq!(replicas(&world), 0);
    world.writer_mut().pod = None;
    let status = status_of(&world);
    assert_eq!(condition(&status, "Ready"), "False/Hibernated");
    let said = message(&status, "Ready");
    assert!(said.contains("without an answer of the engine"), "{said}");
}

/// Clients outside of the cluster are cut off before the pod stops, and the load balancer keeps its address.
#[test]
fn an_exposure_ends_before_the_pod_stops() {
    let mut world = awake();
    let public = PublicExposure {
        hosts: vec!["memory.example.org".into()],
        load_balancer: Some(PublicLoadBalancer::default()),
        ..PublicExposure::default()
    };
    change(&mut world, |engine| {
        engine.spec.hibernate = true;
        engine.spec.exposure.public = Some(public);
    });
    obey(&mut world, Mode::ReadOnly);
    world.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
    let plan = all(&world);
    assert!(matches!(&plan.steps[0], Step::Publish(publish) if !publish.is_public), "{plan:?}");
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(replicas(&world), 1, "the label is still there");
    world.writer_mut().pod.as_mut().expect("a pod").public = None;
    let plan = all(&world);
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(replicas(&world), 0);
    assert!(plan.writes().all(|write| write.verb() != "delete"), "{plan:?}");
    assert_eq!(condition(&status_all(&world), "Exposed"), "False/Hibernated");
}

/// The evidence is of the moment when no write is accepted any more and an anchor covers everything.
#[test]
fn a_fence_stops_writes_and_keeps_evidence() {
    let mut world = awake();
    assert_eq!(condition(&stored(&world), "Fenced"), "False/NotFenced");
    change(&mut world, |engine| engine.spec.fence = fence("an audit"));
    report(&mut world, SIZE + 1);
    let plan = look(&mut world, &log(SIZE + 1));
    assert!(plan.tells_mode());
    assert_eq!(condition(&stored(&world), "Fenced"), "False/FencePending");
    assert_eq!(stored(&world).fence, None);
    obey(&mut world, Mode::ReadOnly);
    report(&mut world, SIZE + 2);
    later(&mut world, 20);
    look(&mut world, &log(SIZE + 2));
    let fenced = stored(&world);
    assert_eq!(condition(&fenced, "Fenced"), "True/WritesFenced");
    assert_eq!(condition(&fenced, "Ready"), "True/Serving", "reads go on");
    let evidence = fenced.fence.clone().expect("evidence");
    let view = log(SIZE + 2).view();
    assert_eq!(
        (evidence.head_seq, evidence.root, evidence.checkpoint),
        (9, Some(view.root), Some(view.note))
    );
    assert_eq!(
        (evidence.by.as_str(), evidence.reason.as_str(), evidence.generation),
        ("operations", "an audit", 2)
    );
    let events: Vec<_> = notices(None, &fenced).into_iter().map(|one| one.reason).collect();
    assert!(events.contains(&"WritesFenced".to_owned()), "{events:?}");
    // The evidence stays as it is, whatever the engine itself records later.
    report(&mut world, SIZE + 3);
    later(&mut world, 20);
    look(&mut world, &log(SIZE + 3));
    assert_eq!(stored(&world).fence, fenced.fence);
    change(&mut world, |engine| engine.spec.fence = None);
    assert!(look(&mut world, &log(SIZE + 3)).tells_mode());
    let lifted = stored(&world);
    assert_eq!(condition(&lifted, "Fenced"), "False/FenceLifted");
    let kept = lifted.fence.clone().expect("it is kept");
    assert!(kept.lifted_at.is_some() && kept.head_seq == 9);
    let events: Vec<_> = notices(Some(&fenced), &lifted).into_iter().map(|one| one.reason).collect();
    assert!(events.contains(&"FenceLifted".to_owned()), "{events:?}");
    change(&mut world, |engine| engine.spec.fence = fence("another audit"));
    obey(&mut world, Mode::ReadOnly);
    look(&mut world, &log(SIZE + 3));
    assert_eq!(stored(&world).fence.map(|one| one.reason), Some("another audit".to_owned()));
}

/// A mode without reads stays without reads, and a mode that somebody wants never allows writes under a fence.
#[test]
fn a_fence_never_widens_a_mode() {
    for wanted in [EngineMode::ReadWrite, EngineMode::WriteOnly, EngineMode::ReadOnly, EngineMode::Off] {
        let mut world = awake();
        change(&mut world, |engine| engine.spec.mode = wanted);
        let before = essentials(&world).mode;
        change(&mut world, |engine| engine.spec.fence = fence("an audit"));
        let after = essentials(&world).mode;
        assert!(!after.writes() && after.reads() == before.reads(), "{wanted:?}: {after}");
    }
}

#[test]
fn texts_of_a_fence_are_checked() {
    for (reason, by) in
        [("", "operations"), ("an audit", ""), ("an\u{1b}audit", "operations"), ("an audit", " ")]
    {
        let mut engine = crate::world::engine();
        engine.spec.fence = Some(Fence { reason: reason.into(), by: by.into() });
        let faults = operator_core::validate::validate(&observed(engine).engine, &settings());
        assert!(matches!(faults.err().as_deref(), Some([Fault::Fence(_)])), "{reason:?} {by:?}");
    }
}

proptest! {
    /// Whatever is wrong with an engine, a plan of a suspended one has no step but the end of an exposure, and its
    /// status is complete.
    #[test]
    fn a_suspension_leaves_no_step(world in crate::properties::worlds()) {
        let mut world = world;
        Arc::make_mut(&mut world.engine).spec.suspend = true;
        let plan = all(&world);
        let is_withdrawal = |step: &Step| matches!(step, Step::Publish(publish) if !publish.is_public);
        prop_assert!(plan.steps.iter().all(is_withdrawal), "{:?}", plan.steps);
        let status = status_all(&world);
        let is = |kind| condition(&status, kind).starts_with("True");
        prop_assert!(is("Suspended") && !(is("Reconciling") && is("Stalled")));
    }

    /// Whatever is wrong with an engine, one that hibernates is never both in progress and stalled, is not ready, and
    /// no plan removes anything of it.
    #[test]
    fn a_hibernation_is_always_told_in_the_same_way(world in crate::properties::worlds(), asleep in any::<bool>()) {
        let mut world = world;
        Arc::make_mut(&mut world.engine).spec.hibernate = true;
        let set = ChildKey { kind: ChildKind::StatefulSet, name: "notes".into() };
        if asleep && world.children.contains_key(&set) {
            edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/replicas", json!(0));
            world.writer_mut().pod = None;
            world.writer_mut().report = EngineReport::NotQueried;
        }
        prop_assert!(planned(&world).writes().all(|write| write.verb() != "delete"));
        let status = status_of(&world);
        prop_assert!(condition(&status, "Ready").starts_with("False"), "{:?}", status.conditions);
        prop_assert!(!(condition(&status, "Reconciling").starts_with("True") && condition(&status, "Stalled").starts_with("True")));
    }
}
