//! Bad input ends in a refusal or in a condition with instructions, never in a crash or a hot loop.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, MemoryEngineSpec};
use e2e::cluster;
use e2e::wait::condition;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::audit::OPERATOR;
use crate::world::{READY_LIMIT, World, in_namespace, refusal, small};

/// How long an engine that cannot start is watched for writes of the operator.
const WATCHED: Duration = Duration::from_secs(20);
/// Maximum number of writes for three stuck engines in that time: the kubelet occasionally changes its messages.
const WRITES_WATCHED_MAX: usize = 9;
/// Maximum number of writes for four engines from their first reconcile until that time begins: eight objects each,
/// with statuses and events.
const WRITES_MAX: usize = 120;

/// Sends a complete manifest like `kubectl create`, with strict field validation. Dry run: nothing is created.
pub(crate) async fn checked(world: &World, name: &str, object: &Value) -> Result<MemoryEngine> {
    let manifest = manifest(name, object)?;
    let path = format!("/apis/memoryengine.io/v1alpha1/namespaces/{}/memoryengines", world.namespace);
    let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(&manifest)?)?;
    Ok(world.client.request(request).await?)
}

fn manifest(name: &str, object: &Value) -> Result<Value> {
    let mut manifest = json!({
        "apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine", "metadata": {"name": name},
    });
    for (key, value) in object.as_object().context("an object")? {
        manifest[key] = value.clone();
    }
    Ok(manifest)
}

/// Sends a changed manifest like a pipeline that validates before it applies.
async fn changed(world: &World, name: &str, object: &Value) -> Result<MemoryEngine> {
    let params = PatchParams::apply("pipeline").dry_run();
    let manifest = Patch::Apply(manifest(name, object)?);
    Ok(world.api::<MemoryEngine>().patch(name, &params, &manifest).await?)
}

fn storage(storage: &Value) -> Value {
    json!({"spec": {"writer": {"storage": storage}}})
}

fn resources(requests: &Value, limits: &Value) -> Value {
    json!({"spec": {"writer": {"resources": {"requests": requests, "limits": limits}}}})
}

fn integrity(integrity: &Value) -> Value {
    json!({"spec": {"integrity": integrity}})
}

fn accepting(size: i64, root: &str, reason: &str) -> Value {
    json!({"acceptRollback": {"size": size, "root": root, "reason": reason}})
}

fn tolerations(count: usize) -> Value {
    json!({"spec": {"writer": {"tolerations": vec![json!({"key": "gpu", "operator": "Exists"}); count]}}})
}

/// Manifests that the API server refuses, each with a part of the message.
fn refused() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"spec": {"wrtier": {}}}), "unknown field \"spec.wrtier\""),
        (storage(&json!({"sise": "1Gi"})), "unknown field \"spec.writer.storage.sise\""),
        (storage(&json!({"size": "1Mi"})), "size must be between 32Mi and 64Ti"),
        (storage(&json!({"size": "65Ti"})), "size must be between 32Mi and 64Ti"),
        (storage(&json!({"size": 0})), "size must be between 32Mi and 64Ti"),
        (storage(&json!({"size": "abc"})), "spec.writer.storage.size"),
        (storage(&json!({"size": "-1Gi"})), "spec.writer.storage.size"),
        (storage(&json!({"size": "1e3"})), "spec.writer.storage.size"),
        (storage(&json!({"className": "Fast_SSD"})), "spec.writer.storage.className"),
        (storage(&json!({"className": "fast..ssd"})), "spec.writer.storage.className"),
        (json!({"spec": {"imagePullSecrets": [{"name": "My Secret"}]}}), "spec.imagePullSecrets[0].name"),
        (json!({"spec": {"writer": {"priorityClassName": "Gold!"}}}), "spec.writer.priorityClassName"),
        (json!({"spec": {"writer": {"tolerations": [{"key": "a b"}]}}}), "spec.writer.tolerations[0].key"),
        (
            json!({"spec": {"writer": {"tolerations": [{"key": "a", "value": "b c"}]}}}),
            "spec.writer.tolerations[0].value",
        ),
        (json!({"spec": {"writer": {"tolerations": [{"value": "x"}]}}}), "a toleration needs a key"),
        (json!({"spec": {"writer": {"nodeSelector": {"a b": "c"}}}}), "a key is a name of letters"),
        (json!({"spec": {"writer": {"podLabels": {"app.kubernetes.io/name": "x"}}}}), "are reserved"),
        (
            json!({"spec": {"writer": {"securityContext": {"runAsUser": 0}}}}),
            "spec.writer.securityContext.runAsUser",
        ),
        (resources(&json!({}), &json!({"cpu": "999999999999999P"})), "cpu must be at most 1k"),
        (storage(&json!({"accessMode": "ReadWriteMany"})), "\"ReadWriteOncePod\", \"ReadWriteOnce\""),
        (resources(&json!({"memory": "2Gi"}), &json!({"memory": "1Gi"})), "requests.memory must not exceed"),
        (resources(&json!({"cpu": "2"}), &json!({"cpu": "1"})), "requests.cpu must not exceed limits.cpu"),
        (resources(&json!({}), &json!({"memory": "1Mi"})), "limits.memory must be at least 32Mi"),
        (resources(&json!({}), &json!({"cpu": "1m"})), "limits.cpu must be at least 10m"),
        (json!({"spec": {"writer": {"drainSeconds": 0}}}), "spec.writer.drainSeconds"),
        (json!({"spec": {"writer": {"drainSeconds": 301}}}), "spec.writer.drainSeconds"),
        (json!({"spec": {"writer": {"drainSeconds": "20"}}}), "spec.writer.drainSeconds"),
        (json!({"spec": {"writer": {"stopDelaySeconds": -1}}}), "spec.writer.stopDelaySeconds"),
        (json!({"spec": {"writer": {"stopDelaySeconds": 121}}}), "spec.writer.stopDelaySeconds"),
        (json!({"spec": {"image": ""}}), "spec.image"),
        (json!({"spec": {"image": "an image"}}), "spec.image"),
        (json!({"spec": {"image": "x".repeat(513)}}), "spec.image"),
        (json!({"spec": {"image": "$(reboot)"}}), "spec.image"),
        (json!({"spec": {"imagePullPolicy": "Sometimes"}}), "\"Always\", \"IfNotPresent\", \"Never\""),
        (tolerations(17), "spec.writer.tolerations"),
        (json!({"spec": {"writer": {"nodeSelector": {"a": "b".repeat(64)}}}}), "spec.writer.nodeSelector"),
        (json!({"spec": {"exposure": {"networkPolicy": "Off"}}}), "\"Managed\", \"Disabled\""),
        (json!({"spec": {"logging": {"level": "loud"}}}), "spec.logging.level"),
        (integrity(&json!({"anchorIntervalSeconds": 0})), "spec.integrity.anchorIntervalSeconds"),
        (integrity(&json!({"anchorIntervalSeconds": 3601})), "spec.integrity.anchorIntervalSeconds"),
        (integrity(&json!({"verifyIntervalSeconds": 59})), "spec.integrity.verifyIntervalSeconds"),
        (integrity(&accepting(-1, &"a".repeat(64), "why")), "spec.integrity.acceptRollback.size"),
        (integrity(&accepting(1, &"A".repeat(64), "why")), "spec.integrity.acceptRollback.root"),
        (integrity(&accepting(1, &"a".repeat(63), "why")), "spec.integrity.acceptRollback.root"),
        (integrity(&accepting(1, &"a".repeat(64), "")), "spec.integrity.acceptRollback.reason"),
        (integrity(&accepting(1, &"a".repeat(64), &"x".repeat(513))), "spec.integrity.acceptRollback.reason"),
        (integrity(&json!({"acceptRollback": {"size": 1}})), "spec.integrity.acceptRollback"),
        (
            json!({"spec": {"rotation": {"maxSegmentSize": "1023Ki"}}}),
            "maxSegmentSize must be between 1Mi and 1Gi",
        ),
        (
            json!({"spec": {"rotation": {"maxSegmentSize": "2Gi"}}}),
            "maxSegmentSize must be between 1Mi and 1Gi",
        ),
        (json!({"spec": {"rotation": {"maxSegmentAgeSeconds": 59}}}), "spec.rotation.maxSegmentAgeSeconds"),
        (json!({"spec": []}), "spec"),
    ]
}

/// The same fields with valid values: this shows that the cases above are refused for the value, not for the field.
fn accepted() -> Vec<Value> {
    vec![
        json!({"spec": {}}),
        storage(&json!({"size": "32Mi"})),
        storage(&json!({"size": "64Ti"})),
        storage(&json!({"size": 1_073_741_824})),
        storage(&json!({"size": "1.5Gi", "className": "fast-ssd", "accessMode": "ReadWriteOnce"})),
        storage(&json!({"className": ""})),
        resources(&json!({"cpu": "1", "memory": "1Gi"}), &json!({"cpu": 1, "memory": "1Gi"})),
        resources(&json!({}), &json!({"memory": "32Mi"})),
        json!({"spec": {"writer": {"drainSeconds": 300}}}),
        json!({"spec": {"image": "registry.example:5000/team/memory-engine:0.1.0@sha256:00"}}),
        json!({"spec": {"imagePullPolicy": "Always", "exposure": {"networkPolicy": "Disabled"}}}),
        json!({"spec": {"logging": {"level": "debug"}, "writer": {"nodeSelector": {"disktype": "ssd"}}}}),
        tolerations(16),
        integrity(&json!({"anchorIntervalSeconds": 3600, "verifyIntervalSeconds": 60})),
        integrity(&accepting(0, &"0".repeat(64), "the volume was lost")),
        json!({"spec": {"rotation": {"maxSegmentSize": "1Gi", "maxSegmentAgeSeconds": 60}}}),
    ]
}

/// The API server refuses what the schema can detect, with a message that names the field or the remedy.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_manifest_is_refused_with_what_to_do() {
    in_namespace("refused", async |world| {
        for manifest in accepted() {
            let shown = manifest.to_string();
            checked(world, "notes", &manifest).await.with_context(|| format!("a control: {shown}"))?;
        }
        for (manifest, says) in refused() {
            let shown = manifest.to_string();
            let message = refusal(checked(world, "notes", &manifest).await).with_context(|| shown.clone())?;
            ensure!(message.contains(says), "{shown}: the refusal does not contain `{says}`: {message}");
        }
        Ok(())
    })
    .await;
}

/// Names that are invalid for Services or labels are refused before anything is created.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_is_refused() {
    in_namespace("names", async |world| {
        let longest = "n".repeat(40);
        for name in ["n", "notes-2", longest.as_str()] {
            create(world, name).await.with_context(|| format!("a control: {name}"))?;
        }
        for name in ["n".repeat(41).as_str(), "a.b", "1notes", "n".repeat(254).as_str()] {
            let message = refusal(create(world, name).await).with_context(|| name.to_owned())?;
            ensure!(message.contains("metadata.name"), "{name}: {message}");
        }
        for name in
            ["Notes", "nötes", "-notes", "notes-", "no tes", "notes\n", "../notes", "%2e%2e", "$(id)", ""]
        {
            let message = refusal(create(world, name).await).with_context(|| name.to_owned())?;
            ensure!(message.contains("name"), "{name}: {message}");
        }
        Ok(())
    })
    .await;
}

async fn create(world: &World, name: &str) -> Result<MemoryEngine> {
    let engine = MemoryEngine::new(name, MemoryEngineSpec::default());
    let params = PostParams { dry_run: true, ..Default::default() };
    Ok(world.api::<MemoryEngine>().create(&params, &engine).await?)
}

/// Changes that a volume cannot make are refused on the request, not discovered later.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_volume_cannot_make_is_refused() {
    in_namespace("changes", async |world| {
        world.engine("notes").await?;
        let changes = [
            (json!({"size": "63Mi"}), "size cannot shrink"),
            (json!({"size": "64Mi", "className": "another"}), "className cannot change"),
            (json!({"size": "64Mi", "accessMode": "ReadWriteOnce"}), "accessMode cannot change"),
        ];
        for (change, says) in changes {
            let shown = change.to_string();
            let message = refusal(changed(world, "notes", &storage(&change)).await)?;
            ensure!(message.contains(says), "{shown}: the refusal does not contain `{says}`: {message}");
        }
        changed(world, "notes", &storage(&json!({"size": "65Mi"}))).await.context("a control")?;
        Ok(())
    })
    .await;
}

/// Every default comes from the schema, where `kubectl explain` shows it. A new engine does not count as reconciled.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_filled_in_by_the_api_server() {
    in_namespace("defaults", async |world| {
        let engine = json!(checked(world, "notes", &json!({"spec": {}})).await?);
        let wanted = json!({
            "imagePullPolicy": "IfNotPresent",
            "deploymentMode": "Development",
            "mode": "ReadWrite",
            "deletionPolicy": "Retain",
            "suspend": false,
            "hibernate": false,
            "writer": {
                "storage": {"size": "10Gi", "accessMode": "ReadWriteOncePod"},
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                "drainSeconds": 20,
            },
            "readers": {"replicas": 0},
            "exposure": {"networkPolicy": "Managed"},
            "logging": {"level": "info"},
            "integrity": {"anchorIntervalSeconds": 10, "verifyIntervalSeconds": 86400},
            "rotation": {"maxSegmentSize": "64Mi", "maxSegmentAgeSeconds": 86400},
        });
        ensure!(engine["spec"] == wanted, "{}", engine["spec"]);
        ensure!(engine["status"]["observedGeneration"] == -1, "{}", engine["status"]);

        // The API server ignores a status in the created object.
        let brought =
            json!({"spec": {}, "status": {"observedGeneration": 1, "phase": "Running", "version": "9"}});
        let engine = json!(checked(world, "notes", &brought).await?);
        ensure!(engine["status"]["observedGeneration"] == -1, "{}", engine["status"]);
        ensure!(engine["status"].get("phase").is_none(), "{}", engine["status"]);
        Ok(())
    })
    .await;
}

/// Specs that are wrong only because of what the cluster contains. Each with a name, `spec.writer`, `spec.image`, and
/// the reason of the resulting condition with a part of its message.
fn hostile() -> [(&'static str, Value, &'static str, &'static str, &'static str); 3] {
    [
        ("priority", json!({"priorityClassName": "no-such-class"}), "", "PodRefused", "PriorityClass"),
        ("nowhere", json!({"nodeSelector": {"no-such": "node"}}), "", "Unschedulable", "spec.writer"),
        ("image", json!({}), "localhost/..//a:b:c@d", "ImagePullFailed", "Correct spec.image"),
    ]
}

fn hostile_spec(writer: &Value, image: &str) -> Value {
    let mut spec = small();
    for (key, value) in writer.as_object().into_iter().flatten() {
        spec["writer"][key] = value.clone();
    }
    if !image.is_empty() {
        spec["image"] = image.into();
    }
    spec
}

/// Faults that only the cluster can reveal become a condition that says what to do. The operator then waits without
/// writes, serves the other engines, and continues once the spec is corrected.
#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_cannot_work_is_said_once_and_waited_for() {
    in_namespace("cannot-work", async |world| {
        let earlier = operator_writes(world)?;
        for (name, writer, image, ..) in hostile() {
            world.apply(name, hostile_spec(&writer, image)).await?;
        }
        world.engine("healthy").await?;
        for (name, _, _, reason, says) in hostile() {
            let message = world.condition(name, "Ready", "False", reason).await?;
            ensure!(message.contains(says), "{name}: the message does not contain `{says}`: {message}");
        }
        silence(world, earlier).await?;
        world.memories("healthy").save("the others do not matter here", None).await?;
        for (name, ..) in hostile() {
            world.apply(name, small()).await?;
        }
        for (name, ..) in hostile() {
            let engine =
                world.until_engine(name, "it is Ready", READY_LIMIT, crate::world::is_current).await?;
            let stalled = condition(&engine, "Stalled").context("a condition")?;
            ensure!(stalled.status == "False", "{name}: {stalled:?}");
        }
        Ok(())
    })
    .await;
}

/// Checks how many writes the operator has made since the count was `earlier`, and how many it makes while nothing
/// changes. `earlier` excludes the writes of earlier test runs.
async fn silence(world: &World, earlier: Option<usize>) -> Result<()> {
    let (Some(earlier), Some(before)) = (earlier, operator_writes(world)?) else {
        println!("not counted: another cluster's audit log cannot be read");
        return Ok(());
    };
    tokio::time::sleep(WATCHED).await;
    let after = operator_writes(world)?.context("the audit log is missing")?;
    let (made, watched) = (before - earlier, after - before);
    println!("writes: {made} to create four engines, {watched} in {WATCHED:?} of waiting");
    ensure!((1..=WRITES_MAX).contains(&made), "{made} writes to create four engines");
    ensure!(watched <= WRITES_WATCHED_MAX, "{watched} writes in {WATCHED:?}");
    Ok(())
}

/// Returns the number of the operator's write requests in this namespace, with any result; `None` without an audit log.
fn operator_writes(world: &World) -> Result<Option<usize>> {
    if !world.cluster.is_local() {
        return Ok(None);
    }
    let namespace = world.namespace.as_str();
    let log = std::fs::read_to_string(cluster::audit_log_path()?)?;
    let ours = log.lines().filter(|line| line.contains(OPERATOR) && line.contains(namespace));
    let events = ours.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_write = |event: &Value| {
        event["user"]["username"] == OPERATOR
            && event["objectRef"]["namespace"] == namespace
            && event["stage"] == "ResponseComplete"
            && !matches!(event["verb"].as_str(), Some("get" | "list" | "watch"))
    };
    Ok(Some(events.filter(is_write).count()))
}
