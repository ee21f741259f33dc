//! The pod: containers are found by their names, others may add to the pod, and the status reports why Kubernetes does
//! not create it.

use std::{collections::BTreeMap, sync::Arc};

use crds::{
    Affinity, LabelSelector, MemoryEngineSpec, PodAffinity, PodAffinityTerm, PodSecurity, Quantity,
    ServiceMetadata, TopologySpread, WhenUnsatisfiable,
};
use jiff::SignedDuration;
use kube_core::DynamicObject;
use operator_core::{
    children::CHILDREN,
    names::{ChildKey, ChildKind},
    observed::{EngineReport, Observed, PodRefusal},
    plan::Plan,
    pod::PodView,
    storage::ClaimHold,
    validate::validate,
};
use serde_json::{Value, json};

use crate::world::{
    carry_out, condition, edit, engine, observed, planned, settings, settled, status_of, valid, writes,
};

#[expect(clippy::needless_pass_by_value, reason = "every caller creates them for this call")]
fn pod(status: Value, spec: Value) -> PodView {
    let pod: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "notes-0", "labels": {"controller-revision-hash": "a"}},
        "spec": spec, "status": status,
    }))
    .expect("a pod");
    PodView::of(&pod)
}

fn running(name: &str, ready: bool) -> Value {
    json!({"name": name, "ready": ready, "restartCount": 0, "state": {"running": {}}})
}

fn waiting(name: &str, reason: &str, restarts: i64) -> Value {
    json!({
        "name": name, "ready": false, "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": "the kubelet's words"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 3}},
    })
}

/// A settled world whose pod has these container statuses, sorted by name as the API server returns them.
fn world(init: &[Value], containers: &[Value], ready: bool) -> Observed {
    let mut sorted = containers.to_vec();
    sorted.sort_by_key(|status| status["name"].to_string());
    let ready = if ready { "True" } else { "False" };
    let conditions = json!([
        {"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready},
    ]);
    let status = json!({
        "podIP": "10.0.0.1", "conditions": conditions,
        "initContainerStatuses": init, "containerStatuses": sorted,
    });
    let mut world = settled();
    world.writer_mut().pod = Some(pod(status, json!({})));
    if !world.writer().pod.as_ref().expect("a pod").running {
        world.writer_mut().report = EngineReport::NotQueried;
    }
    if ready == "False" {
        edit(&mut world, ChildKind::StatefulSet, "notes", "/status/readyReplicas", json!(0));
    }
    world
}

fn message(world: &Observed, kind: &str) -> String {
    let status = status_of(world);
    status.conditions.iter().find(|c| c.type_ == kind).expect("a condition").message.clone()
}

#[track_caller]
fn check(world: &Observed, ready: &str, stalled: &str, says: &[&str]) {
    let status = status_of(world);
    let found = [condition(&status, "Ready"), condition(&status, "Stalled")];
    assert_eq!(found, [ready, stalled], "{:#?}", status.conditions);
    for part in says {
        assert!(message(world, "Ready").contains(part), "{} lacks {part}", message(world, "Ready"));
    }
}

/// Regression test: if another container (`daprd`) came before `engine`, a wrong engine image was reported as "the
/// engine is opening its log" for ever.
#[test]
fn a_wrong_engine_image_is_said_whatever_containers_are_beside_it() {
    for sidecar in ["daprd", "zz-proxy", "engine-2", "Engine"] {
        let containers = [running(sidecar, true), waiting("engine", "ImagePullBackOff", 0)];
        let world = world(&[], &containers, false);
        check(&world, "False/ImagePullFailed", "True/ImagePullFailed", &["Correct spec.image"]);
    }
}

/// Regression test: a broken sidecar was reported with "Correct spec.image".
#[test]
fn a_broken_sidecar_is_said_as_one_with_its_name() {
    for sidecar in ["daprd", "zz-proxy"] {
        for (reason, says) in [
            ("ErrImagePull", "cannot pull its image (ErrImagePull)"),
            ("CreateContainerConfigError", "cannot be started (CreateContainerConfigError)"),
        ] {
            let world = world(&[], &[running("engine", true), waiting(sidecar, reason, 0)], false);
            let named = format!("container {sidecar}, which is not the engine's");
            check(&world, "False/SidecarFailed", "True/SidecarFailed", &[&named, says]);
            assert!(!message(&world, "Ready").contains("spec.image"));
        }
        let crashed = world(&[], &[running("engine", true), waiting(sidecar, "CrashLoopBackOff", 3)], false);
        let read = format!("kubectl logs --previous notes-0 -c {sidecar}");
        check(&crashed, "False/SidecarFailed", "True/SidecarFailed", &["ended 3 times", "code 3", &read]);
    }
    let both =
        world(&[], &[waiting("engine", "ErrImagePull", 0), waiting("daprd", "ErrImagePull", 0)], false);
    check(&both, "False/ImagePullFailed", "True/ImagePullFailed", &["Correct spec.image"]);
}

#[test]
fn a_sidecar_or_a_gate_that_is_not_ready_is_not_the_engine_opening_its_log() {
    let unready = world(&[], &[running("engine", true), running("daprd", false)], false);
    check(&unready, "False/SidecarNotReady", "False/NoObstacle", &["container daprd"]);
    let opening = world(&[], &[running("engine", false), running("daprd", false)], false);
    check(&opening, "False/EngineStarting", "False/NoObstacle", &["opening its log"]);
    let mut gated = world(&[], &[running("engine", true)], false);
    let status = json!({
        "podIP": "10.0.0.1", "containerStatuses": [running("engine", true)],
        "conditions": [
            {"type": "example.org/met", "status": "True"}, {"type": "Ready", "status": "False"},
            {"type": "example.org/registered", "status": "False"},
        ],
    });
    let gates = ["example.org/registered", "example.org/met", "example.org/never"]
        .map(|name| json!({"conditionType": name}));
    gated.writer_mut().pod = Some(pod(status, json!({"readinessGates": gates})));
    let says = "condition example.org/registered and condition example.org/never,";
    check(&gated, "False/SidecarNotReady", "False/NoObstacle", &[says]);
}

#[test]
fn an_init_container_of_somebody_else_is_said_with_its_name() {
    let engine = waiting("engine", "PodInitializing", 0);
    let done = json!({"name": "a-done", "ready": true, "state": {"terminated": {"exitCode": 0}}});
    let at_work = world(&[done.clone(), running("fetch", false)], std::slice::from_ref(&engine), false);
    check(&at_work, "False/SidecarNotReady", "False/NoObstacle", &["after container fetch,"]);
    let failing = world(&[done.clone(), waiting("istio-init", "CrashLoopBackOff", 4)], &[engine], false);
    check(&failing, "False/SidecarFailed", "True/SidecarFailed", &["container istio-init", "ended 4 times"]);
    // A native Kubernetes sidecar is an init container that keeps running.
    let proxy = running("istio-proxy", true);
    let served = world(&[done, proxy], &[running("engine", true)], true);
    check(&served, "True/Serving", "False/NoObstacle", &[]);
}

/// Ephemeral containers and earlier failed runs of a container do not make a pod unready.
#[test]
fn a_ready_pod_serves_whatever_its_containers_did() {
    let mut restarted = running("daprd", true);
    restarted["restartCount"] = json!(7);
    let mut world = world(&[], &[running("engine", true), restarted], true);
    check(&world, "True/Serving", "False/NoObstacle", &[]);
    let status = json!({
        "podIP": "10.0.0.1", "containerStatuses": [running("engine", true)],
        "ephemeralContainerStatuses": [waiting("debugger", "ErrImagePull", 0)],
        "conditions": [{"type": "Ready", "status": "True"}],
    });
    world.writer_mut().pod = Some(pod(status, json!({})));
    check(&world, "True/Serving", "False/NoObstacle", &[]);
}

fn without_pod(refusal: PodRefusal) -> Observed {
    let mut world = settled();
    world.writer_mut().pod = None;
    world.writer_mut().report = EngineReport::NotQueried;
    edit(&mut world, ChildKind::StatefulSet, "notes", "/status/readyReplicas", json!(0));
    let mut engine = world.engine.as_ref().clone();
    engine.status = Some(status_of(&world));
    world.engine = Arc::new(engine);
    world.now += SignedDuration::from_secs(20);
    world.writer_mut().pod_refusal = refusal;
    world
}

#[test]
fn a_quota_or_a_limit_range_that_refuses_the_pod_is_named() {
    let said = |message: &str, ranges: &[&str]| PodRefusal::Reported {
        message: message.to_owned(),
        limit_ranges: ranges.iter().map(|name| (*name).to_owned()).collect(),
    };
    let check = |refusal: PodRefusal, says: &[&str]| {
        check(&without_pod(refusal), "False/PodRefused", "True/PodRefused", says);
    };
    let quota = "create Pod notes-0 in StatefulSet notes failed error: pods \"notes-0\" is forbidden: exceeded quota: \
                 team-compute, requested: requests.cpu=50m, used: requests.cpu=2, limited: requests.cpu=2";
    check(said(quota, &[]), &["ResourceQuota team-compute", "spec.writer", "requested: requests.cpu=50m"]);
    let range =
        "pods \"notes-0\" is forbidden: maximum memory usage per Container is 128Mi, but limit is 512Mi";
    check(
        said(range, &["small"]),
        &["LimitRange small", "spec.writer.resources", "is 128Mi, but limit is 512Mi"],
    );
    check(said("something new", &[]), &["kubectl describe statefulset notes", "something new"]);
    check(PodRefusal::Unknown, &["kubectl describe statefulset notes"]);
}

fn shaped() -> MemoryEngineSpec {
    let word = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let service = ServiceMetadata {
        labels: word("team", "search"),
        annotations: word("example.org/expose", "internal"),
    };
    let mut spec = MemoryEngineSpec { service: Some(service), ..MemoryEngineSpec::default() };
    spec.writer.pod_labels = word("team", "search");
    spec.writer.pod_annotations = word("sidecar.istio.io/inject", "false");
    let selector = LabelSelector { match_labels: word("app", "assistant"), match_expressions: Vec::new() };
    spec.writer.affinity = Some(Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: vec![PodAffinityTerm {
                topology_key: "topology.kubernetes.io/zone".into(),
                label_selector: Some(selector),
                namespaces: vec!["team-b".into()],
                namespace_selector: None,
            }],
            ..PodAffinity::default()
        }),
        ..Affinity::default()
    });
    spec.writer.topology_spread_constraints = vec![TopologySpread {
        topology_key: "topology.kubernetes.io/zone".into(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        max_skew: 2,
        min_domains: Some(3),
        label_selector: None,
        node_affinity_policy: None,
        node_taints_policy: None,
    }];
    spec.writer.security_context = Some(PodSecurity {
        run_as_user: Some(1_000_650_000),
        supplemental_groups: vec![5000],
        ..PodSecurity::default()
    });
    spec
}

pub(crate) fn child(spec: MemoryEngineSpec, kind: ChildKind, name: &str) -> Value {
    let mut engine = engine();
    engine.spec = spec;
    let wanted = ChildKey { kind, name: name.into() };
    let all = CHILDREN.wanted(&valid(&observed(engine)));
    all.into_iter().find(|(key, _)| *key == wanted).expect("a child").1
}

#[test]
fn what_a_spec_says_of_its_pod_and_service_is_there() {
    let set = child(shaped(), ChildKind::StatefulSet, "notes");
    let template = &set["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], "search");
    assert_eq!(template["metadata"]["labels"]["memoryengine.io/engine"], "notes");
    assert_eq!(template["metadata"]["annotations"]["sidecar.istio.io/inject"], "false");
    let spec = &template["spec"];
    let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "topology.kubernetes.io/zone", "namespaces": ["team-b"],
        "labelSelector": {"matchLabels": {"app": "assistant"}},
    }]}});
    assert_eq!(spec["affinity"], affinity);
    let spread = json!([{
        "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2, "minDomains": 3,
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "memory-engine"}},
    }]);
    assert_eq!(spec["topologySpreadConstraints"], spread);
    let security = json!({
        "runAsNonRoot": true, "runAsUser": 1_000_650_000, "runAsGroup": 65532, "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch", "supplementalGroups": [5000],
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(spec["securityContext"], security);
    let service = child(shaped(), ChildKind::Service, "notes");
    assert_eq!(service["metadata"]["annotations"]["example.org/expose"], "internal");
    assert_eq!(service["metadata"]["labels"]["team"], "search");
    assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/managed-by"], "memory-operator");
    assert_eq!(service["spec"]["ipFamilyPolicy"], "PreferDualStack");
    let headless = child(shaped(), ChildKind::Service, "notes-headless");
    assert_eq!(headless["metadata"]["labels"].get("team"), None, "the Service that agents use, and no other");

    let mut engine = engine();
    engine.spec = shaped();
    let mut world = observed(engine);
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    assert_eq!(planned(&world), Plan::default());
}

/// The StatefulSet for an empty spec must not change by a single byte: otherwise, an upgrade of the operator would
/// restart every engine. Since the first release, only the two addresses that the engine listens on have changed.
#[test]
fn what_is_left_out_of_the_pod_changes_no_byte_of_it() {
    let set = child(MemoryEngineSpec::default(), ChildKind::StatefulSet, "notes");
    let text = serde_yaml::to_string(&set["spec"]).expect("YAML");
    assert_eq!(text, include_str!("stateful_set.yaml"));
    let service = Some(ServiceMetadata::default());
    let mut empty = MemoryEngineSpec { service, ..MemoryEngineSpec::default() };
    empty.writer.security_context = Some(PodSecurity::default());
    assert_eq!(child(empty, ChildKind::StatefulSet, "notes"), set, "a section without any field");
    assert_ne!(child(shaped(), ChildKind::StatefulSet, "notes")["spec"], set["spec"]);
}

#[test]
fn what_is_the_operators_cannot_be_set() {
    let reserved = [
        "memoryengine.io/engine",
        "x.memoryengine.io/y",
        "app.kubernetes.io/name",
        "app.kubernetes.io/part-of",
        "statefulset.kubernetes.io/pod-name",
        "kubectl.kubernetes.io/default-container",
    ];
    for key in reserved {
        let map = || BTreeMap::from([(key.to_owned(), "x".to_owned())]);
        let mut spec = MemoryEngineSpec::default();
        spec.writer.pod_labels = map();
        spec.writer.pod_annotations = map();
        spec.service = Some(ServiceMetadata { labels: map(), annotations: map() });
        let mut engine = engine();
        engine.spec = spec;
        let faults = validate(&engine, &settings()).expect_err("it is at fault");
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let fields = ["podLabels", "podAnnotations", "service.labels", "service.annotations"];
        assert_eq!(said.len(), fields.len(), "{said:#?}");
        assert!(said.iter().zip(fields).all(|(fault, field)| fault.contains(field) && fault.contains(key)));
    }
    for key in
        ["memoryengine.io.example.org/x", "notmemoryengine.io/x", "kubectl.kubernetes.io/restartedAt", "team"]
    {
        let mut engine = engine();
        engine.spec.writer.pod_annotations.insert(key.into(), "x".into());
        assert!(validate(&engine, &settings()).is_ok(), "{key}");
    }
}

#[test]
fn nobody_is_root() {
    let root: [fn(&mut PodSecurity); 5] = [
        |security| security.run_as_user = Some(0),
        |security| security.run_as_group = Some(0),
        |security| security.fs_group = Some(0),
        |security| security.supplemental_groups = vec![5, 0],
        |security| security.run_as_user = Some(-1),
    ];
    for change in root {
        let mut engine = engine();
        change(engine.spec.writer.security_context.get_or_insert_default());
        let faults = validate(&engine, &settings()).expect_err("it is root");
        assert!(faults[0].to_string().contains("0 is root"), "{faults:?}");
    }
}

fn static_volume(size: &str, capacity: &str) -> Observed {
    let mut world = settled();
    let mut engine = world.engine.as_ref().clone();
    engine.spec.writer.storage.class_name = Some(String::new());
    engine.spec.writer.storage.size = Quantity(size.into());
    world.engine = Arc::new(engine);
    let claim = ChildKind::PersistentVolumeClaim;
    edit(&mut world, claim, "notes-data", "/spec/storageClassName", json!(""));
    edit(&mut world, claim, "notes-data", "/status/capacity/storage", json!(capacity));
    world
}

/// Regression test: `className: ""` was refused, so that a volume created by hand could not be used.
#[test]
fn a_volume_without_a_class_is_asked_for_as_one() {
    let mut spec = MemoryEngineSpec::default();
    spec.writer.storage.class_name = Some(String::new());
    let mut engine = engine();
    engine.spec = spec;
    let world = observed(engine);
    let claim = operator_core::build::claim(&valid(&world), &Quantity("10Gi".into()), None);
    assert_eq!(claim.spec.expect("a spec").storage_class_name.as_deref(), Some(""));
    let world = static_volume("10Gi", "10Gi");
    assert_eq!(planned(&world), Plan::default());
    check(&world, "True/Serving", "False/NoObstacle", &[]);
    let mut waiting = static_volume("10Gi", "10Gi");
    let pending = json!({"phase": "Pending"});
    edit(&mut waiting, ChildKind::PersistentVolumeClaim, "notes-data", "/status", pending);
    assert_eq!(condition(&status_of(&waiting), "StorageReady"), "False/ClaimPending");
    let said = message(&waiting, "StorageReady");
    for part in ["PersistentVolume without a class", "at least 10Gi", "[ReadWriteOncePod]", "claimRef"] {
        assert!(said.contains(part), "{said} does not contain {part}");
    }
}

#[test]
fn a_volume_without_a_class_that_should_grow_is_said() {
    let world = static_volume("20Gi", "10Gi");
    let hold = ClaimHold::ExpansionUnsupported { class: String::new(), size: "10Gi".into() };
    assert_eq!(planned(&world).claim_hold, Some(hold));
    assert_eq!(writes(&planned(&world)), []);
    check(
        &world,
        "False/ExpansionUnsupported",
        "True/ExpansionUnsupported",
        &["no StorageClass", "back to 10Gi"],
    );
    // The volume is larger than the claim requests, so it already has the wanted capacity.
    let roomy = static_volume("20Gi", "50Gi");
    assert_eq!(planned(&roomy), Plan::default());
    check(&roomy, "True/Serving", "False/NoObstacle", &[]);
}

/// The API server removes empty texts. That they are missing must not count as drift.
#[test]
fn an_empty_key_or_value_of_a_toleration_is_none() {
    let mut spec = MemoryEngineSpec::default();
    spec.writer.tolerations = vec![crds::Toleration {
        key: Some(String::new()),
        operator: crds::TolerationOperator::Exists,
        value: Some(String::new()),
        ..crds::Toleration::default()
    }];
    let set = child(spec, ChildKind::StatefulSet, "notes");
    assert_eq!(set["spec"]["template"]["spec"]["tolerations"], json!([{"operator": "Exists"}]));
}
