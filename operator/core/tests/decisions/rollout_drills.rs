//! The drills of a canary before each step of a rollout.

use std::sync::Arc;

use crds::{AccessScope, Anonymous, Policy, RolloutDrills, RolloutPhase};
use engine_core::wire::CanaryReads;
use operator_core::validate::validate;
use operator_core::{
    names::{ChildKey, ChildKind},
    rollout::{
        Cause, DRILLS_FAILED_MAX, DrillEnd, Drills, Outcome, Reads, Refusal, Settings, Step, Verb, Wait,
    },
};
use serde_json::{Value, json};

use crate::{
    client_keys::client,
    rollout_ladder::{NEW as REVISION, START_S, Seen, command, in_step, minute_steps, pod, serving, take},
    rollout_world::{NEW, World},
    world::{edit, engine, settings},
};

impl World {
    /// A settled engine whose canary is drilled.
    fn drilled() -> Self {
        let mut world = Self::settled();
        world.spec(|spec| {
            spec.rollout.as_mut().expect("a rollout").drills = Some(RolloutDrills::default());
        });
        world.ask(NEW);
        world.turn(1);
        world
    }

    fn spec(&mut self, change: impl FnOnce(&mut crds::MemoryEngineSpec)) {
        let mut resource = self.observed.engine.as_ref().clone();
        change(&mut resource.spec);
        self.observed.engine = Arc::new(resource);
    }

    fn runs(&self) -> Vec<ChildKey> {
        let jobs = self.observed.children.keys().filter(|key| key.kind == ChildKind::Job);
        jobs.cloned().collect()
    }

    /// Turns until there is another Job of drills than these.
    fn next_run(&mut self, known: &[ChildKey]) -> ChildKey {
        for _ in 0..30 {
            if let Some(run) = self.runs().into_iter().find(|run| !known.contains(run)) {
                return run;
            }
            if self.grants.iter().any(|one| one.grant.as_ref().is_some_and(|g| g.reads != CanaryReads::Off)) {
                self.pairs(300, false);
            }
            self.turn(1);
        }
        panic!("no drills: {}", self.message());
    }

    fn end(&mut self, run: &ChildKey, kind: &str) {
        let ended = json!([{"type": kind, "status": "True"}]);
        edit(&mut self.observed, ChildKind::Job, &run.name, "/status", json!({"conditions": ended}));
    }

    fn job(&self, run: &ChildKey) -> Value {
        self.observed.children[run].data["spec"]["template"]["spec"].clone()
    }
}

#[test]
fn each_step_ends_with_drills_and_nobody_reads_from_the_canary_meanwhile() {
    let mut world = World::drilled();
    let mut known = Vec::new();
    let steps = [RolloutPhase::DarkLaunch, RolloutPhase::Shadow, RolloutPhase::Canary, RolloutPhase::Canary];
    for (number, phase) in steps.into_iter().enumerate() {
        let run = world.next_run(&known);
        assert_eq!(world.phase(), phase, "{}", world.message());
        assert!(world.message().contains("the drills have to pass"), "{}", world.message());
        let off = world
            .granted
            .as_ref()
            .is_none_or(|(_, reads, weight)| (*reads, *weight) == (CanaryReads::Off, 0));
        assert!(off, "step {number}: {:?}", world.granted);
        (0..5).for_each(|_| world.turn(1));
        assert_eq!((world.phase(), world.runs().len()), (phase, number + 1), "it waits, with one Job");
        world.end(&run, "Complete");
        world.turn(1);
        known.push(run);
    }
    world.until(RolloutPhase::Stable);
    assert_eq!(world.runs().len(), steps.len(), "none after the last step");
}

/// The pods are told first, and asked afterwards whether they have stopped.
#[test]
fn drills_wait_for_every_pod_that_still_reads_from_the_canary() {
    let mut world = World::drilled();
    let dark = world.next_run(&[]);
    world.end(&dark, "Complete");
    world.until(RolloutPhase::Shadow);
    let mut turns = 0;
    while world
        .grants
        .iter()
        .any(|one| one.grant.as_ref().is_some_and(|grant| grant.reads != CanaryReads::Off))
    {
        world.pairs(300, false);
        world.turn(1);
        turns += 1;
        assert!(turns < 30, "{}", world.message());
    }
    assert_eq!(world.runs(), std::slice::from_ref(&dark), "they were told to stop in this turn");
    world.turn(1);
    assert_eq!(world.runs().len(), 2);
}

#[test]
fn drills_that_fail_begin_the_step_anew_and_a_person_decides_after_three_of_them() {
    let mut world = World::drilled();
    let mut known = Vec::new();
    for number in 1..=DRILLS_FAILED_MAX {
        let run = world.next_run(&known);
        let job = world.observed.children[&run].metadata.uid.clone().expect("a uid");
        world.drills.push(DrillEnd { job, said: format!("mode (as_found: {number})") });
        world.end(&run, "Failed");
        world.turn(1);
        let decision = world.rollout().decisions.pop().expect("a decision");
        assert_eq!((decision.from, decision.to), (RolloutPhase::DarkLaunch, RolloutPhase::DarkLaunch));
        assert!(decision.because.contains(&format!("mode (as_found: {number})")), "{}", decision.because);
        known.push(run);
    }
    (0..10).for_each(|_| world.turn(1));
    assert_eq!((world.phase(), world.runs().len()), (RolloutPhase::DarkLaunch, known.len()));
    assert!(world.message().contains("drills have failed too often"), "{}", world.message());
    world.annotate("retry");
    let run = world.next_run(&known);
    world.end(&run, "Complete");
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::Shadow, "{}", world.message());
}

#[test]
fn without_the_section_there_are_no_drills_and_nothing_of_them_stays() {
    let mut world = World::drilled();
    world.next_run(&[]);
    let named = |world: &World| {
        let kept = world.observed.children.keys().filter(|key| key.name == "notes-drill");
        kept.map(|key| key.kind).collect::<Vec<_>>()
    };
    assert_eq!(named(&world), [ChildKind::ServiceAccount, ChildKind::CronJob]);
    world.spec(|spec| spec.rollout.as_mut().expect("a rollout").drills = None);
    world.turn(1);
    assert_eq!(world.phase(), RolloutPhase::Shadow, "{}", world.message());
    world.turn(1);
    assert_eq!(named(&world), []);
}

#[test]
fn the_stable_revision_drills_the_canary_with_no_more_rights_than_it_needs() {
    let mut world = World::drilled();
    let run = world.next_run(&[]);
    let pod = world.job(&run);
    let container = &pod["containers"][0];
    assert_eq!(container["image"], crate::rollout_world::OLD, "the trusted revision judges");
    let args: Vec<&str> =
        container["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(args[..3], ["drill", "all", "--json"]);
    for wanted in [
        "--api=http://notes-canary.team.svc:8080",
        "--admin=notes-canary.team.svc:8081",
        "--run=rollout",
        "--expect-policy",
    ] {
        assert!(args.contains(&wanted), "{wanted}: {args:?}");
    }
    assert!(!args.iter().any(|arg| arg.starts_with("--delay")), "nothing waits for a schedule: {args:?}");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod.get("volumes"), None, "no token and no Secret");
    let canary = ChildKey { kind: ChildKind::StatefulSet, name: "notes-canary".into() };
    let environment =
        world.observed.children[&canary].data["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(environment.contains("MEMORY_ENGINE_ALLOW_DRILL_FAULTS"), "{environment}");
    for other in ["notes", "notes-readers"] {
        let key = ChildKey { kind: ChildKind::StatefulSet, name: other.into() };
        assert!(!world.observed.children[&key].data.to_string().contains("DRILL_FAULTS"), "{other}");
    }
    let policy = ChildKey { kind: ChildKind::NetworkPolicy, name: "notes-canary".into() };
    let ingress = world.observed.children[&policy].data["spec"]["ingress"].to_string();
    assert_eq!(
        ingress.matches("memory-engine-job").count(),
        2,
        "the API and the administration port: {ingress}"
    );
}

#[test]
fn the_key_of_drills_is_one_that_reads_and_writes_everywhere() {
    let with = |key: Option<&str>, change: &dyn Fn(&mut crds::AccessKey)| {
        let mut spec = engine().spec;
        let mut drill = client("drill");
        (drill.scopes, drill.projects) = (vec![AccessScope::Read, AccessScope::Write], vec!["*".into()]);
        change(&mut drill);
        let access = spec.access.get_or_insert_default();
        (access.anonymous, access.keys) = (Some(Anonymous::Denied), vec![drill]);
        access.reader_token_secret_ref =
            Some(crds::KeyReference { name: "readers".into(), key: "token".into() });
        let rollout = spec.rollout.get_or_insert_default();
        rollout.drills = Some(RolloutDrills { access_key: key.map(str::to_owned) });
        let mut engine = engine();
        engine.spec = spec;
        let found = validate(&engine, &settings()).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(with(Some("drill"), &|_| ()), [""; 0]);
    let named = "spec.rollout.drills.accessKey ";
    assert_eq!(with(None, &|_| ()), [format!("{named}is missing: name one of spec.access.keys")]);
    assert_eq!(with(Some("other"), &|_| ()), [format!("{named}must be the name of one of spec.access.keys")]);
    let reads = with(Some("drill"), &|key| key.scopes = vec![AccessScope::Read]);
    assert_eq!(reads, [format!("{named}must name a key with the scopes Read and Write")]);
    let one = with(Some("drill"), &|key| key.projects = vec!["notes".into()]);
    assert_eq!(one, [format!("{named}must name a key with the projects [\"*\"]")]);
}

#[test]
fn a_policy_that_forbids_nothing_is_not_expected() {
    let mut world = World::drilled();
    world.spec(|spec| {
        let none = Some(Vec::new());
        spec.policy = Some(Policy { block: none.clone(), redact: none, ..Policy::default() });
    });
    world.turn(1);
    let run = world.next_run(&[]);
    assert!(!world.job(&run).to_string().contains("--expect-policy"));
}

fn later(
    state: &operator_core::rollout::State,
    change: impl FnOnce(&mut Seen),
) -> (operator_core::rollout::State, operator_core::rollout::Decision) {
    take(
        state,
        &Seen::well().with(|seen| {
            seen.now_s = START_S + 60;
            change(seen);
        }),
    )
}

#[test]
fn reads_stop_for_drills_and_come_back_with_the_next_step() {
    let canary = in_step(Step::Canary(0));
    let reads = |drills| later(&canary, |seen| seen.drills = drills).1.canary.map(|(_, reads)| reads);
    assert_eq!(reads(Drills::NotRun), Some(Reads::Off));
    assert_eq!(reads(Drills::Running), Some(Reads::Off));
    assert_eq!(reads(Drills::Passed), Some(Reads::Weight(50)), "the next step");
}

#[test]
fn drills_are_no_part_of_a_promotion_or_of_what_follows() {
    for step in [Step::Promoting, Step::Soaking] {
        for drills in [Drills::NotRun, Drills::Failed] {
            let (state, decision) = later(&in_step(step), |seen| {
                (seen.drills, seen.pods) = (drills, serving([REVISION; 3]));
            });
            assert!(!decision.run_drills && state.step() != step, "{step:?} {drills:?}: {decision:?}");
        }
    }
}

#[test]
fn pods_that_do_not_become_ready_end_a_promotion() {
    let settings = Settings { promoting_s: 120, ..minute_steps() };
    let unready = |seen: &mut Seen, minute: i64, is_stopped| {
        seen.now_s = START_S + 60 * minute;
        seen.pods = serving([REVISION, "old", "old"]);
        seen.pods.readers[0] = pod("reader-0", REVISION, false);
        seen.pods.is_stopped = is_stopped;
    };
    let go = |is_stopped: &dyn Fn(i64) -> bool| {
        let mut state = in_step(Step::Promoting);
        for minute in 1..10 {
            let seen = Seen::well().with(|seen| unready(seen, minute, is_stopped(minute)));
            let (next, decision) = operator_core::rollout::step(state, &settings, &seen.input());
            if let Outcome::Entered(to, cause) = decision.outcome {
                return Some((minute, to, cause, next.failed().to_vec()));
            }
            assert_eq!(decision.outcome, Outcome::Waits(Wait::Pods));
            state = next;
        }
        None
    };
    assert_eq!(go(&|_| false), Some((2, Step::RolledBack, Cause::Late, vec![REVISION.to_owned()])));
    assert_eq!(go(&|_| true), None, "an engine that hibernates is not late");
    assert_eq!(go(&|minute| minute < 5).map(|(minute, ..)| minute), Some(6), "counted from the wake-up");
}

/// A canary that hangs or never starts has no pairs, and would keep the rollout for ever.
#[test]
fn a_canary_that_is_not_ready_for_long_is_rolled_back() {
    let settings = Settings { ready_s: 120, ..minute_steps() };
    let go = |step: Step, change: &dyn Fn(&mut Seen, i64)| {
        let mut state = in_step(step);
        for minute in 1..10 {
            let seen = Seen::well().with(|seen| {
                seen.now_s = START_S + 60 * minute;
                seen.pods.canary = Some(pod("canary", REVISION, false));
                change(seen, minute);
            });
            let (next, decision) = operator_core::rollout::step(state, &settings, &seen.input());
            if let Outcome::Entered(Step::RolledBack, cause) = decision.outcome {
                return Some((minute, cause, next.failed().to_vec()));
            }
            state = next;
        }
        None
    };
    let late = |minute| Some((minute, Cause::Late, vec![REVISION.to_owned()]));
    for step in [Step::DarkLaunch, Step::Shadow, Step::Canary(0)] {
        assert_eq!(go(step, &|_, _| {}), late(2), "{step:?}");
        assert_eq!(go(step, &|seen, _| seen.pods.canary = None), late(2), "{step:?}");
        let sometimes = |seen: &mut Seen, minute: i64| {
            seen.pods.canary = Some(pod("canary", REVISION, minute % 2 == 0));
        };
        assert_eq!(go(step, &sometimes), None, "{step:?}: gaps are judged by the gate Readiness");
        let outage = |seen: &mut Seen, minute: i64| seen.stable_up = minute >= 5;
        assert_eq!(
            go(step, &outage),
            late(6),
            "{step:?}: while nothing answers, the revision is not the reason"
        );
        let asleep = |seen: &mut Seen, minute: i64| seen.pods.is_stopped = minute < 5;
        assert_eq!(go(step, &asleep), late(6), "{step:?}: counted from the wake-up");
    }
}

#[test]
fn a_retry_where_nothing_has_failed_is_refused() {
    let (_, decision) = later(&in_step(Step::Shadow), |seen| {
        (seen.drills, seen.commands) = (Drills::NotRun, vec![command("one", Verb::Retry)]);
    });
    assert_eq!(decision.outcome, Outcome::Refused(Refusal::NothingToRetry));
}

/// The message is gone at the next look. The decision stays, and is an event.
#[test]
fn a_request_that_is_not_carried_out_stays_among_the_decisions() {
    let mut world = World::drilled();
    world.annotate(r#"{"verb": "promote", "by": "ada"}"#);
    world.turn(1);
    let decision = world.rollout().decisions.pop().expect("a decision");
    assert_eq!((decision.from, decision.to), (RolloutPhase::DarkLaunch, RolloutPhase::DarkLaunch));
    let said = "ada asked to promote, and that is not carried out: it needs a reason";
    assert_eq!(decision.because, said);
    let known = world.rollout().decisions.len();
    (0..3).for_each(|_| world.turn(1));
    assert_eq!(world.rollout().decisions.len(), known, "it is recorded once");
}
