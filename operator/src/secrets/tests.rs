//! Whole reconciles with Secrets, against the mock of the API server.

use std::sync::{Arc, LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::{Access, AccessKey, AccessScope, AccessSecret, MemoryEngine};
use engine_core::{
    access::{ApiKey, KEY_RANDOM_BYTES},
    digest::Hash,
};
use hyper::Method;
use operator_core::{
    plan::{Step, plan},
    status::{Outcome, status},
    validate::{Essentials, validate},
};
use serde_json::json;

use super::READ_AT_ONCE;
use crate::{
    apply::{
        apply,
        tests::{context, engine},
    },
    context::Context,
    mock_api::{Fault, MockApi},
    observe::observe,
};

const SECRETS: &str = "/api/v1/namespaces/team/secrets";
/// Keys of engines, made of a hash: what repeats itself is no key.
static KEY: LazyLock<String> = LazyLock::new(|| key("first"));
static OTHER: LazyLock<String> = LazyLock::new(|| key("second"));

fn key(seed: &str) -> String {
    let hash = Hash::of(seed.as_bytes()).0;
    let mut bytes = [0; KEY_RANDOM_BYTES];
    for (byte, random) in bytes.iter_mut().zip(hash.into_iter().chain(hash.map(u8::reverse_bits))) {
        *byte = random;
    }
    ApiKey::of_random(&bytes).secret_text().to_owned()
}

fn wanting() -> MemoryEngine {
    let mut engine = engine();
    let key = AccessKey {
        name: "agent-a".into(),
        secret_ref: AccessSecret { name: "agent-a-key".into(), ..AccessSecret::default() },
        scopes: vec![AccessScope::Read],
        projects: vec!["*".into()],
        expires: None,
    };
    engine.spec.access = Some(Access { keys: vec![key], ..Access::default() });
    engine
}

fn secret(value: &str) -> serde_json::Value {
    json!({"metadata": {"name": "agent-a-key"}, "data": {"token": STANDARD.encode(value)}})
}

/// One reconcile. Returns the next state of the resource, and what the plan remembers.
async fn reconcile(engine: &MemoryEngine, context: &Context) -> (MemoryEngine, bool) {
    let essentials = Essentials::of(engine);
    let (observed, expected) = observe(Arc::new(engine.clone()), &essentials, context).await;
    let valid = validate(engine, &context.settings).expect("a valid spec");
    let plan = plan(&observed, &valid, &expected);
    let remembers = plan.steps.iter().any(|step| matches!(step, Step::Remember(_)));
    let (observed, done) = apply(observed, &plan, context).await.expect("the operator leads");
    assert!(done.problem.is_none(), "{:?}", done.problem);
    let outcome = Outcome::Applied { valid: &valid, plan: &plan, done: &done };
    let mut after = engine.clone();
    after.status = Some(status(&observed, &expected, &outcome));
    (after, remembers)
}

fn reason(engine: &MemoryEngine) -> String {
    let status = engine.status.as_ref().expect("a status");
    let condition = status.conditions.iter().find(|one| one.type_ == "SecretsValid").expect("a condition");
    format!("{}/{}", condition.status, condition.reason)
}

/// An engine waits for its Secret, starts with it, and the age of the value is known from the next reconcile on.
#[tokio::test]
async fn a_secret_is_waited_for_read_and_remembered() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    let (waiting, remembers) = reconcile(&wanting(), &context).await;
    assert_eq!((reason(&waiting).as_str(), remembers), ("False/SecretMissing", false));
    assert!(server.object("statefulsets/notes").is_none() && server.object("notes-secret-ages").is_none());
    server.make(&format!("{SECRETS}/agent-a-key"), &secret(&KEY));
    let (started, remembers) = reconcile(&waiting, &context).await;
    assert_eq!((reason(&started).as_str(), remembers), ("True/SecretsUsable", true));
    assert!(server.object("statefulsets/notes").is_some());
    assert_eq!(started.status.as_ref().unwrap().secrets[0].first_seen, None, "nothing was stored before");
    let ages = server.object("notes-secret-ages").expect("the ages are stored");
    assert!(
        !ages.to_string().contains(KEY.as_str())
            && !ages.to_string().contains(&STANDARD.encode(KEY.as_str()))
    );
    let (settled, remembers) = reconcile(&started, &context).await;
    assert!(!remembers, "nothing new was seen");
    let seen = settled.status.as_ref().unwrap().secrets[0].clone();
    assert!(seen.first_seen.is_some() && seen.age_days == Some(0), "{seen:?}");
    assert!(!serde_json::to_string(&settled).unwrap().contains(KEY.as_str()));
    // A value that moves to the previous key keeps its age; the new one has one of its own.
    server.edit("secrets/agent-a-key", |secret| {
        secret["data"] = json!({
            "token": STANDARD.encode(OTHER.as_str()), "token.previous": STANDARD.encode(KEY.as_str()),
        });
    });
    let (_, remembers) = reconcile(&settled, &context).await;
    assert!(remembers);
    let (rotated, _) = reconcile(&settled, &context).await;
    let previous = &rotated.status.as_ref().unwrap().secrets[1];
    assert_eq!((&previous.first_seen, previous.reason.as_str()), (&seen.first_seen, "SecretsUsable"));
}

/// The operator asks for Secrets by name only, and an engine without references causes no request.
#[tokio::test]
async fn secrets_are_neither_listed_nor_read_without_a_reference() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    reconcile(&engine(), &context).await;
    reconcile(&wanting(), &context).await;
    let requests = server.take_requests();
    let of_secrets: Vec<_> = requests.iter().filter(|request| request.contains("/secrets")).collect();
    let expected = [format!("GET {SECRETS}/agent-a-key"), format!("GET {SECRETS}/notes-secret-ages")];
    assert_eq!(of_secrets, expected.iter().collect::<Vec<_>>());
}

/// Without permission the engine is created as before, the condition says what to do, and nothing is remembered.
#[tokio::test]
async fn without_permission_the_engine_runs_and_the_condition_says_what_to_do() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    server.make(&format!("{SECRETS}/agent-a-key"), &secret(&KEY));
    server.fail_next(Method::GET, "secrets/agent-a-key", Fault::Refused(403, ""));
    server.fail_next(Method::GET, "secrets/notes-secret-ages", Fault::Refused(403, ""));
    let (created, remembers) = reconcile(&wanting(), &context).await;
    assert!(server.has_failed());
    assert_eq!((reason(&created).as_str(), remembers), ("Unknown/SecretsForbidden", false));
    assert!(server.object("statefulsets/notes").is_some());
    assert_eq!(created.status.as_ref().unwrap().secrets[0].first_seen, None);
}

/// An operator that may read but not write Secrets knows no ages, and everything else works.
#[tokio::test]
async fn ages_that_cannot_be_stored_obstruct_nothing() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    server.make(&format!("{SECRETS}/agent-a-key"), &secret(&KEY));
    let mut engine = wanting();
    for _ in 0..3 {
        server.fail_next(Method::PATCH, "secrets/notes-secret-ages", Fault::Refused(403, ""));
        (engine, _) = reconcile(&engine, &context).await;
        assert_eq!(reason(&engine), "True/SecretsUsable");
        assert_eq!(engine.status.as_ref().unwrap().secrets[0].first_seen, None, "the age is unknown");
    }
    assert!(server.object("statefulsets/notes").is_some());
}

/// A read that gets no answer says nothing about the Secret, the reads after it are not tried, and nothing is changed.
#[tokio::test(start_paused = true)]
async fn a_read_that_times_out_is_no_verdict_and_the_last_one_that_is_tried() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    let mut engine = wanting();
    let names: Vec<String> = (0..24).map(|number| format!("key-{number:02}")).collect();
    let access = engine.spec.access.as_mut().expect("a section");
    let first = access.keys[0].clone();
    access.keys = names
        .iter()
        .map(|name| {
            let secret_ref = AccessSecret { name: name.clone(), ..AccessSecret::default() };
            AccessKey { name: name.clone(), secret_ref, ..first.clone() }
        })
        .collect();
    server.fail_next(Method::GET, "secrets/key-00", Fault::Silent);
    let essentials = Essentials::of(&engine);
    let (observed, _) = observe(Arc::new(engine.clone()), &essentials, &context).await;
    let view = observed.secrets.expect("a view");
    assert!(view.faults().next().is_none(), "{:?}", view.findings);
    assert!(view.findings.iter().all(|finding| finding.unread().is_some_and(|unread| !unread.is_forbidden)));
    let tried = server.take_requests().iter().filter(|request| request.contains("/secrets/")).count();
    assert!(tried <= READ_AT_ONCE, "{tried} reads of {}", names.len());
}

/// While TLS is introduced, the pod before has none: it does not get the token, whatever it demands.
#[tokio::test]
async fn a_token_is_not_sent_without_tls_if_the_spec_wants_tls() {
    use operator_core::pod::PodView;
    let (client, _server) = MockApi::start();
    let (context, _leading) = context(client);
    let pod = |has_tls| PodView { ip: Some("10.0.0.1".into()), has_tls, ..PodView::default() };
    for (wants_tls, is_sent) in [(false, true), (true, false)] {
        context.admin_tokens.keep("team/notes", ("uid", wants_tls), &KEY, None);
        let target = crate::target::target(&context, "team/notes", Some(&pod(false))).expect("a target");
        assert_eq!(target.token.is_some(), is_sent, "the spec wants TLS: {wants_tls}");
    }
}
