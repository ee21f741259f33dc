//! The last backup before a deletion.

use std::sync::Arc;

use crds::{DeletionOutcome, DeletionPolicy, MemoryBackup};
use engine_core::{
    mode::Mode,
    wire::{Health, TakeBackup},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator_core::{
    backup::{Drill, new_record, verdict_on},
    deletion::{Farewell, decide},
    names::{ChildKind, FINALIZER, final_verification},
    observed::{EngineReport, Observed},
    plan::{Call, Step, Write},
    tls::Unread,
    tombstone::Gone,
    validate::Essentials,
};
use serde_json::json;

use crate::backups::{archive, ended, good, taken, view, world};
use crate::world::{carry_out, edit, planned, status_of};

/// The uid without hyphens, the moment of the deletion, and the head of the log.
const REQUEST: &str = "final-uidofnotes-1767236400-42";

/// Changes the resource.
fn change(world: &mut Observed, change: impl FnOnce(&mut crds::MemoryEngine)) {
    let mut engine = (*world.engine).clone();
    change(&mut engine);
    world.engine = engine.into();
}

/// An engine with a backup that is being deleted.
fn leaving(policy: DeletionPolicy) -> Observed {
    let mut world = world();
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    let now = world.now;
    change(&mut world, |engine| {
        engine.spec.deletion_policy = policy;
        engine.metadata.finalizers = Some(vec![FINALIZER.to_owned(), "example.org/other".to_owned()]);
        engine.metadata.deletion_timestamp = Some(Time(now));
    });
    narrow(&mut world);
    world
}

fn report(world: &mut Observed) -> &mut Health {
    match &mut world.writer_mut().report {
        EngineReport::Answered(health) => health,
        other => panic!("{other:?}"),
    }
}

/// The engine has stopped its writes.
fn narrow(world: &mut Observed) {
    let at = "2026-01-01T00:00:00Z";
    let mode = json!({
        "wanted": "read_only", "effective": "read_only", "since": at, "guard": {"state": "base", "since": at},
    });
    report(world).mode = Some(serde_json::from_value(mode).expect("a mode"));
}

fn record() -> MemoryBackup {
    new_record("notes", "team", "archive", &taken(42, Some(REQUEST)))
}

fn verified() -> MemoryBackup {
    let drill = ended("p", "2026-01-01T03:00:10Z", &good(42));
    MemoryBackup { status: verdict_on(&record(), &drill), ..record() }
}

fn decided(world: &Observed, is_valid: bool) -> Option<Farewell> {
    decide(world, &Essentials::of(&world.engine), is_valid)
}

fn outcome(world: &Observed) -> Option<(DeletionOutcome, String)> {
    match decided(world, true)? {
        Farewell::Say(status) => Some((status.outcome, status.message)),
        other => panic!("{other:?}"),
    }
}

fn holds(world: &Observed) -> Vec<bool> {
    let steps = planned(world).steps;
    steps.into_iter().filter_map(|step| if let Step::Hold(held) = step { Some(held) } else { None }).collect()
}

fn deletes_claim(world: &Observed) -> bool {
    planned(world).writes().any(
        |write| matches!(write, Write::Delete { key, .. } if key.kind == ChildKind::PersistentVolumeClaim),
    )
}

#[test]
fn only_an_engine_that_wants_a_last_backup_waits_for_it() {
    let mut world = world();
    assert_eq!(holds(&world), Vec::<bool>::new());
    change(&mut world, |engine| engine.spec.deletion_policy = DeletionPolicy::BackupThenRetain);
    assert_eq!(holds(&world), [true]);
    change(&mut world, |engine| engine.metadata.finalizers = Some(vec![FINALIZER.to_owned()]));
    assert_eq!(holds(&world), Vec::<bool>::new());
    change(&mut world, |engine| engine.spec.deletion_policy = DeletionPolicy::Retain);
    assert_eq!(holds(&world), [false]);
    let gone = leaving(DeletionPolicy::Retain);
    let mut free = gone.clone();
    change(&mut free, |engine| engine.metadata.finalizers = None);
    assert_eq!(decided(&free, true), None);
}

/// The steps in order: a backup, its verification, the status, and then the resource goes.
#[test]
fn a_claim_goes_only_after_its_last_backup_was_verified() {
    let mut world = leaving(DeletionPolicy::BackupThenDelete);
    let asks_for = |request: &str| {
        Step::Call(Call::TakeBackup(TakeBackup { request: Some(request.to_owned()), keep: None }))
    };
    let asked = asks_for(REQUEST);
    let mut writing = world.clone();
    report(&mut writing).mode.as_mut().expect("a mode").effective = Mode::ReadWrite;
    assert!(!planned(&writing).steps.contains(&asked), "writes go on");
    assert_eq!(Essentials::of(&world.engine).mode, Mode::ReadOnly);
    assert!(planned(&world).steps.contains(&asked), "{:?}", planned(&world).steps);
    archive(&mut world).last_backup = Some(taken(42, Some(REQUEST)));
    assert_eq!(decided(&world, true), Some(Farewell::Wait), "the record comes first");
    assert!(planned(&world).steps.iter().any(|step| matches!(step, Step::Record(_))));
    // A backup for another request says nothing.
    view(&mut world).records = vec![new_record("notes", "team", "archive", &taken(42, Some("job-1")))];
    assert_eq!(decided(&world, true), Some(Farewell::Wait));
    view(&mut world).records = vec![record()];
    let plan = planned(&world);
    let job = plan
        .writes()
        .find(|write| *write.key() == final_verification("notes", &taken(42, None).name))
        .expect("a Job");
    assert!(matches!(job, Write::Create { .. }) && !deletes_claim(&world));
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(decided(&world, true), Some(Farewell::Wait));
    // Only the Job that the operator has made may give the verdict.
    let foreign = ended("p", "2026-01-01T03:00:10Z", &good(42));
    view(&mut world).drills = vec![foreign.clone()];
    assert!(!planned(&world).steps.iter().any(|step| matches!(step, Step::Record(_))));
    let uid = world.children[&final_verification("notes", &taken(42, None).name)]
        .metadata
        .uid
        .clone()
        .expect("a uid");
    view(&mut world).drills = vec![Drill { job: uid, ..foreign }];
    assert!(planned(&world).steps.iter().any(|step| matches!(step, Step::Record(_))));
    view(&mut world).drills.clear();
    view(&mut world).records = vec![verified()];
    // Another event: the backup has not everything.
    report(&mut world).log.seq = 43;
    let again = asks_for("final-uidofnotes-1767236400-43");
    assert!(!deletes_claim(&world) && planned(&world).steps.contains(&again));
    report(&mut world).log.seq = 42;
    assert!(deletes_claim(&world) && holds(&world).is_empty());
    let mut late = world.clone();
    late.now += SignedDuration::from_mins(31);
    assert!(!deletes_claim(&late) && outcome(&late).expect("an outcome").1.contains("could not be deleted"));
    edit(
        &mut world,
        ChildKind::PersistentVolumeClaim,
        "notes-data",
        "/metadata/deletionTimestamp",
        json!("2026-01-01T03:00:20Z"),
    );
    assert!(!deletes_claim(&world) && holds(&world).is_empty(), "the status says so first");
    let status = status_of(&world);
    let said = status.deletion.clone().expect("an outcome");
    assert_eq!((said.outcome, said.backup), (DeletionOutcome::Verified, record().metadata.name));
    change(&mut world, |engine| engine.status = Some(status));
    assert_eq!(holds(&world), [false]);
    let last = world.engine.clone();
    let claim = Arc::clone(&world.children[&operator_core::children::CHILDREN.claim.key("notes")]);
    let gone =
        Gone { namespace: "team", name: "notes", last: Some(&last), claim: Some(&claim), before: None };
    let stone = gone.tombstone(world.now).expect("a tombstone");
    assert!(
        stone["data"]["lastBackupOutcome"].as_str().is_some_and(|text| text.starts_with("Verified")),
        "{stone}"
    );
}

#[test]
fn a_claim_is_kept_where_the_policy_or_the_verdict_says_so() {
    let mut kept = leaving(DeletionPolicy::BackupThenRetain);
    view(&mut kept).records = vec![verified()];
    assert!(!deletes_claim(&kept));
    assert_eq!(outcome(&kept).expect("an outcome").0, DeletionOutcome::Verified);
    let mut failed = leaving(DeletionPolicy::BackupThenDelete);
    let broken = json!({"ok": false, "backup": taken(42, None).name, "error": "segments/1 is missing"});
    let status = verdict_on(&record(), &ended("p", "2026-01-01T03:00:10Z", &broken));
    view(&mut failed).records = vec![MemoryBackup { status, ..record() }];
    assert!(!deletes_claim(&failed));
    assert_eq!(outcome(&failed).expect("an outcome").0, DeletionOutcome::NotVerified);
}

#[test]
fn a_deletion_always_ends() {
    use DeletionOutcome::{NotVerified, Skipped};
    type Change = fn(&mut Observed);
    let late: Change = |world| world.now += SignedDuration::from_mins(31);
    let without_objects: Change = |world| world.children.retain(|key, _| key.kind != ChildKind::StatefulSet);
    let cases: [(&str, Change); 5] = [
        ("30 minutes", late),
        ("namespace", without_objects),
        ("hibernates", |world| change(world, |engine| engine.spec.hibernate = true)),
        ("permission", |world| {
            view(world).unread = Some(Unread { is_forbidden: true, text: "no".into() });
        }),
        ("suspended", |world| change(world, |engine| engine.spec.suspend = true)),
    ];
    for (word, make) in cases {
        let mut world = leaving(DeletionPolicy::BackupThenDelete);
        make(&mut world);
        let (found, message) = outcome(&world).expect("an outcome");
        assert!(found == Skipped && message.contains(word), "{word}: {message}");
        let status = status_of(&world);
        change(&mut world, |engine| engine.status = Some(status));
        assert_eq!(holds(&world), [false], "{word}");
        assert!(!deletes_claim(&world), "{word}");
    }
    for make in [late, without_objects] {
        let mut world = leaving(DeletionPolicy::BackupThenDelete);
        view(&mut world).records = vec![record()];
        make(&mut world);
        assert_eq!(outcome(&world).expect("an outcome").0, NotVerified);
    }
    let mut invalid = leaving(DeletionPolicy::BackupThenDelete);
    assert!(matches!(decided(&invalid, false), Some(Farewell::Say(status)) if status.outcome == Skipped));
    let status = status_of(&invalid);
    change(&mut invalid, |engine| {
        engine.status = Some(crds::MemoryEngineStatus {
            deletion: Some(crds::DeletionStatus {
                outcome: Skipped,
                backup: None,
                message: "invalid".into(),
            }),
            ..status
        });
    });
    assert_eq!(decided(&invalid, false), Some(Farewell::Release));
}
