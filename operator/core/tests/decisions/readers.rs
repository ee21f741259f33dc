//! Readers: their objects, and what the status says of them.

use std::sync::Arc;

use crds::{Access, Anonymous, MemoryEngineSpec, Secrets, Tls, TlsSecret, TokenRotation};
use operator_core::{
    children::CHILDREN,
    names::{ChildKey, ChildKind, reader_selector, selector},
    observed::Observed,
    plan::Write,
};
use serde_json::{Value, json};

use crate::backups::backup;
use crate::client_keys::{access, with_reader_token};
use crate::configurations::faults;
use crate::pods::child;
use crate::world::{carry_out, condition, engine, observed, planned, status_of};

fn with_readers(replicas: i32) -> MemoryEngineSpec {
    let mut spec = MemoryEngineSpec::default();
    spec.readers.replicas = replicas;
    spec
}

fn readers(spec: MemoryEngineSpec) -> Value {
    child(spec, ChildKind::StatefulSet, "notes-readers")
}

fn reconciled(spec: MemoryEngineSpec) -> Observed {
    let mut resource = engine();
    resource.spec = spec;
    let mut world = observed(resource);
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    world
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect()
}

/// A reader is the pod of the writer, except for its disk, what it follows, and what only a writer needs.
#[test]
fn a_reader_follows_the_writer_and_has_a_disk_of_its_own() {
    let set = readers(with_readers(3));
    assert_eq!(set["spec"]["replicas"], 3);
    let pod = &set["spec"]["template"]["spec"];
    let variables = &pod["containers"][0]["env"];
    assert_eq!(
        *variables,
        json!([
            {"name": "MEMORY_ENGINE_FOLLOW", "value": "http://notes-headless.team.svc:8081"},
            {"name": "MEMORY_ENGINE_FORWARD", "value": "http://notes.team.svc:8080"},
        ])
    );
    assert_eq!(names(&pod["volumes"]), ["data", "config"]);
    let claim = &pod["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"];
    assert_eq!(claim["resources"]["requests"]["storage"], "10Gi");
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"], Value::Null, "never the volume of the writer");
    let writer = child(with_readers(3), ChildKind::StatefulSet, "notes");
    for field in ["securityContext", "serviceAccountName", "automountServiceAccountToken"] {
        assert_eq!(pod[field], writer["spec"]["template"]["spec"][field], "{field}");
    }
}

/// With everything that a spec can say: no credentials of archives, no anchor, no restore, and the certificate and the
/// token that the administration port of the writer demands.
#[test]
fn a_reader_has_no_more_secrets_than_it_needs() {
    let mut spec = with_readers(1);
    spec.tls = Some(Tls::default());
    spec.backup = Some(backup());
    spec.access = Some(with_reader_token(access()));
    spec.access.as_mut().expect("a section").admin_token_secret_ref = None;
    let rotation =
        TokenRotation { schedule: "@daily".into(), time_zone: "Etc/UTC".into(), ..TokenRotation::default() };
    spec.secrets = Some(Secrets { rotation: Some(rotation) });
    let (reader, writer) = (readers(spec.clone()), child(spec, ChildKind::StatefulSet, "notes"));
    let [reader, writer] = [&reader, &writer].map(|set| &set["spec"]["template"]["spec"]);
    let (kept, all) = (names(&reader["volumes"]), names(&writer["volumes"]));
    let left_out: Vec<&&str> = all.iter().filter(|name| !kept.contains(*name)).collect();
    assert!(left_out.contains(&&"anchor") && left_out.len() > 2, "{left_out:?} of {all:?}");
    assert!(left_out.iter().all(|name| !["tls", "access", "config"].contains(name)), "{left_out:?}");
    assert_eq!(reader["initContainers"], Value::Null);
    let container = &reader["containers"][0];
    for mount in names(&container["volumeMounts"]) {
        assert!(kept.contains(&mount), "{mount} is mounted and no volume");
    }
    let variables = names(&container["env"]);
    assert!(variables.contains(&"MEMORY_ENGINE_FOLLOW_TLS_DIRECTORY"), "{variables:?}");
    let token = json!({
        "name": "MEMORY_ENGINE_FOLLOW_TOKEN_FILE", "value": "/etc/memory-engine/access/reader_token/token",
    });
    let has_token = container["env"].as_array().is_some_and(|all| all.contains(&token));
    assert!(has_token, "the token that opens the log and nothing else: {variables:?}");
    for unwanted in ["MEMORY_ENGINE_ANCHOR", "MEMORY_ENGINE_PUBLIC_LISTEN"] {
        assert!(!variables.contains(&unwanted), "{variables:?}");
    }
}

/// A reader cannot verify a writer whose API has a certificate of somebody else, and forwards nothing to it.
#[test]
fn a_reader_forwards_writes_only_to_a_writer_that_it_can_verify() {
    let forwards = |secret: Option<&str>| {
        let mut spec = with_readers(1);
        let secret_ref = secret.map(|name| TlsSecret { name: name.into() });
        spec.tls = Some(Tls { secret_ref, ..Tls::default() });
        names(&readers(spec)["spec"]["template"]["spec"]["containers"][0]["env"])
            .contains(&"MEMORY_ENGINE_FORWARD")
    };
    assert!(forwards(None) && !forwards(Some("public")));
}

/// Without a token readers would ask for lines that nobody may have.
#[test]
fn readers_of_an_engine_that_not_everybody_may_read_need_a_token() {
    let refused = |readers: i32, anonymous: Anonymous, has_token: bool| {
        let mut spec = with_readers(readers);
        let section = Access { anonymous: Some(anonymous), ..access() };
        spec.access = Some(if has_token { with_reader_token(section) } else { section });
        // A fault of another field, so that there is always one.
        spec.writer.drain_seconds = 0;
        faults(spec).iter().any(|fault| fault.contains("readerTokenSecretRef"))
    };
    assert!(refused(1, Anonymous::Denied, false));
    assert!(!refused(1, Anonymous::Denied, true));
    assert!(!refused(1, Anonymous::Allowed, false));
    assert!(!refused(0, Anonymous::Denied, false));
}

/// The Service of the writer selects no reader, and that of the readers no writer.
#[test]
fn no_service_mixes_readers_and_the_writer() {
    let selects = |wanted: &Value, labels: &Value| {
        wanted.as_object().expect("labels").iter().all(|(key, value)| labels[key] == *value)
    };
    let labels = |name: &str| {
        let set = child(with_readers(1), ChildKind::StatefulSet, name);
        set["spec"]["template"]["metadata"]["labels"].clone()
    };
    let (writer, reader) = (labels("notes"), labels("notes-readers"));
    for (service, is_reader) in [("notes", false), ("notes-headless", false), ("notes-readers", true)] {
        let wanted = &child(with_readers(1), ChildKind::Service, service)["spec"]["selector"];
        assert_eq!(
            (selects(wanted, &writer), selects(wanted, &reader)),
            (!is_reader, is_reader),
            "{service}"
        );
    }
    assert!(
        selects(&json!(selector("notes")), &writer) && selects(&json!(reader_selector("notes")), &reader)
    );
}

/// The writer lets its readers in where the log is, and nobody else; readers may connect to the writer.
#[test]
fn the_policies_connect_readers_and_the_writer() {
    let ports = |rules: &Value, with: &Value| -> Vec<i64> {
        let matching = rules.as_array().into_iter().flatten().filter(|rule| {
            let peers = rule["from"].as_array().or_else(|| rule["to"].as_array());
            peers.into_iter().flatten().any(|peer| peer["podSelector"]["matchLabels"] == *with)
        });
        let ports = matching.flat_map(|rule| rule["ports"].as_array().cloned().unwrap_or_default());
        ports.filter_map(|port| port["port"].as_i64()).collect()
    };
    let policy = |replicas, name: &str| child(with_readers(replicas), ChildKind::NetworkPolicy, name);
    let reader = json!(reader_selector("notes"));
    assert_eq!(ports(&policy(1, "notes")["spec"]["ingress"], &reader), [8081]);
    assert_eq!(ports(&policy(0, "notes")["spec"]["ingress"], &reader), [0_i64; 0]);
    let of_readers = policy(1, "notes-readers");
    assert_eq!(of_readers["spec"]["podSelector"]["matchLabels"], reader);
    assert_eq!(ports(&of_readers["spec"]["egress"], &json!(selector("notes"))), [8081, 8080]);
}

/// Without readers in the spec their objects are removed, and nothing is made for an engine that never had any.
#[test]
fn objects_of_readers_come_and_go_with_the_spec() {
    let keys = [&CHILDREN.readers_service, &CHILDREN.readers_policy, &CHILDREN.readers];
    let keys = keys.map(|row| row.key("notes"));
    let mut world = reconciled(with_readers(2));
    assert!(keys.iter().all(|key| world.children.contains_key(key)), "{:?}", world.children.keys());
    Arc::make_mut(&mut world.engine).spec.readers.replicas = 0;
    let plan = planned(&world);
    let removed: Vec<&ChildKey> = plan
        .writes()
        .filter_map(|write| match write {
            Write::Delete { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    assert_eq!(removed.len(), keys.len());
    assert!(keys.iter().all(|key| removed.contains(&key)), "{removed:?}");
    let without = reconciled(MemoryEngineSpec::default());
    assert!(keys.iter().all(|key| !without.children.contains_key(key)));
}

/// The numbers of an older StatefulSet are none.
#[test]
fn the_status_counts_readers_of_the_present_spec() {
    let mut world = reconciled(with_readers(2));
    let mut with = |generation: i64, ready: i64, updated: i64| {
        let set = world.children.get_mut(&CHILDREN.readers.key("notes")).expect("the readers");
        let set = Arc::make_mut(set);
        set.metadata.generation = Some(3);
        set.data["status"] = json!({
            "observedGeneration": generation, "replicas": 2, "readyReplicas": ready, "updatedReplicas": updated,
        });
        let status = status_of(&world);
        let readers = status.readers.clone().expect("readers");
        (condition(&status, "ReadersReady"), readers.ready_replicas, readers.selector)
    };
    let selector =
        "app.kubernetes.io/instance=notes,app.kubernetes.io/name=memory-reader,memoryengine.io/engine=notes";
    assert_eq!(with(3, 2, 2), ("True/ReadersServing".into(), 2, selector.into()));
    assert_eq!(with(3, 1, 2).0, "False/ReadersNotReady");
    assert_eq!(with(3, 2, 1).0, "False/ReadersNotReady");
    assert_eq!(with(2, 2, 2), ("False/ReadersNotReady".into(), 0, selector.into()));
    let status = status_of(&observed(engine()));
    assert_eq!((condition(&status, "ReadersReady"), status.readers), ("True/NoReaders".into(), None));
}
