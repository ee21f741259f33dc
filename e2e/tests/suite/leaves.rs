//! Gives every field invalid values. The API server or the operator refuses each of them with a message. No value is
//! accepted and then refused by Kubernetes when the operator creates objects from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::deploy;
use e2e::paths::checkout_dir;
use e2e::wait::{condition, until};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::input::checked;
use crate::world::{World, in_namespace};

/// Number of engines whose objects are created at the same time.
const BATCH: usize = 12;
/// Longest wait for the operator's first reconcile of a batch.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// Minimum number of kinds of bad values for each field.
const KINDS_MIN: usize = 5;

/// A leaf field of the sample: its JSON pointer and its schema.
struct Leaf<'a> {
    pointer: String,
    schema: &'a Value,
}

/// Adds the leaf fields below `value` to `found`, each schema path once. A map with arbitrary keys counts as a leaf.
fn leaves<'a>(
    pointer: &str,
    path: &str,
    value: &Value,
    schema: &'a Value,
    found: &mut BTreeMap<String, Leaf<'a>>,
) {
    match value {
        Value::Object(map) if schema.get("properties").is_some() => {
            for (name, child) in map {
                let schema = &schema["properties"][name];
                leaves(&format!("{pointer}/{name}"), &format!("{path}.{name}"), child, schema, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(&format!("{pointer}/{index}"), &format!("{path}[]"), item, &schema["items"], found);
            }
        }
        _ => {
            let leaf = || Leaf { pointer: pointer.to_owned(), schema };
            found.entry(path.to_owned()).or_insert_with(leaf);
        }
    }
}

/// Adds the lists below `value` to `found`, each path once.
fn lists(pointer: &str, path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    let entries: Vec<(String, String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, child)| (format!("{pointer}/{name}"), format!("{path}.{name}"), child))
            .collect(),
        Value::Array(items) => {
            found.entry(path.to_owned()).or_insert_with(|| pointer.to_owned());
            items
                .iter()
                .enumerate()
                .map(|(index, child)| (format!("{pointer}/{index}"), format!("{path}[]"), child))
                .collect()
        }
        _ => Vec::new(),
    };
    for (pointer, path, child) in entries {
        lists(&pointer, &path, child, found);
    }
}

fn bad_texts(schema: &Value) -> Vec<Value> {
    let longest = usize::try_from(schema["maxLength"].as_u64().unwrap_or(64)).unwrap_or(64);
    vec![
        json!(7),
        json!({"a": "b"}),
        json!("x".repeat(longest + 1)),
        json!("two words"),
        json!("line\nline"),
        json!("$(id)`id`"),
        json!("-starts-and-ends-"),
        json!("a..b"),
        json!("a//b/c"),
        json!("Übergröße"),
        json!("../../etc/passwd"),
        json!(" "),
        json!(""),
    ]
}

fn bad_numbers(schema: &Value) -> Vec<Value> {
    let bound = |name: &str| schema[name].as_f64().map(|bound| bound as i64);
    let mut values = vec![json!("seven"), json!(1.5), json!([1]), json!("1"), json!(-1)];
    values.extend(bound("minimum").map(|least| json!(least - 1)));
    values.extend(bound("maximum").map(|most| json!(most + 1)));
    values
}

fn bad_quantities() -> Vec<Value> {
    ["abc", "-1Gi", "1e3", "1 Gi", "999999999999999Pi", "", "1Xi", ".5"]
        .map(|text| json!(text))
        .into_iter()
        .chain([json!(true), json!(-1), json!([1])])
        .collect()
}

fn bad_maps() -> Vec<Value> {
    let long = "k".repeat(64);
    let prefix = format!("{}/k", "p".repeat(254));
    let keys = [
        "two words",
        "",
        "-k",
        "a/b/c",
        "k.",
        "Ü",
        "UPPER/k",
        "a..b/k",
        "memoryengine.io/",
        long.as_str(),
        prefix.as_str(),
    ];
    let mut values: Vec<Value> = keys.iter().map(|key| json!({*key: "x"})).collect();
    values.extend([json!({"a": 7}), json!(["a"]), json!("a=b"), json!({"a": "x".repeat(5000)})]);
    values.push(json!((0..25).map(|n| (format!("k{n}"), "x")).collect::<BTreeMap<_, _>>()));
    values
}

fn bad_values(schema: &Value) -> Vec<Value> {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return bad_quantities();
    }
    match schema["type"].as_str() {
        Some("string") => bad_texts(schema),
        Some("integer" | "number") => bad_numbers(schema),
        Some("boolean") => vec![json!("yes"), json!(1), json!([]), json!({}), json!("true"), json!(0.5)],
        _ => bad_maps(),
    }
}

/// Keys that are reserved for the operator, in the maps that are merged into objects.
fn reserved() -> Vec<(&'static str, Value)> {
    let maps = ["/writer/podLabels", "/writer/podAnnotations", "/service/labels", "/service/annotations"];
    let keys = [
        "memoryengine.io/engine",
        "x.memoryengine.io/y",
        "app.kubernetes.io/name",
        "app.kubernetes.io/managed-by",
    ];
    let mut all: Vec<_> =
        maps.into_iter().flat_map(|map| keys.map(|key| (map, json!({key: "another"})))).collect();
    for key in [
        "container.apparmor.security.beta.kubernetes.io/engine",
        "kubectl.kubernetes.io/default-container",
        "controller.kubernetes.io/pod-deletion-cost",
        "scheduler.alpha.kubernetes.io/tolerations",
        "kubernetes.io/config.mirror",
    ] {
        all.push(("/writer/podAnnotations", json!({key: "another"})));
    }
    all.push((
        "/service/annotations",
        json!({"service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8"}),
    ));
    all
}

/// Combinations of fields that are invalid: fields that exclude each other, or a field without another that it needs.
fn relations() -> Vec<(&'static str, Value)> {
    let node =
        |operator: &str, values: &[&str]| json!([{"key": "a", "operator": operator, "values": values}]);
    let terms =
        "/writer/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let with = |expressions: Value| json!([{"matchExpressions": expressions}]);
    let spread = |when: &str, domains: Value| json!({"topologyKey": "zone", "whenUnsatisfiable": when, "maxSkew": 1, "minDomains": domains});
    let twice = spread("DoNotSchedule", json!(1));
    vec![
        ("/writer/tolerations", json!([{"operator": "Exists", "value": "x"}])),
        ("/writer/tolerations", json!([{"operator": "Equal", "value": "x"}])),
        ("/writer/tolerations", json!([{"key": "", "operator": "Equal"}])),
        ("/writer/tolerations", json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 1}])),
        (
            "/writer/tolerations",
            json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 1, "effect": "NoSchedule"}]),
        ),
        (terms, json!([])),
        (terms, json!([{}])),
        (terms, with(node("In", &[]))),
        (terms, with(node("Exists", &["x"]))),
        (terms, with(node("Gt", &["1", "2"]))),
        (terms, with(node("Lt", &["many"]))),
        (
            "/writer/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution",
            json!([{"topologyKey": "a", "labelSelector": {"matchExpressions": node("Gt", &["1"])}}]),
        ),
        (
            "/writer/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution",
            json!([{"topologyKey": "a", "labelSelector": {"matchExpressions": node("In", &[])}}]),
        ),
        ("/writer/topologySpreadConstraints", json!([spread("ScheduleAnyway", json!(2))])),
        ("/writer/topologySpreadConstraints", json!([twice.clone(), twice])),
        ("/writer/securityContext/seccompProfile", json!({"type": "Localhost"})),
        (
            "/writer/securityContext/seccompProfile",
            json!({"type": "RuntimeDefault", "localhostProfile": "a"}),
        ),
        ("/writer/securityContext/seccompProfile", json!({"type": "Unconfined"})),
        ("/writer/securityContext/seLinuxOptions", json!({"user": "root"})),
        ("/writer/securityContext", json!({"privileged": true})),
        ("/writer/securityContext", json!({"runAsNonRoot": false})),
        ("/imagePullSecrets", json!([{"name": "twice"}, {"name": "twice"}])),
    ]
}

fn sample() -> Result<Value> {
    let text = std::fs::read_to_string(checkout_dir().join("config/samples/production.yaml"))?;
    Ok(serde_yaml::from_str::<Value>(&text)?["spec"].clone())
}

fn put(spec: &Value, pointer: &str, value: Value) -> Result<Value> {
    let mut spec = spec.clone();
    *spec.pointer_mut(pointer).with_context(|| format!("the sample has no {pointer}"))? = value;
    Ok(spec)
}

/// Returns all bad specs, each with a description of its fault.
fn bad_specs(spec: &Value) -> Result<Vec<(String, Value)>> {
    let definition = crds::memory_engine_crd();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let (mut found, mut all) = (BTreeMap::new(), Vec::new());
    leaves("", "spec", spec, schema, &mut found);
    ensure!(found.len() > 80, "only {} leaves", found.len());
    for (path, leaf) in &found {
        let values = bad_values(leaf.schema);
        ensure!(values.len() >= KINDS_MIN, "{path}: {} kinds", values.len());
        for value in values {
            let shown = value.to_string();
            let shown: String = shown.chars().take(60).collect();
            all.push((format!("{path} = {shown}"), put(spec, &leaf.pointer, value)?));
        }
    }
    let mut arrays = BTreeMap::new();
    lists("", "spec", spec, &mut arrays);
    for (path, pointer) in arrays {
        let item = spec.pointer(&format!("{pointer}/0")).cloned().unwrap_or_default();
        for (what, value) in [
            ("1000 items", json!(vec![item.clone(); 1000])),
            ("the same twice", json!([item.clone(), item])),
            ("a text", json!("a,b")),
            ("null in it", json!([null])),
            ("a list in it", json!([["a"]])),
        ] {
            all.push((format!("{path} = {what}"), put(spec, &pointer, value)?));
        }
    }
    for (pointer, value) in reserved().into_iter().chain(relations()) {
        all.push((format!("{pointer} = {value}"), put(spec, pointer, value)?));
    }
    Ok(all)
}

/// If Kubernetes refuses a value in the operator's objects, the API server refuses it in the MemoryEngine: no accepted
/// spec ends in `ApplyRefused`.
#[tokio::test(flavor = "multi_thread")]
async fn no_bad_value_is_taken_and_then_refused_by_kubernetes() {
    in_namespace("leaves", async |world| {
        // The quota permits no pods, so the operator's objects are created and no pod starts.
        let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: no-pods, namespace: t-leaves}\nspec: {hard: {pods: 0}}\n";
        deploy::apply(&world.cluster, quota).await?;
        let spec = sample()?;
        checked(world, "notes", &json!({"spec": spec})).await.context("the sample itself")?;
        let bad = bad_specs(&spec)?;
        let tried = bad.len();
        let (mut taken, mut faults) = (vec![("the sample".to_owned(), spec)], Vec::new());
        for (what, spec) in bad {
            if checked(world, "notes", &json!({"spec": spec})).await.is_ok() {
                taken.push((what, spec));
            }
        }
        for (number, batch) in taken.chunks(BATCH).enumerate() {
            faults.extend(refused_later(world, number * BATCH, batch).await?);
        }
        for (what, _) in &taken {
            println!("accepted: {what}");
        }
        println!("bad values {tried}, refused at once {}, refused later {}", tried + 1 - taken.len(), faults.len());
        ensure!(faults.is_empty(), "accepted and later refused:\n{}", faults.join("\n"));
        let must = must_be_refused(&taken);
        ensure!(must.is_empty(), "accepted although invalid:\n{}", must.join("\n"));
        Ok(())
    })
    .await;
}

/// Returns which of the accepted specs have bad relations or reserved keys. Such specs must be refused, even if no
/// later failure follows.
fn must_be_refused(taken: &[(String, Value)]) -> Vec<String> {
    let never: BTreeSet<String> = reserved()
        .into_iter()
        .chain(relations())
        .map(|(pointer, value)| format!("{pointer} = {value}"))
        .collect();
    taken.iter().map(|(what, _)| what.clone()).filter(|what| never.contains(what)).collect()
}

/// Creates engines with the specs of `batch`, and returns the specs that Kubernetes refused later. The engines are
/// numbered from `first`, so that each has its own name: claims are kept.
async fn refused_later(world: &World, first: usize, batch: &[(String, Value)]) -> Result<Vec<String>> {
    let engines = world.api::<MemoryEngine>();
    let names: Vec<String> = (first..first + batch.len()).map(|number| format!("e{number}")).collect();
    for (name, (what, spec)) in names.iter().zip(batch) {
        let engine: MemoryEngine = serde_json::from_value(json!({
            "apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine",
            "metadata": {"name": name}, "spec": spec,
        }))
        .with_context(|| format!("{what}: the operator cannot read it"))?;
        engines.create(&PostParams::default(), &engine).await.with_context(|| what.clone())?;
    }
    let mut faults = Vec::new();
    for (name, (what, _)) in names.iter().zip(batch) {
        let looked = until(&format!("{what}: the operator has reconciled it"), LOOK_LIMIT, async || {
            let engine = engines.get(name).await?;
            let seen = engine.status.as_ref().and_then(|status| status.observed_generation);
            Ok((seen == engine.metadata.generation).then_some(engine))
        })
        .await?;
        let stalled = condition(&looked, "Stalled").context("a condition")?;
        if stalled.reason == "ApplyRefused" {
            faults.push(format!("{what}: {}", stalled.message));
        }
    }
    for name in &names {
        engines.delete(name, &DeleteParams::default()).await?;
    }
    until("the engines of this batch are gone", LOOK_LIMIT, async || {
        Ok(engines.list(&Default::default()).await?.items.is_empty().then_some(()))
    })
    .await?;
    Ok(faults)
}
