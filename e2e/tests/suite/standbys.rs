//! The standby: a pod that restores the archive all the time.

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, StandbyStatus};
use e2e::archived::ArchiveStore;
use e2e::wait::until;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;

use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

const MEMORIES: usize = 20;
const STANDBY: &str = "notes-standby";

/// The standby in the status of the engine, once it satisfies the predicate.
async fn standby(world: &World, what: &str, is_wanted: fn(&StandbyStatus) -> bool) -> Result<StandbyStatus> {
    let of = |engine: &MemoryEngine| engine.status.clone()?.backup?.standby;
    let is_there = |engine: &MemoryEngine| of(engine).as_ref().is_some_and(is_wanted);
    of(&world.until_engine("notes", what, READY_LIMIT, is_there).await?).context("a standby")
}

/// Ends the pod of the standby, and its disk with it.
async fn begin_anew(world: &World) -> Result<()> {
    let pods = world.api::<Pod>();
    let name = format!("{STANDBY}-0");
    let before = pods.get(&name).await?.metadata.uid;
    pods.delete(&name, &DeleteParams::default()).await?;
    until("another pod of the standby", READY_LIMIT, async || {
        let pod = pods.get_opt(&name).await?;
        Ok(pod.is_some_and(|pod| pod.metadata.uid != before).then_some(()))
    })
    .await
}

/// It restores what was archived and has the root of the engine. A new pod begins anew, and names an object that was
/// damaged meanwhile; the engine serves on.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_restores_the_archive_and_names_what_is_damaged() {
    in_namespace("tls-standby", async |world| {
        let store = ArchiveStore::made(&world.cluster, "standby").await?;
        store.give(&world.cluster, &world.namespace).await?;
        let mut spec = small();
        spec["backup"] = store.backup(1);
        spec["backup"]["standby"] = json!({"maxAgeSeconds": 60});
        world.apply("notes", spec.clone()).await?;
        world.ready("notes").await?;
        for number in 0..MEMORIES {
            world.memories("notes").save(&format!("memory number {number}"), None).await?;
        }
        world.condition("notes", "StandbyVerified", "True", "StandbyRestores").await?;
        let all = |standby: &StandbyStatus| {
            usize::try_from(standby.size).is_ok_and(|size| size >= MEMORIES)
                && standby.rebuild_millis.is_some()
        };
        let first = standby(world, "the standby has every memory", all).await?;
        println!("{first:?}");

        let objects = store.objects.objects(&store.bucket).await?;
        let piece = objects.iter().find(|object| object.name.contains("/tails/")).context("a piece")?;
        store.objects.flip_byte(&store.bucket, &piece.name).await?;
        begin_anew(world).await?;
        let message = world.condition("notes", "StandbyVerified", "False", "StandbyDamaged").await?;
        println!("{message}");
        let short = piece.name.rsplit('/').next().unwrap_or_default();
        ensure!(message.contains(short), "{message} does not name {short}");
        world.memories("notes").save("the engine serves on", None).await?;

        spec["backup"].as_object_mut().context("a section")?.remove("standby");
        world.apply("notes", spec).await?;
        world.condition("notes", "StandbyVerified", "True", "NoStandby").await?;
        until("nothing is left of the standby", SOON, async || {
            Ok(world.api::<StatefulSet>().get_opt(STANDBY).await?.is_none().then_some(()))
        })
        .await
    })
    .await;
}
