//! Turns of a rollout: what each workload runs, what is granted, and what the status says.

use crds::RolloutPhase;
use engine_core::wire::CanaryReads;
use operator_core::{
    children::CHILDREN,
    conditions::ConditionType,
    names::{ChildKey, ChildKind},
};
use serde_json::{Value, json};

use crate::rollout_world::{NEW, OLD, World};

#[test]
fn a_good_revision_goes_through_every_step_and_the_writer_changes_last() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::DarkLaunch, "{}", world.message());
    assert_eq!(
        [world.image("notes-canary"), world.image("notes-readers"), world.image("notes")],
        [NEW, OLD, OLD]
    );
    assert_eq!(world.condition(ConditionType::RolledOut).1, "RolloutProgressing");
    assert_eq!(world.condition(ConditionType::Stalled).0, "False");
    world.seen.clear();
    world.until(RolloutPhase::Shadow);
    assert_eq!(world.rollout().weight, 0);
    world.until(RolloutPhase::Canary);
    assert_eq!(world.rollout().weight, 10);
    let grant = world.grants[0].grant.clone().expect("a grant");
    assert_eq!((grant.reads, grant.weight, grant.pair_interval_ms), (CanaryReads::Canary, 10, 100));
    assert_eq!(grant.api, "http://notes-canary.team.svc:8080");
    assert_eq!(grant.readyz, "http://10.0.0.9:8081/readyz");
    world.until(RolloutPhase::Promoting);
    assert!(world.rollout().weight <= 50);
    world.until(RolloutPhase::Soaking);
    assert_eq!(world.image("notes-canary"), "", "nothing is compared any more");
    world.until(RolloutPhase::Stable);
    assert_eq!(world.seen, [[OLD, OLD], [NEW, OLD], [NEW, NEW]], "the readers, then the writer");
    let steps: Vec<_> = world.rollout().decisions.iter().map(|decision| decision.to).collect();
    let [.., shadow, first, second, promoting, soaking, stable] = steps[..] else { panic!("{steps:?}") };
    assert_eq!(
        [shadow, first, second, promoting, soaking, stable],
        [
            RolloutPhase::Shadow,
            RolloutPhase::Canary,
            RolloutPhase::Canary,
            RolloutPhase::Promoting,
            RolloutPhase::Soaking,
            RolloutPhase::Stable
        ]
    );
    assert_eq!(world.condition(ConditionType::RolledOut), ("True".into(), "RevisionServing".into()));
}

#[test]
fn a_bad_revision_is_rolled_back_and_the_status_says_that_git_still_asks_for_it() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Canary);
    world.pairs(20, true);
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::RolledBack, "{}", world.message());
    assert!(world.grants.iter().all(|grant| grant.grant.is_none()), "{:?}", world.grants);
    assert_eq!([world.image("notes-canary"), world.image("notes")], ["", OLD]);
    let message = world.message();
    assert!(message.contains("Error") && message.contains("only the canary was bad in 20"), "{message}");
    assert!(message.contains("still asks for"), "{message}");
    assert_eq!(world.condition(ConditionType::Stalled), ("True".into(), "RolledBack".into()));
    assert_ne!(world.condition(ConditionType::Ready).1, "RolledBack", "the stable revision serves");
    let (writes, said) = (world.writes, world.rollout());
    (0..5).for_each(|_| world.turn(100));
    assert_eq!((world.writes, world.rollout()), (writes, said), "nothing flaps");
    // Another revision starts at once, and the bad one does not come back by itself.
    world.ask("registry.example/engine:3");
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::DarkLaunch);
    world.ask(NEW);
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    world.annotate("retry");
    world.turn(1);
    assert_eq!((world.phase(), world.image("notes-canary")), (RolloutPhase::DarkLaunch, NEW.to_owned()));
}

/// When everything runs the new revision, the old one is known only from the workloads.
#[test]
fn a_rollback_while_soaking_brings_the_old_revision_back_writer_first() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    world.until(RolloutPhase::Soaking);
    assert_eq!([world.image("notes-readers"), world.image("notes")], [NEW, NEW]);
    world.seen.clear();
    world.annotate(r#"{"verb": "abort", "by": "ada", "reason": "complaints"}"#);
    (0..4).for_each(|_| world.turn(1));
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    assert_eq!(world.seen.last().cloned(), Some([OLD.to_owned(), OLD.to_owned()]));
    assert!(world.seen.contains(&[NEW.to_owned(), OLD.to_owned()]), "{:?}", world.seen);
    assert!(world.message().contains("ada asked to abort: complaints"), "{}", world.message());
}

/// A write of the status causes a reconcile, which would write again and again.
#[test]
fn nothing_is_written_twice_in_the_time_between_two_looks() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    let writes = world.writes;
    (0..5).for_each(|_| world.turn(0));
    assert_eq!(world.writes, writes);
    world.turn(1);
    assert_eq!(world.writes, writes + 1, "the soak goes on");
}

#[test]
fn other_changes_roll_in_place_during_a_rollout() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    let mut resource = world.observed.engine.as_ref().clone();
    resource.spec.writer.pod_labels = [("team".to_owned(), "search".to_owned())].into();
    world.observed.engine = resource.into();
    world.turn(1);
    let key = CHILDREN.stateful_set.key("notes");
    let template = world.observed.children[&key].data["spec"]["template"].clone();
    assert_eq!(template["metadata"]["labels"]["team"], "search");
    assert_eq!(template["spec"]["containers"][0]["image"], OLD);
}

/// An engine of before the rollout takes what its spec asks for as the present revision.
#[test]
fn a_lost_state_holds_unless_everything_runs_what_the_spec_asks_for() {
    let mut world = World::settled();
    let forget = |world: &mut World| {
        let mut resource = world.observed.engine.as_ref().clone();
        resource.status.as_mut().expect("a status").rollout = None;
        world.observed.engine = resource.into();
    };
    forget(&mut world);
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::Stable);
    world.ask(NEW);
    forget(&mut world);
    (0..3).for_each(|_| world.turn(1));
    assert_eq!((world.phase(), world.image("notes")), (RolloutPhase::Unknown, OLD.to_owned()));
    assert_eq!(world.condition(ConditionType::Stalled), ("True".into(), "RolloutStateMissing".into()));
    world.annotate("nonsense");
    world.turn(1);
    assert!(world.message().contains("promote-full"), "{}", world.message());
    world.annotate("retry");
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::DarkLaunch, "{}", world.message());
}

/// The configuration of a follower is its own, so that a change of the canary's restarts nothing else.
#[test]
fn each_workload_mounts_its_own_configuration() {
    let mut world = World::settled();
    world.ask(NEW);
    world.turn(1);
    let config = |world: &World, set: &str| {
        let key = ChildKey { kind: ChildKind::StatefulSet, name: set.to_owned() };
        let volumes = world.observed.children[&key].data["spec"]["template"]["spec"]["volumes"].clone();
        let named = |volume: &&Value| volume["name"] == "config";
        volumes.as_array().and_then(|all| all.iter().find(named)).map(|one| one["configMap"]["name"].clone())
    };
    for (set, expected) in
        [("notes", "notes-config"), ("notes-readers", "notes-readers"), ("notes-canary", "notes-canary")]
    {
        assert_eq!(config(&world, set), Some(json!(expected)), "{set}");
        let key = ChildKey { kind: ChildKind::ConfigMap, name: expected.to_owned() };
        assert!(world.observed.children.contains_key(&key), "{expected}");
    }
}
