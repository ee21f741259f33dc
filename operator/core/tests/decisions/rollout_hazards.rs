//! What people, other controllers and the cluster do during a rollout, and what must not come of it.

use crds::{RolloutPhase, RolloutStep};
use operator_core::{
    children::CHILDREN,
    names::{ChildKey, ChildKind, RENDERED_ANNOTATION},
    rollout::turn,
};
use serde_json::{Value, json};

use crate::rollout_world::{NEW, OLD, World};
use crate::world::{edit, engine, observed, valid};

/// An operator of another version has rendered the pod under the same spec, so that its change would wait for an
/// approval: but a rollout has decided about it.
#[test]
fn a_promotion_waits_for_no_approval_of_an_update() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Canary);
    let key = CHILDREN.stateful_set.key("notes");
    let annotations = world.observed.children[&key].metadata.annotations.clone().expect("annotations");
    let mut rendered: Value = serde_json::from_str(&annotations[RENDERED_ANNOTATION]).expect("JSON");
    (rendered["by"], rendered["generation"]) =
        (json!("0.0.1"), json!(world.observed.engine.metadata.generation));
    let at = "/metadata/annotations/memoryengine.io~1rendered";
    edit(&mut world.observed, ChildKind::StatefulSet, "notes", at, json!(rendered.to_string()));
    world.until(RolloutPhase::Soaking);
    assert_eq!(world.image("notes"), NEW);
}

/// A drain takes the pod of the canary away for a moment. What was counted stays.
#[test]
fn a_canary_without_a_pod_ends_no_grant() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Shadow);
    world.has_canary_pod = false;
    world.turn(1);
    assert_eq!(world.grants, [], "neither granted nor withdrawn");
    world.has_canary_pod = true;
    world.turn(1);
    assert_eq!(world.grants.len(), 2);
    world.until(RolloutPhase::Stable);
}

#[test]
fn a_workload_that_somebody_deletes_comes_back_as_the_stable_revision() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.annotate("abort");
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    world.observed.children.remove(&CHILDREN.stateful_set.key("notes"));
    (0..2).for_each(|_| world.turn(1));
    assert_eq!([world.image("notes"), world.image("notes-readers")], [OLD, OLD]);
}

/// Nobody removes annotations, and a pipeline applies them again.
#[test]
fn a_request_that_was_left_behind_asks_for_nothing() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.annotate(r#"{"verb": "promote-full", "reason": "checked by hand"}"#);
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::Promoting);
    world.until(RolloutPhase::Stable);
    world.ask("registry.example/engine:3");
    (0..2).for_each(|_| world.turn(1));
    assert_eq!((world.phase(), world.image("notes")), (RolloutPhase::DarkLaunch, NEW.to_owned()));
    // Removed and written again, it is another request.
    let mut resource = world.observed.engine.as_ref().clone();
    resource.metadata.annotations = None;
    world.observed.engine = resource.into();
    world.turn(1);
    world.annotate(r#"{"verb": "promote-full", "reason": "checked by hand"}"#);
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::Promoting);
}

#[test]
fn a_weight_that_is_lowered_falls_at_once() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Canary);
    let mut resource = world.observed.engine.as_ref().clone();
    let rollout = resource.spec.rollout.as_mut().expect("a rollout");
    rollout.canary =
        Some(vec![RolloutStep { weight: 2, seconds: 100 }, RolloutStep { weight: 50, seconds: 2 }]);
    world.observed.engine = resource.into();
    world.turn(1);
    assert_eq!(world.rollout().weight, 2);
}

/// A name that changes with the operator would make another revision of the same spec.
#[test]
fn the_name_of_a_revision_does_not_change() {
    let mut resource = engine();
    resource.spec.image = Some(OLD.to_owned());
    assert_eq!(valid(&observed(resource)).revision().name(), "a0eaf4d5bffc");
}

/// Each pod that answers sees the same gap, and more than three fail. While the writer restarts, no other pod takes the
/// counter over.
#[test]
fn a_gap_that_every_pod_sees_counts_once() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Shadow);
    world.tally.quality.gaps = 3;
    world.turn(1);
    world.is_writer_away = true;
    world.turn(1);
    world.is_writer_away = false;
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::Shadow, "{}", world.message());
    world.tally.quality.gaps = 4;
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    assert!(world.message().contains("Readiness"), "{}", world.message());
}

/// Pods that ask the canary report no check of what it measures of itself.
#[test]
fn a_gate_of_the_canary_itself_is_stale_without_its_report() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Shadow);
    world.has_canary_pod = false;
    for _ in 0..8 {
        world.pairs(300, false);
        world.turn(10);
    }
    assert_eq!(world.phase(), RolloutPhase::Shadow);
    assert!(world.message().contains("Digest cannot be judged (Stale)"), "{}", world.message());
}

/// Nothing runs while an engine hibernates, so that nothing is known of the new revision.
#[test]
fn a_hibernating_engine_is_not_promoted() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Promoting);
    for set in ["notes", "notes-readers"] {
        edit(&mut world.observed, ChildKind::StatefulSet, set, "/spec/replicas", json!(0));
        let status = json!({"observedGeneration": 1, "updatedReplicas": 0, "readyReplicas": 0});
        edit(&mut world.observed, ChildKind::StatefulSet, set, "/status", status);
    }
    let asked = valid(&world.observed);
    let turn = turn(&world.observed, &asked).expect("a rollout");
    assert_eq!(turn.valid.rolled.expect("a rollout").status.phase, RolloutPhase::Promoting);
}

/// Readers that run the new revision already reach the services that it names.
#[test]
fn each_workload_may_reach_the_services_of_its_own_revision() {
    let mut world = World::settled();
    let mut resource = world.observed.engine.as_ref().clone();
    let service = json!({"url": "http://models.team.svc:8443/v1", "model": "small", "dimension": 64});
    resource.spec.embedding =
        serde_json::from_value(json!({"provider": "http", "http": service})).expect("an embedding");
    world.observed.engine = resource.into();
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::DarkLaunch);
    let reaches = |world: &World, policy: &str| {
        let key = ChildKey { kind: ChildKind::NetworkPolicy, name: policy.to_owned() };
        world.observed.children[&key].data["spec"]["egress"].to_string().contains("8443")
    };
    let seen =
        |world: &World| ["notes-canary", "notes-readers", "notes"].map(|policy| reaches(world, policy));
    assert_eq!(seen(&world), [true, false, false]);
    world.until(RolloutPhase::Promoting);
    assert_eq!(seen(&world), [true, true, false], "the readers come first");
    world.until(RolloutPhase::Soaking);
    assert!(reaches(&world, "notes"));
}
