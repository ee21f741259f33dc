//! `spec.access.issuers` and `spec.access.certificates`.

use crds::{
    Access, AccessCertificate, AccessIssuer, AccessScope, KeyReference, MemoryEngineSpec, TokenAlgorithm,
};
use engine_core::configuration::{self, Author};
use engine_core::wire::{Health, IssuerHealth};
use operator_core::{
    build::engine_config,
    names::ChildKind,
    notices::notices,
    observed::{EngineReport, Observed},
    validate::validate,
};
use serde_json::{Value, json};

use crate::pods::child;
use crate::world::{condition, engine, health, observed, settings, settled, status_of, valid};

/// A settled world whose engine reports these issuers.
fn reporting(issuers: Vec<IssuerHealth>) -> Observed {
    let mut world = settled();
    let health = Health { issuers, ..health(None) };
    world.writer_mut().report = EngineReport::Answered(Box::new(health));
    world
}

fn reported(name: &str, keys: usize, received_at: Option<&str>, fault: Option<&str>) -> IssuerHealth {
    IssuerHealth {
        issuer: format!("https://{name}.example.org"),
        keys,
        received_at: received_at.map(|at| at.parse().expect("a time")),
        fault: fault.map(str::to_owned),
    }
}

/// The condition, and its message.
fn access_ready(world: &Observed) -> (String, String) {
    let status = status_of(world);
    let message = status.conditions.iter().find(|one| one.type_ == "AccessReady").expect("it is there");
    (condition(&status, "AccessReady"), message.message.clone())
}

/// Tokens of an issuer without keys are refused one by one, which nobody sees from outside: the resource has to say it.
#[test]
fn an_issuer_whose_keys_an_engine_does_not_have_is_named() {
    let at = Some("2026-01-01T00:00:00.123456Z");
    let good = reported("good", 2, at, None);
    let away = reported("away", 1, at, Some("the connection failed"));
    let new = reported("new", 0, None, None);
    let never = reported("never", 0, None, Some("no answer within 5 s"));
    let dead = reported("dead", 0, at, Some("the answer has the status 503"));
    let empty = reported("empty", 0, at, None);
    let cases = [
        (vec![], "True/NoIssuers", vec!["no issuer"]),
        (vec![good.clone()], "True/IssuersKnown", vec![]),
        (vec![good.clone(), new.clone()], "Unknown/IssuerPending", vec!["new"]),
        (
            vec![good.clone(), away.clone()],
            "True/IssuerNotAnswering",
            vec!["away.example.org, until 2026-01-02T00:00:00Z (the connection failed)"],
        ),
        (
            vec![never.clone()],
            "False/IssuerWithoutKeys",
            vec!["never received (no answer within 5 s)", "spec.access.issuers"],
        ),
        (
            vec![dead, good, new],
            "False/IssuerWithoutKeys",
            vec![
                "dead.example.org: received last at 2026-01-01T00:00:00Z, used for 24 hours (the answer has",
            ],
        ),
        (
            vec![never, away, empty],
            "False/IssuerWithoutKeys",
            vec![
                "never.example.org",
                "empty.example.org: what it answered at 2026-01-01T00:00:00Z has no key",
            ],
        ),
    ];
    for (issuers, expected, words) in cases {
        let world = reporting(issuers);
        let (found, message) = access_ready(&world);
        assert_eq!(found, expected, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(!message.contains("good.example.org"), "{message}");
        assert_eq!(condition(&status_of(&world), "Ready"), "True/Serving", "other callers are served");
    }
}

/// What an engine says of itself is not trusted to be short, and every issuer that a spec can name fits.
#[test]
fn every_issuer_without_keys_fits_into_the_message() {
    let long = "x".repeat(2_000);
    let issuers = (0..8).map(|number| reported(&format!("{number}-of-8.{long}"), 0, None, Some(&long)));
    let (found, message) = access_ready(&reporting(issuers.collect()));
    assert_eq!(found, "False/IssuerWithoutKeys");
    assert!((0..8).all(|number| message.contains(&format!("https://{number}-of-8."))), "{message}");
    assert!(message.ends_with("spec.access.issuers"), "{message}");
}

/// An event says it once, and a report that is missing for a while takes nothing back.
#[test]
fn an_issuer_without_keys_is_an_event_and_outlives_a_report() {
    let good = reporting(vec![reported("id", 1, Some("2026-01-01T00:00:00Z"), None)]);
    let bad = reporting(vec![reported("id", 0, None, Some("the connection failed"))]);
    let (before, after) = (status_of(&good), status_of(&bad));
    let said: Vec<_> =
        notices(Some(&before), &after).into_iter().map(|one| (one.warning, one.reason)).collect();
    assert_eq!(said, [(true, "IssuerWithoutKeys".to_owned())]);
    let mut engine = bad.engine.as_ref().clone();
    engine.status = Some(after);
    let mut silent = Observed { engine: std::sync::Arc::new(engine), ..bad };
    silent.writer_mut().report = EngineReport::Unreachable("no answer".into());
    assert_eq!(access_ready(&silent).0, "False/IssuerWithoutKeys");
}

fn reference(name: &str, key: &str) -> Option<KeyReference> {
    Some(KeyReference { name: name.into(), key: key.into() })
}

/// Three issuers with every field between them, and a client with a certificate.
fn access() -> Access {
    let every_field = AccessIssuer {
        issuer: "https://id.example.org:8443".into(),
        audiences: vec!["memory".into()],
        jwks_url: Some("https://keys.example.org:9443/jwks".into()),
        ca_config_map_ref: reference("authorities", "bundle.pem"),
        algorithms: vec![TokenAlgorithm::Es256, TokenAlgorithm::EdDsa],
        clock_skew_seconds: Some(0),
        max_token_age_seconds: Some(3_600),
        projects_claim: Some("/memory/projects".into()),
        scopes_claim: Some("scp".into()),
        scope_prefix: Some(String::new()),
        subject_claim: Some("client_id".into()),
        required_claims: [("tenant".to_owned(), "one".to_owned())].into(),
        ..AccessIssuer::default()
    };
    let cluster = AccessIssuer {
        issuer: "https://kubernetes.default.svc.cluster.local".into(),
        audiences: vec!["memory".into()],
        jwks_url: Some("https://kubernetes.default.svc/openid/v1/jwks".into()),
        ca_config_map_ref: reference("kube-root-ca.crt", "ca.crt"),
        service_account_token: true,
        projects: vec!["notes".into()],
        scopes: vec![AccessScope::Read],
        ..AccessIssuer::default()
    };
    let offline = AccessIssuer {
        issuer: "https://offline.example.org".into(),
        audiences: vec!["memory".into()],
        keys_config_map_ref: reference("keys", "jwks.json"),
        ..AccessIssuer::default()
    };
    let certificate = AccessCertificate {
        name: "batch".into(),
        subject: "spiffe://example.org/batch".into(),
        scopes: vec![AccessScope::Read],
        projects: vec!["notes".into()],
    };
    Access {
        issuers: vec![every_field, cluster, offline],
        certificates: vec![certificate],
        client_authority_secret_ref: reference("clients", "ca.crt"),
        ..Access::default()
    }
}

fn with(access: Access) -> MemoryEngineSpec {
    MemoryEngineSpec { access: Some(access), tls: Some(crds::Tls::default()), ..MemoryEngineSpec::default() }
}

fn config(access: Access) -> Value {
    let mut engine = engine();
    engine.spec = with(access);
    serde_yaml::from_str(&engine_config(&valid(&observed(engine)))).expect("YAML")
}

/// The directories of the files of each issuer, below that of all keys.
fn directories(config: &Value) -> Vec<String> {
    let of = |issuer: &Value| {
        let file = issuer.get("jwksFile").or(issuer.get("caFile")).and_then(Value::as_str);
        let parts: Vec<&str> = file.unwrap_or_default().rsplit('/').collect();
        parts.get(1).expect("a file in a directory").to_string()
    };
    config["access"]["issuers"].as_array().into_iter().flatten().map(of).collect()
}

/// The configuration reaches a pod before new files do. A path must never mean the files of another issuer meanwhile.
#[test]
fn the_files_of_an_issuer_are_never_those_of_another() {
    let before = directories(&config(access()));
    let mut reversed = access();
    reversed.issuers.reverse();
    let mut after = directories(&config(reversed));
    after.reverse();
    assert_eq!(before, after, "the place in the list does not count");
    let mut seen: std::collections::BTreeSet<String> = before.into_iter().collect();
    for change in [
        (|issuer: &mut AccessIssuer| issuer.issuer = "https://other.example.org".into()) as fn(&mut _),
        |issuer| issuer.ca_config_map_ref = reference("others", "bundle.pem"),
        |issuer| issuer.ca_config_map_ref = reference("authorities", "other.pem"),
    ] {
        let mut changed = access();
        change(&mut changed.issuers[0]);
        assert!(seen.insert(directories(&config(changed))[0].clone()), "the same directory for other files");
    }
}

#[test]
fn the_engine_reads_issuers_and_certificates() {
    let config = config(access());
    let issuers = directories(&config);
    let file = |path: &str| format!("/etc/memory-engine/access/{path}");
    let expected = json!({
        "certificates": [
            {"name": "batch", "subject": "spiffe://example.org/batch", "scopes": ["read"], "projects": ["notes"]},
        ],
        "issuers": [
            {
                "issuer": "https://id.example.org:8443", "audiences": ["memory"],
                "jwksUrl": "https://keys.example.org:9443/jwks", "caFile": file(&format!("{}/ca.crt", issuers[0])),
                "algorithms": ["ES256", "EdDSA"], "clockSkewSeconds": 0, "maxTokenAgeSeconds": 3_600,
                "projectsClaim": "/memory/projects", "scopesClaim": "scp", "scopePrefix": "",
                "subjectClaim": "client_id", "requiredClaims": {"tenant": "one"},
            },
            {
                "issuer": "https://kubernetes.default.svc.cluster.local", "audiences": ["memory"],
                "jwksUrl": "https://kubernetes.default.svc/openid/v1/jwks", "caFile": file(&format!("{}/ca.crt", issuers[1])),
                "bearerTokenFile": file(&format!("{}/token", issuers[1])), "projects": ["notes"], "scopes": ["read"],
            },
            {
                "issuer": "https://offline.example.org", "audiences": ["memory"],
                "jwksFile": file(&format!("{}/jwks.json", issuers[2])),
            },
        ],
    });
    assert_eq!(config["access"], expected);
    assert_eq!(config["tls"]["clientAuthorityFile"], file("client_authority/ca.crt"));
    let (read, not_applied) = configuration::read(&config, Author::Person).unwrap();
    assert_eq!(not_applied, []);
    assert_eq!(serde_json::to_value(&read.access).unwrap(), expected, "reading loses nothing");
}

#[test]
fn the_files_of_issuers_are_mounted_and_their_ports_are_open() {
    let pod = child(with(access()), ChildKind::StatefulSet, "notes")["spec"]["template"]["spec"].take();
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "access").unwrap();
    let issuers = directories(&config(access()));
    let map = |name: &str, key: &str, path: &str| json!({"configMap": {"name": name, "items": [{"key": key, "path": path}]}});
    let expected = json!([
        map("authorities", "bundle.pem", &format!("{}/ca.crt", issuers[0])),
        map("kube-root-ca.crt", "ca.crt", &format!("{}/ca.crt", issuers[1])),
        {"serviceAccountToken": {"expirationSeconds": 3_600, "path": &format!("{}/token", issuers[1])}},
        map("keys", "jwks.json", &format!("{}/jwks.json", issuers[2])),
        {"secret": {"name": "clients", "items": [{"key": "ca.crt", "path": "client_authority/ca.crt"}]}},
    ]);
    assert_eq!(volume["projected"]["sources"], expected);
    assert_eq!(pod["automountServiceAccountToken"], false, "the token is for this purpose alone");
    let policy = child(with(access()), ChildKind::NetworkPolicy, "notes");
    let ports = policy["spec"]["egress"][1]["ports"].as_array().unwrap();
    let ports: Vec<&Value> = ports.iter().map(|port| &port["port"]).collect();
    assert_eq!(ports, [443, 6443, 9443], "443 and 6443 of the API server, nothing of the offline issuer");
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
fn issuers_and_certificates_that_the_engine_would_refuse_are_refused() {
    assert_eq!(faults(|_| {}), [] as [&str; 0]);
    type Change = fn(&mut Access);
    let cases: [(Change, &str); 19] = [
        (|access| access.issuers[0].issuer = "http://id.example.org".into(), "issuers[0].issuer"),
        (|access| access.issuers[0].issuer = "https://id.example.org/?a".into(), "issuers[0].issuer"),
        (|access| access.issuers[1].issuer = access.issuers[0].issuer.clone(), "is given twice"),
        (|access| access.issuers[0].audiences.clear(), "issuers[0].audiences"),
        (|access| access.issuers[0].jwks_url = Some("http://id.example.org/".into()), "issuers[0].jwksUrl"),
        (|access| access.issuers[1].jwks_url = None, "issuers[1].serviceAccountToken needs a jwksUrl"),
        (|access| access.issuers[2].jwks_url = access.issuers[0].jwks_url.clone(), "keysConfigMapRef stands"),
        (|access| access.issuers[2].keys_config_map_ref = reference("", ""), "keysConfigMapRef must have"),
        (|access| access.issuers[0].clock_skew_seconds = Some(301), "issuers[0].clockSkewSeconds"),
        (|access| access.issuers[0].clock_skew_seconds = Some(-1), "issuers[0].clockSkewSeconds"),
        (|access| access.issuers[0].max_token_age_seconds = Some(0), "issuers[0].maxTokenAgeSeconds"),
        (|access| access.issuers[0].projects = vec!["a".into()], "issuers[0].projects stands instead"),
        (|access| access.issuers[1].projects.push("*".into()), "issuers[1].projects has \"*\""),
        (|access| access.issuers[0].scopes = vec![AccessScope::Read], "issuers[0].scopes stands instead"),
        (|access| access.certificates[0].subject = "*.example.org".into(), "certificates[0].subject"),
        (|access| access.certificates[0].scopes.clear(), "certificates[0].scopes"),
        (|access| access.certificates.push(access.certificates[0].clone()), "\"batch\" is given twice"),
        (|access| access.client_authority_secret_ref = None, "certificates needs clientAuthoritySecretRef"),
        (|access| access.issuers = vec![access.issuers[0].clone(); 9], "leave at most 8"),
    ];
    for (change, part) in cases {
        let found = faults(change);
        assert!(found.iter().any(|fault| fault.contains(part)), "{found:?} does not contain {part}");
    }
    let mut engine = engine();
    engine.spec = MemoryEngineSpec { access: Some(access()), ..MemoryEngineSpec::default() };
    let found = validate(&engine, &settings()).err().unwrap_or_default();
    assert!(found.iter().any(|fault| fault.to_string().contains("spec.tls")), "{found:?}");
}
