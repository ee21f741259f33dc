//! Manual changes to a volume: its engine is stopped, a pod with a shell mounts the volume, and the engine is started
//! again.

use std::time::Instant;

use anyhow::{Context as _, Result};
use e2e::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;

use super::anchored_often;
use crate::world::{READY_LIMIT, World};

const SURGEON: &str = "surgeon";

/// Keeps an engine from running: sets a spec that no node matches.
pub(super) async fn hold(world: &World, name: &str) -> Result<()> {
    let mut spec = anchored_often();
    spec["writer"]["nodeSelector"] = json!({"no-such": "node"});
    world.apply(name, spec).await?;
    until("the engine's pod is deleted", READY_LIMIT, async || {
        let pod = world.api::<Pod>().get_opt(&format!("{name}-0")).await?;
        Ok(pod.is_none_or(|pod| node_of(&pod).is_none()).then_some(()))
    })
    .await
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Runs shell commands in a pod that mounts the volumes of stopped engines. Stops at the first command that fails.
pub(super) async fn operate(world: &World, claims: &[&str], commands: &str) -> Result<String> {
    world.restricted_pod(SURGEON, json!(["sleep", "600"]), json!(claims)).await?;
    let said = world.shell(SURGEON, "shell", &format!("set -e; {commands}")).await;
    let pods = world.api::<Pod>();
    pods.delete(SURGEON, &DeleteParams::default().grace_period(0)).await?;
    until("the surgery pod is deleted", READY_LIMIT, async || {
        Ok(pods.get_opt(SURGEON).await?.is_none().then_some(()))
    })
    .await?;
    said
}

/// Lets an engine run again.
pub(super) async fn release(world: &World, name: &str) -> Result<()> {
    world.apply(name, anchored_often()).await.map(|_| ())
}

/// Waits until the engine's process runs; returns the time at which it was seen.
pub(super) async fn running_since(world: &World, name: &str) -> Result<Instant> {
    until("the engine's process runs", READY_LIMIT, async || {
        let Some(pod) = world.api::<Pod>().get_opt(&format!("{name}-0")).await? else { return Ok(None) };
        let containers = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
        let running = containers.unwrap_or_default().iter().any(|container| {
            container.name == "engine" && container.state.as_ref().is_some_and(|s| s.running.is_some())
        });
        let wanted = pod.spec.as_ref().is_some_and(|spec| spec.node_selector.is_none());
        Ok((running && wanted && pod.metadata.deletion_timestamp.is_none()).then(Instant::now))
    })
    .await
    .context(name.to_owned())
}
