//! Backups: their Jobs and records, what counts, and from what an engine begins.

use crds::{
    Backup, BackupCredentials, BackupDestination, BackupPhase, BackupVolume, KeyReference, MemoryBackup,
};
use engine_core::wire::{ArchiveHealth, ArchiveState, BackupTaken};
use jiff::SignedDuration;
use operator_core::{
    backup::{BackupView, Drill, RECORDS_MAX, RecordBackup, new_record, verdict_on},
    names::{ChildKind, backup_request},
    observed::{EngineReport, Observed},
    plan::{Call, Step, Write},
    tls::Unread,
    validate::{Essentials, validate},
};
use serde_json::{Value, json};

use crate::backup_schedules::with_status;
use crate::world::{carry_out, condition, engine, health, planned, settings, settled, status_of};

pub(crate) fn key(name: &str, key: &str) -> KeyReference {
    KeyReference { name: name.into(), key: key.into() }
}

pub(crate) fn bucket() -> BackupDestination {
    BackupDestination {
        url: Some("s3://memories/team".into()),
        endpoint: Some("https://objects.example.org:9000".into()),
        credentials_secret_ref: Some(BackupCredentials { name: "objects".into() }),
        ca_config_map_ref: Some(key("authorities", "bundle.pem")),
        ..BackupDestination::default()
    }
}

pub(crate) fn backup() -> Backup {
    Backup {
        destination: bucket(),
        key_encryption_key_secret_ref: Some(key("encryption", "key")),
        archive_interval_seconds: Some(5),
        schedule: "0 2 * * *".into(),
        time_zone: "Europe/Berlin".into(),
        suspend: false,
        ..Backup::default()
    }
}

pub(crate) fn taken(size: u64, request: Option<&str>) -> BackupTaken {
    BackupTaken {
        log_id: "log-1".into(),
        name: format!("manifests/{size:020}-0000000001-{}", "a".repeat(64)),
        size,
        root: "b".repeat(64),
        created: "2026-01-01T02:00:00Z".parse().expect("a time"),
        expires: "2026-01-31T02:00:00Z".parse().ok(),
        pieces: 1,
        bytes: 100,
        stored_bytes: 10,
        elapsed_ms: 5,
        request: request.map(str::to_owned),
        pruned: None,
    }
}

/// A settled engine with an archive that follows its log.
pub(crate) fn world() -> Observed {
    let mut world = settled();
    let mut engine = (*world.engine).clone();
    engine.spec.backup = Some(backup());
    world.engine = engine.into();
    world.backup = Some(BackupView::default());
    let mut report = health(None);
    report.archive = Some(ArchiveHealth { state: ArchiveState::Archiving, ..ArchiveHealth::default() });
    world.writer_mut().report = EngineReport::Answered(Box::new(report));
    world.now = "2026-01-01T03:00:00Z".parse().expect("a time");
    world
}

pub(crate) fn archive(world: &mut Observed) -> &mut ArchiveHealth {
    match &mut world.writer_mut().report {
        EngineReport::Answered(health) => health.archive.get_or_insert_default(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn view(world: &mut Observed) -> &mut BackupView {
    world.backup.as_mut().expect("a view")
}

pub(crate) fn record(size: u64) -> MemoryBackup {
    let mut record = new_record("notes", "team", "archive", &taken(size, None));
    record.metadata.uid = Some(format!("uid-{size}"));
    record
}

/// The pod of a verification as it ended.
pub(crate) fn ended(pod: &str, at: &str, message: &Value) -> Drill {
    let pod = json!({
        "metadata": {
            "name": pod, "labels": {"memoryengine.io/job": "verify"},
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": "verify", "uid": "job-uid", "controller": true,
            }],
        },
        "status": {"containerStatuses": [{"name": "verify", "state": {"terminated": {
            "exitCode": 0, "message": message.to_string(), "startedAt": at, "finishedAt": at,
        }}}]},
    });
    operator_core::backup::drill(&serde_json::from_value(pod).expect("a pod")).expect("a verification")
}

pub(crate) fn good(size: u64) -> Value {
    let BackupTaken { log_id, name, root, .. } = taken(size, None);
    json!({"ok": true, "backup": name, "log_id": log_id, "events": size, "root": root, "elapsed_ms": 40})
}

pub(crate) fn judged(record: &MemoryBackup, drill: &Drill) -> MemoryBackup {
    MemoryBackup { status: verdict_on(record, drill), ..record.clone() }
}

pub(crate) fn ask(world: &mut Observed, data: &Value) {
    let key = backup_request("notes");
    let labels = operator_core::names::labels("notes");
    let map = json!({"metadata": {"name": key.name, "labels": labels}, "data": data});
    world.children.insert(key, std::sync::Arc::new(serde_json::from_value(map).expect("a ConfigMap")));
}

pub(crate) fn said(world: &Observed) -> String {
    condition(&status_of(world), "BackupHealthy")
}

fn created(world: &Observed, kind: ChildKind, name: &str) -> Option<Value> {
    planned(world).writes().find_map(|write| match write {
        Write::Create { key, object } if (key.kind, key.name.as_str()) == (kind, name) => {
            Some(object.clone())
        }
        _ => None,
    })
}

fn asks(world: &Observed) -> Vec<String> {
    let steps = planned(world).steps;
    let ids = steps.into_iter().filter_map(|step| match step {
        Step::Call(Call::TakeBackup(wanted)) => wanted.request,
        _ => None,
    });
    ids.collect()
}

fn changes(world: &Observed) -> Vec<RecordBackup> {
    let steps = planned(world).steps;
    let changes = steps.into_iter().filter_map(|step| match step {
        Step::Record(change) => Some(change),
        _ => None,
    });
    changes.collect()
}

/// The Job that verifies has the files of the store, no token of the API server, and no more room than the volume of
/// the engine.
#[test]
fn a_verification_can_read_the_archive_and_nothing_else() {
    let job = created(&world(), ChildKind::CronJob, "notes-verify").expect("a CronJob");
    let pod = job.pointer("/spec/jobTemplate/spec/template/spec").expect("a pod");
    assert_eq!(
        (&pod["automountServiceAccountToken"], &pod["restartPolicy"]),
        (&json!(false), &json!("Never"))
    );
    let names: Vec<_> = pod["volumes"].as_array().expect("volumes").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["scratch", "backup-credentials", "backup-key", "backup-ca"]);
    assert_eq!(pod["volumes"][0]["emptyDir"]["sizeLimit"], "10Gi");
    let args: Vec<_> = pod["containers"][0]["args"].as_array().expect("arguments").iter().collect();
    for expected in [
        "--store=s3://memories/team",
        "--endpoint=https://objects.example.org:9000",
        "--credentials-directory=/run/memory-engine/backup-credentials",
        "--ca-file=/run/memory-engine/backup-ca/ca.crt",
        "--key-encryption-key-file=/run/memory-engine/backup-key/key",
        "--termination-log=/dev/termination-log",
    ] {
        assert!(args.contains(&&json!(expected)), "{expected}: {args:?}");
    }
    assert_eq!(created(&world(), ChildKind::Role, "notes-verify"), None, "it may do nothing in the cluster");
    let role = created(&world(), ChildKind::Role, "notes-backup").expect("a role");
    let rule = json!([{
        "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["notes-backup"], "verbs": ["patch"],
    }]);
    assert_eq!(role["rules"], rule);
}

#[test]
fn everything_is_made_once_and_goes_with_the_field() {
    let mut world = world();
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(planned(&world).steps, []);
    let mut engine = (*world.engine).clone();
    engine.status = Some(status_of(&world));
    engine.spec.backup = None;
    world.engine = engine.into();
    let removed: Vec<String> = planned(&world)
        .writes()
        .filter(|write| matches!(write, Write::Delete { .. }))
        .map(|write| write.key().to_string())
        .collect();
    for object in
        ["CronJob/notes-backup", "CronJob/notes-verify", "ConfigMap/notes-backup", "Role/notes-backup"]
    {
        assert!(removed.iter().any(|one| one == object), "{object}: {removed:?}");
    }
}

/// A request is carried out once, whoever asks and however often the operator looks; the answer follows the record.
#[test]
fn a_request_is_answered_when_its_backup_is_recorded() {
    let mut world = world();
    assert_eq!(asks(&world), Vec::<String>::new());
    ask(&mut world, &json!({"request": "job-1"}));
    assert_eq!(asks(&world), ["job-1"]);
    archive(&mut world).last_backup = Some(taken(7, Some("job-1")));
    assert_eq!(asks(&world), Vec::<String>::new(), "it is taken");
    let answer = |world: &Observed| {
        planned(world).writes().find_map(|write| match write {
            Write::Update { key, object, .. } | Write::Repair { key, object, .. } => {
                (*key == backup_request("notes")).then(|| object["data"].clone())
            }
            _ => None,
        })
    };
    assert!(matches!(changes(&world).as_slice(), [RecordBackup::Make(_)]), "{:?}", changes(&world));
    assert!(answer(&world).is_none_or(|data| data["done"].is_null()), "the record comes first");
    view(&mut world).records = vec![record(7)];
    assert_eq!(changes(&world), []);
    let name = record(7).metadata.name.expect("a name");
    assert_eq!(answer(&world), Some(json!({"done": "job-1", "result": name})));
    // An engine that restarts has forgotten the request, and the answer stays.
    ask(&mut world, &json!({"request": "job-1", "done": "job-1", "result": name}));
    archive(&mut world).last_backup = None;
    assert_eq!(asks(&world), Vec::<String>::new());
    // What is no id is ignored, and a request soon after another one waits.
    ask(&mut world, &json!({"request": "a b"}));
    assert_eq!(asks(&world), Vec::<String>::new());
    ask(&mut world, &json!({"request": "job-2"}));
    archive(&mut world).last_backup = Some(BackupTaken { created: world.now, ..taken(7, Some("job-1")) });
    assert_eq!(asks(&world), Vec::<String>::new());
    world.now += SignedDuration::from_secs(61);
    assert_eq!(asks(&world), ["job-2"]);
}

#[test]
fn only_a_restore_with_the_recorded_root_verifies_a_backup() {
    let at = "2026-01-01T02:30:00Z";
    let verified = judged(&record(7), &ended("p1", at, &good(7)));
    let status = verified.status.clone().expect("a status");
    assert_eq!((status.phase, status.verified_at.as_deref()), (Some(BackupPhase::Verified), Some(at)));
    assert_eq!((status.tried_by.as_deref(), status.restore_millis), (Some("p1"), Some(40)));
    for (field, value) in [("events", json!(6)), ("root", json!("c".repeat(64))), ("log_id", json!("log-2"))]
    {
        let mut message = good(7);
        message[field] = value;
        let status = verdict_on(&record(7), &ended("p1", at, &message)).expect("a verdict");
        assert_eq!(status.phase, Some(BackupPhase::Failed), "{field}");
        assert!(status.message.is_some_and(|why| why.contains("another one")), "{field}");
    }
    // Something of the backup was forgotten after it: more was restored, and the backup itself is what counts.
    let mut further = good(7);
    further["events"] = json!(9);
    further["root"] = json!("d".repeat(64));
    further["backup_size"] = json!(7);
    further["backup_root"] = json!("b".repeat(64));
    assert_eq!(judged(&record(7), &ended("p1", at, &further)).status, verified.status);
    // A verdict about another backup, an older one, the same one again, and none at all.
    assert_eq!(verdict_on(&record(7), &ended("p1", at, &good(8))), None);
    assert_eq!(verdict_on(&verified, &ended("p0", "2026-01-01T02:00:00Z", &json!({"ok": false}))), None);
    assert_eq!(verdict_on(&verified, &ended("p1", at, &good(7))), None);
    assert_eq!(verdict_on(&verified, &ended("p2", "2026-01-02T02:00:00Z", &json!({"error": "store"}))), None);
    // A backup that rots is no longer verified.
    let broken = json!({"ok": false, "backup": taken(7, None).name, "error": "segments/1 is missing"});
    let rotten = judged(&verified, &ended("p2", "2026-01-02T02:00:00Z", &broken)).status.expect("a status");
    assert_eq!((rotten.phase, rotten.verified_at), (Some(BackupPhase::Failed), None));
    assert_eq!(rotten.message.as_deref(), Some("segments/1 is missing"));
}

#[test]
fn the_condition_says_what_counts() {
    assert_eq!(condition(&status_of(&settled()), "BackupHealthy"), "False/NoBackups");
    let mut world = world();
    assert_eq!(said(&world), "Unknown/BackupNotVerified");
    view(&mut world).records = vec![record(7)];
    assert_eq!(said(&world), "Unknown/BackupNotVerified");
    view(&mut world).records = vec![judged(&record(7), &ended("p", "2026-01-01T02:30:00Z", &good(7)))];
    assert_eq!(said(&world), "True/BackupVerified");
    let verified = world.clone();
    let last = status_of(&world).backup.expect("a status");
    assert_eq!(last.last_verified.map(|last| last.at).as_deref(), Some("2026-01-01T02:30:00Z"));
    assert_eq!(last.next_backup.as_deref(), Some("2026-01-02T01:00:00Z"), "02:00 in Berlin");

    archive(&mut world).conditional_put = Some(false);
    assert_eq!(said(&world), "True/ConditionalPutUnsupported");
    for (state, reason) in [
        (ArchiveState::Failing, "False/ArchiveFailing"),
        (ArchiveState::Ended, "False/ArchiveFailing"),
        (ArchiveState::Ahead, "False/ArchiveAhead"),
    ] {
        archive(&mut world).state = state;
        assert_eq!(said(&world), reason);
    }
    // A verdict ages. Before that, a backup is overdue.
    let mut late = verified.clone();
    late.now = "2026-01-01T03:00:00Z".parse().expect("a time");
    late = with_status(late);
    late.now = "2026-01-02T01:44:00Z".parse().expect("a time");
    assert_eq!(said(&late), "True/BackupVerified");
    late.now = "2026-01-02T02:00:00Z".parse().expect("a time");
    assert_eq!(said(&late), "False/BackupOverdue");
    let mut engine = (*late.engine).clone();
    engine.spec.backup.as_mut().expect("a backup").suspend = true;
    late.engine = engine.into();
    assert_eq!(said(&late), "True/BackupVerified");
    late.now += SignedDuration::from_hours(72);
    assert_eq!(said(&late), "Unknown/VerificationTooOld");
    // A verification that decides nothing changes nothing, until the verdict before is too old.
    view(&mut late).drills = vec![ended("p2", "2026-01-04T02:00:00Z", &json!({"error": "no route to host"}))];
    let message = |world: &Observed| {
        let conditions = status_of(world).conditions;
        conditions.into_iter().find(|one| one.type_ == "BackupHealthy").expect("a condition").message
    };
    assert!(message(&late).contains("no route to host"), "{}", message(&late));
    let mut rotten = verified.clone();
    let broken = json!({"ok": false, "backup": taken(8, None).name, "error": "segments/2 is missing"});
    let newer = judged(&record(8), &ended("p3", "2026-01-01T02:40:00Z", &broken));
    view(&mut rotten).records.push(MemoryBackup {
        spec: crds::MemoryBackupSpec { taken_at: "2026-01-01T02:10:00Z".into(), ..newer.spec.clone() },
        ..newer
    });
    assert_eq!(said(&rotten), "False/BackupNotRestorable");
    assert!(
        message(&rotten).contains("segments/2") && message(&rotten).contains("notes-7-"),
        "{}",
        message(&rotten)
    );
    for (is_forbidden, reason) in [(true, "Unknown/SecretsForbidden"), (false, "Unknown/BackupsUnreadable")] {
        let mut unread = verified.clone();
        view(&mut unread).unread = Some(Unread { is_forbidden, text: "no".into() });
        assert_eq!(said(&unread), reason);
        assert!(
            planned(&unread).writes().all(|write| !write.key().name.ends_with("-backup")),
            "nothing is written"
        );
    }
}

/// An archive that was put back to an older state restores well, and lacks a backup that was recorded.
#[test]
fn a_backup_that_the_archive_no_longer_has_is_not_restorable() {
    let mut older = good(5);
    older["backup_created"] = json!("2026-01-01T01:00:00Z");
    let found = ended("p1", "2026-01-01T02:30:00Z", &older);
    let status = verdict_on(&record(7), &found).expect("a verdict");
    assert_eq!(status.phase, Some(BackupPhase::Failed));
    assert!(status.message.is_some_and(|why| why.contains("does not have it")));
    // A backup that was taken while the verification began, and one of another log, are not missed.
    assert_eq!(verdict_on(&record(7), &ended("p1", "2026-01-01T02:01:00Z", &older)), None);
    older["log_id"] = json!("log-2");
    assert_eq!(verdict_on(&record(7), &ended("p1", "2026-01-01T02:30:00Z", &older)), None);
}

/// What proves nothing about the present archive and log does not count.
#[test]
fn records_of_another_archive_or_log_do_not_count() {
    let mut view = BackupView { records: vec![record(7)], ..BackupView::default() };
    view.keep_relevant("archive", Some("log-1"));
    assert_eq!(view.records.len(), 1);
    for (archive, log) in [("other", Some("log-1")), ("archive", Some("log-2")), ("archive", None)] {
        let mut view = view.clone();
        view.keep_relevant(archive, log);
        assert_eq!(view.records, [], "{archive} {log:?}");
    }
    let hash = |change: &dyn Fn(&mut Backup)| {
        let mut engine = engine();
        let mut backup = backup();
        change(&mut backup);
        engine.spec.backup = Some(backup);
        Essentials::of(&engine).backup.expect("times").archive
    };
    let first = hash(&|_| {});
    assert_eq!(hash(&|backup| backup.schedule = "@weekly".into()), first);
    assert_ne!(hash(&|backup| backup.destination.url = Some("s3://other".into())), first);
    assert_ne!(hash(&|backup| backup.key_encryption_key_secret_ref = None), first);
}

/// An engine may report anything. A backup that cannot be one of its log is not recorded.
#[test]
fn a_backup_that_cannot_be_one_of_the_log_is_not_recorded() {
    let changes_of: [fn(&mut BackupTaken); 3] = [
        |taken| taken.log_id = "log-2".into(),
        |taken| taken.size = 43,
        |taken| taken.created += SignedDuration::from_hours(24 * 365),
    ];
    for change in changes_of {
        let mut world = world();
        let mut reported = taken(7, None);
        change(&mut reported);
        archive(&mut world).last_backup = Some(reported);
        assert_eq!(changes(&world), []);
    }
}

/// Whoever may write the ConfigMap cannot ask for the last backup before a deletion.
#[test]
fn a_request_with_the_prefix_of_the_operator_is_ignored() {
    let mut world = world();
    ask(&mut world, &json!({"request": "final-1"}));
    assert_eq!(asks(&world), Vec::<String>::new());
}

/// The records are bounded, and the newest one that was verified stays however old it is.
#[test]
fn old_records_go_and_the_last_verified_one_stays() {
    let mut world = world();
    let dated = |size: u64| {
        let mut record = record(size);
        record.spec.taken_at = format!("2026-01-01T00:00:{size:02}Z");
        record
    };
    let oldest = judged(&dated(0), &ended("p", "2026-01-01T01:00:00Z", &good(0)));
    let count = RECORDS_MAX as u64 + 2;
    view(&mut world).records = std::iter::once(oldest).chain((1..count).map(dated)).collect();
    let gone: Vec<String> = changes(&world).iter().map(|change| change.name().to_owned()).collect();
    assert_eq!(gone, [record(1).metadata.name.expect("a name")]);
}

#[test]
fn a_store_that_means_nothing_is_refused() {
    let faults = |change: &dyn Fn(&mut Backup)| {
        let mut engine = engine();
        let mut backup = backup();
        change(&mut backup);
        engine.spec.backup = Some(backup);
        let faults = validate(&engine, &settings()).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(faults(&|_| {}), "");
    let volume = BackupVolume { claim_name: "archive".into() };
    let on_volume = BackupDestination { volume: Some(volume.clone()), ..BackupDestination::default() };
    assert_eq!(faults(&|backup| backup.destination = on_volume.clone()), "");
    for (word, change) in [
        ("exactly one", &(|backup: &mut Backup| backup.destination.url = None) as &dyn Fn(&mut Backup)),
        ("exactly one", &|backup| backup.destination.volume = Some(volume.clone())),
        ("claimName", &|backup| {
            backup.destination = BackupDestination { region: Some("r".into()), ..on_volume.clone() };
        }),
        ("s3://", &|backup| backup.destination.url = Some("https://bucket".into())),
        ("s3://", &|backup| backup.destination.keys_url = Some("s3://key:secret@bucket".into())),
        ("endpoint", &|backup| backup.destination.endpoint = Some("ftp://store".into())),
        ("spec.backup.schedule", &|backup| backup.schedule = "0 0 31 2 *".into()),
        ("spec.backup.verify.schedule", &|backup| backup.verify.schedule = "5-1 * * * *".into()),
        ("spec.backup.timeZone", &|backup| backup.time_zone = "Europe/Nowhere".into()),
        ("maxAgeHours", &|backup| backup.verify.max_age_hours = 0),
        ("another claim", &|backup| {
            let own = Some(BackupVolume { claim_name: "notes-data".into() });
            backup.destination = BackupDestination { volume: own, ..BackupDestination::default() };
        }),
    ] {
        assert!(faults(change).contains(word), "{word}: {}", faults(change));
    }
}
