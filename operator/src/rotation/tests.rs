//! Whole rotations against the mock of the API server.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::{MemoryEngine, Secrets, TokenRotation, TokenRotationPhase};
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use operator_core::{
    names::ISSUED_AT_ANNOTATION,
    plan::{Step, plan},
    status::{Outcome, status},
    validate::validate,
};
use serde_json::json;

use super::*;
use crate::{
    apply::{
        apply,
        tests::{context, engine},
    },
    mock_api::{Fault, MockApi},
    observe::observe as observe_all,
};

const SECRET: &str = "secrets/notes-admin-token";

fn engine_without() -> MemoryEngine {
    engine()
}

fn rotating() -> MemoryEngine {
    let mut engine = engine();
    let rotation = TokenRotation { schedule: "@monthly".into(), time_zone: "Etc/UTC".into(), suspend: false };
    engine.spec.secrets = Some(Secrets { rotation: Some(rotation) });
    engine
}

/// One reconcile. Returns the next state of the resource, and everything that was planned, as text.
async fn reconcile(engine: &MemoryEngine, context: &Context) -> (MemoryEngine, String) {
    let essentials = Essentials::of(engine);
    let (observed, expected) = observe_all(Arc::new(engine.clone()), &essentials, context).await;
    let valid = validate(engine, &context.settings).expect("a valid spec");
    let plan = plan(&observed, &valid, &expected);
    let printed = format!("{observed:?} {plan:?}");
    let (observed, done) = apply(observed, &plan, context).await.expect("the operator leads");
    assert!(done.problem.is_none(), "{:?}", done.problem);
    let outcome = Outcome::Applied { valid: &valid, plan: &plan, done: &done };
    let mut after = engine.clone();
    after.status = Some(status(&observed, &expected, &outcome));
    (after, printed)
}

/// The values of the Secret: the token, and the one before.
fn tokens(server: &MockApi) -> (Option<String>, Option<String>) {
    let secret = server.object(SECRET).expect("the Secret exists");
    let entry = |key: &str| {
        let bytes = STANDARD.decode(secret["data"].get(key)?.as_str()?).expect("base64");
        Some(String::from_utf8(bytes).expect("a token"))
    };
    (entry(TOKEN_ENTRY), entry(PREVIOUS_ENTRY))
}

fn phase_of(engine: &MemoryEngine) -> Option<TokenRotationPhase> {
    let status = engine.status.as_ref().expect("a status");
    status.secrets.iter().find(|one| one.reference == "spec.secrets.rotation")?.rotation
}

fn ask(server: &MockApi, id: &str) {
    server.edit("configmaps/notes-rotate", |object| object["data"]["request"] = json!(id));
    server.edit(SECRET, |secret| {
        let earlier = Timestamp::now() - SignedDuration::from_hours(1);
        secret["metadata"]["annotations"][ISSUED_AT_ANNOTATION] = json!(earlier);
    });
}

/// The engine answers with the newest token, as far as the operator knows.
fn accept(context: &Context) {
    context.admin_tokens.known("team/notes").expect("a token").note(true);
}

/// The token is made before the pod needs it, and is replaced in two phases. Another operator goes on where one has
/// stopped.
#[tokio::test]
async fn a_token_is_made_and_replaced_in_two_phases_by_whichever_operator_leads() {
    let (client, server) = MockApi::start();
    let (first, _leading) = context(client.clone());
    let (engine, printed) = reconcile(&rotating(), &first).await;
    let (Some(old), None) = tokens(&server) else { panic!("one token") };
    assert!(!printed.contains(&old), "a plan has no token");
    let set = server.object("statefulsets/notes").expect("nothing waits for it");
    assert!(set.to_string().contains("notes-admin-token"), "the pod mounts it");
    let job = server.object("cronjobs/notes-rotate").expect("a CronJob");
    assert_eq!(job["spec"]["schedule"], "@monthly");
    let (engine, _) = reconcile(&engine, &first).await;
    let shown = engine.status.as_ref().unwrap().secrets[0].clone();
    assert_eq!((shown.reason.as_str(), shown.rotation), ("SecretsUsable", Some(TokenRotationPhase::Done)));
    assert!(shown.next_rotation.is_some() && shown.next_rotation > Some(Timestamp::now().to_string()));

    ask(&server, "job-1");
    // An operator that has its watches sees the request; here, another operator reads everything again.
    let (asked, _leading) = context(client.clone());
    let (engine, _) = reconcile(&engine, &asked).await;
    let (Some(new), previous) = tokens(&server) else { panic!("a token") };
    assert!(new != old && previous.as_ref() == Some(&old), "both are there");
    let (second, _leading) = context(client);
    let (engine, printed) = reconcile(&engine, &second).await;
    assert_eq!(phase_of(&engine), Some(TokenRotationPhase::Distribute));
    let presented = second.admin_tokens.known("team/notes").expect("tokens").headers();
    assert_eq!(presented, [format!("Bearer {new}"), format!("Bearer {old}")], "both are presented");
    assert!(!printed.contains(&new) && !printed.contains(&old) && !json!(engine).to_string().contains(&new));
    assert_eq!(tokens(&server).1, Some(old), "not before the engine has accepted the new one");

    accept(&second);
    let (engine, _) = reconcile(&engine, &second).await;
    assert_eq!(tokens(&server), (Some(new.clone()), None));
    let (engine, _) = reconcile(&engine, &second).await;
    assert_eq!(phase_of(&engine), Some(TokenRotationPhase::Done));
    let request = server.object("configmaps/notes-rotate").expect("the request");
    assert_eq!((&request["data"]["done"], &request["data"]["phase"]), (&json!("job-1"), &json!("Done")));
    reconcile(&engine, &second).await;
    assert_eq!(tokens(&server), (Some(new), None), "one request, one rotation");
}

/// Without the field, everything goes: what lets the Job act at once, and the token when no pod mounts it.
#[tokio::test]
async fn nothing_is_left_when_the_field_is_removed() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    let (rotated, _) = reconcile(&rotating(), &context).await;
    let mut removed = MemoryEngine { status: rotated.status, ..engine() };
    for _ in 0..3 {
        (removed, _) = reconcile(&removed, &context).await;
    }
    let objects = server.objects();
    let left: Vec<_> =
        objects.keys().filter(|path| path.contains("rotate") || path.ends_with(SECRET)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(removed.status.unwrap().secrets.is_empty());
    assert!(!objects.values().any(|object| object.to_string().contains("notes-admin-token")));
}

/// What cannot be read is neither replaced nor counted as missing, and an engine without a rotation costs no request.
#[tokio::test]
async fn a_secret_that_cannot_be_read_is_left_alone() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    let (engine, _) = reconcile(&rotating(), &context).await;
    let before = tokens(&server);
    ask(&server, "job-1");
    for code in [403, 500] {
        server.fail_next(Method::GET, SECRET, Fault::Refused(code, ""));
        reconcile(&engine, &context).await;
        assert!(server.has_failed());
        assert_eq!(tokens(&server), before);
    }
    server.take_requests();
    reconcile(&engine_without(), &context).await;
    let requests = server.take_requests();
    assert!(
        requests.iter().all(|request| !request.contains("rotate") && !request.contains("cronjobs")),
        "{requests:?}"
    );
}

/// A token that somebody changes in the middle of a reconcile is not overwritten.
#[tokio::test]
async fn a_token_that_has_changed_since_it_was_read_is_not_overwritten() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    let (engine, _) = reconcile(&rotating(), &context).await;
    ask(&server, "job-1");
    let (context, _leading) = crate::apply::tests::context(server.client());
    let essentials = Essentials::of(&engine);
    let (observed, expected) = observe_all(Arc::new(engine.clone()), &essentials, &context).await;
    let valid = validate(&engine, &context.settings).expect("a valid spec");
    let plan = plan(&observed, &valid, &expected);
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Rotate(_))), "{:?}", plan.steps);
    server.edit(SECRET, |secret| secret["metadata"]["labels"]["touched"] = json!("yes"));
    let before = tokens(&server);
    let (_, done) = apply(observed, &plan, &context).await.expect("the operator leads");
    assert!(done.problem.is_some(), "a conflict");
    assert_eq!(tokens(&server), before);
}
