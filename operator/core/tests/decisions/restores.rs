//! From what an engine begins.

use crds::{Bootstrap, FromBackup, RestoreAtLeast, RestoreUntil};
use engine_core::wire::RestoredLog;
use operator_core::{
    build::{network_policy, stateful_set},
    observed::{EngineReport, Observed},
    validate::validate,
};
use serde_json::{Value, json};

use crate::backups::{bucket, key};
use crate::world::{condition, engine, health, observed, settings, settled, status_of, valid};

/// Id of the restore of [`from`].
const RESTORE_ID: &str = "--once=1f17a13825da7b9d";

fn from() -> FromBackup {
    FromBackup {
        source: bucket(),
        key_encryption_key_secret_ref: Some(key("encryption", "key")),
        at_least: Some(RestoreAtLeast { size: 7, root: "b".repeat(64) }),
        until: Some(RestoreUntil { seq: Some(9), time: None }),
        reason: Some("the volume was lost".into()),
        ..FromBackup::default()
    }
}

#[test]
fn an_engine_that_begins_from_a_backup_restores_before_it_starts() {
    let mut engine = engine();
    engine.spec.bootstrap = Some(Bootstrap { from_backup: from() });
    let world = observed(engine);
    let set = json!(stateful_set(&valid(&world)));
    let pod = set.pointer("/spec/template/spec").expect("a pod");
    let restore = &pod["initContainers"][0];
    let args: Vec<_> =
        restore["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    let least = format!("--at-least=7:{}", "b".repeat(64));
    for expected in ["restore", "--to=/data", "--until=9", least.as_str(), "--reason=the volume was lost"] {
        assert!(args.contains(&expected), "{expected}: {args:?}");
    }
    assert_eq!(restore["securityContext"], pod["containers"][0]["securityContext"]);
    // Another request has another id; a reason or other credentials do not make another one.
    let id = |change: &dyn Fn(&mut FromBackup)| {
        let mut engine = (*world.engine).clone();
        let mut from = from();
        change(&mut from);
        engine.spec.bootstrap = Some(Bootstrap { from_backup: from });
        let set = json!(stateful_set(&valid(&observed(engine))));
        let args = set.pointer("/spec/template/spec/initContainers/0/args").cloned().expect("arguments");
        let args: Vec<String> = serde_json::from_value(args).expect("texts");
        args.into_iter().find(|arg| arg.starts_with("--once=")).expect("an id")
    };
    let first = id(&|_| {});
    assert_eq!(id(&|from| from.reason = None), first);
    assert_eq!(id(&|from| from.source.credentials_secret_ref = None), first);
    assert_ne!(id(&|from| from.until = None), first);
    assert_ne!(id(&|from| from.source.url = Some("s3://other".into())), first);
    let ports = json!(network_policy(&valid(&world)));
    assert!(ports.to_string().contains("9000"), "{ports}");
}

#[test]
fn the_condition_says_from_what_the_log_was_restored() {
    let restored = |world: &Observed| condition(&status_of(world), "Restored");
    assert_eq!(restored(&settled()), "False/NotRestored");
    let mut world = settled();
    let mut engine = (*world.engine).clone();
    engine.spec.bootstrap = Some(Bootstrap { from_backup: from() });
    world.engine = engine.into();
    assert_eq!(restored(&world), "False/RestorePending");
    let mut failing = world.clone();
    let pod = failing.writer_mut().pod.as_mut().expect("a pod");
    (pod.ready, pod.running) = (false, false);
    pod.restore_failure = Some("the archive has no backup".into());
    failing.writer_mut().report = EngineReport::NotQueried;
    let status = status_of(&failing);
    assert_eq!(condition(&status, "Restored"), "False/RestoreFailed");
    assert_eq!(condition(&status, "Stalled"), "True/RestoreFailed");
    assert_eq!(condition(&status, "Ready"), "False/RestoreFailed");
    for (anchored, reason) in [(true, "True/RestoredAnchored"), (false, "True/RestoredUnanchored")] {
        let mut report = health(None);
        report.restored = Some(RestoredLog { events: 9, anchored, ..RestoredLog::default() });
        world.writer_mut().report = EngineReport::Answered(Box::new(report));
        assert_eq!(restored(&world), reason);
    }
    // It stays when the engine cannot be asked, and when the field is removed.
    let mut engine = (*world.engine).clone();
    engine.status = Some(status_of(&world));
    engine.spec.bootstrap = None;
    world.engine = engine.into();
    world.writer_mut().report = EngineReport::NotQueried;
    assert_eq!(restored(&world), "True/RestoredUnanchored");
}

/// The id of a restore is on volumes: another one would keep engines from starting.
#[test]
fn the_id_of_a_restore_never_changes() {
    let mut engine = engine();
    engine.spec.bootstrap = Some(Bootstrap { from_backup: from() });
    let set = json!(stateful_set(&valid(&observed(engine))));
    let args = set.pointer("/spec/template/spec/initContainers/0/args").expect("arguments").to_string();
    assert!(args.contains(RESTORE_ID), "{args}");
}

#[test]
fn an_end_that_means_nothing_is_refused() {
    let mut engine = engine();
    engine.spec.bootstrap = Some(Bootstrap {
        from_backup: FromBackup { until: Some(RestoreUntil { seq: Some(3), time: None }), ..from() },
    });
    let found = validate(&engine, &settings()).err().unwrap_or_default();
    assert!(found[0].to_string().contains("until.seq"), "{found:?}");
    for (seq, time, is_good) in [
        (Some(9), None, true),
        (None, Some("2026-01-31T12:00:00Z"), true),
        (None, None, false),
        (Some(9), Some("2026-01-31T12:00:00Z"), false),
        (Some(0), None, false),
        (None, Some("yesterday"), false),
    ] {
        let until = Some(RestoreUntil { seq, time: time.map(str::to_owned) });
        let from_backup = FromBackup { until, at_least: None, ..from() };
        engine.spec.bootstrap = Some(Bootstrap { from_backup });
        assert_eq!(validate(&engine, &settings()).is_ok(), is_good, "{seq:?} {time:?}");
    }
}
