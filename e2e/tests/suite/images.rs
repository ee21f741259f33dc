//! Images that do not run, and namespaces that are deleted.

use std::time::Duration;

use anyhow::{Result, ensure};
use crds::MemoryEngine;
use e2e::wait::until;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::world::{Kstatus, TOOLS_IMAGE, World, in_namespace, kstatus, small};

/// Longest wait until a namespace with a running engine is deleted: the engine drains first.
const END_LIMIT: Duration = Duration::from_secs(120);

fn with_image(image: &str) -> Value {
    let mut spec = small();
    spec["image"] = json!(image);
    spec
}

/// Waits until the conditions Stalled and Ready have `reason`. Checks that their messages contain `says` and that
/// kstatus reports a failure.
async fn stalls(world: &World, reason: &str, says: &str) -> Result<()> {
    let message = world.condition("notes", "Stalled", "True", reason).await?;
    ensure!(message.contains(says), "the message does not contain `{says}`: {message}");
    let message = world.condition("notes", "Ready", "False", reason).await?;
    ensure!(message.contains(says), "the message does not contain `{says}`: {message}");
    let engine = world.api::<MemoryEngine>().get("notes").await?;
    ensure!(kstatus(&engine) == Kstatus::Failed, "{:?}", kstatus(&engine));
    Ok(())
}

/// An image that cannot be pulled is reported. Once the image is corrected, the pod is replaced without manual action.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_is_said_and_corrected() {
    in_namespace("unpullable", async |world| {
        world.apply("notes", with_image("localhost/no-such-image:1")).await?;
        stalls(world, "ImagePullFailed", "localhost/no-such-image:1").await?;
        world.apply("notes", small()).await?;
        world.ready("notes").await?;
        world.memories("notes").save("the image is right now", None).await?;
        Ok(())
    })
    .await;
}

/// An upgrade to an image that exits at once is reported, and can be reverted; all memories are still there.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_ends_at_once_is_said_and_corrected() {
    in_namespace("crashing", async |world| {
        world.engine("notes").await?;
        let saved = world.memories("notes").save("older than the bad image", None).await?;
        world.apply("notes", with_image(TOOLS_IMAGE)).await?;
        stalls(world, "CrashLooping", "kubectl logs --previous notes-0").await?;
        world.apply("notes", small()).await?;
        world.ready("notes").await?;
        let after = world.memories("notes").read(&saved.id).await?;
        ensure!(after.hash == saved.hash, "the memory differs");
        Ok(())
    })
    .await;
}

/// A namespace is deleted with everything in it. No finalizer and no operator blocks the deletion, and nothing remains.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_a_running_engine_ends() {
    in_namespace("ends", async |world| {
        world.engine("notes").await?;
        world.memories("notes").save("goes with its namespace", None).await?;
        let claim = world.api::<PersistentVolumeClaim>().get("notes-data").await?;
        let volume = claim.spec.and_then(|spec| spec.volume_name).unwrap_or_default();
        ensure!(!volume.is_empty(), "the claim has no volume");
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let uid = namespaces.get(&world.namespace).await?.uid();
        namespaces.delete(&world.namespace, &DeleteParams::background()).await?;
        until("the namespace has ended", END_LIMIT, async || {
            let now = namespaces.get_opt(&world.namespace).await?;
            Ok(now.is_none_or(|now| now.uid() != uid).then_some(()))
        })
        .await?;
        // The storage class has the reclaim policy Delete: the volume is deleted with its claim.
        let volumes: Api<PersistentVolume> = Api::all(world.client.clone());
        until("the volume is gone", END_LIMIT, async || {
            Ok(volumes.get_opt(&volume).await?.is_none().then_some(()))
        })
        .await
    })
    .await;
}
