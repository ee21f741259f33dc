//! Carrying out a plan: which steps are skipped, what follows from each response of the API server, and what changes
//! when an engine acknowledges an anchor.

use std::sync::Arc;

use engine_core::wire::{
    Anchor, GivenAnchor, IntegrityFault, IntegrityFaultKind, IntegrityHealth, StorageReason,
};
use kube_core::{DynamicObject, Status};
use operator_core::{
    names::{ChildKey, ChildKind},
    observed::{EngineReport, Observed},
    plan::{
        Answer, Call, Done, Expectation, Failure, NamespaceEnding, Plan, Problem, Progress, Request, Step,
        Write, Written, acknowledge_anchor,
    },
    retry::Bound,
};
use serde_json::json;

use crate::world::{edit, engine, observed, planned, settled, stored};

fn key(kind: ChildKind, name: &str) -> ChildKey {
    ChildKey { kind, name: name.into() }
}

/// A failure with this HTTP status and cause.
fn answered(code: u16, cause: &str) -> Failure {
    let details = json!({"causes": [{"reason": cause, "message": "", "field": ""}]});
    let details = serde_json::from_value(details).expect("details of a status");
    let status =
        Status { code, message: format!("answer {code}"), details: Some(details), ..Status::default() };
    Failure { status: Some(Box::new(status)), text: format!("the client reports {code}") }
}

fn lost() -> Failure {
    Failure { status: None, text: "no answer within 10s".into() }
}

/// The object after a write of the plan, with this resourceVersion.
fn left(write: &Write, version: &str) -> Arc<DynamicObject> {
    let Request::Apply(object) = write.request() else { panic!("{write:?}") };
    let mut object = stored(write.key(), object);
    object.metadata.resource_version = Some(version.into());
    Arc::new(object)
}

fn always(_: Bound, _: &ChildKey) -> bool {
    true
}

/// One write of each kind, for children of a settled world.
fn writes() -> Vec<Write> {
    let key = key(ChildKind::Service, "notes");
    let (object, because) = (json!({"metadata": {"name": "notes"}}), ".spec".to_owned());
    let (uid, resource_version) = ("uid".to_owned(), "7".to_owned());
    vec![
        Write::Create { key: key.clone(), object: object.clone() },
        Write::Update { key: key.clone(), object: object.clone(), because: because.clone() },
        Write::Repair { key: key.clone(), object: object.clone(), because },
        Write::Record { key: key.clone(), object },
        Write::Release {
            key: key.clone(),
            uid: uid.clone(),
            resource_version: resource_version.clone(),
            owners: vec![],
        },
        Write::Delete { key, uid, resource_version },
    ]
}

#[test]
fn each_write_carries_what_it_expects() {
    let expectations: Vec<_> =
        writes().iter().map(|write| format!("{}: {:?}", write.verb(), write.expectation())).collect();
    let unchanged = Expectation::Unchanged { uid: "uid", resource_version: "7" };
    let expected = [
        "create: NotOwnedByOthers".to_owned(),
        "update: Forced".to_owned(),
        "repair: Forced".to_owned(),
        "record: Forced".to_owned(),
        format!("release: {unchanged:?}"),
        format!("delete: {unchanged:?}"),
    ];
    assert_eq!(expectations, expected);
    let Request::Merge(patch) = writes()[4].request() else { panic!("a merge patch") };
    assert_eq!(patch, json!({"metadata": {"uid": "uid", "resourceVersion": "7", "ownerReferences": []}}));
}

/// The result of one write to which the API server gives this response.
fn after(write: &Write, answer: Answer) -> (Observed, Result<Written, NamespaceEnding>, Done) {
    let mut world = settled();
    let now = world.now;
    let mut progress = Progress::new(None);
    assert!(progress.should_carry_out(&Step::Write(write.clone()), always));
    let written = progress.written(&mut world, write, answer, now);
    (world, written, progress.done())
}

/// Each failure of each kind of write is a temporary problem, a permanent problem, or the end of the namespace. None of
/// them changes the observed world.
#[test]
fn failures_are_told_apart() {
    for write in writes() {
        let key = write.key().clone();
        let before = settled();
        let failed = |why: &str| Problem::Failed { key: key.clone(), why: why.into() };
        let refused = |why: &str| Problem::Refused { key: key.clone(), why: why.into() };
        let mut checks = vec![
            (lost(), failed("no answer within 10s")),
            (answered(500, ""), failed("the client reports 500")),
            (answered(429, ""), failed("the client reports 429")),
            (answered(400, ""), refused("answer 400")),
            (answered(403, ""), refused("answer 403")),
            (answered(422, ""), refused("answer 422")),
        ];
        checks.push((answered(409, ""), failed("the client reports 409")));
        if !matches!(write, Write::Delete { .. }) {
            checks.push((answered(404, ""), failed("the client reports 404")));
        }
        for (failure, problem) in checks {
            let (world, written, done) = after(&write, Err(failure));
            assert_eq!(written, Ok(Written::Failed), "{}: {problem:?}", write.verb());
            assert_eq!(done, Done { problem: Some(problem), ..Done::default() }, "{}", write.verb());
            assert_eq!((&world.children, &world.applied), (&before.children, &before.applied));
        }
        let (_, written, _) = after(&write, Err(answered(403, "NamespaceTerminating")));
        assert_eq!(written, Err(NamespaceEnding), "{}", write.verb());
    }
}

/// If the object to delete is already gone, there is no problem.
#[test]
fn a_deletion_that_comes_too_late_is_no_problem() {
    let write = writes().pop().expect("a deletion");
    let (world, written, done) = after(&write, Err(answered(404, "")));
    assert_eq!(written, Ok(Written::Gone));
    assert_eq!(done, Done { written: vec![write.key().clone()], changed: true, problem: None });
    assert!(!world.children.contains_key(write.key()));
}

/// An object that has changed since it was observed is still there, and its deletion is tried again: of a kind that is
/// not watched nothing else would bring the operator back to it.
#[test]
fn a_deletion_of_an_object_that_has_changed_is_tried_again() {
    let write = writes().pop().expect("a deletion");
    let (world, written, done) = after(&write, Err(answered(409, "")));
    assert_eq!(written, Ok(Written::Failed));
    assert!(done.problem.is_some() && done.written.is_empty(), "{done:?}");
    assert!(world.children.contains_key(write.key()));
}

/// A write does not count as a change if the object stays as it was, or if only a newer anchor is recorded.
#[test]
fn what_leaves_an_object_as_it_was_is_no_change() {
    for write in writes().into_iter().take(4) {
        for (version, changed) in [("7", false), ("8", true)] {
            let object = left(&write, version);
            let (world, written, done) = after(&write, Ok(Some(object.clone())));
            let changed = changed && write.verb() != "record";
            assert_eq!(done.changed, changed, "{} at {version}", write.verb());
            let Ok(Written::Left(left, Some(applied))) = written else { panic!("{written:?}") };
            assert_eq!((left, &world.applied[write.key()]), (object, &applied));
        }
    }
}

/// The steps that are carried out if writes of objects of the kind `fails` fail.
fn carried_out(plan: &Plan, progress: &mut Progress, fails: ChildKind) -> Vec<String> {
    let mut world = settled();
    let now = world.now;
    let mut done = Vec::new();
    for step in &plan.steps {
        if !progress.should_carry_out(step, always) {
            continue;
        }
        match step {
            Step::Write(write) => {
                let fails = write.key().kind == fails;
                let answer = if fails { Err(lost()) } else { Ok(Some(left(write, "8"))) };
                progress.written(&mut world, write, answer, now).expect("the namespace stays");
                done.push(format!("{} {}", write.verb(), write.key()));
            }
            Step::Copy(copy) => done.push(format!("copy {}", copy.key)),
            Step::Rotate(rotate) => done.push(format!("rotate {}", rotate.key)),
            Step::Remember(remember) => done.push(format!("remember {}", remember.key)),
            Step::Hold(is_held) => done.push(format!("hold the deletion: {is_held}")),
            Step::Record(change) => done.push(format!("record {}", change.name())),
            Step::Deliver(deliver) => done.push(format!("deliver {}", deliver.pod)),
            Step::Publish(publish) => done.push(format!("publish {}", publish.is_public)),
            Step::Issue(issue) => done.push(format!("issue {}", issue.key)),
            Step::Call(Call::PushAnchor(_)) => done.push("push".into()),
            Step::Call(Call::PushMode(_)) => done.push("mode".into()),
            Step::Call(Call::PushHold(_)) => done.push("hold".into()),
            Step::Call(Call::TakeBackup(_)) => done.push("backup".into()),
            Step::Call(Call::Upkeep(_)) => done.push("upkeep".into()),
            Step::Call(Call::DeliverTicket(_)) => done.push("ticket".into()),
            Step::Call(Call::GrantCanary(_)) => done.push("canary".into()),
        }
    }
    done
}

fn mixed() -> Plan {
    let object = |name: &str| json!({"metadata": {"name": name}});
    let create = |kind, name: &str| Step::Write(Write::Create { key: key(kind, name), object: object(name) });
    Plan {
        steps: vec![
            create(ChildKind::Service, "notes"),
            create(ChildKind::StatefulSet, "notes"),
            Step::Write(Write::Record {
                key: key(ChildKind::ConfigMap, "notes-anchor"),
                object: object("notes-anchor"),
            }),
            Step::Call(Call::PushAnchor(GivenAnchor::New)),
        ],
        ..Plan::default()
    }
}

#[test]
fn after_the_first_problem_only_records_and_calls_go_on() {
    let mut progress = Progress::new(None);
    let done = carried_out(&mixed(), &mut progress, ChildKind::Service);
    assert_eq!(done, ["create Service/notes", "record ConfigMap/notes-anchor", "push"]);
    let problem = progress.done().problem.expect("the first one");
    assert_eq!(problem.key(), &key(ChildKind::Service, "notes"));

    let mut progress = Progress::new(None);
    let done = carried_out(&mixed(), &mut progress, ChildKind::PersistentVolumeClaim);
    assert_eq!(done.len(), 4);
    assert_eq!(progress.done().problem, None);
}

/// An object whose wait has not ended is not written, and the later steps are skipped as if it had failed again.
#[test]
fn an_object_that_is_held_is_not_written() {
    let problem = Problem::Refused { key: key(ChildKind::Service, "notes"), why: "a quota".into() };
    let mut progress = Progress::new(Some(problem.clone()));
    let done = carried_out(&mixed(), &mut progress, ChildKind::PersistentVolumeClaim);
    assert_eq!(done, ["record ConfigMap/notes-anchor", "push"]);
    assert_eq!(progress.done().problem, Some(problem));
    // A stored problem of an object that the plan does not write has no effect.
    let gone = Problem::Refused { key: key(ChildKind::NetworkPolicy, "notes"), why: "a quota".into() };
    let mut progress = Progress::new(Some(gone));
    assert_eq!(carried_out(&mixed(), &mut progress, ChildKind::PersistentVolumeClaim).len(), 4);
    assert_eq!(progress.done().problem, None);
}

/// Only writes that someone else can provoke repeatedly are bounded. When the bound is reached, the object is
/// contested.
#[test]
fn repairs_and_records_are_bounded() {
    let bounds: Vec<_> = writes().iter().map(|write| write.bound().map(|(bound, _)| bound)).collect();
    assert_eq!(bounds, [None, None, Some(Bound::Repairs), Some(Bound::Records), None, None]);
    for (write, field) in writes().into_iter().skip(2).zip([".spec", "the anchor"]) {
        let mut progress = Progress::new(None);
        assert!(!progress.should_carry_out(&Step::Write(write.clone()), |_, _| false));
        let contested = Problem::Contested { key: write.key().clone(), field: field.into() };
        assert_eq!(progress.done().problem, Some(contested));
    }
}

/// After any result of a write, planning again reaches the goal.
#[test]
fn planning_again_after_any_failure_reaches_the_goal() {
    let all = planned(&observed(engine()));
    for failing in 0..all.steps.len() {
        let mut world = observed(engine());
        let now = world.now;
        for turn in 0..2 {
            let plan = planned(&world);
            let mut progress = Progress::new(None);
            for (number, step) in plan.steps.iter().enumerate() {
                if !progress.should_carry_out(step, always) {
                    continue;
                }
                let Step::Write(write) = step else { panic!("{step:?}") };
                let fails = turn == 0 && number == failing;
                let answer = if fails { Err(lost()) } else { Ok(Some(left(write, "7"))) };
                progress.written(&mut world, write, answer, now).expect("the namespace stays");
            }
            assert_eq!(progress.done().problem.is_some(), turn == 0);
        }
        assert_eq!(planned(&world), Plan::default(), "step {failing} failed once");
    }
}

/// The engine's response replaces the findings in its report, and the status of this reconcile is based on it.
#[test]
fn an_acknowledged_anchor_rewrites_the_report() {
    let fault = IntegrityFault {
        kind: IntegrityFaultKind::Truncated,
        message: "shorter".into(),
        seq: 0,
        segment: None,
        line: None,
        byte: None,
    };
    let refusing = || {
        let mut world = settled();
        let EngineReport::Answered(health) = &mut world.writer_mut().report else { panic!("no report") };
        (health.storage.writable, health.storage.reason) = (false, Some(StorageReason::LogCorrupt));
        health.log.integrity.fault = Some(fault.clone());
        world
    };
    let storage = |world: &Observed| {
        let EngineReport::Answered(health) = &world.writer().report else { panic!("no report") };
        (health.storage.writable, health.storage.reason)
    };
    let anchor =
        Anchor { origin: "memory-engine/log-1".into(), size: 5, root: "ab".repeat(32), rollbacks: 0 };
    let given = GivenAnchor::Known { anchor: anchor.clone(), accepted: None };
    let says = |anchor| IntegrityHealth { anchor, ..IntegrityHealth::default() };
    let mut world = refusing();
    acknowledge_anchor(&mut world, &given, says(Some(anchor.clone())));
    assert!(world.anchor_acknowledged);
    assert_eq!(storage(&world), (true, None));

    for another in [
        None,
        Some(Anchor { origin: "memory-engine/log-2".into(), ..anchor.clone() }),
        Some(Anchor { root: "cd".repeat(32), ..anchor.clone() }),
        Some(Anchor { size: 4, ..anchor.clone() }),
    ] {
        let mut world = refusing();
        acknowledge_anchor(&mut world, &given, says(another.clone()));
        assert!(!world.anchor_acknowledged && world.anchor_refusal.is_some(), "{another:?}");
        assert_eq!(storage(&world), (false, Some(StorageReason::LogCorrupt)), "{another:?}");
    }

    let mut world = refusing();
    acknowledge_anchor(
        &mut world,
        &given,
        IntegrityHealth { fault: Some(fault.clone()), ..IntegrityHealth::default() },
    );
    assert_eq!(storage(&world), (false, Some(StorageReason::LogCorrupt)), "the fault is still there");

    let mut world = settled();
    let EngineReport::Answered(health) = &mut world.writer_mut().report else { panic!("no report") };
    (health.storage.writable, health.storage.reason) = (false, Some(StorageReason::VolumeFull));
    acknowledge_anchor(&mut world, &given, says(Some(anchor)));
    assert_eq!(storage(&world), (false, Some(StorageReason::VolumeFull)), "no anchor empties a volume");
}

/// A push is planned while the engine's report shows that it is needed, whatever the result of an earlier push.
#[test]
fn a_push_that_failed_is_planned_again() {
    let mut world = crate::history::anchored(5);
    let EngineReport::Answered(report) = &mut world.writer_mut().report else { panic!("no report") };
    report.log.integrity.anchor = None;
    edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/replicas", json!(3));
    let plan = planned(&world);
    assert!(matches!(
        plan.steps.as_slice(),
        [Step::Write(Write::Repair { .. }), Step::Call(Call::PushAnchor(_))]
    ));
    assert_eq!(planned(&world).pushed_anchor(), plan.pushed_anchor());
    let Some(GivenAnchor::Known { anchor, .. }) = plan.pushed_anchor() else { panic!("an anchor") };
    assert_eq!(anchor.size, 5);
}
