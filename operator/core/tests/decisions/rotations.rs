//! The objects of a scheduled rotation.

use crds::{Access, AccessKey, AccessSecret, Secrets, TokenRotation};
use operator_core::{
    build::stateful_set,
    names::{ChildKey, ChildKind, admin_token_secret},
    observed::Observed,
    plan::{Step, Write},
    rotation::{OwnedToken, RotationView},
    secrets::{Finding, Reference, SecretsView, references},
    tls::Unread,
    validate::{Fault, validate},
};
use serde_json::{Value, json};

use crate::world::{carry_out, condition, engine, observed, planned, settings, settled, status_of, valid};

fn rotation(schedule: &str) -> Option<Secrets> {
    let rotation =
        TokenRotation { schedule: schedule.into(), time_zone: "Europe/Berlin".into(), suspend: false };
    Some(Secrets { rotation: Some(rotation) })
}

/// A settled engine that now wants a rotation, and has a token.
fn world() -> Observed {
    let mut world = settled();
    let mut engine = (*world.engine).clone();
    engine.spec.secrets = rotation("0 3 1 * *");
    world.engine = engine.into();
    let token = OwnedToken { is_usable: true, ..OwnedToken::default() };
    world.rotation = Some(RotationView { token: Some(token), ..RotationView::default() });
    world
}

/// What is found about a token that can be used.
fn usable(world: &Observed) -> Finding {
    let reference = references("notes", &world.engine.spec).into_iter().find(Reference::is_owned);
    let reference = reference.expect("a reference");
    Finding { reference, result: Ok(()), first_seen: None, replace_before: None }
}

fn created(world: &Observed, kind: ChildKind) -> Option<Value> {
    planned(world).writes().find_map(|write| match write {
        Write::Create { key, object } if key.kind == kind => Some(object.clone()),
        _ => None,
    })
}

/// Everything that the operator says about the Job: restricted, bounded, and with a token of the API server only in its
/// own pod.
#[test]
fn the_scheduled_job_is_restricted_and_bounded() {
    let mut job = created(&world(), ChildKind::CronJob).expect("a CronJob");
    job["apiVersion"] = json!("batch/v1");
    job["kind"] = json!("CronJob");
    job["metadata"]["annotations"] = Value::Null;
    let text = serde_yaml::to_string(&job).expect("YAML");
    assert_eq!(text, include_str!("cron_job.yaml"));
    let account = created(&world(), ChildKind::ServiceAccount).expect("an account");
    assert_eq!(account["automountServiceAccountToken"], false);
    let binding = created(&world(), ChildKind::RoleBinding).expect("a binding");
    let subject = json!([{"kind": "ServiceAccount", "name": "notes-rotate", "namespace": "team"}]);
    assert_eq!((&binding["subjects"], &binding["roleRef"]["name"]), (&subject, &json!("notes-rotate")));
}

/// Nobody else gets the role, and the pods of the Job are none of the engine.
#[test]
fn another_subject_is_removed_and_no_service_selects_the_pods() {
    let mut world = world();
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(planned(&world).steps, []);
    let key = ChildKey { kind: ChildKind::RoleBinding, name: "notes-rotate".into() };
    let mut binding = world.children[&key].as_ref().clone();
    let subjects = binding.data["subjects"].as_array_mut().expect("subjects");
    subjects.push(json!({"kind": "ServiceAccount", "name": "default", "namespace": "team"}));
    world.children.insert(key, binding.into());
    let verbs: Vec<_> =
        planned(&world).writes().map(|write| (write.key().to_string(), write.verb())).collect();
    assert_eq!(verbs, [("RoleBinding/notes-rotate".to_owned(), "repair")]);
    let job = created(&self::world(), ChildKind::CronJob).expect("a CronJob");
    let labels = &job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"];
    let selector = operator_core::names::selector("notes");
    assert!(selector.iter().any(|(key, value)| labels[key] != **value), "{labels}");
}

/// The pod mounts a token only when there is one, and what is not known changes nothing.
#[test]
fn a_pod_waits_for_its_token_and_what_is_not_known_changes_nothing() {
    let mut world = world();
    assert!(json!(stateful_set(&valid(&world))).to_string().contains("notes-admin-token"));
    let forbidden = Unread { is_forbidden: true, text: "forbidden".into() };
    world.rotation = Some(RotationView { unread: Some(forbidden), ..RotationView::default() });
    let kinds: Vec<_> = planned(&world).writes().map(|write| write.key().kind).collect();
    assert_eq!(kinds, [], "neither a pod without its token, nor a Job");
    // The role for Secrets may be one of before there were Jobs.
    world.secrets = Some(SecretsView { findings: vec![usable(&world)], ..SecretsView::default() });
    let status = status_of(&world);
    assert_eq!(condition(&status, "SecretsValid"), "Unknown/SecretsForbidden");
    assert_eq!(condition(&status, "Stalled"), "True/SecretsForbidden", "it is said why the pod waits");
    world.rotation = Some(RotationView::default());
    let steps = planned(&world).steps;
    assert!(steps.iter().any(|step| matches!(step, Step::Rotate(_))), "{steps:?}");
    let foreign = json!({"metadata": {"name": "notes-admin-token"}});
    let foreign: kube_core::DynamicObject = serde_json::from_value(foreign).expect("a Secret");
    world.children.insert(admin_token_secret("notes"), foreign.into());
    let plan = planned(&world);
    assert_eq!(plan.conflicts, [admin_token_secret("notes")], "a Secret of somebody else");
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Rotate(_))));
}

#[test]
fn a_rotation_that_means_nothing_is_refused() {
    let faults = |change: &dyn Fn(&mut crds::MemoryEngineSpec)| {
        let mut engine = engine();
        engine.spec.secrets = rotation("@monthly");
        change(&mut engine.spec);
        validate(&observed(engine).engine, &settings()).err().unwrap_or_default()
    };
    assert_eq!(faults(&|_| {}), []);
    let given = crds::KeyReference { name: "admin".into(), key: "token".into() };
    let two = faults(&|spec| {
        spec.access = Some(Access { admin_token_secret_ref: Some(given.clone()), ..Access::default() });
    });
    assert_eq!(two, [Fault::TwoTokens]);
    let shared = faults(&|spec| {
        let key = AccessKey {
            name: "agent".into(),
            secret_ref: AccessSecret { name: "notes-admin-token".into(), ..AccessSecret::default() },
            scopes: vec![crds::AccessScope::Read],
            projects: vec!["p".into()],
            expires: None,
        };
        spec.access = Some(Access { keys: vec![key], ..Access::default() });
    });
    assert_eq!(shared, [Fault::TokenOfOperator("notes-admin-token".into())]);
    let late = faults(&|spec| spec.secrets = rotation("5-1 * * * *"));
    assert!(
        late[0].to_string().starts_with("spec.secrets.rotation.schedule has no valid minute"),
        "{late:?}"
    );
    let mut engine = engine();
    engine.spec.secrets = rotation("@monthly");
    let without = operator_core::settings::Settings { operator_image: None, ..settings() };
    assert_eq!(
        validate(&observed(engine).engine, &without),
        Err(vec![Fault::NoOperatorImage("spec.secrets.rotation")])
    );
}
