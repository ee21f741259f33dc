//! Integrity of the log: anchors outside the volume, and the conditions raised when the log does not match them.

mod following;
mod rules;
mod surgery;
mod tampering;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{LogStatus, MemoryEngine};
use e2e::wait::condition;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use serde_json::{Value, json};

use crate::world::{SOON, World};

/// A spec with a small volume and a log that is anchored every second.
fn anchored_often() -> Value {
    json!({"writer": {"storage": {"size": "64Mi"}}, "integrity": {"anchorIntervalSeconds": 1}})
}

fn log_of(engine: &MemoryEngine) -> Option<&LogStatus> {
    engine.status.as_ref()?.log.as_ref()
}

/// Waits until the whole log is anchored in the status, the claim, the ConfigMap and the engine; returns the log's
/// status.
async fn anchored(world: &World, name: &str) -> Result<LogStatus> {
    let head = i64::try_from(world.memories(name).head().await?.seq)?;
    let engine = world
        .until_engine(name, &format!("{head} events are anchored"), SOON, |engine| {
            log_of(engine).is_some_and(|log| log.size.is_some_and(|size| size >= head))
                && condition(engine, "LogIntegrity").is_some_and(|c| c.status == "True")
        })
        .await?;
    let log = log_of(&engine).cloned().context("a log")?;
    e2e::wait::until("claim, ConfigMap and engine have the anchor", SOON, async || {
        let known = [
            claim_note(world, name).await?["size"].as_i64(),
            given(world, name).await?["anchor"]["size"].as_i64(),
            crate::storage::health(world, name)
                .await?
                .log
                .integrity
                .anchor
                .and_then(|anchor| i64::try_from(anchor.size).ok()),
        ];
        Ok(known.iter().all(|size| *size >= log.size).then_some(()))
    })
    .await?;
    Ok(log)
}

/// Returns the record of the log on the claim.
async fn claim_note(world: &World, name: &str) -> Result<Value> {
    let claim = world.api::<PersistentVolumeClaim>().get(&format!("{name}-data")).await?;
    let annotations = claim.metadata.annotations.unwrap_or_default();
    let text = annotations.get("memoryengine.io/anchor").context("the claim has no annotation")?;
    Ok(serde_json::from_str(text)?)
}

/// Returns the anchor that the engine receives when it starts.
async fn given(world: &World, name: &str) -> Result<Value> {
    let map = world.api::<ConfigMap>().get(&format!("{name}-anchor")).await?;
    let data = map.data.unwrap_or_default();
    Ok(serde_json::from_str(data.get("anchor.json").context("the ConfigMap has no anchor")?)?)
}

/// Saves memories; returns their ids.
async fn save(world: &World, name: &str, what: &str, count: usize) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(world.memories(name).save(&format!("{what} {number}"), None).await?.id);
    }
    Ok(ids)
}

/// Longest time until a tampered log is reported, counted from when its engine is back.
const ALARM_LIMIT: Duration = Duration::from_secs(10);

/// Waits until the condition `LogIntegrity` has this reason, and checks the time since the start of the engine's
/// process. Returns the condition's message.
async fn alarmed(world: &World, name: &str, reason: &str) -> Result<String> {
    let pod = surgery::running_since(world, name).await?;
    let message = world.condition(name, "LogIntegrity", "False", reason).await?;
    let took = pod.elapsed();
    println!("{reason}: reported {took:.1?} after the engine was back");
    ensure!(took < ALARM_LIMIT, "{reason} was reported {took:?} after the engine was back");
    world.condition(name, "Ready", "False", reason).await?;
    world.condition(name, "Stalled", "True", reason).await?;
    Ok(message)
}
