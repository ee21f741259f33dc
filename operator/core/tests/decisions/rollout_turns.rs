//! Turns of a rollout in a world of workloads: what each of them runs, what is granted, and what the status says.

use crds::{Rollout, RolloutGate, RolloutPhase, RolloutStep};
use engine_core::{
    rollout::{counts::Tally, metric::Metric},
    wire::{CanaryReads, CanaryReport},
};
use jiff::SignedDuration;
use operator_core::{
    anchor::expected::expected_history,
    children::CHILDREN,
    conditions::ConditionType,
    names::{ChildKey, ChildKind, RENDERED_ANNOTATION, ROLLOUT_ANNOTATION},
    observed::Observed,
    plan::plan,
    pod::PodView,
    rollout::{PodGrant, Reporting, RolloutView, Turn, turn},
    status::{Outcome, status},
};
use serde_json::{Value, json};

use crate::world::{carry_out, edit, engine, observed, valid};

const OLD: &str = "registry.example/engine:1";
const NEW: &str = "registry.example/engine:2";

/// An engine with two readers whose revision is introduced within seconds.
struct World {
    observed: Observed,
    /// What the writer reports about the canary.
    tally: Tally,
    /// What the canary reports about itself.
    own: Tally,
    /// Whether the canary has a pod.
    has_canary_pod: bool,
    /// The grants of the last turn.
    grants: Vec<PodGrant>,
    /// How often the state was written.
    writes: usize,
    /// The images of the readers and of the writer, whenever they changed.
    seen: Vec<[String; 2]>,
}

impl World {
    fn settled() -> Self {
        let mut resource = engine();
        resource.spec.image = Some(OLD.to_owned());
        resource.spec.readers.replicas = 2;
        resource.spec.writer.storage.class_name = Some("fast".to_owned());
        resource.spec.rollout = Some(Rollout {
            dark_launch_seconds: Some(2),
            shadow_seconds: Some(2),
            canary: Some(vec![
                RolloutStep { weight: 10, seconds: 2 },
                RolloutStep { weight: 50, seconds: 2 },
            ]),
            soaking_seconds: Some(2),
            gates: Some(vec![RolloutGate::Error, RolloutGate::Digest, RolloutGate::Readiness]),
            pair_interval_millis: Some(100),
        });
        let mut world = Self {
            observed: observed(resource),
            tally: Tally::default(),
            own: Tally::default(),
            has_canary_pod: true,
            grants: Vec::new(),
            writes: 0,
            seen: Vec::new(),
        };
        (0..4).for_each(|_| world.turn(1));
        assert_eq!(world.phase(), RolloutPhase::Stable, "{}", world.message());
        world
    }

    /// A reconcile after so many seconds. The pods are as their workloads want them.
    fn turn(&mut self, seconds: i64) {
        self.observed.now += SignedDuration::from_secs(seconds);
        self.report();
        let asked = valid(&self.observed);
        let Turn { valid, is_changed, .. } = turn(&self.observed, &asked).expect("a rollout");
        let rolled = valid.rolled.clone().expect("a rollout");
        let mut resource = self.observed.engine.as_ref().clone();
        if is_changed {
            self.writes += 1;
            resource.status.get_or_insert_default().rollout = Some(rolled.status.clone());
            self.observed.engine = resource.clone().into();
        }
        self.grants = rolled.grants;
        let plan = plan(&self.observed, &valid, &expected_history(&self.observed));
        carry_out(&mut self.observed, &plan, usize::MAX);
        self.controllers();
        let outcome = Outcome::Applied { valid: &valid, plan: &plan, done: &Default::default() };
        resource.status = Some(status(&self.observed, &expected_history(&self.observed), &outcome));
        self.observed.engine = resource.into();
        let images = [self.image("notes-readers"), self.image("notes")];
        if self.seen.last() != Some(&images) {
            self.seen.push(images);
        }
    }

    /// The StatefulSets have made their pods.
    fn controllers(&mut self) {
        for name in ["notes", "notes-readers", "notes-canary"] {
            let key = ChildKey { kind: ChildKind::StatefulSet, name: name.to_owned() };
            let Some(set) = self.observed.children.get(&key) else { continue };
            let replicas = set.data["spec"]["replicas"].clone();
            let status = json!({
                "observedGeneration": set.metadata.generation, "updatedReplicas": replicas, "readyReplicas": replicas,
            });
            edit(&mut self.observed, ChildKind::StatefulSet, name, "/status", status);
        }
    }

    fn report(&mut self) {
        let pod = |name: &str| PodView {
            name: name.to_owned(),
            uid: Some(format!("uid-of-{name}")),
            ip: Some("10.0.0.9".to_owned()),
            running: true,
            ready: true,
            ..PodView::default()
        };
        let reporting = |name: &str, revision: Option<String>, weight, tally: &Tally| Reporting {
            pod: pod(name),
            report: Ok(Box::new(CanaryReport {
                revision,
                weight,
                tally: tally.clone(),
                ..CanaryReport::default()
            })),
        };
        let granted = self.grants.iter().find_map(|grant| grant.grant.clone());
        let (revision, weight) = granted.map_or((None, 0), |grant| (Some(grant.revision), grant.weight));
        let has = |name: &str| {
            let key = ChildKey { kind: ChildKind::StatefulSet, name: name.to_owned() };
            self.observed.children.contains_key(&key)
        };
        self.observed.rollout = Some(RolloutView {
            serving: has("notes")
                .then(|| reporting("notes-0", revision, weight, &self.tally))
                .into_iter()
                .collect(),
            canary: (has("notes-canary") && self.has_canary_pod)
                .then(|| reporting("notes-canary-0", None, 0, &self.own)),
        });
        self.own.add(Metric::Digest, false, false);
    }

    fn pairs(&mut self, number: u64, canary_bad: bool) {
        (0..number).for_each(|_| self.tally.add(Metric::Error, canary_bad, false));
        self.tally.quality.taken += number;
        self.tally.quality.live += number;
    }

    fn ask(&mut self, image: &str) {
        let mut resource = self.observed.engine.as_ref().clone();
        resource.spec.image = Some(image.to_owned());
        resource.metadata.generation = resource.metadata.generation.map(|generation| generation + 1);
        self.observed.engine = resource.into();
        // The writer and the canary are other processes from now on.
        (self.tally, self.own) = (Tally::default(), Tally::default());
    }

    fn annotate(&mut self, text: &str) {
        let mut resource = self.observed.engine.as_ref().clone();
        resource.metadata.annotations = Some([(ROLLOUT_ANNOTATION.to_owned(), text.to_owned())].into());
        self.observed.engine = resource.into();
    }

    fn image(&self, set: &str) -> String {
        let key = ChildKey { kind: ChildKind::StatefulSet, name: set.to_owned() };
        let image = self.observed.children.get(&key).map(|set| {
            set.data["spec"]["template"]["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        });
        image.unwrap_or_default()
    }

    fn rollout(&self) -> crds::RolloutStatus {
        self.observed.engine.status.clone().and_then(|status| status.rollout).expect("a rollout")
    }

    fn phase(&self) -> RolloutPhase {
        self.rollout().phase
    }

    fn message(&self) -> String {
        self.rollout().message
    }

    fn condition(&self, kind: ConditionType) -> (String, String) {
        let status = self.observed.engine.status.clone().expect("a status");
        let one = status.conditions.iter().find(|one| one.type_ == kind.as_str()).expect("a condition");
        (one.status.clone(), one.reason.clone())
    }

    /// Turns, with good pairs where there are reads, until the phase is reached.
    fn until(&mut self, phase: RolloutPhase) {
        for _ in 0..40 {
            if self.phase() == phase {
                return;
            }
            let reads = self.grants.iter().filter_map(|grant| grant.grant.as_ref());
            if reads.clone().any(|grant| grant.reads != CanaryReads::Off) {
                self.pairs(300, false);
            }
            self.turn(1);
        }
        panic!("{:?} instead of {phase:?}: {}", self.phase(), self.message());
    }
}

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
    assert_eq!(world.grants.len(), 1);
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
