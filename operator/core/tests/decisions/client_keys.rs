//! `spec.access`: keys of clients reach the engine as files, and its configuration names these files.

use crds::{
    Access, AccessKey, AccessRateLimit, AccessScope, AccessSecret, Anonymous, KeyReference, MemoryEngineSpec,
};
use engine_core::configuration::{self, Author};
use operator_core::{build::engine_config, names::ChildKind, validate::validate};
use serde_json::{Value, json};

use crate::pods::child;
use crate::world::{engine, observed, settings, valid};

pub(crate) fn client(name: &str) -> AccessKey {
    AccessKey {
        name: name.into(),
        secret_ref: AccessSecret { name: format!("{name}-key"), ..AccessSecret::default() },
        scopes: vec![AccessScope::Read, AccessScope::Write],
        projects: vec!["notes".into()],
        expires: None,
    }
}

/// A section with keys.
pub(crate) fn access() -> Access {
    let every_project = AccessKey {
        scopes: vec![AccessScope::Admin],
        projects: vec!["*".into()],
        expires: Some("2027-01-01T00:00:00Z".into()),
        ..client("agent-b")
    };
    Access {
        anonymous: Some(Anonymous::Denied),
        keys: vec![client("agent-a"), every_project],
        admin_token_secret_ref: Some(KeyReference { name: "admin".into(), key: "value".into() }),
        rate_limit: Some(AccessRateLimit { requests_per_second: Some(10), burst: Some(20) }),
        max_age_days: Some(90),
        ..Access::default()
    }
}

/// The same with the token of readers.
pub(crate) fn with_reader_token(access: Access) -> Access {
    let token = KeyReference { name: "readers".into(), key: "token".into() };
    Access { reader_token_secret_ref: Some(token), ..access }
}

fn with(access: Access) -> MemoryEngineSpec {
    MemoryEngineSpec { access: Some(access), ..MemoryEngineSpec::default() }
}

fn pod(access: Access) -> Value {
    child(with(access), ChildKind::StatefulSet, "notes")["spec"]["template"]["spec"].take()
}

/// One directory, which the kubelet can replace as a whole. No key is a variable, an argument or part of a path.
#[test]
fn keys_of_clients_are_files_that_only_the_engine_reads() {
    let pod = pod(with_reader_token(access()));
    let entry = |secret: &str, key: &str, path: &str| json!({"secret": {"name": secret, "items": [{"key": key, "path": path}]}});
    let optional = |mut source: Value| {
        source["secret"]["optional"] = json!(true);
        source
    };
    let expected = json!({"name": "access", "projected": {"defaultMode": 0o440, "sources": [
        entry("agent-a-key", "token", "agent-a/token"),
        optional(entry("agent-a-key", "token.previous", "agent-a/token.previous")),
        entry("agent-b-key", "token", "agent-b/token"),
        optional(entry("agent-b-key", "token.previous", "agent-b/token.previous")),
        entry("admin", "value", "admin_token/token"),
        entry("readers", "token", "reader_token/token"),
    ]}});
    assert_eq!(pod["volumes"][3], expected);
    let mount = json!({"name": "access", "mountPath": "/etc/memory-engine/access", "readOnly": true});
    let container = &pod["containers"][0];
    assert_eq!(container["volumeMounts"][3], mount, "no subPath, which would not follow a change");
    let before = child(MemoryEngineSpec::default(), ChildKind::StatefulSet, "notes");
    let before = &before["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["env"], &container["args"]), (&before["env"], &before["args"]));
}

#[test]
fn a_section_without_keys_mounts_nothing_and_restarts_nobody() {
    let default = child(MemoryEngineSpec::default(), ChildKind::StatefulSet, "notes");
    assert_eq!(child(with(Access::default()), ChildKind::StatefulSet, "notes"), default);
}

/// The engine reads the section, and finds the key of each client in the files of the volume.
#[test]
fn the_engine_reads_which_client_may_do_what() {
    let mut engine = engine();
    engine.spec = with(with_reader_token(access()));
    let text = engine_config(&valid(&observed(engine)));
    let config: Value = serde_yaml::from_str(&text).unwrap();
    let files = |client: &str| {
        ["token", "token.previous"].map(|file| format!("/etc/memory-engine/access/{client}/{file}"))
    };
    let expected = json!({
        "anonymous": false,
        "keys": [
            {"name": "agent-a", "files": files("agent-a"), "scopes": ["read", "write"], "projects": ["notes"]},
            {
                "name": "agent-b", "files": files("agent-b"), "scopes": ["admin"], "projects": ["*"],
                "expires": "2027-01-01T00:00:00Z",
            },
        ],
        "adminTokenFile": "/etc/memory-engine/access/admin_token/token",
        "readerTokenFile": "/etc/memory-engine/access/reader_token/token",
        "requestsPerSecond": 10,
        "burst": 20,
    });
    assert_eq!(config["access"], expected);
    let (read, not_applied) = configuration::read(&config, Author::Person).unwrap();
    assert_eq!(not_applied, []);
    assert_eq!(serde_json::to_value(&read.access).unwrap(), expected, "reading loses nothing");
    let mounted: Vec<String> = pod(with_reader_token(access()))["volumes"][3]["projected"]["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| {
            format!("/etc/memory-engine/access/{}", source["secret"]["items"][0]["path"].as_str().unwrap())
        })
        .collect();
    let tokens = [read.access.admin_token_file.clone(), read.access.reader_token_file.clone()];
    let keys = read.access.keys().into_iter().flat_map(|key| key.files);
    let named = keys.chain(tokens.into_iter().flatten());
    assert_eq!(named.collect::<Vec<_>>(), mounted, "every file is mounted, and every mounted one is named");
}

fn faults(change: impl FnOnce(&mut Access)) -> Vec<String> {
    let mut access = access();
    change(&mut access);
    let mut engine = engine();
    engine.spec = with(access);
    let faults = validate(&engine, &settings()).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn access_that_means_nothing_is_refused() {
    assert_eq!(faults(|_| {}), [] as [&str; 0]);
    type Change = fn(&mut Access);
    let cases: [(Change, &str); 15] = [
        (|access| access.keys[1].name = "agent-a".into(), "keys: the name \"agent-a\" is given twice"),
        (|access| access.keys[0].name = "Agent".into(), "keys[0].name"),
        (|access| access.keys[0].name = "../a".into(), "keys[0].name"),
        (
            |access| access.keys[0].secret_ref.name = String::new(),
            "keys[agent-a].secretRef must have the name",
        ),
        (|access| access.keys[0].scopes.clear(), "keys[0].scopes"),
        (|access| access.keys[0].scopes = vec![AccessScope::Read; 2], "keys[0].scopes"),
        (|access| access.keys[0].projects.clear(), "keys[0].projects: write 1 to 64"),
        (|access| access.keys[0].projects.push("*".into()), "\"*\" stands alone"),
        (|access| access.keys[0].projects = vec!["a\nb".into()], "keys[0].projects"),
        (|access| access.keys[0].expires = Some("tomorrow".into()), "keys[0].expires"),
        (
            |access| access.rate_limit.as_mut().unwrap().requests_per_second = None,
            "rateLimit.burst has no effect",
        ),
        (|access| access.rate_limit.as_mut().unwrap().burst = Some(0), "rateLimit.burst must be"),
        (|access| access.max_age_days = Some(0), "maxAgeDays must be"),
        (
            |access| access.keys[1].secret_ref = access.keys[0].secret_ref.clone(),
            "access.keys[agent-b].secretRef and access.keys[agent-a].secretRef are the same entry",
        ),
        (
            |access| {
                let previous = KeyReference { name: "agent-a-key".into(), key: "token.previous".into() };
                access.admin_token_secret_ref = Some(previous);
            },
            "access.adminTokenSecretRef and access.keys[agent-a].secretRef.previous are the same entry",
        ),
    ];
    for (change, part) in cases {
        let found = faults(change);
        assert!(!found.is_empty(), "{part}");
        for fault in &found {
            assert!(fault.starts_with("spec.access."), "{fault}");
        }
        assert!(found.iter().any(|fault| fault.contains(part)), "{found:?} does not contain {part}");
    }
    let many =
        |access: &mut Access| access.keys = (0..65).map(|number| client(&format!("a{number}"))).collect();
    assert!(faults(many)[0].contains("leave at most 64"));
}

/// No reference has a namespace: Secrets of others cannot be named.
#[test]
fn references_stay_in_the_namespace_of_the_engine() {
    let crd = crds::memory_engine_crd();
    let access = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/access/properties")
        .expect("the section");
    for reference in ["/keys/items/properties/secretRef", "/adminTokenSecretRef"] {
        let fields = access.pointer(&format!("{reference}/properties")).and_then(Value::as_object);
        let fields: Vec<_> = fields.expect("a reference").keys().map(String::as_str).collect();
        assert_eq!(fields, ["key", "name"], "{reference}");
    }
}
