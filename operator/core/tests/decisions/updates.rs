//! Changes of the pod that come from the operator: they wait, they are described, and what applies them.

use std::{collections::BTreeMap, fs, sync::Arc};

use crds::{
    EngineMode, MemoryEngine, MemoryEngineSpec, MemoryEngineStatus, Update, UpdatePolicy, UpdateWindow,
};
use operator_core::{
    anchor::expected::expected_history,
    names::{APPROVE_UPDATE_ANNOTATION, ChildKey, ChildKind, RENDERED_ANNOTATION},
    observed::{EngineReport, Observed},
    plan::{Done, Plan, Write, plan},
    settings::Settings,
    status::{Outcome, status},
    validate::{Valid, validate},
};
use serde_json::{Value, json};

use crate::configurations::full;
use crate::world::{carry_out, condition, edit, engine, observed, settings, settled};

/// The objects of five engines as this version renders them, and as the version before it did, which kept no template
/// on the StatefulSet. A file is written once, and never again.
const FIXTURES: [&str; 2] = ["rendered_before_approvals.json", "rendered_0_1_0.json"];

/// An operator of another version: its default image differs.
fn newer() -> Settings {
    Settings { engine_image: Some("registry.example/engine:2".into()), ..settings() }
}

fn valid_with(world: &Observed, settings: &Settings) -> Valid {
    validate(&world.engine, settings).expect("a valid spec")
}

fn planned_with(world: &Observed, settings: &Settings) -> Plan {
    plan(world, &valid_with(world, settings), &expected_history(world))
}

fn status_with(world: &Observed, settings: &Settings) -> MemoryEngineStatus {
    let plan = planned_with(world, settings);
    let written = plan.writes().map(|write| write.key().clone()).collect();
    let done = Done { written, changed: plan.is_changing(), problem: None };
    let valid = valid_with(world, settings);
    status(world, &expected_history(world), &Outcome::Applied { valid: &valid, plan: &plan, done: &done })
}

/// Carries out a reconcile of an operator with these settings, and stores the status.
fn reconcile(world: &mut Observed, settings: &Settings) -> Plan {
    let plan = planned_with(world, settings);
    let status = status_with(world, settings);
    carry_out(world, &plan, usize::MAX);
    Arc::make_mut(&mut world.engine).status = Some(status);
    plan
}

fn set_key(name: &str) -> ChildKey {
    ChildKey { kind: ChildKind::StatefulSet, name: name.into() }
}

fn template(world: &Observed) -> Value {
    let set = &world.children[&set_key(world.engine.metadata.name.as_deref().expect("a name"))];
    set.data["spec"]["template"].clone()
}

fn image(world: &Observed) -> String {
    template(world)["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned()
}

fn config(world: &Observed) -> Value {
    let key = ChildKey {
        kind: ChildKind::ConfigMap,
        name: format!("{}-config", world.engine.metadata.name.as_deref().expect("a name")),
    };
    world.children[&key].data["data"].clone()
}

fn change(world: &mut Observed, change: impl FnOnce(&mut MemoryEngineSpec)) {
    let engine = Arc::make_mut(&mut world.engine);
    change(&mut engine.spec);
    *engine.metadata.generation.as_mut().expect("a generation") += 1;
}

fn approve(world: &mut Observed, text: &str) {
    let annotations = BTreeMap::from([(APPROVE_UPDATE_ANNOTATION.to_owned(), text.to_owned())]);
    Arc::make_mut(&mut world.engine).metadata.annotations = Some(annotations);
}

fn pending(world: &Observed) -> Option<crds::PendingUpdate> {
    world.engine.status.as_ref()?.update.as_ref()?.pending.clone()
}

fn message(status: &MemoryEngineStatus) -> String {
    let found = status.conditions.iter().find(|one| one.type_ == "UpdatePending").expect("a condition");
    found.message.clone()
}

/// An engine for which an update waits.
fn waiting() -> Observed {
    let mut world = settled();
    reconcile(&mut world, &settings());
    reconcile(&mut world, &newer());
    assert_eq!(image(&world), "registry.example/engine:1");
    world
}

/// Five engines that differ in what their pods depend on.
fn specs() -> Vec<(&'static str, MemoryEngineSpec)> {
    let mut shaped = MemoryEngineSpec::default();
    shaped.writer.node_selector.insert("disktype".into(), "ssd".into());
    shaped.writer.pod_labels.insert("team".into(), "a".into());
    shaped.writer.resources.limits.memory = Some(crds::Quantity("1Gi".into()));
    let mut open = MemoryEngineSpec::default();
    open.exposure.network_policy = crds::NetworkPolicyMode::Disabled;
    let pinned = MemoryEngineSpec { image: Some("registry.example/engine:7".into()), ..full() };
    vec![
        ("plain", MemoryEngineSpec::default()),
        ("full", full()),
        ("shaped", shaped),
        ("open", open),
        ("pinned", pinned),
    ]
}

fn resource(name: &str, spec: MemoryEngineSpec) -> MemoryEngine {
    let mut engine = engine();
    (engine.metadata.name, engine.metadata.uid) = (Some(name.into()), Some(format!("uid-of-{name}")));
    engine.spec = spec;
    engine
}

/// The objects of each engine as this version makes them.
fn rendered(keeps_template: bool) -> Value {
    let engines = specs().into_iter().map(|(name, spec)| {
        let mut world = observed(resource(name, spec.clone()));
        let plan = planned_with(&world, &settings());
        carry_out(&mut world, &plan, usize::MAX);
        let mut objects = serde_json::Map::new();
        for (key, object) in &world.children {
            let mut object = json!(object.as_ref());
            if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations")
                && !keeps_template
            {
                annotations.remove(RENDERED_ANNOTATION);
            }
            objects.insert(key.to_string(), object);
        }
        json!({"name": name, "spec": spec, "objects": objects})
    });
    Value::Array(engines.collect())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the rule is about the code, and this is a test that reads a file"
)]
fn fixture(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/decisions/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() && !std::path::Path::new(&path).exists() {
        let text = serde_json::to_string_pretty(&rendered(file != FIXTURES[0])).expect("JSON");
        fs::write(&path, text + "\n").expect("the fixture can be written");
    }
    let text = fs::read_to_string(&path).expect("the fixture is committed");
    serde_json::from_str(&text).expect("JSON")
}

/// A world with the objects of an engine in a fixture, as an earlier operator left it.
fn left_behind(engine: &Value) -> Observed {
    let spec = serde_json::from_value(engine["spec"].clone()).expect("a spec");
    let mut resource = resource(engine["name"].as_str().expect("a name"), spec);
    resource.status =
        Some(MemoryEngineStatus { observed_generation: Some(1), ..MemoryEngineStatus::default() });
    let mut world = observed(resource);
    for (key, object) in engine["objects"].as_object().expect("objects") {
        let (kind, name) = key.split_once('/').expect("a key");
        let kinds = [
            ChildKind::PersistentVolumeClaim,
            ChildKind::ServiceAccount,
            ChildKind::ConfigMap,
            ChildKind::Service,
            ChildKind::NetworkPolicy,
            ChildKind::PodDisruptionBudget,
            ChildKind::StatefulSet,
        ];
        let kind = kinds.into_iter().find(|one| one.kind() == kind).expect("a kind");
        let key = ChildKey { kind, name: name.into() };
        let object = serde_json::from_value(object.clone()).expect("an object");
        world.children.insert(key, Arc::new(object));
    }
    world
}

/// The upgrade that nobody approves: no pod of any engine changes, whether the new operator renders the same or not,
/// and whatever the version before has left. What is held back is described, and an approval applies it.
#[test]
fn the_committed_engines_of_earlier_operators_are_not_restarted() {
    for file in FIXTURES {
        for left in fixture(file) {
            for settings in [settings(), newer()] {
                let mut world = left_behind(&left);
                let (what, pod, files) =
                    (format!("{file} {}", left["name"]), template(&world), config(&world));
                for _ in 0..3 {
                    reconcile(&mut world, &settings);
                }
                assert_eq!((template(&world), config(&world)), (pod, files), "{what}");
                let is_pinned = left["name"] == "pinned";
                let waits = settings == newer() && !is_pinned;
                let found = pending(&world);
                assert_eq!(found.is_some(), waits, "{what}: {found:?}");
                let Some(found) = found else { continue };
                assert!(found.changes.iter().any(|one| one.contains("image")), "{what}: {:?}", found.changes);
                approve(&mut world, &found.hash);
                reconcile(&mut world, &settings);
                assert_eq!(image(&world), "registry.example/engine:2", "{what}");
                reconcile(&mut world, &settings);
                assert_eq!(pending(&world), None, "{what}");
            }
        }
    }
}

#[test]
fn an_update_waits_with_its_changes_and_its_hash() {
    let world = waiting();
    let status = world.engine.status.clone().expect("a status");
    assert_eq!(condition(&status, "UpdatePending"), "True/UpdateAwaitsApproval");
    assert_eq!(condition(&status, "Ready"), "True/Serving", "it serves as before");
    assert_eq!(condition(&status, "Reconciling"), "False/Settled");
    let found = pending(&world).expect("an update");
    assert_eq!(
        found.changes,
        ["pod.spec.containers[engine].image: registry.example/engine:1 → registry.example/engine:2"]
    );
    assert!(
        message(&status).contains(&format!("{APPROVE_UPDATE_ANNOTATION}={}", found.hash)),
        "{}",
        message(&status)
    );
    assert_eq!(planned_with(&world, &newer()).writes().count(), 0, "nothing is written meanwhile");
}

#[test]
fn only_the_approval_of_this_update_applies_it_and_is_recorded() {
    let hash = pending(&waiting()).expect("an update").hash;
    for wrong in ["", "yes", "0000000000000000", r#"{"hash": "0"}"#, r#"{"hash": "X", "more": 1}"#] {
        let mut world = waiting();
        approve(&mut world, wrong);
        reconcile(&mut world, &newer());
        assert_eq!(image(&world), "registry.example/engine:1", "{wrong}");
        let status = world.engine.status.as_ref().expect("a status");
        assert!(message(status).contains("another update"), "{}", message(status));
    }
    for (right, said) in [
        (hash.clone(), "approved"),
        (
            json!({"hash": hash, "by": "operations", "reason": "tested"}).to_string(),
            "approved by operations: tested",
        ),
    ] {
        let mut world = waiting();
        approve(&mut world, &right);
        reconcile(&mut world, &newer());
        assert_eq!(image(&world), "registry.example/engine:2");
        let status = world.engine.status.clone().expect("a status");
        let applied = status.update.clone().and_then(|update| update.applied).expect("it is recorded");
        assert_eq!((applied.hash.as_str(), applied.because.as_str()), (hash.as_str(), said));
        assert_eq!(condition(&status, "UpdatePending"), "False/UpdateApplied");
        assert_eq!(planned_with(&world, &newer()), Plan::default());
    }
}

/// A change of the spec that concerns the pod takes the update along; any other change leaves it waiting.
#[test]
fn a_change_of_the_spec_that_the_pod_depends_on_is_applied_at_once() {
    let mut world = waiting();
    change(&mut world, |spec| spec.writer.drain_seconds = 33);
    reconcile(&mut world, &newer());
    assert_eq!(image(&world), "registry.example/engine:2");
    let status = world.engine.status.clone().expect("a status");
    assert!(message(&status).contains("the spec was changed"), "{}", message(&status));
    let others: [fn(&mut MemoryEngineSpec); 4] = [
        |spec| spec.mode = EngineMode::ReadOnly,
        |spec| spec.writer.storage.size = crds::Quantity("20Gi".into()),
        |spec| spec.update = Some(Update::default()),
        |spec| {
            spec.service = Some(crds::ServiceMetadata::default());
        },
    ];
    for other in others {
        let mut world = waiting();
        change(&mut world, other);
        reconcile(&mut world, &newer());
        assert_eq!(image(&world), "registry.example/engine:1");
        assert!(pending(&world).is_some());
    }
}

#[test]
fn an_update_is_applied_in_its_window_or_at_once_if_the_spec_says_so() {
    let after = |policy, schedule: &str| {
        let mut world = waiting();
        let window =
            UpdateWindow { schedule: schedule.into(), time_zone: "Etc/UTC".into(), duration_minutes: 10 };
        change(&mut world, |spec| spec.update = Some(Update { policy, window: Some(window) }));
        reconcile(&mut world, &newer());
        world
    };
    let is_applied = |world: &Observed| image(world) == "registry.example/engine:2";
    // It is four minutes past three.
    for (schedule, applied) in
        [("0 3 * * *", true), ("4 3 * * *", true), ("54 2 * * *", false), ("5 3 * * *", false)]
    {
        let world = after(UpdatePolicy::Window, schedule);
        assert_eq!(is_applied(&world), applied, "{schedule}");
        assert!(!is_applied(&after(UpdatePolicy::OnApproval, schedule)), "the policy decides");
        if applied {
            continue;
        }
        let status = world.engine.status.as_ref().expect("a status");
        assert_eq!(condition(status, "UpdatePending"), "True/UpdateAwaitsWindow");
        assert!(pending(&world).and_then(|pending| pending.next_window).is_some());
    }
    assert!(is_applied(&after(UpdatePolicy::Auto, "@yearly")));
}

/// What restarts nothing is corrected as always, and what somebody else has changed goes back to what was applied.
#[test]
fn objects_are_repaired_while_an_update_waits() {
    let mut world = waiting();
    edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/replicas", json!(3));
    edit(&mut world, ChildKind::Service, "notes", "/spec/selector", json!({"app": "other"}));
    let wrong = json!([{"name": "engine", "image": "evil:1"}]);
    edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/template/spec/containers", wrong);
    let verbs: Vec<_> =
        planned_with(&world, &newer()).writes().map(|one| (one.key().to_string(), one.verb())).collect();
    assert_eq!(verbs, [("Service/notes".to_owned(), "repair"), ("StatefulSet/notes".to_owned(), "repair")]);
    reconcile(&mut world, &newer());
    assert_eq!(image(&world), "registry.example/engine:1");
    assert_eq!(world.children[&set_key("notes")].data["spec"]["replicas"], 1);
    assert_eq!(planned_with(&world, &newer()).writes().count(), 0);
    // What a ConfigMap was before somebody changed it is not known: it is said.
    edit(
        &mut world,
        ChildKind::ConfigMap,
        "notes-config",
        "/data",
        json!({"config.yaml": "log: {level: trace}"}),
    );
    assert_eq!(planned_with(&world, &newer()).writes().count(), 0);
    let changes =
        status_with(&world, &newer()).update.and_then(|update| update.pending).expect("it waits").changes;
    assert!(changes.iter().any(|one| one.contains("somebody else has changed")), "{changes:?}");
}

/// An engine that hibernates has no pod to restart.
#[test]
fn an_engine_without_a_pod_wakes_with_the_update() {
    let mut world = waiting();
    change(&mut world, |spec| spec.hibernate = true);
    world.writer_mut().pod = None;
    world.writer_mut().report = EngineReport::NotQueried;
    reconcile(&mut world, &newer());
    assert_eq!(world.children[&set_key("notes")].data["spec"]["replicas"], 0);
    reconcile(&mut world, &newer());
    assert_eq!(image(&world), "registry.example/engine:2");
}

/// Without an approval, a window or another spec, no write of the StatefulSet changes its template.
#[test]
fn no_combination_of_what_is_not_an_approval_changes_a_pod() {
    for bits in 0..64_u32 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let mut world = waiting();
        let before = template(&world);
        if has(0) {
            world.applied.clear();
        }
        if has(1) {
            edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/replicas", json!(0));
        }
        if has(2) {
            world.writer_mut().pod.as_mut().expect("a pod").ready = false;
        }
        if has(3) {
            world.writer_mut().report = EngineReport::Unreachable("no answer".into());
        }
        if has(4) {
            approve(&mut world, "1234567890abcdef");
        }
        if has(5) {
            change(&mut world, |spec| spec.mode = EngineMode::WriteOnly);
        }
        for write in planned_with(&world, &newer()).writes() {
            let (Write::Update { key, object, .. } | Write::Repair { key, object, .. }) = write else {
                continue;
            };
            if key.kind == ChildKind::StatefulSet {
                let written = &object["spec"]["template"]["spec"]["containers"];
                assert_eq!(*written, before["spec"]["containers"], "{bits:b}");
            }
            assert_ne!(key.name, "notes-config", "{bits:b}");
        }
    }
}
