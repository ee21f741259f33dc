//! The standby: its objects, and what the status says of it.

use std::sync::Arc;

use crds::{Backup, BackupStandby, BackupVolume, MemoryEngineSpec, Tls};
use engine_core::wire::{ChainFault, FollowState, FollowingHealth, StandbyDifference, StandbyHealth};
use jiff::{SignedDuration, Timestamp};
use operator_core::{
    children::CHILDREN,
    names::{ChildKind, reader_selector, selector, standby_selector},
    observed::Observed,
    plan::Write,
};
use serde_json::{Value, json};

use crate::backups::backup;
use crate::client_keys::access;
use crate::configurations::faults;
use crate::pods::child;
use crate::world::{carry_out, condition, engine, observed, planned, status_of};

fn with_standby() -> MemoryEngineSpec {
    MemoryEngineSpec {
        backup: Some(Backup { standby: Some(BackupStandby::default()), ..backup() }),
        ..MemoryEngineSpec::default()
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect()
}

/// A world with the pod of the standby.
fn reconciled(spec: MemoryEngineSpec) -> Observed {
    let mut resource = engine();
    resource.spec = spec;
    let mut world = observed(resource);
    world.backup = Some(Default::default());
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    pods_are_made(&mut world);
    world
}

fn pods_are_made(world: &mut Observed) {
    let set = world.children.get_mut(&CHILDREN.standby.key("notes")).expect("the standby");
    let set = Arc::make_mut(set);
    set.metadata.generation = Some(1);
    set.data["status"] = json!({"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1});
}

fn following(standby: StandbyHealth) -> FollowingHealth {
    FollowingHealth {
        state: FollowState::Connected,
        writer: "http://notes-headless.team.svc:8081/".into(),
        head_seq: Some(40),
        lag_events: 0,
        lag_seconds: Some(1),
        lag_max_seconds: 30,
        fault: None,
        broken: None,
        standby: Some(standby),
    }
}

fn verified(at: Timestamp) -> StandbyHealth {
    StandbyHealth {
        seq: 40,
        verified: true,
        verified_at: Some(at),
        rto_ms: Some(2_500),
        rto_events: Some(30),
        ..StandbyHealth::default()
    }
}

fn says(world: &mut Observed, standby: StandbyHealth) -> (String, String) {
    world.standby = Some(Box::new(following(standby)));
    said(world)
}

/// The condition with its reason, and its message. The status is what the operator would write.
fn said(world: &mut Observed) -> (String, String) {
    let status = status_of(world);
    let message = status.conditions.iter().find(|one| one.type_ == "StandbyVerified").expect("a condition");
    let result = (condition(&status, "StandbyVerified"), message.message.clone());
    Arc::make_mut(&mut world.engine).status = Some(status);
    result
}

/// It is the pod of the writer with a disk of its own and the credentials of the archive. It writes nothing there.
#[test]
fn a_standby_restores_the_archive_and_gets_no_writes() {
    let mut spec = with_standby();
    let backup = spec.backup.as_mut().expect("a section");
    backup.destination.volume = Some(BackupVolume { claim_name: "archive".into() });
    backup.destination =
        crds::BackupDestination { volume: backup.destination.volume.clone(), ..Default::default() };
    let set = child(spec.clone(), ChildKind::StatefulSet, "notes-standby");
    assert_eq!(set["spec"]["replicas"], 1);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"], Value::Null);
    assert_eq!(names(&pod["volumes"]), ["data", "config", "backup-key", "backup-archive"]);
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"], Value::Null, "never the volume of the writer");
    let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
    let archive = mounts.iter().find(|mount| mount["name"] == "backup-archive").expect("the archive");
    assert_eq!(archive["readOnly"], true, "a standby writes nothing to the archive");
    let variables = json!([
        {"name": "MEMORY_ENGINE_FOLLOW", "value": "http://notes-headless.team.svc:8081"},
        {"name": "MEMORY_ENGINE_FOLLOW_ARCHIVE", "value": "true"},
    ]);
    assert_eq!(
        pod["containers"][0]["env"], variables,
        "clients are not sent here, so that it forwards nothing"
    );
    let writer = child(spec, ChildKind::StatefulSet, "notes");
    let mounts =
        writer["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].as_array().expect("mounts");
    let archive = mounts.iter().find(|mount| mount["name"] == "backup-archive").expect("the archive");
    assert_eq!(archive["readOnly"], Value::Null, "the writer writes to it");
}

/// A bucket needs the Secrets of the archive, and TLS the certificate.
#[test]
fn a_standby_has_the_secrets_of_the_archive() {
    let mut spec = with_standby();
    spec.tls = Some(Tls::default());
    let set = child(spec, ChildKind::StatefulSet, "notes-standby");
    let pod = &set["spec"]["template"]["spec"];
    let kept = names(&pod["volumes"]);
    for wanted in ["backup-credentials", "backup-key", "backup-ca", "tls"] {
        assert!(kept.contains(&wanted), "{wanted} is not among {kept:?}");
    }
    assert!(!kept.contains(&"anchor"), "{kept:?}");
    for mount in names(&pod["containers"][0]["volumeMounts"]) {
        assert!(kept.contains(&mount), "{mount} is mounted and no volume");
    }
}

/// No Service and no policy leads a client to it. The writer lets it in where the log is.
#[test]
fn no_client_reaches_a_standby() {
    let set = child(with_standby(), ChildKind::StatefulSet, "notes-standby");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    for wanted in [selector("notes"), reader_selector("notes")] {
        assert!(wanted.iter().any(|(key, value)| labels[key] != *value), "{wanted:?} selects {labels}");
    }
    let own = json!(standby_selector("notes"));
    let from = |policy: &Value, port: i64| -> Vec<Value> {
        let rules = policy["spec"]["ingress"].as_array().into_iter().flatten();
        let of_port = rules.filter(|rule| rule["ports"][0]["port"] == port);
        of_port.flat_map(|rule| rule["from"].as_array().cloned().unwrap_or_default()).collect()
    };
    let policy = child(with_standby(), ChildKind::NetworkPolicy, "notes-standby");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], own);
    assert_eq!(from(&policy, 8080), Vec::<Value>::new());
    assert_eq!(from(&policy, 8081).len(), 1, "the operator: {policy}");
    let writer = child(with_standby(), ChildKind::NetworkPolicy, "notes");
    let is_let_in = |port| from(&writer, port).iter().any(|peer| peer["podSelector"]["matchLabels"] == own);
    assert!(is_let_in(8081) && !is_let_in(8080), "{writer}");
}

/// Without a standby in the spec its objects are removed, and a change of it restarts no writer.
#[test]
fn objects_of_a_standby_come_and_go_with_the_spec() {
    let mut world = reconciled(with_standby());
    let keys = [&CHILDREN.standby_policy, &CHILDREN.standby].map(|row| row.key("notes"));
    assert!(keys.iter().all(|key| world.children.contains_key(key)), "{:?}", world.children.keys());
    let writer = world.children[&CHILDREN.stateful_set.key("notes")].data["spec"].clone();
    Arc::make_mut(&mut world.engine).spec.backup.as_mut().expect("a section").standby = None;
    let plan = planned(&world);
    let is_removed =
        |key| plan.writes().any(|write| matches!(write, Write::Delete { key: one, .. } if one == key));
    assert!(keys.iter().all(is_removed), "{plan:?}");
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(world.children[&CHILDREN.stateful_set.key("notes")].data["spec"], writer);
    assert_eq!(said(&mut world).0, "True/NoStandby");
}

#[test]
fn a_standby_needs_a_token_like_a_reader_and_an_age_within_bounds() {
    let refused = |standby: Option<BackupStandby>, has_access: bool| {
        let mut spec = with_standby();
        spec.backup.as_mut().expect("a section").standby = standby;
        spec.access =
            has_access.then(|| crds::Access { anonymous: Some(crds::Anonymous::Denied), ..access() });
        spec.writer.drain_seconds = 0;
        faults(spec)
    };
    let has = |faults: &[String], word: &str| faults.iter().any(|fault| fault.contains(word));
    let usual = Some(BackupStandby::default());
    assert!(has(&refused(usual.clone(), true), "readerTokenSecretRef"));
    assert!(!has(&refused(None, true), "readerTokenSecretRef"));
    for (seconds, is_refused) in [(59, true), (60, false), (86_400, false), (86_401, true)] {
        let faults = refused(Some(BackupStandby { max_age_seconds: seconds }), false);
        assert_eq!(has(&faults, "spec.backup.standby.maxAgeSeconds"), is_refused, "{seconds}: {faults:?}");
    }
}

/// A comparison counts as long as the spec says, also while the standby does not answer, and no longer.
#[test]
fn a_comparison_counts_until_it_is_too_old() {
    let mut world = reconciled(with_standby());
    assert_eq!(said(&mut world).0, "Unknown/StandbyStarting", "it has no report");
    assert_eq!(says(&mut world, StandbyHealth::default()).0, "Unknown/StandbyStarting");
    let at = world.now;
    assert_eq!(says(&mut world, verified(at)).0, "True/StandbyRestores");
    let kept = world.engine.status.clone().and_then(|status| status.backup?.standby).expect("a standby");
    assert_eq!((kept.size, kept.rebuild_millis, kept.rebuild_size), (40, Some(2_500), Some(30)));
    world.standby = None;
    world.now = at + SignedDuration::from_secs(599);
    assert_eq!(said(&mut world).0, "True/StandbyRestores");
    world.now = at + SignedDuration::from_secs(602);
    let (condition, message) = said(&mut world);
    assert_eq!(condition, "Unknown/StandbyOutdated");
    assert!(message.contains("see the pod notes-standby-0"), "{message}");
    // A clock that is ahead lengthens nothing.
    let ahead = verified(world.now + SignedDuration::from_hours(9));
    assert_eq!(says(&mut world, ahead).0, "True/StandbyRestores");
    world.standby = None;
    world.now += SignedDuration::from_secs(602);
    assert_eq!(said(&mut world).0, "Unknown/StandbyOutdated");
    let mut without_writer = verified(at);
    without_writer.fault = Some("connection refused".into());
    let (condition, message) = says(&mut world, without_writer);
    assert_eq!(condition, "Unknown/StandbyOutdated");
    assert!(message.contains("connection refused"), "{message}");
}

/// The status is written anew only when it has to be, however often the standby compares.
#[test]
fn the_status_is_not_written_for_every_comparison() {
    let mut world = reconciled(with_standby());
    let began = world.now;
    let mut times = Vec::new();
    for step in 0..=30 {
        world.now = began + SignedDuration::from_secs(10 * step);
        let at = world.now;
        assert_eq!(says(&mut world, verified(at)).0, "True/StandbyRestores");
        let status =
            world.engine.status.clone().and_then(|status| status.backup?.standby).expect("a standby");
        times.push(status.verified_at.expect("a time"));
    }
    times.dedup();
    assert_eq!(times.len(), 3, "one in 150 seconds: {times:?}");
}

#[test]
fn another_log_and_damage_are_said_at_once() {
    let mut world = reconciled(with_standby());
    let at = world.now;
    assert_eq!(says(&mut world, verified(at)).0, "True/StandbyRestores");
    let different = StandbyDifference {
        reason: "root".into(),
        size: 40,
        message: "the roots at 40 events are a and b".into(),
        at,
    };
    let (reason, message) = says(&mut world, StandbyHealth { different: Some(different), ..verified(at) });
    assert_eq!(reason, "False/StandbyDiffers");
    assert!(message.contains("the roots at 40 events are a and b"), "{message}");
    let damaged = Some("segments/7: its SHA-256 is another one\n".to_owned());
    let (reason, message) = says(&mut world, StandbyHealth { damaged, ..verified(at) });
    assert_eq!(reason, "False/StandbyDamaged");
    assert!(message.contains("segments/7") && !message.contains('\n'), "{message}");
    let mut broken = following(verified(at));
    broken.broken = Some(ChainFault { reason: "line".into(), message: "line 3 has another hash".into(), at });
    world.standby = Some(Box::new(broken));
    assert_eq!(said(&mut world).0, "False/StandbyDamaged");
    assert_eq!(says(&mut world, verified(at)).0, "True/StandbyRestores", "it was mended");
}

/// What was found about another archive, or by a pod of another spec, says nothing about this one.
#[test]
fn a_comparison_of_another_archive_does_not_count() {
    let mut world = reconciled(with_standby());
    let at = world.now;
    assert_eq!(says(&mut world, verified(at)).0, "True/StandbyRestores");
    let engine = Arc::make_mut(&mut world.engine);
    engine.metadata.generation = engine.metadata.generation.map(|generation| generation + 1);
    engine.spec.backup.as_mut().expect("a section").destination.url = Some("s3://others/team".into());
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    let set = Arc::make_mut(world.children.get_mut(&CHILDREN.standby.key("notes")).expect("the standby"));
    set.metadata.generation = Some(2);
    assert_eq!(said(&mut world).0, "Unknown/StandbyStarting", "the pod is that of the archive before");
    set_is_observed(&mut world);
    assert_eq!(says(&mut world, StandbyHealth::default()).0, "Unknown/StandbyStarting");
}

fn set_is_observed(world: &mut Observed) {
    let set = Arc::make_mut(world.children.get_mut(&CHILDREN.standby.key("notes")).expect("the standby"));
    set.data["status"]["observedGeneration"] = json!(set.metadata.generation);
}
