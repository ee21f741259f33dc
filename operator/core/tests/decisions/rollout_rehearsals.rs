//! Rehearsals: recorded questions that the canary is asked before it meets a caller.

use std::sync::Arc;

use crds::{Rollout, RolloutPhase, RolloutRehearsal};
use engine_core::wire::{CanaryReads, CanaryRehearsal, RehearsalReport};
use operator_core::{
    names::{self, ChildKey, ChildKind},
    validate::validate,
};
use serde_json::{Value, json};

use crate::{
    rollout_world::{NEW, World},
    world::{engine, settings},
};

fn with(world: &mut World, rehearsal: Option<RolloutRehearsal>) {
    let mut resource = world.observed.engine.as_ref().clone();
    resource.spec.rollout.as_mut().expect("a rollout").rehearsal = rehearsal;
    // What changes under the same generation is an update of the operator, and waits for an approval.
    resource.metadata.generation = resource.metadata.generation.map(|generation| generation + 1);
    world.observed.engine = Arc::new(resource);
}

/// The section `rehearsal` of the configuration in a ConfigMap.
fn section(world: &World, name: &str) -> Value {
    let key = ChildKey { kind: ChildKind::ConfigMap, name: name.to_owned() };
    let map = world.observed.children.get(&key).expect("a configuration");
    let text = map.data["data"]["config.yaml"].as_str().expect("a text");
    serde_yaml::from_str::<Value>(text).expect("YAML")["rehearsal"].clone()
}

#[test]
fn the_pods_that_answer_record_questions_and_are_told_to_ask_them_again() {
    let mut world = World::settled();
    assert_eq!(section(&world, &names::config_map("notes")), Value::Null, "nobody has asked for it");
    with(&mut world, Some(RolloutRehearsal { since_seconds: Some(86_400), questions: Some(50) }));
    (0..3).for_each(|_| world.turn(1));
    let expected = json!({"record": true, "questions": 50, "sinceSeconds": 86_400});
    assert_eq!(
        [section(&world, &names::config_map("notes")), section(&world, "notes-readers")],
        [expected.clone(), expected]
    );
    assert_eq!(world.phase(), RolloutPhase::Stable, "it is no revision: {}", world.message());
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Shadow);
    assert_eq!(section(&world, "notes-canary"), Value::Null, "who is judged records nothing");
    world.turn(1);
    assert!(!world.grants.is_empty());
    for one in &world.grants {
        let grant = one.grant.as_ref().expect("a grant");
        assert_eq!(grant.rehearsal, Some(CanaryRehearsal { since_seconds: 86_400, questions: 50 }));
        assert_eq!(grant.reads, CanaryReads::Shadow);
    }
    with(&mut world, None);
    world.turn(1);
    assert!(world.grants.iter().all(|one| one.grant.as_ref().is_some_and(|grant| grant.rehearsal.is_none())));
    assert_eq!(section(&world, &names::config_map("notes")), Value::Null);
}

#[test]
fn the_status_says_how_far_rehearsals_are() {
    let mut world = World::settled();
    with(&mut world, Some(RolloutRehearsal::default()));
    world.ask(NEW);
    world.turn(1);
    assert!(!world.message().contains("asked again"), "{}", world.message());
    world.rehearsal = Some(RehearsalReport { questions: 50, asked: 12 });
    world.until(RolloutPhase::Shadow);
    assert!(world.message().contains("24 of 100 recorded questions were asked again"), "{}", world.message());
}

#[test]
fn a_rehearsal_has_defaults_and_bounds() {
    let checked = |rehearsal: RolloutRehearsal| {
        let mut resource = engine();
        resource.spec.rollout = Some(Rollout { rehearsal: Some(rehearsal), ..Rollout::default() });
        validate(&resource, &settings())
    };
    let usual = checked(RolloutRehearsal::default()).expect("valid").rollout.expect("a rollout").rehearsal;
    assert_eq!(usual, Some(CanaryRehearsal { since_seconds: 2_592_000, questions: 1_000 }));
    for (since_seconds, questions, field) in [
        (Some(59), None, "spec.rollout.rehearsal.sinceSeconds"),
        (Some(2_678_401), None, "spec.rollout.rehearsal.sinceSeconds"),
        (None, Some(0), "spec.rollout.rehearsal.questions"),
        (None, Some(10_001), "spec.rollout.rehearsal.questions"),
    ] {
        let faults = checked(RolloutRehearsal { since_seconds, questions }).expect_err("out of bounds");
        assert!(faults.iter().any(|fault| fault.to_string().contains(field)), "{field}: {faults:?}");
    }
}
