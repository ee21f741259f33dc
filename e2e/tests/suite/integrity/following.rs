//! The anchor is updated as the log grows, and outlives the resource.

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::wait::until;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::tampering::reads_only;
use super::{alarmed, anchored, anchored_often, claim_note, given, log_of, save};
use crate::world::{READY_LIMIT, SOON, World, in_namespace};

/// The anchor reaches the status, the claim, the ConfigMap and the engine within seconds and without a restart. A claim
/// that the operator creates is recorded as new.
#[tokio::test(flavor = "multi_thread")]
async fn the_anchor_follows_the_log() {
    in_namespace("anchor-follows", async |world| {
        world.apply("notes", anchored_often()).await?;
        world.ready("notes").await?;
        ensure!(
            claim_note(world, "notes").await? == json!({"state": "new"}),
            "the claim is not recorded as new"
        );
        ensure!(
            given(world, "notes").await? == json!({"state": "new"}),
            "the engine received another anchor"
        );
        let pod = world.pod_uid("notes").await?;
        save(world, "notes", "anchored", 3).await?;
        let first = anchored(world, "notes").await?;
        let head = world.memories("notes").head().await?;
        ensure!(first.origin == Some(format!("memory-engine/{}", head.log_id)), "{first:?}");
        ensure!(first.head_hash == head.hash && first.key.is_some() && first.root.is_some(), "{first:?}");
        save(world, "notes", "anchored later", 4).await?;
        let second = anchored(world, "notes").await?;
        ensure!(
            second.size > first.size && second.root != first.root && second.key == first.key,
            "{second:?}"
        );
        ensure!(world.pod_uid("notes").await? == pod, "an anchor restarted the engine");

        // A pod that restarts continues without manual action.
        world.api::<Pod>().delete("notes-0", &DeleteParams::default().grace_period(0)).await?;
        until("another pod serves", READY_LIMIT, async || {
            let now = world.pod_uid("notes").await?;
            let other = now.is_some() && now != pod;
            Ok((other && world.memories("notes").save("after the restart", None).await.is_ok()).then_some(()))
        })
        .await?;
        ensure!(anchored(world, "notes").await?.size > second.size, "the anchor no longer follows the log");
        Ok(())
    })
    .await;
}

async fn delete_engine(world: &World) -> Result<()> {
    world.api::<MemoryEngine>().delete("notes", &DeleteParams::background()).await?;
    until("the engine is deleted", READY_LIMIT, async || {
        let engine = world.api::<MemoryEngine>().get_opt("notes").await?;
        let pod = world.api::<Pod>().get_opt("notes-0").await?;
        Ok((engine.is_none() && pod.is_none()).then_some(()))
    })
    .await
}

/// An engine that is recreated over a kept volume adopts the volume if the claim has a record of the log. Over a volume
/// without a record the engine is refused, until a user accepts the volume's contents.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_volume_is_adopted_or_refused_and_never_reset() {
    in_namespace("adopted", async |world| {
        world.apply("notes", anchored_often()).await?;
        world.ready("notes").await?;
        let saved = save(world, "notes", "kept", 3).await?;
        let before = anchored(world, "notes").await?;
        delete_engine(world).await?;
        ensure!(
            claim_note(world, "notes").await?["size"].as_i64() == before.size,
            "the claim lost its record"
        );

        world.apply("notes", anchored_often()).await?;
        let engine = world.ready("notes").await?;
        let log = log_of(&engine).context("a log")?;
        ensure!((&log.origin, &log.key) == (&before.origin, &before.key), "{log:?}");
        let after = anchored(world, "notes").await?;
        ensure!(after.size >= before.size, "{after:?}");
        world.memories("notes").read(&saved[0]).await?;
        delete_engine(world).await?;
        nothing_is_known(world, &saved[1]).await
    })
    .await;
}

async fn nothing_is_known(world: &World, saved: &String) -> Result<()> {
    let forget = json!({"metadata": {"annotations": {"memoryengine.io/anchor": null}}});
    let claims = world.api::<PersistentVolumeClaim>();
    claims.patch("notes-data", &PatchParams::default(), &Patch::Merge(&forget)).await?;
    world.apply("notes", anchored_often()).await?;
    let message = alarmed(world, "notes", "AnchorMissing").await?;
    ensure!(
        given(world, "notes").await? == json!({"state": "missing"}),
        "the engine received another anchor"
    );
    ensure!(claim_note(world, "notes").await.is_err(), "the claim has a record");
    reads_only(world, Some(saved)).await?;

    let health = crate::storage::health(world, "notes").await?;
    let head = health.log.checkpoint.context("a checkpoint")?;
    ensure!(message.contains(&head.root), "the message does not name the root {}: {message}", head.root);
    let mut spec = anchored_often();
    spec["integrity"]["acceptRollback"] =
        json!({"size": head.size, "root": head.root, "reason": "it is the right volume"});
    world.apply("notes", spec).await?;
    world.condition("notes", "LogIntegrity", "True", "Anchored").await?;
    until("writes go on", SOON, async || {
        Ok(world.memories("notes").save("accepted", None).await.ok().map(|_| ()))
    })
    .await?;
    anchored(world, "notes").await.map(|_| ())
}
