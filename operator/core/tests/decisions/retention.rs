//! What holds a retention plan back, and what carries it out.

use crds::{MemoryBackup, Retention, RetentionApply, UpkeepRun, UpkeepStatus, UpkeepTask};
use engine_core::wire::{
    self, ErrorCode, IntegrityFault, IntegrityFaultKind, RetentionSummary, UpkeepResult,
};
use jiff::Timestamp;
use operator_core::{
    backup::BackupView,
    names::APPROVE_RETENTION_ANNOTATION,
    observed::{EngineReport, Observed},
    plan::{Call, Step},
    upkeep::UpkeepView,
};
use serde_json::json;

use crate::upkeep::{NOW, after, calls, judge, run, spec, with_engine, world, world_with};
use crate::world::{condition, planned, settled, status_of};

fn hash() -> String {
    "ab".repeat(32)
}

fn summary(memories: u64) -> RetentionSummary {
    let at: Timestamp = "2026-01-02T03:00:00.000001Z".parse().expect("a time");
    RetentionSummary {
        plan_hash: hash(),
        as_of: at,
        applied_seq: 42,
        memories,
        total: 100,
        more: false,
        bytes: 10 * memories,
        by_rule: wire::RuleCounts { age: memories, entries: 0, both: 0 },
        oldest: Some(at),
        newest: Some(at),
        spikes: Vec::new(),
    }
}

fn with_plan(world: Observed, plan: RetentionSummary) -> Observed {
    after(world, run(wire::UpkeepTask::PlanRetention, Some(UpkeepResult::Planned(plan))))
}

fn approve(world: &mut Observed, text: &str) {
    let annotations = [(APPROVE_RETENTION_ANNOTATION.to_owned(), text.to_owned())];
    with_engine(world, |engine| engine.metadata.annotations = Some(annotations.into()));
}

fn healthy(world: &Observed) -> String {
    condition(&status_of(world), "RetentionHealthy")
}

fn message(world: &Observed) -> String {
    let status = status_of(world);
    status.conditions.into_iter().find(|one| one.type_ == "RetentionHealthy").expect("one").message
}

fn applies(world: &Observed) -> bool {
    calls(world).iter().any(|(task, _)| *task == wire::UpkeepTask::ApplyRetention)
}

#[test]
fn a_plan_is_shown_with_its_numbers_and_waits_for_exactly_its_hash() {
    assert_eq!(healthy(&world()), "Unknown/NoPlan");
    let mut world = with_plan(world(), summary(3));
    assert_eq!(healthy(&world), "False/PlanAwaitsApproval");
    let said = message(&world);
    for part in [&hash(), "removes 3 of 100 memories, 30 bytes", "too old 3", "approve-retention="] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let shown = status_of(&world).retention.expect("retention");
    let plan = shown.plan.expect("a plan");
    assert_eq!((plan.hash, plan.entries, plan.counts.age), (hash(), 3, 3));
    assert_eq!((plan.made.as_str(), plan.bytes), ("2026-01-02T03:00:00.000001Z", 30));
    assert_eq!(shown.holds, ["it waits for an approval"]);
    for wrong in ["", "yes", &hash()[..63], &format!("{}0", hash()), &"cd".repeat(32), "{}", "\u{1b}[31m"] {
        approve(&mut world, wrong);
        assert!(!applies(&world), "{wrong:?}");
        assert_eq!(healthy(&world), "False/PlanAwaitsApproval", "{wrong:?}");
        assert!(message(&world).contains("which is another plan or none"), "{wrong:?}");
        assert!(!message(&world).chars().any(char::is_control), "{wrong:?}");
    }
    approve(&mut world, &hash());
    assert_eq!(healthy(&world), "Unknown/ApplyPending");
    let steps = planned(&world).steps;
    let Some(Step::Call(Call::Upkeep(start))) = steps.last() else { panic!("{steps:?}") };
    assert!(start.is_valid(), "{start:?}");
    let approved = start.plan.clone().expect("a plan");
    assert_eq!((approved.plan_hash, approved.applied_seq, approved.override_spike_guard), (hash(), 42, None));
    assert_eq!(approved.as_of, summary(3).as_of);
    let applied = UpkeepResult::Applied { plan_hash: hash(), memories: 3, seq: 43 };
    let world = after(world, run(wire::UpkeepTask::ApplyRetention, Some(applied)));
    assert_eq!((healthy(&world).as_str(), applies(&world)), ("True/RetentionApplied", false), "once");
}

/// `Auto` removes little by itself, and everything else waits.
#[test]
fn auto_has_a_limit() {
    let auto = |percent| {
        move |retention: &mut Retention| {
            (retention.apply, retention.auto_max_percent) = (Some(RetentionApply::Auto), percent);
        }
    };
    for (percent, memories, is_applied) in
        [(None, 5, true), (None, 6, false), (Some(1), 1, true), (Some(1), 2, false), (Some(100), 100, true)]
    {
        let world = with_plan(world_with(auto(percent)), summary(memories));
        assert_eq!(applies(&world), is_applied, "{percent:?} {memories}");
        let expected = if is_applied { "Unknown/ApplyPending" } else { "False/PlanAwaitsApproval" };
        assert_eq!(healthy(&world), expected, "{percent:?} {memories}");
    }
    let mut world = with_plan(world_with(auto(None)), summary(6));
    assert!(message(&world).contains("6 of 100 memories are more than 5 %, the limit of Auto"));
    approve(&mut world, &hash());
    assert!(applies(&world), "an approval is always enough");
    let world = with_plan(world_with(auto(None)), summary(0));
    assert_eq!((healthy(&world).as_str(), applies(&world)), ("True/NothingToRemove", false));
}

/// The spike guard holds also what is approved, unless the approval names the number.
#[test]
fn a_spike_needs_its_number() {
    let auto = |retention: &mut Retention| {
        (retention.apply, retention.auto_max_percent) = (Some(RetentionApply::Auto), Some(100));
    };
    let mut plan = summary(3);
    plan.spikes = vec!["project \"p\" would lose 3 of 3, more than 20 %".into()];
    let mut world = with_plan(world_with(auto), plan);
    let hash = hash();
    for text in [
        String::new(),
        hash.clone(),
        format!(r#"{{"hash": "{hash}"}}"#),
        format!(r#"{{"hash": "{hash}", "entries": 2}}"#),
    ] {
        approve(&mut world, &text);
        assert_eq!((healthy(&world).as_str(), applies(&world)), ("False/SpikeGuardHolds", false), "{text}");
    }
    assert!(message(&world).contains("would lose 3 of 3"));
    approve(&mut world, &format!(r#"{{"hash": "{hash}", "entries": 3}}"#));
    let steps = planned(&world).steps;
    let Some(Step::Call(Call::Upkeep(start))) = steps.last() else { panic!("{steps:?}") };
    assert_eq!(start.plan.as_ref().and_then(|plan| plan.override_spike_guard), Some(3));
}

/// Nothing is removed while it is not known that the log is as it was recorded.
#[test]
fn a_doubt_about_the_log_holds_what_is_approved() {
    let approved = || {
        let mut world = with_plan(world(), summary(3));
        approve(&mut world, &hash());
        assert!(applies(&world));
        world
    };
    for judged in ["False", "Unknown"] {
        let mut world = approved();
        judge(&mut world, judged);
        assert_eq!(
            (healthy(&world).as_str(), applies(&world)),
            ("False/IntegrityInDoubt", false),
            "{judged}"
        );
    }
    let mut world = approved();
    world.writer_mut().report = EngineReport::Unreachable("no".into());
    assert_eq!((healthy(&world).as_str(), applies(&world)), ("False/IntegrityInDoubt", false));
    let mut world = approved();
    let EngineReport::Answered(health) = &mut world.writer_mut().report else { panic!("a report") };
    health.log.integrity.fault = Some(IntegrityFault {
        kind: IntegrityFaultKind::Corrupt,
        message: "event 3".into(),
        seq: 3,
        segment: None,
        line: None,
        byte: None,
    });
    assert_eq!((healthy(&world).as_str(), applies(&world)), ("False/IntegrityInDoubt", false));
    let mut world = approved();
    let failed = UpkeepStatus {
        task: UpkeepTask::Scrub,
        last_run: Some(UpkeepRun { succeeded: false, result: "event 3".into(), ..UpkeepRun::default() }),
        ..UpkeepStatus::default()
    };
    with_engine(&mut world, |engine| {
        let upkeep = &mut engine.status.as_mut().expect("a status").upkeep;
        upkeep.retain(|one| one.task != UpkeepTask::Scrub);
        upkeep.push(failed);
    });
    assert_eq!((healthy(&world).as_str(), applies(&world)), ("False/IntegrityInDoubt", false));
    assert!(message(&world).contains("the last scrub failed"));
}

/// Nothing is removed by other rules than those of the spec, by a clock that is ahead, or while the spec suspends it.
#[test]
fn an_approved_plan_is_held_while_the_rules_the_clock_or_the_spec_are_against_it() {
    let configuration = |status: &str, generation| {
        let mut world = with_plan(world(), summary(3));
        approve(&mut world, &hash());
        with_engine(&mut world, |engine| {
            let conditions = &mut engine.status.as_mut().expect("a status").conditions;
            let one = conditions.iter_mut().find(|one| one.type_ == "ConfigurationApplied").expect("one");
            one.status = status.to_owned();
            one.observed_generation = generation;
        });
        world
    };
    let current = world().engine.metadata.generation;
    assert!(applies(&configuration("True", current)));
    for (status, generation) in
        [("False", current), ("Unknown", current), ("True", current.map(|number| number + 1)), ("True", None)]
    {
        let world = configuration(status, generation);
        let told = (healthy(&world), applies(&world));
        assert_eq!(told, ("False/ConfigurationOutdated".to_owned(), false), "{status} {generation:?}");
    }
    // 4 min 55 s, and 5 min 55 s, after the time of the operator.
    for (made, is_held) in [("2026-01-02T03:09:00Z", false), ("2026-01-02T03:10:00Z", true)] {
        let plan = RetentionSummary { as_of: made.parse().expect("a time"), ..summary(3) };
        let mut world = with_plan(world(), plan);
        approve(&mut world, &hash());
        assert_eq!(applies(&world), !is_held, "{made}");
        let expected = if is_held { "False/PlanFromFuture" } else { "Unknown/ApplyPending" };
        assert_eq!(healthy(&world), expected, "{made}");
    }
    let mut world = with_plan(world_with(|retention| retention.suspend = true), summary(3));
    approve(&mut world, &hash());
    assert_eq!((healthy(&world).as_str(), applies(&world)), ("False/RetentionSuspended", false));
}

/// The limit of `Auto` is not passed in slices: a second removal without an approval waits for most of a day.
#[test]
fn auto_removes_once_a_day() {
    let auto = |retention: &mut Retention| retention.apply = Some(RetentionApply::Auto);
    for (last, is_applied) in [("2026-01-01T07:04:05Z", true), ("2026-01-01T07:04:06Z", false)] {
        let mut world = with_plan(world_with(auto), summary(3));
        with_engine(&mut world, |engine| {
            let retention = engine.status.as_mut().expect("a status").retention.get_or_insert_default();
            retention.applied = Some(crds::AppliedRetention {
                hash: "cd".repeat(32),
                at: last.to_owned(),
                entries: 3,
                event_seq: 40,
                because: "spec.retention.apply is Auto".to_owned(),
            });
        });
        assert_eq!(applies(&world), is_applied, "{last}");
        let expected = if is_applied { "Unknown/ApplyPending" } else { "False/PlanAwaitsApproval" };
        assert_eq!(healthy(&world), expected, "{last}");
        approve(&mut world, &hash());
        assert!(applies(&world), "an approval is always enough");
    }
}

/// Nothing is removed unless a backup was verified as recently as the spec says.
#[test]
fn an_old_backup_holds_what_is_approved() {
    let hours = |retention: &mut Retention| retention.verified_backup_max_age_hours = Some(24);
    let verified = |at: &str| -> MemoryBackup {
        serde_json::from_value(json!({
            "apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryBackup", "metadata": {"name": "b"},
            "spec": {"engine": "notes", "backup": "b", "logId": "log-1", "archive": "a", "size": 1, "root": "r",
                "bytes": 1, "storedBytes": 1, "takenAt": at, "durationMillis": 1},
            "status": {"phase": "Verified", "verifiedAt": at, "triedAt": at},
        }))
        .expect("a record")
    };
    let mut world = settled();
    let mut engine = (*world.engine).clone();
    engine.spec = spec(hours);
    engine.spec.backup = Some(crds::Backup {
        destination: crds::BackupDestination {
            url: Some("s3://memories".into()),
            ..crds::BackupDestination::default()
        },
        schedule: "0 2 * * *".into(),
        time_zone: "Etc/UTC".into(),
        ..crds::Backup::default()
    });
    world.engine = engine.into();
    world.upkeep = Some(UpkeepView::default());
    world.now = NOW.parse().expect("a time");
    let status = status_of(&world);
    with_engine(&mut world, |engine| engine.status = Some(status));
    judge(&mut world, "True");
    let mut world = with_plan(world, summary(3));
    approve(&mut world, &hash());
    for (records, is_held) in [
        (None, true),
        (Some(vec![]), true),
        (Some(vec![verified("2026-01-01T03:04:04Z")]), true),
        (Some(vec![verified("2026-01-01T03:04:06Z")]), false),
    ] {
        world.backup = records.clone().map(|records| BackupView { records, ..BackupView::default() });
        assert_eq!(applies(&world), !is_held, "{records:?}");
        let expected = if is_held { "False/BackupTooOld" } else { "Unknown/ApplyPending" };
        assert_eq!(healthy(&world), expected, "{records:?}");
    }
}

#[test]
fn a_plan_that_fails_or_is_stale_is_said() {
    let world = after(world(), run(wire::UpkeepTask::PlanRetention, None));
    assert_eq!(healthy(&world), "False/PlanFailed");
    assert!(message(&world).contains("it failed"));
    let mut world = with_plan(self::world(), summary(3));
    approve(&mut world, &hash());
    let changed =
        wire::UpkeepRun { code: Some(ErrorCode::PlanChanged), ..run(wire::UpkeepTask::ApplyRetention, None) };
    let failed = wire::UpkeepRun { code: Some(ErrorCode::WritesOff), ..changed.clone() };
    world.upkeep = Some(UpkeepView { runs: vec![failed], ..UpkeepView::default() });
    assert_eq!(healthy(&world), "False/ApplyFailed");
    assert_eq!(status_of(&world).retention.expect("retention").holds, ["it failed"]);
    world.upkeep = Some(UpkeepView::default());
    let world = after(world, changed);
    assert_eq!((healthy(&world).as_str(), applies(&world)), ("False/PlanStale", false));
}
