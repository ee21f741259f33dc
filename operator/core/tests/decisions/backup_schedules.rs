//! Backups: schedules that are kept or not, what an engine may remove, and what is said about a store.

use jiff::SignedDuration;
use operator_core::{
    observed::Observed,
    plan::{Call, Step},
};
use serde_json::json;

use crate::backups::{archive, ask, ended, good, judged, record, said, taken, view, world};
use crate::world::{planned, status_of};

/// The world after the status of this reconcile was written.
pub(crate) fn with_status(mut world: Observed) -> Observed {
    let mut engine = (*world.engine).clone();
    engine.status = Some(status_of(&world));
    world.engine = engine.into();
    world
}

/// A schedule is only missed if it was in force when it was due.
#[test]
fn a_backup_is_overdue_only_under_the_schedule_that_is_there() {
    let mut world = world();
    world.now = "2026-01-05T12:00:00Z".parse().expect("a time");
    view(&mut world).records = vec![judged(&record(7), &ended("p", "2026-01-05T02:30:00Z", &good(7)))];
    assert_eq!(said(&world), "True/BackupVerified", "the status does not say yet since when it is in force");
    let mut world = with_status(world);
    world.now = "2026-01-06T01:46:00Z".parse().expect("a time");
    assert_eq!(said(&world), "False/BackupOverdue");
    let stops: [fn(&mut crds::MemoryEngineSpec); 2] =
        [|spec| spec.suspend = true, |spec| spec.hibernate = true];
    for stop in stops {
        let mut stopped = world.clone();
        let mut engine = (*stopped.engine).clone();
        stop(&mut engine.spec);
        stopped.engine = engine.into();
        assert_ne!(said(&stopped), "False/BackupOverdue");
    }
    let mut changed = world.clone();
    let mut engine = (*changed.engine).clone();
    engine.spec.backup.as_mut().expect("a backup").schedule = "30 * * * *".into();
    changed.engine = engine.into();
    assert_eq!(said(&changed), "True/BackupVerified");
    let mut changed = with_status(changed);
    changed.now += SignedDuration::from_mins(45);
    assert_eq!(said(&changed), "True/BackupVerified");
    changed.now += SignedDuration::from_mins(45);
    assert_eq!(said(&changed), "False/BackupOverdue");
}

/// Old backups go only while a verdict counts, and never the one that it is about.
#[test]
fn the_engine_removes_nothing_while_no_verdict_counts() {
    let mut world = world();
    let keep = |world: &Observed| {
        let steps = planned(world).steps;
        let wanted = steps.into_iter().find_map(|step| match step {
            Step::Call(Call::TakeBackup(wanted)) => Some(wanted),
            _ => None,
        });
        wanted.expect("a call").keep
    };
    ask(&mut world, &json!({"request": "job-1"}));
    assert_eq!(keep(&world), None, "there is no backup");
    view(&mut world).records = vec![record(7)];
    assert_eq!(keep(&world), None, "none is verified");
    view(&mut world).records = vec![judged(&record(7), &ended("p", "2026-01-01T02:30:00Z", &good(7)))];
    world.now = "2026-01-04T02:30:00Z".parse().expect("a time");
    assert_eq!(keep(&world), Some(vec![taken(7, None).name]));
    world.now += SignedDuration::from_secs(1);
    assert_eq!(keep(&world), None, "the verdict no longer counts");
}

#[test]
fn what_the_store_lacks_is_said_beside_a_verified_backup() {
    let mut world = world();
    view(&mut world).records = vec![judged(&record(7), &ended("p", "2026-01-01T02:30:00Z", &good(7)))];
    for (conditional, versioned, reason) in [
        (None, None, "True/BackupVerified"),
        (Some(true), Some(false), "True/BackupVerified"),
        (Some(false), Some(false), "True/ConditionalPutUnsupported"),
        (Some(true), Some(true), "True/KeysAreVersioned"),
        (Some(false), Some(true), "True/KeysAreVersioned"),
    ] {
        let health = archive(&mut world);
        (health.conditional_put, health.keys_versioned) = (conditional, versioned);
        assert_eq!(said(&world), reason);
    }
}
