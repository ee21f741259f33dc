//! Secrets that a spec refers to: what is found about them, what is held back, and what the status says.

use std::{collections::BTreeMap, sync::LazyLock};

use crds::{Embedding, EmbeddingProvider, MemoryEngineSpec};
use engine_core::{
    access::{ApiKey, KEY_RANDOM_BYTES},
    digest::Hash,
};
use jiff::{SignedDuration, Timestamp};
use operator_core::{
    names::ChildKind,
    observed::Observed,
    plan::Step,
    secrets::{Ages, Finding, Looked, Problem, SecretsView, admin_token, examine, references, values},
    tls::Unread,
};

use crate::client_keys::access;
use crate::external_services::{embedding_service, rerank};
use crate::world::{carry_out, condition, engine, observed, planned, settled, status_of, writes};

/// Keys of engines.
static GOOD: LazyLock<[String; 6]> = LazyLock::new(|| [0, 1, 2, 3, 4, 5].map(key));

fn key(number: u8) -> String {
    let (first, second) = (Hash::of(&[number]).0, Hash::of(&[number, number]).0);
    let mut bytes = [0; KEY_RANDOM_BYTES];
    for (byte, random) in bytes.iter_mut().zip(first.into_iter().chain(second)) {
        *byte = random;
    }
    ApiKey::of_random(&bytes).secret_text().to_owned()
}

fn full() -> MemoryEngineSpec {
    MemoryEngineSpec {
        access: Some(access()),
        embedding: Some(Embedding { provider: EmbeddingProvider::Http, http: Some(embedding_service()) }),
        rerank: Some(rerank()),
        ..MemoryEngineSpec::default()
    }
}

/// Secrets in which every reference of [`full`] has a good value, and two clients are in a rotation.
fn good() -> BTreeMap<String, Looked> {
    let mut secrets = BTreeMap::new();
    for (name, entries) in [
        ("agent-a-key", vec![("token", GOOD[0].as_str()), ("token.previous", GOOD[1].as_str())]),
        ("agent-b-key", vec![("token", GOOD[2].as_str())]),
        ("admin", vec![("value", GOOD[3].as_str())]),
        ("models", vec![("api-key", "sk-1")]),
        ("reranker", vec![("api-key", "sk-1")]),
    ] {
        let entries =
            entries.into_iter().map(|(key, value)| (key.to_owned(), format!("{value}\n").into_bytes()));
        secrets.insert(name.to_owned(), Looked::Found(entries.collect()));
    }
    secrets
}

fn write(secrets: &mut BTreeMap<String, Looked>, name: &str, key: &str, value: &str) {
    let Some(Looked::Found(entries)) = secrets.get_mut(name) else { panic!("there is no {name}") };
    entries.insert(key.to_owned(), value.as_bytes().to_vec());
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

fn found(secrets: &BTreeMap<String, Looked>) -> Vec<Finding> {
    examine(&references("notes", &full()), secrets, None, None, now())
}

/// The reason of each reference that is not good.
fn reasons(findings: &[Finding]) -> Vec<(String, String)> {
    let bad = findings.iter().filter_map(|finding| {
        let fault = finding.fault()?;
        Some((finding.reference.field.clone(), fault.reason().as_str()))
    });
    bad.collect()
}

#[test]
fn every_reference_of_a_spec_is_examined() {
    let findings = found(&good());
    let fields: Vec<_> = findings.iter().map(|finding| finding.reference.field.as_str()).collect();
    let expected = [
        "access.keys[agent-a].secretRef",
        "access.keys[agent-a].secretRef.previous",
        "access.keys[agent-b].secretRef",
        "access.adminTokenSecretRef",
        "embedding.http.keySecretRef",
        "rerank.keySecretRef",
    ];
    assert_eq!(fields, expected, "a previous key that does not exist is no finding");
    assert_eq!(reasons(&findings), [], "two services may have the same key, however short");
    let mut unused = full();
    unused.embedding.as_mut().expect("a section").provider = EmbeddingProvider::Off;
    assert!(references("notes", &unused).iter().all(|one| one.field != "embedding.http.keySecretRef"));
}

/// Each fault at each place where it can be, alone.
#[test]
fn each_fault_has_its_reason() {
    type Change = fn(&mut BTreeMap<String, Looked>);
    let (a, admin, models) =
        ("access.keys[agent-a].secretRef", "access.adminTokenSecretRef", "embedding.http.keySecretRef");
    let cases: [(Change, &[(&str, &str)]); 21] = [
        (|all| drop(all.insert("agent-a-key".into(), Looked::Missing)), &[(a, "SecretMissing")]),
        (|all| drop(all.insert("models".into(), Looked::Missing)), &[(models, "SecretMissing")]),
        (
            |all| drop(all.insert("admin".into(), Looked::Found(BTreeMap::new()))),
            &[(admin, "SecretKeyMissing")],
        ),
        (|all| write(all, "agent-a-key", "token", ""), &[(a, "SecretEmpty")]),
        (|all| write(all, "models", "api-key", " \n"), &[(models, "SecretEmpty")]),
        (|all| write(all, "agent-a-key", "token", "two\nlines"), &[(a, "SecretMalformed")]),
        (|all| write(all, "models", "api-key", "two words"), &[(models, "SecretMalformed")]),
        (|all| write(all, "agent-a-key", "token", "schlüssel"), &[(a, "SecretMalformed")]),
        // Judged at once, although a Secret can have a megabyte that is not regular before its end.
        (
            |all| write(all, "agent-a-key", "token", &format!("{}bcdefghij", "a".repeat(1_000_000))),
            &[(a, "SecretMalformed")],
        ),
        (|all| write(all, "models", "api-key", &"x".repeat(5_000)), &[(models, "SecretMalformed")]),
        (|all| write(all, "agent-a-key", "token", &GOOD[4][..31]), &[(a, "SecretTooShort")]),
        (
            |all| write(all, "agent-a-key", "token", "3f1c0b7a95d2e8467f10c9ab34de5678"),
            &[(a, "SecretMalformed")],
        ),
        (|all| write(all, "agent-a-key", "token", &GOOD[4][..70]), &[(a, "SecretMalformed")]),
        (|all| write(all, "admin", "value", "changeme"), &[(admin, "SecretWellKnown")]),
        (|all| write(all, "agent-a-key", "token", &"x1".repeat(20)), &[(a, "SecretGuessable")]),
        (
            |all| write(all, "agent-a-key", "token.previous", "short"),
            &[("access.keys[agent-a].secretRef.previous", "SecretTooShort")],
        ),
        (
            |all| write(all, "agent-b-key", "token", &GOOD[0]),
            &[(a, "SecretShared"), ("access.keys[agent-b].secretRef", "SecretShared")],
        ),
        (
            |all| write(all, "agent-b-key", "token.previous", &GOOD[0]),
            &[(a, "SecretShared"), ("access.keys[agent-b].secretRef.previous", "SecretShared")],
        ),
        (
            |all| write(all, "admin", "value", &GOOD[0]),
            &[(a, "AdminTokenShared"), (admin, "AdminTokenShared")],
        ),
        (|all| write(all, "models", "api-key", &GOOD[0]), &[(a, "SecretShared"), (models, "SecretShared")]),
        // A rotation may begin with the same value twice.
        (|all| write(all, "agent-a-key", "token.previous", &GOOD[0]), &[]),
    ];
    for (change, expected) in cases {
        let mut secrets = good();
        change(&mut secrets);
        let found = reasons(&found(&secrets));
        let found: Vec<_> = found.iter().map(|(field, reason)| (field.as_str(), reason.as_str())).collect();
        assert_eq!(found, expected);
    }
}

/// A file may have the hash of a key in the place of the key: what it stands for counts.
#[test]
fn the_hash_of_a_key_is_the_same_key() {
    let hashed = |key: &str| format!("sha256:{}", Hash::of(key.as_bytes()));
    let mut secrets = good();
    write(&mut secrets, "agent-b-key", "token", &hashed(&GOOD[5]));
    assert_eq!(reasons(&found(&secrets)), []);
    write(&mut secrets, "agent-b-key", "token", &hashed(&GOOD[0]));
    let shared = reasons(&found(&secrets));
    assert_eq!(shared.len(), 2, "{shared:?}");
    assert!(shared.iter().all(|(_, reason)| reason == "SecretShared"), "{shared:?}");
    for no_hash in ["sha256:00", &hashed(&GOOD[0]).to_uppercase()] {
        write(&mut secrets, "agent-b-key", "token", no_hash);
        assert_eq!(reasons(&found(&secrets)).len(), 1, "{no_hash}");
    }
    // The operator presents the token of the administration port, and a hash is not enough for that.
    let mut secrets = good();
    assert_eq!(admin_token(&references("notes", &full()), &secrets), Some(GOOD[3].as_str()));
    write(&mut secrets, "admin", "value", &hashed(&GOOD[3]));
    assert_eq!(reasons(&found(&secrets))[0].1, "SecretMalformed");
    assert_eq!(admin_token(&references("notes", &full()), &secrets), None);
}

#[test]
fn a_key_that_has_expired_or_is_too_old_is_said() {
    let references = references("notes", &full());
    let (secrets, day) = (good(), SignedDuration::from_hours(24));
    let mut ages = Ages::new([1; 32]);
    ages.remember(values(&references, &secrets), now() - day * 90);
    let at = |moment| examine(&references, &secrets, Some(&ages), Some(90), moment);
    assert_eq!(reasons(&at(now() - SignedDuration::from_secs(1))), []);
    let old = reasons(&at(now()));
    let is_old = |field: &str| (field.to_owned(), "SecretTooOld".to_owned());
    let clients =
        ["access.keys[agent-a].secretRef", "access.keys[agent-b].secretRef", "access.adminTokenSecretRef"];
    assert_eq!(old, clients.map(is_old), "neither previous keys nor those of services");
    let first = &at(now())[0];
    assert_eq!(first.replace_before, Some(now()));
    let expired =
        reasons(&examine(&references, &secrets, None, None, "2027-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(expired, [("access.keys[agent-b].secretRef".to_owned(), "SecretExpired".to_owned())]);
}

/// A settled engine whose spec now refers to Secrets in this state.
fn wanting(secrets: &BTreeMap<String, Looked>) -> Observed {
    wanting_by(&full(), secrets)
}

fn wanting_by(spec: &MemoryEngineSpec, secrets: &BTreeMap<String, Looked>) -> Observed {
    let mut world = settled();
    let mut engine = (*world.engine).clone();
    engine.spec = spec.clone();
    world.engine = engine.into();
    let findings = examine(&references("notes", spec), secrets, None, None, now());
    world.secrets = Some(SecretsView { findings, remembered: None, to_remember: None });
    world
}

fn kinds(world: &Observed) -> Vec<ChildKind> {
    writes(&planned(world)).iter().map(|write| write.key().kind).collect()
}

fn message<'a>(status: &'a crds::MemoryEngineStatus, kind: &str) -> &'a str {
    &status.conditions.iter().find(|condition| condition.type_ == kind).expect("a condition").message
}

/// A pod that would not start, or would accept a key that everybody can guess, does not replace one that runs.
#[test]
fn a_bad_secret_leaves_the_running_engine_as_it_is() {
    let mut secrets = good();
    let good = wanting(&secrets);
    assert!(kinds(&good).contains(&ChildKind::StatefulSet) && kinds(&good).contains(&ChildKind::ConfigMap));
    write(&mut secrets, "agent-a-key", "token", "changeme");
    let world = wanting(&secrets);
    let held = kinds(&world);
    assert!(!held.contains(&ChildKind::StatefulSet) && !held.contains(&ChildKind::ConfigMap), "{held:?}");
    let status = status_of(&world);
    assert_eq!(condition(&status, "SecretsValid"), "False/SecretWellKnown");
    assert_eq!(condition(&status, "Stalled"), "True/SecretWellKnown");
    assert_eq!(condition(&status, "Ready"), "False/SecretWellKnown");
    let message = message(&status, "SecretsValid");
    assert!(
        message.contains("spec.access.keys[agent-a].secretRef: ") && message.contains("rolled out"),
        "{message}"
    );
}

/// A new engine waits for its Secrets, and starts with them.
#[test]
fn a_new_engine_waits_for_its_secrets() {
    let mut world = observed(engine());
    let mut engine = (*world.engine).clone();
    engine.spec = full();
    world.engine = engine.into();
    let mut secrets = good();
    secrets.insert("admin".into(), Looked::Missing);
    let view = |secrets: &_| Some(SecretsView { findings: found(secrets), ..SecretsView::default() });
    world.secrets = view(&secrets);
    assert!(!kinds(&world).contains(&ChildKind::StatefulSet));
    assert_eq!(condition(&status_of(&world), "Stalled"), "True/SecretMissing");
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    world.secrets = view(&good());
    assert!(kinds(&world).contains(&ChildKind::StatefulSet));
    let status = status_of(&world);
    assert_eq!(condition(&status, "SecretsValid"), "True/SecretsUsable");
    assert!(!condition(&status, "Stalled").contains("Secret"), "the claim is a matter of its own");
}

/// While nothing has to be rolled out, a bad Secret is said and obstructs nothing.
#[test]
fn a_secret_that_turns_bad_does_not_make_a_running_engine_unready() {
    let mut world = wanting(&good());
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    let mut secrets = good();
    secrets.insert("models".into(), Looked::Missing);
    world.secrets = wanting(&secrets).secrets;
    let plan = planned(&world);
    assert!(!plan.secrets_hold && writes(&plan).is_empty(), "{plan:?}");
    let status = status_of(&world);
    assert_eq!(condition(&status, "SecretsValid"), "False/SecretMissing");
    assert_eq!(condition(&status, "Stalled"), "False/NoObstacle");
}

/// Old and expired keys are said, and every change is rolled out nevertheless.
#[test]
fn an_old_key_holds_nothing_back() {
    let mut world = wanting(&good());
    let expired =
        examine(&references("notes", &full()), &good(), None, None, "2027-01-02T00:00:00Z".parse().unwrap());
    world.secrets.as_mut().expect("Secrets").findings = expired;
    assert!(kinds(&world).contains(&ChildKind::StatefulSet));
    assert_eq!(condition(&status_of(&world), "SecretsValid"), "False/SecretExpired");
}

/// Without permission, an engine with a key of a service runs as before there was a check.
#[test]
fn without_permission_nothing_is_held_back() {
    let mut spec = full();
    spec.access.as_mut().expect("a section").admin_token_secret_ref = None;
    for (is_forbidden, reason) in [(true, "SecretsForbidden"), (false, "SecretsUnreadable")] {
        let unread = || Looked::Unread(Unread { is_forbidden, text: "no answer".into() });
        let secrets = good().into_keys().map(|name| (name, unread())).collect();
        let world = wanting_by(&spec, &secrets);
        assert!(kinds(&world).contains(&ChildKind::StatefulSet));
        let status = status_of(&world);
        assert_eq!(condition(&status, "SecretsValid"), format!("Unknown/{reason}"));
        assert_eq!(condition(&status, "Stalled"), "False/NoObstacle");
        assert_eq!(message(&status, "SecretsValid").contains("RoleBinding"), is_forbidden);
        assert!(status.secrets.iter().all(|one| one.reason == reason));
    }
    assert_eq!(condition(&status_of(&settled()), "SecretsValid"), "True/NoSecretReferences");
}

/// The operator could not talk to an engine that demands a token which it cannot read: such an engine waits for the
/// permission.
#[test]
fn a_token_that_the_operator_cannot_read_is_not_demanded() {
    let mut secrets = good();
    let unread = Unread { is_forbidden: true, text: "secrets is forbidden".into() };
    secrets.insert("admin".into(), Looked::Unread(unread));
    let world = wanting(&secrets);
    assert!(
        !kinds(&world).contains(&ChildKind::StatefulSet) && !kinds(&world).contains(&ChildKind::ConfigMap)
    );
    let status = status_of(&world);
    assert_eq!(condition(&status, "SecretsValid"), "Unknown/SecretsForbidden");
    assert_eq!(condition(&status, "Stalled"), "True/SecretsForbidden");
}

/// The status has times only, and keeps the moment at which each fault began.
#[test]
fn the_status_says_since_when() {
    let mut secrets = good();
    write(&mut secrets, "agent-a-key", "token", "changeme");
    let references = references("notes", &full());
    let mut world = wanting(&secrets);
    let mut ages = Ages::new([1; 32]);
    ages.remember(values(&references, &secrets), world.now - SignedDuration::from_hours(49));
    let findings = examine(&references, &secrets, Some(&ages), Some(90), world.now);
    world.secrets = Some(SecretsView { findings, remembered: Some(ages.clone()), to_remember: Some(ages) });
    let status = status_of(&world);
    let first = &status.secrets[0];
    assert_eq!(first.reference, "spec.access.keys[agent-a].secretRef");
    assert_eq!((first.reason.as_str(), first.age_days), ("SecretWellKnown", Some(2)));
    assert_eq!(first.since, "2026-01-02T03:04:05Z");
    assert!(first.replace_before.is_some() && first.first_seen.is_some());
    let mut engine = (*world.engine).clone();
    engine.status = Some(status.clone());
    world.engine = engine.into();
    world.now += SignedDuration::from_mins(5);
    assert_eq!(status_of(&world).secrets, status.secrets, "nothing changes while nothing has changed");
    for finding in &mut world.secrets.as_mut().expect("Secrets").findings {
        finding.result = Err(Problem::Unread(Unread { is_forbidden: false, text: "no answer".into() }));
        (finding.first_seen, finding.replace_before) = (None, None);
    }
    let unread = status_of(&world).secrets;
    assert_eq!(unread[0].first_seen, status.secrets[0].first_seen, "the last known time stays");
    assert_eq!(unread[0].age_days, Some(2));
}

/// Values, and everything by which one could be recognised, are nowhere in what the operator prints or writes.
#[test]
fn no_value_is_in_a_status_a_plan_or_a_debug_text() {
    let value = "hunter2-hunter2-hunter2";
    let mut secrets = good();
    for (name, key) in
        [("agent-a-key", "token"), ("agent-b-key", "token"), ("admin", "value"), ("models", "api-key")]
    {
        write(&mut secrets, name, key, value);
    }
    let world = wanting(&secrets);
    let status = status_of(&world);
    let printed =
        format!("{secrets:?} {world:?} {:?} {}", planned(&world), serde_json::to_string(&status).unwrap());
    let hash = Hash::of(value.as_bytes()).to_string();
    for text in ["hunter2", &hash[..16], "23 characters", &GOOD[1]] {
        assert!(!printed.contains(text), "{text}");
    }
    assert!(printed.contains("agent-a-key"), "what is printed has the names");
}

/// The ages are written once, and not where somebody else has a Secret of that name.
#[test]
fn ages_are_remembered_when_something_new_is_seen() {
    let (mut world, secrets) = (wanting(&good()), good());
    let references = references("notes", &full());
    let mut ages = Ages::new([1; 32]);
    ages.remember(values(&references, &secrets), world.now);
    let remembers = |world: &Observed| {
        planned(world).steps.iter().filter(|step| matches!(step, Step::Remember(_))).count()
    };
    let view = world.secrets.as_mut().expect("Secrets");
    view.to_remember = Some(ages.clone());
    assert_eq!(remembers(&world), 1);
    let printed = format!("{:?}", planned(&world));
    assert!(!printed.contains("first-seen") && !printed.contains(&GOOD[0]), "a plan has no code");
    let foreign = serde_json::json!({"metadata": {"name": "notes-secret-ages"}});
    let key = operator_core::names::ages_secret("notes");
    let object = serde_json::from_value(foreign).expect("an object");
    world.children.insert(key.clone(), std::sync::Arc::new(object));
    assert_eq!(remembers(&world), 0);
    world.children.remove(&key);
    world.secrets.as_mut().expect("Secrets").remembered = Some(ages);
    assert_eq!(remembers(&world), 0);
}
