//! Upkeep on a schedule: its requests, and what holds a retention plan back.

use std::sync::Arc;

use crds::{Integrity, MemoryEngineSpec, Retention, RetentionApply, Rotation, Scrub, UpkeepTask};
use engine_core::wire::{self, UpkeepResult, UpkeepState};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use operator_core::{
    names::{ChildKind, upkeep_request},
    observed::Observed,
    plan::{Call, Step},
    publication::plan_all,
    tls::Unread,
    upkeep::{UpkeepView, is_unfinished},
    validate::{Fault, validate},
};
use serde_json::{Value, json};

use crate::world::{
    carry_out, condition, engine, essentials, observed, planned, settings, settled, status_of, valid,
};

pub(crate) const NOW: &str = "2026-01-02T03:04:05Z";

pub(crate) fn spec(change: impl FnOnce(&mut Retention)) -> MemoryEngineSpec {
    let schedule = || "0 5 * * 1".to_owned();
    let mut retention =
        Retention { max_age_days: Some(365), schedule: Some(schedule()), ..Retention::default() };
    change(&mut retention);
    let scrub = Scrub { schedule: schedule(), time_zone: Some("Europe/Berlin".into()), suspend: true };
    MemoryEngineSpec {
        retention: Some(retention),
        rotation: Rotation { schedule: Some(schedule()), ..Rotation::default() },
        integrity: Integrity { scrub: Some(scrub), ..Integrity::default() },
        ..MemoryEngineSpec::default()
    }
}

/// A settled and anchored engine with every schedule, whose objects exist.
pub(crate) fn world_with(change: impl FnOnce(&mut Retention)) -> Observed {
    let mut world = settled();
    let mut engine = (*world.engine).clone();
    engine.spec = spec(change);
    world.engine = engine.into();
    world.upkeep = Some(UpkeepView::default());
    world.now = NOW.parse().expect("a time");
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    let status = status_of(&world);
    with_engine(&mut world, |engine| engine.status = Some(status));
    judge(&mut world, "True");
    world
}

pub(crate) fn world() -> Observed {
    world_with(|_| {})
}

pub(crate) fn with_engine(world: &mut Observed, change: impl FnOnce(&mut crds::MemoryEngine)) {
    let mut engine = (*world.engine).clone();
    change(&mut engine);
    world.engine = engine.into();
}

/// Sets the last judgement on the log.
pub(crate) fn judge(world: &mut Observed, status: &str) {
    let condition = Condition {
        type_: "LogIntegrity".into(),
        status: status.into(),
        reason: "Anchored".into(),
        message: String::new(),
        last_transition_time: Time(world.now),
        observed_generation: Some(1),
    };
    with_engine(world, |engine| {
        let conditions = &mut engine.status.as_mut().expect("a status").conditions;
        conditions.retain(|one| one.type_ != "LogIntegrity");
        conditions.push(condition);
    });
}

fn ask(world: &mut Observed, word: &str, id: &str) {
    let key = upkeep_request("notes", word);
    let mut map = world.children[&key].as_ref().clone();
    map.data["data"]["request"] = json!(id);
    world.children.insert(key, Arc::new(map));
}

pub(crate) fn calls(world: &Observed) -> Vec<(wire::UpkeepTask, String)> {
    let steps = planned(world).steps.into_iter();
    let started = steps.filter_map(|step| match step {
        Step::Call(Call::Upkeep(start)) => Some((start.task, start.request)),
        _ => None,
    });
    started.collect()
}

pub(crate) fn run(task: wire::UpkeepTask, result: Option<UpkeepResult>) -> wire::UpkeepRun {
    let now: Timestamp = NOW.parse().expect("a time");
    wire::UpkeepRun {
        task,
        request: "job-1".into(),
        state: if result.is_some() { UpkeepState::Done } else { UpkeepState::Failed },
        started: now,
        finished: Some(now),
        code: None,
        error: result.is_none().then(|| "it failed".to_owned()),
        result,
    }
}

/// The world after the reconcile in which the engine gave this answer: it is in the status.
pub(crate) fn after(mut world: Observed, answer: wire::UpkeepRun) -> Observed {
    world.upkeep = Some(UpkeepView { runs: vec![answer], ..UpkeepView::default() });
    let status = status_of(&world);
    let judged = world.engine.status.as_ref().expect("a status").conditions.clone();
    with_engine(&mut world, |engine| {
        engine.status = Some(crds::MemoryEngineStatus { conditions: judged, ..status });
    });
    world.upkeep = Some(UpkeepView::default());
    world
}

#[test]
fn without_a_schedule_there_is_nothing() {
    let world = settled();
    assert_eq!(planned(&world).steps, []);
    let status = status_of(&world);
    assert_eq!(condition(&status, "RetentionHealthy"), "True/RetentionDisabled");
    assert_eq!(condition(&status, "UpkeepHealthy"), "True/NothingScheduled");
    assert!(status.upkeep.is_empty() && status.retention.is_none());
}

/// Each task has the same five objects, the Job may patch its ConfigMap only, and planning again changes nothing.
#[test]
fn each_task_has_its_objects_and_the_job_may_only_ask() {
    let world = world();
    assert_eq!(planned(&world).steps, []);
    for word in ["rotate-log", "scrub", "retention"] {
        let name = format!("notes-{word}");
        let find = |kind| {
            let key = operator_core::names::ChildKey { kind, name: name.clone() };
            world.children.get(&key).unwrap_or_else(|| panic!("no {key}")).data.clone()
        };
        for kind in [ChildKind::ConfigMap, ChildKind::ServiceAccount, ChildKind::RoleBinding] {
            find(kind);
        }
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["patch"]}]);
        assert_eq!(find(ChildKind::Role)["rules"], rules);
        let job = find(ChildKind::CronJob);
        assert_eq!(job["spec"]["suspend"], word == "scrub");
        let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["args"][1], format!("--request={name}"));
        assert_eq!(pod["containers"][0]["image"], "registry.example/operator:1");
    }
    let next = |task| {
        status_of(&world).upkeep.iter().find(|one| one.task == task).and_then(|one| one.next_run.clone())
    };
    assert_eq!(next(UpkeepTask::RotateLog).as_deref(), Some("2026-01-05T05:00:00Z"));
    assert_eq!(next(UpkeepTask::Scrub), None, "it is suspended");
}

/// A request is passed on once, hostile ids never, and not while a run is a moment ago or the engine cannot answer.
#[test]
fn a_request_is_passed_on_while_it_is_open() {
    let mut world = world();
    for bad in ["", "a b", "../x", "ä", "a\n", &"a".repeat(65)] {
        ask(&mut world, "scrub", bad);
        assert_eq!(calls(&world), [], "{bad:?}");
    }
    ask(&mut world, "scrub", "job-1");
    assert_eq!(calls(&world), [(wire::UpkeepTask::Scrub, "job-1".to_owned())]);
    assert!(!is_unfinished(&world, &essentials(&world)), "nothing is there to be answered");
    let report = std::mem::take(&mut world.writer_mut().report);
    assert_eq!(calls(&world), [], "nobody answers");
    let problem = |world: &Observed| {
        let status = status_of(world);
        status.upkeep.iter().find(|one| one.task == UpkeepTask::Scrub).and_then(|one| one.problem.clone())
    };
    assert_eq!(problem(&world).as_deref(), Some("the engine does not report now"));
    world.writer_mut().report = report;
    let sound = UpkeepResult::Verified { events: 42, applied_seq: 42 };
    let mut world = after(world, run(wire::UpkeepTask::Scrub, Some(sound)));
    assert_eq!(calls(&world), [], "it is done");
    assert!(is_unfinished(&world, &essentials(&world)), "and not answered yet");
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    assert!(!is_unfinished(&world, &essentials(&world)));
    ask(&mut world, "scrub", "job-2");
    assert_eq!(calls(&world), [], "a moment ago");
    world.now = "2026-01-02T03:04:16Z".parse().expect("a time");
    assert_eq!(calls(&world), [(wire::UpkeepTask::Scrub, "job-2".to_owned())]);
    let running = wire::UpkeepRun {
        state: UpkeepState::Running,
        finished: None,
        result: None,
        ..run(wire::UpkeepTask::Scrub, None)
    };
    world.upkeep = Some(UpkeepView { runs: vec![running], ..UpkeepView::default() });
    let shown = status_of(&world).upkeep.into_iter().find(|one| one.task == UpkeepTask::Scrub).expect("one");
    assert_eq!(
        shown.last_run.map(|run| run.request).as_deref(),
        Some("job-1"),
        "a run that goes on is not the last"
    );
    assert!(!is_unfinished(&world, &essentials(&world)), "a long run is looked at in the usual interval");
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let mut world = world();
    ask(&mut world, "scrub", "job-1");
    for (is_forbidden, reason) in [(true, "SecretsForbidden"), (false, "UpkeepUnreadable")] {
        let unread = Some(Unread { is_forbidden, text: "no".into() });
        world.upkeep = Some(UpkeepView { unread, ..UpkeepView::default() });
        assert_eq!(planned(&world).steps, []);
        for kind in ["RetentionHealthy", "UpkeepHealthy"] {
            assert_eq!(condition(&status_of(&world), kind), format!("Unknown/{reason}"));
        }
        assert!(!is_unfinished(&world, &essentials(&world)));
    }
}

/// A suspended engine is told nothing, and what waits is said.
#[test]
fn a_suspended_engine_is_left_alone_and_what_waits_is_said() {
    let mut world = world();
    ask(&mut world, "scrub", "job-1");
    ask(&mut world, "rotate-log", "job-2");
    with_engine(&mut world, |engine| engine.spec.suspend = true);
    let plan = plan_all(&world, &operator_core::anchor::expected::expected_history(&world), &valid(&world));
    assert_eq!(plan.steps, []);
    let said = plan.suspended.expect("it is suspended").join("; ");
    assert!(said.contains("verify the complete log and projection"), "{said}");
    assert!(said.contains("begin a new segment of the log"), "{said}");
}

fn faults(change: &dyn Fn(&mut MemoryEngineSpec)) -> Vec<String> {
    let mut engine = engine();
    engine.spec = spec(|_| {});
    change(&mut engine.spec);
    let found = validate(&observed(engine).engine, &settings()).err().unwrap_or_default();
    found.iter().map(Fault::to_string).collect()
}

#[test]
fn a_schedule_that_means_nothing_is_refused() {
    type Change = fn(&mut MemoryEngineSpec);
    let retention: fn(&mut MemoryEngineSpec) -> &mut Retention = |spec| spec.retention.as_mut().expect("one");
    assert_eq!(faults(&|_| {}), [""; 0]);
    let cases: [(Change, &str); 7] = [
        (
            |spec| spec.rotation.schedule = Some("5-1 * * * *".into()),
            "spec.rotation.schedule has no valid minute",
        ),
        (
            |spec| spec.rotation.time_zone = Some("Europe/Nowhere".into()),
            "spec.rotation.timeZone is no time zone",
        ),
        (
            |spec| spec.rotation = Rotation { time_zone: Some("Etc/UTC".into()), ..Rotation::default() },
            "spec.rotation.timeZone has no effect",
        ),
        (
            |spec| spec.integrity.scrub.as_mut().expect("one").schedule = "0 0 31 2 *".into(),
            "spec.integrity.scrub.schedule is never due",
        ),
        (
            |spec| spec.integrity.scrub.as_mut().expect("one").time_zone = Some("Local".into()),
            "spec.integrity.scrub.timeZone is no time zone",
        ),
        (
            |spec| spec.retention.as_mut().expect("one").schedule = Some("* * * *".into()),
            "spec.retention.schedule has 4 fields",
        ),
        (
            |spec| spec.retention.as_mut().expect("one").max_age_days = None,
            "spec.retention.schedule has no effect without spec.retention.maxAgeDays",
        ),
    ];
    for (change, expected) in cases {
        let found = faults(&change);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
    let found = faults(&|spec| {
        let retention = retention(spec);
        retention.schedule = None;
        retention.time_zone = Some("Etc/UTC".into());
        retention.apply = Some(RetentionApply::Auto);
        (retention.auto_max_percent, retention.verified_backup_max_age_hours) = (Some(0), Some(9_000));
    });
    assert_eq!(found.len(), 7, "{found:?}");
    let mut engine = engine();
    engine.spec = spec(|_| {});
    let without = operator_core::settings::Settings { operator_image: None, ..settings() };
    let fields = ["spec.rotation.schedule", "spec.integrity.scrub", "spec.retention.schedule"];
    assert_eq!(
        validate(&observed(engine).engine, &without),
        Err(fields.map(Fault::NoOperatorImage).to_vec())
    );
}

/// A schedule restarts nothing and takes no waiting update along.
#[test]
fn a_schedule_changes_nothing_about_the_pod() {
    let mut plain = engine();
    plain.spec.retention = Some(Retention { max_age_days: Some(365), ..Retention::default() });
    let mut with = plain.clone();
    with.spec = spec(|_| {});
    let [plain, with] = [plain, with].map(|engine| valid(&observed(engine)));
    assert_eq!(plain.update.inputs, with.update.inputs);
    let set = |valid| -> Value { json!(operator_core::build::stateful_set(valid)) };
    assert_eq!(set(&plain), set(&with));
}

/// A task that was due and did not run is said, and so is one that failed. A suspended one is neither.
#[test]
fn a_task_that_is_late_or_has_failed_is_said() {
    let said = |world: &Observed| condition(&status_of(world), "UpkeepHealthy");
    let mut world = world();
    assert_eq!(said(&world), "True/UpkeepOnSchedule");
    // Monday at five, a deadline of 15 minutes, and 15 minutes more.
    world.now = "2026-01-05T05:30:00Z".parse().expect("a time");
    assert_eq!(said(&world), "True/UpkeepOnSchedule");
    world.now = "2026-01-05T05:30:01Z".parse().expect("a time");
    assert_eq!(said(&world), "False/UpkeepOverdue");
    let message = |world: &Observed| {
        let conditions = status_of(world).conditions;
        conditions.into_iter().find(|one| one.type_ == "UpkeepHealthy").expect("a condition").message
    };
    let text = message(&world);
    assert!(
        text.contains("RotateLog was due at 2026-01-05T05:00:00Z") && text.contains("notes-rotate-log"),
        "{text}"
    );
    assert!(
        !text.contains("PlanRetention") && !text.contains("Scrub"),
        "one has time, one is suspended: {text}"
    );
    let stops: [fn(&mut MemoryEngineSpec); 2] = [|spec| spec.suspend = true, |spec| spec.hibernate = true];
    for stop in stops {
        let mut stopped = world.clone();
        with_engine(&mut stopped, |engine| stop(&mut engine.spec));
        assert_eq!(said(&stopped), "True/UpkeepOnSchedule");
    }
    let rotated = UpkeepResult::Rotated { segment: 2, first_seq: 43 };
    let done =
        wire::UpkeepRun { finished: Some(world.now), ..run(wire::UpkeepTask::RotateLog, Some(rotated)) };
    let world = after(world, done);
    assert_eq!(said(&world), "True/UpkeepOnSchedule");
    let world = after(world, run(wire::UpkeepTask::Scrub, None));
    assert_eq!(said(&world), "False/UpkeepFailed");
    assert!(
        message(&world).contains("Scrub failed at 2026-01-02T03:04:05Z: it failed"),
        "{}",
        message(&world)
    );
}
