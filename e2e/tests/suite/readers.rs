//! Readers: they follow the log, answer reads while the writer is away, forward writes, and scale.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::deploy::kubectl;
use e2e::wait::until;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::tls::allow;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

/// The Service and the StatefulSet of the readers.
const READERS: &str = "notes-readers";
/// The pod with the client.
const CLIENT: &str = "client";

fn with_two_readers() -> Value {
    let mut spec = small();
    spec["tls"] = json!({});
    spec["readers"] = json!({"replicas": 2});
    spec
}

/// Sends a request to a Service, and returns the status and the body.
async fn ask(world: &World, service: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
    let body =
        body.map(|body| format!("-H 'content-type: application/json' -d '{body}'")).unwrap_or_default();
    let ask = format!(
        "curl -sSk --max-time 10 -w '\\n%{{http_code}}' {body} 'https://{service}:8080{path}' 2>&1 || true"
    );
    let said = world.shell(CLIENT, "shell", &ask).await?;
    let (body, status) = said.trim_end().rsplit_once('\n').with_context(|| format!("no status: {said}"))?;
    Ok((status.parse().unwrap_or_default(), serde_json::from_str(body).unwrap_or_else(|_| json!(body))))
}

/// Saves a memory, and returns the number of its event.
async fn save(world: &World, service: &str, text: &str) -> Result<u64> {
    let (status, saved) = ask(world, service, "/v1/memories", Some(json!({"content": text}))).await?;
    ensure!(status == 201, "{service} answered {status}: {saved}");
    saved["seq"].as_u64().with_context(|| format!("no number: {saved}"))
}

/// Searches, with everything up to an event; returns the texts.
async fn search(world: &World, service: &str, words: &str, seq: u64) -> Result<String> {
    let path = format!("/v1/search?q={words}&min_seq={seq}");
    let (status, found) = ask(world, service, &path, None).await?;
    ensure!(status == 200, "{service} answered {status}: {found}");
    Ok(found.to_string())
}

async fn scale(world: &World, replicas: i32) -> Result<()> {
    let to = format!("--replicas={replicas}");
    kubectl(&world.cluster, &["-n", &world.namespace, "scale", "memoryengine/notes", &to]).await?;
    if replicas == 0 {
        return world.condition("notes", "ReadersReady", "True", "NoReaders").await.map(|_| ());
    }
    world
        .until_engine("notes", "the number of readers", READY_LIMIT, |engine| {
            let readers = engine.status.as_ref().and_then(|status| status.readers.as_ref());
            readers.is_some_and(|there| (there.replicas, there.ready_replicas) == (replicas, replicas))
        })
        .await
        .map(|_| ())
}

/// A memory is found by a reader as soon as it is asked for by its number, and what a reader is given to save is saved
/// by the writer.
async fn reads_and_writes(world: &World) -> Result<()> {
    let seq = save(world, "notes", "the kettle is blue").await?;
    ensure!(search(world, READERS, "kettle", seq).await?.contains("the kettle is blue"), "not found");
    let seq = save(world, READERS, "the teapot is green").await?;
    for service in [READERS, "notes"] {
        ensure!(search(world, service, "teapot", seq).await?.contains("the teapot is green"), "{service}");
    }
    Ok(())
}

/// The pod of the writer is replaced, and every read meanwhile is answered.
async fn reads_without_the_writer(world: &World) -> Result<()> {
    let before = world.pod_uid("notes").await?;
    world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
    let (mut reads, mut longest) = (0, Duration::ZERO);
    let begun = Instant::now();
    while begun.elapsed() < READY_LIMIT {
        let asked = Instant::now();
        ensure!(search(world, READERS, "kettle", 0).await?.contains("the kettle is blue"), "not found");
        (reads, longest) = (reads + 1, longest.max(asked.elapsed()));
        let now = world.pod_uid("notes").await?;
        let is_back =
            world.api::<Pod>().get_opt("notes-0").await?.and_then(|pod| pod.status).is_some_and(|it| {
                it.conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
            });
        if now.is_some() && now != before && is_back {
            break;
        }
    }
    println!("{reads} reads while the writer was replaced in {:?}, longest {longest:?}", begun.elapsed());
    ensure!(reads > 1 && world.pod_uid("notes").await? != before, "the writer was not replaced");
    world.ready("notes").await.map(|_| ())
}

/// An autoscaler can read and change the number. Without metrics it decides nothing.
async fn autoscaler(world: &World) -> Result<()> {
    let autoscaler: HorizontalPodAutoscaler = serde_json::from_value(json!({
        "metadata": {"name": "notes"},
        "spec": {
            "minReplicas": 1, "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine", "name": "notes"},
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
            }}],
        },
    }))?;
    world.api::<HorizontalPodAutoscaler>().create(&PostParams::default(), &autoscaler).await?;
    until("the autoscaler reads the number of readers", READY_LIMIT, async || {
        let status = world.api::<HorizontalPodAutoscaler>().get("notes").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let is_able = conditions.iter().any(|one| one.type_ == "AbleToScale" && one.status == "True");
        Ok((is_able && status.current_replicas == Some(2)).then_some(()))
    })
    .await?;
    world.api::<HorizontalPodAutoscaler>().delete("notes", &DeleteParams::default()).await?;
    Ok(())
}

/// The whole life of readers, with TLS.
#[tokio::test(flavor = "multi_thread")]
async fn readers_follow_answer_without_the_writer_and_scale() {
    in_namespace("tls-readers", async |world| {
        allow(world).await?;
        world.apply("notes", with_two_readers()).await?;
        world.ready("notes").await?;
        world.shell_pod(CLIENT).await?;
        world.condition("notes", "ReadersReady", "True", "ReadersServing").await?;
        reads_and_writes(world).await?;
        reads_without_the_writer(world).await?;
        autoscaler(world).await?;
        scale(world, 1).await?;
        reads_and_writes(world).await?;
        scale(world, 0).await?;
        until("nothing is left of the readers", SOON + READY_LIMIT, async || {
            let claims = world.api::<PersistentVolumeClaim>().list(&Default::default()).await?.items;
            let left = [
                world.api::<StatefulSet>().get_opt(READERS).await?.is_some(),
                world.api::<Service>().get_opt(READERS).await?.is_some(),
                world.api::<NetworkPolicy>().get_opt(READERS).await?.is_some(),
                claims.len() > 1,
            ];
            Ok((!left.contains(&true)).then_some(()))
        })
        .await?;
        let engine = world.api::<MemoryEngine>().get("notes").await?;
        ensure!(engine.status.is_some_and(|status| status.readers.is_none()), "the status has no readers");
        Ok(())
    })
    .await;
}
