//! Changes to applied objects: changes by admission are accepted, and repeated reverts by others are bounded. Changes
//! of the spec are treated as neither.

use std::sync::Arc;

use crds::LogLevel;
use jiff::SignedDuration;
use kube_core::DynamicObject;
use operator_core::{
    applied_drift::ACCEPTED_MAX,
    names::{ChildKey, ChildKind},
    observed::Observed,
    plan::{Done, Plan, Problem, Step, Write},
};
use serde_json::{Value, json};

use crate::history::{anchored, later, log, look, said, serve};
use crate::world::{
    carry_out, condition, edit, engine, observed, planned, remember, settled, status_after, stopped, stored,
};

/// A change that an admission policy makes to every object of this kind when it is written.
type Policy = (ChildKind, fn(&mut Value));

/// Carries out a plan on an API server that has this admission policy.
fn admitted(world: &mut Observed, plan: &Plan, (kind, policy): Policy) {
    for write in plan.writes() {
        let one = Plan { steps: vec![Step::Write(write.clone())], ..Plan::default() };
        carry_out(world, &one, 1);
        if write.key().kind == kind
            && let Some(after) = world.children.get(write.key())
        {
            let mut after = serde_json::to_value(after.as_ref()).expect("JSON");
            policy(&mut after);
            let after: DynamicObject = serde_json::from_value(after).expect("an object");
            remember(world, write, after);
        }
    }
}

fn policies() -> Vec<(&'static str, Policy)> {
    use ChildKind::{ConfigMap, NetworkPolicy, PersistentVolumeClaim, Service, StatefulSet};
    vec![
        (
            "a field more",
            (StatefulSet, |set| {
                set["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
            }),
        ),
        (
            "a toleration more",
            (StatefulSet, |set| {
                let tolerations =
                    set["spec"]["template"]["spec"]["tolerations"].as_array_mut().expect("tolerations");
                tolerations.push(json!({"key": "pool", "operator": "Exists"}));
            }),
        ),
        (
            "a list changed",
            (StatefulSet, |set| {
                set["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["serve", "--data=/data"]);
            }),
        ),
        ("an item removed", (Service, |service| service["spec"]["ports"] = json!([]))),
        ("a selector changed", (Service, |service| service["spec"]["selector"] = json!({"pool": "a"}))),
        ("a field changed", (ConfigMap, |map| map["data"] = json!({"config.yaml": "", "anchor.json": "{}"}))),
        ("all labels removed", (ConfigMap, |map| map["metadata"]["labels"] = json!({}))),
        ("the mark removed", (StatefulSet, |set| set["metadata"]["annotations"] = json!({}))),
        ("a rule more", (NetworkPolicy, |policy| policy["spec"]["egress"] = json!([{}]))),
        (
            "a label of the claim changed",
            (PersistentVolumeClaim, |claim| {
                claim["metadata"]["labels"]["app.kubernetes.io/name"] = json!("storage");
            }),
        ),
        (
            "the claim's anchor removed",
            (PersistentVolumeClaim, |claim| claim["metadata"]["annotations"] = json!({})),
        ),
    ]
}

/// The world of an engine with a toleration after all writes on an API server with this policy. Also returns the number
/// of plans that were carried out.
fn made_under(policy: Policy) -> (Observed, usize) {
    let mut engine = engine();
    engine.spec.writer.tolerations =
        vec![serde_json::from_value(json!({"key": "gpu", "operator": "Exists"})).expect("a toleration")];
    let mut world = observed(engine);
    let mut looks = 0;
    for _ in 0..10 {
        let plan = planned(&world);
        if plan.writes().next().is_none() {
            break;
        }
        admitted(&mut world, &plan, policy);
        looks += 1;
    }
    (world, looks)
}

#[test]
fn what_admission_makes_of_an_object_is_no_drift() {
    for (name, policy) in policies() {
        let (world, looks) = made_under(policy);
        assert_eq!(looks, 2, "{name}: created, and applied once more to verify that it comes back the same");
        assert_eq!(planned(&world), Plan::default(), "{name}");
        // The claim's lost record is not reported: a claim without a record is treated as a claim with unknown content.
        let is_named = !operator_core::applied_drift::altered(&world).is_empty();
        assert!(is_named || name == "the claim's anchor removed", "{name}: it is named");
    }
}

/// After a restart, the operator writes each object that admission changes once, and then nothing more.
#[test]
fn a_restart_costs_one_write_of_what_admission_changed() {
    for (name, policy) in policies() {
        let (mut world, _) = made_under(policy);
        let changed: Vec<ChildKey> = {
            let altered = |key: &&ChildKey| !world.applied[*key].altered.is_empty();
            world.applied.keys().filter(altered).cloned().collect()
        };
        world.applied.clear();
        let before = world.children.clone();
        let plan = planned(&world);
        let keys: Vec<ChildKey> = plan.writes().map(|write| write.key().clone()).collect();
        assert_eq!(keys.len(), changed.len(), "{name}: {:?}", said(&plan));
        admitted(&mut world, &plan, policy);
        assert_eq!(world.children, before, "{name}: it changed nothing");
        assert_eq!(planned(&world), Plan::default(), "{name}");
    }
}

/// Writes that leave the objects unchanged do not make the engine Reconciling.
#[test]
fn applying_that_changes_nothing_is_not_said_to_change_something() {
    let mut world = settled();
    edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/replicas", json!(2));
    let plan = planned(&world);
    let written = plan.writes().map(|write| write.key().clone()).collect();
    let nothing = Done { written, changed: false, problem: None };
    assert_eq!(condition(&status_after(&world, &plan, &nothing), "Ready"), "True/Serving");
    let something = Done { changed: true, ..nothing };
    assert_eq!(condition(&status_after(&world, &plan, &something), "Ready"), "False/Applying");
}

/// Only the value that admission set at this path is accepted; every other change is drift.
#[test]
fn what_somebody_does_besides_admission_is_drift() {
    let (_, policy) = policies().remove(0);
    let (world, _) = made_under(policy);
    let check = |pointer: &str, to: Value| {
        let mut world = world.clone();
        edit(&mut world, ChildKind::StatefulSet, "notes", pointer, to);
        assert_eq!(said(&planned(&world)), ["repair StatefulSet/notes"], "{pointer}");
        let plan = planned(&world);
        admitted(&mut world, &plan, policy);
        assert_eq!(planned(&world), Plan::default(), "{pointer}");
    };
    check("/spec/replicas", json!(0));
    check("/spec/template/spec/containers/0/imagePullPolicy", json!("Never"));
    check("/spec/template/spec/containers/0/image", json!("evil"));
}

/// The change by admission is no longer accepted after a while, or when the object was replaced. The object is then
/// applied again.
#[test]
fn what_was_accepted_is_asked_again_in_time_and_of_another_object() {
    let (_, policy) = policies().remove(0);
    let (world, _) = made_under(policy);
    let mut later = world.clone();
    later.now += ACCEPTED_MAX - SignedDuration::from_secs(1);
    assert_eq!(planned(&later), Plan::default());
    later.now += SignedDuration::from_secs(1);
    assert_eq!(said(&planned(&later)), ["repair StatefulSet/notes"]);
    let plan = planned(&later);
    carry_out(&mut later, &plan, usize::MAX);
    assert_eq!(planned(&later), Plan::default(), "the policy and its changes are gone");
    let mut another = world;
    edit(&mut another, ChildKind::StatefulSet, "notes", "/metadata/uid", json!("another"));
    assert_eq!(said(&planned(&another)), ["repair StatefulSet/notes"]);
}

/// A change by a policy that applies only to creations is not accepted: after a restart, the operator would revert it
/// anyway.
#[test]
fn what_admission_does_at_a_creation_alone_is_put_right_at_once() {
    let (_, policy) = policies().remove(0);
    let mut world = observed(engine());
    let plan = planned(&world);
    admitted(&mut world, &plan, policy);
    let plan = planned(&world);
    assert_eq!(said(&plan), ["repair StatefulSet/notes"]);
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(planned(&world), Plan::default());
}

/// Admission changes a claim and a ConfigMap: recording a newer anchor in them does not count as a repair.
#[test]
fn the_anchor_moves_on_over_what_admission_changed() {
    for (name, (kind, policy)) in
        policies().into_iter().filter(|(name, _)| name.contains("label") || name.contains("anchor"))
    {
        let mut world = anchored(5);
        for key in world.children.clone().into_keys().filter(|key| key.kind == kind) {
            // The object was applied before, while the policy existed.
            let mut object = serde_json::to_value(world.children[&key].as_ref()).expect("JSON");
            let write = Write::Repair { key, object: object.clone(), because: String::new() };
            policy(&mut object);
            remember(&mut world, &write, serde_json::from_value(object).expect("an object"));
        }
        assert_eq!(planned(&world), Plan::default(), "{name}");
        for size in 6..10 {
            later(&mut world, 10);
            serve(&mut world, &log(size));
            look(&mut world, &log(size));
            let plan = planned(&world);
            assert!(
                plan.writes().all(|write| matches!(write, Write::Record { .. })),
                "{name}: {:?}",
                said(&plan)
            );
            assert!(!plan.is_changing(), "{name}");
            admitted(&mut world, &plan, (kind, policy));
            look(&mut world, &log(size));
        }
    }
}

/// Repeated edits of the spec cause updates, which are not bounded. Reverted fields cause repairs.
#[test]
fn an_edit_of_the_spec_is_no_repair() {
    let mut world = settled();
    let edits =
        [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Info];
    for (number, level) in edits.into_iter().enumerate() {
        let mut engine = world.engine.as_ref().clone();
        engine.spec.logging.level = level;
        world.engine = Arc::new(engine);
        let plan = planned(&world);
        assert!(plan.writes().next().is_some(), "edit {number} changes something");
        assert!(
            plan.writes().all(|write| matches!(write, Write::Update { .. })),
            "edit {number}: {:?}",
            said(&plan)
        );
        carry_out(&mut world, &plan, usize::MAX);
        // Someone reverts the write: the operator plans a repair, even if the hash annotation was reverted too.
        let mut fought = world.clone();
        edit(&mut fought, ChildKind::ConfigMap, "notes-config", "/metadata/annotations", json!({}));
        edit(&mut fought, ChildKind::ConfigMap, "notes-config", "/data", json!({"config.yaml": "{}"}));
        assert_eq!(said(&planned(&fought)), ["repair ConfigMap/notes-config"]);
    }
}

/// After a restart, the operator distinguishes an update from a repair by the hash annotation on the object.
#[test]
fn a_new_operator_tells_an_update_from_a_repair() {
    let mut world = settled();
    world.applied.clear();
    edit(&mut world, ChildKind::Service, "notes", "/spec/selector", json!({"app": "other"}));
    assert_eq!(said(&planned(&world)), ["repair Service/notes"]);
    edit(
        &mut world,
        ChildKind::Service,
        "notes",
        "/metadata/annotations",
        json!({"memoryengine.io/applied-hash": "of before"}),
    );
    assert_eq!(said(&planned(&world)), ["update Service/notes"]);
}

/// Whatever problem stops the writes, the status reports it, and the log is verified and anchored.
#[test]
fn whatever_stops_the_writes_the_log_is_anchored() {
    let key = || ChildKey { kind: ChildKind::StatefulSet, name: "notes".into() };
    let problems = [
        (Problem::Refused { key: key(), why: "a quota".into() }, "True/ApplyRefused", "a quota"),
        (
            Problem::Contested { key: key(), field: ".spec.replicas".into() },
            "True/Contested",
            ".spec.replicas",
        ),
        (Problem::Failed { key: key(), why: "no answer".into() }, "False/NoObstacle", "no answer"),
    ];
    for (problem, stalled, says) in problems {
        let mut world = anchored(5);
        later(&mut world, 10);
        serve(&mut world, &log(8));
        edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/replicas", json!(0));
        world.checkpoints = operator_core::observed::CheckpointReport::Answered(vec![log(8).answer(Some(5))]);
        let status = status_after(&world, &planned(&world), &stopped(problem));
        assert_eq!(condition(&status, "Stalled"), stalled);
        assert!(status.conditions.iter().any(|c| c.message.contains(says)), "{status:?}");
        assert_eq!(condition(&status, "LogIntegrity"), "True/Anchored");
        assert_eq!(status.log.expect("a log").size, Some(8));
    }
}

/// If the API server stores an object as it was applied, the object has no altered fields.
#[test]
fn what_comes_back_as_applied_is_not_called_changed() {
    let mut world = settled();
    let plan = planned(&observed(engine()));
    for write in plan.writes() {
        let Write::Create { key, object } = write else { panic!("{write:?}") };
        let again = Write::Repair { key: key.clone(), object: object.clone(), because: String::new() };
        remember(&mut world, &again, stored(key, object));
        assert_eq!(world.applied[key].altered, [], "{key}");
    }
}
