//! Engines that are suspended, fenced, hibernate, are updated or deleted, on the cluster.

use anyhow::{Context as _, Result, ensure};
use crds::{FenceStatus, MemoryEngine, Phase};
use e2e::deploy::kubectl;
use e2e::wait::until;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

fn with(field: &str, value: Value) -> Value {
    let mut spec = small();
    spec[field] = value;
    spec
}

async fn annotate(world: &World, annotations: Value) -> Result<()> {
    let patch = json!({"metadata": {"annotations": annotations}});
    world.api::<MemoryEngine>().patch("notes", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

async fn pod_is_gone(world: &World) -> Result<()> {
    let pods = world.api::<Pod>();
    until("the pod is gone", READY_LIMIT, async || Ok(pods.get_opt("notes-0").await?.is_none().then_some(())))
        .await
}

/// Nothing is changed while an engine is suspended, and everything afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_engine_waits_with_its_changes() {
    in_namespace("suspended", async |world| {
        world.engine("notes").await?;
        let uid = world.pod_uid("notes").await?;
        let mut spec = with("suspend", json!(true));
        spec["writer"]["drainSeconds"] = json!(33);
        world.apply("notes", spec.clone()).await?;
        world.condition("notes", "Suspended", "True", "SuspendedBySpec").await?;
        world.condition("notes", "Stalled", "True", "ChangeSuspended").await?;
        let services = world.api::<Service>();
        services.delete("notes", &DeleteParams::default()).await?;
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        ensure!(services.get_opt("notes").await?.is_none(), "the Service was made again");
        ensure!(world.pod_uid("notes").await? == uid, "the pod was replaced");
        spec["suspend"] = json!(false);
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        ensure!(services.get_opt("notes").await?.is_some(), "the Service is missing");
        ensure!(world.pod_uid("notes").await? != uid, "the change was not carried out");
        Ok(())
    })
    .await;
}

/// Writes stop at the recorded event, reads go on, and nothing restarts.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_stops_writes_and_records_where() {
    in_namespace("fenced", async |world| {
        world.engine("notes").await?;
        let uid = world.pod_uid("notes").await?;
        let memories = world.memories("notes");
        let saved = memories.save("before the fence", None).await?;
        world.apply("notes", with("fence", json!({"reason": "an audit", "by": "operations"}))).await?;
        world.condition("notes", "Fenced", "True", "WritesFenced").await?;
        let evidence = evidence(&world.api::<MemoryEngine>().get("notes").await?)?;
        ensure!(evidence.head_seq >= i64::try_from(saved.seq)?, "{evidence:?}");
        ensure!(evidence.root.is_some() && evidence.key.is_some(), "{evidence:?}");
        ensure!(memories.save("after the fence", None).await.is_err(), "a write was accepted");
        ensure!(memories.read(&saved.id).await?.hash == saved.hash, "reads go on");
        world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
        until("another pod serves", READY_LIMIT, async || {
            let other = world.pod_uid("notes").await?;
            Ok((other.is_some() && other != uid && memories.read(&saved.id).await.is_ok()).then_some(()))
        })
        .await?;
        ensure!(memories.save("after a restart", None).await.is_err(), "a restart lifted the fence");
        world.apply("notes", small()).await?;
        world.condition("notes", "Fenced", "False", "FenceLifted").await?;
        until("writes are accepted", SOON, async || {
            Ok(memories.save("after the fence", None).await.is_ok().then_some(()))
        })
        .await?;
        Ok(())
    })
    .await;
}

fn evidence(engine: &MemoryEngine) -> Result<FenceStatus> {
    engine.status.as_ref().and_then(|status| status.fence.clone()).context("evidence")
}

/// The pod goes, everything else stays, and the engine wakes with every memory.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_hibernates_and_wakes() {
    in_namespace("hibernates", async |world| {
        world.engine("notes").await?;
        let saved = world.memories("notes").save("before the sleep", None).await?;
        let claim = world.api::<PersistentVolumeClaim>().get("notes-data").await?.metadata.uid;
        world.apply("notes", with("hibernate", json!(true))).await?;
        let asleep = world
            .until_engine("notes", "it hibernates", READY_LIMIT, |engine| {
                engine.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Hibernated))
            })
            .await?;
        let status = asleep.status.context("a status")?;
        ensure!(status.hibernation.is_some_and(|sleep| sleep.skipped.is_none()), "a step was skipped");
        let log = status.log.context("a log")?;
        ensure!(log.size >= Some(i64::try_from(saved.seq)?), "the last anchor is missing: {log:?}");
        ensure!(world.api::<Pod>().get_opt("notes-0").await?.is_none(), "there is a pod");
        ensure!(world.api::<Service>().get_opt("notes").await?.is_some(), "the Service is gone");
        // A missing pod becomes an alarm after 20 seconds.
        tokio::time::sleep(std::time::Duration::from_secs(25)).await;
        world.condition("notes", "Stalled", "False", "NoObstacle").await?;
        world.apply("notes", with("hibernate", json!(false))).await?;
        world.ready("notes").await?;
        ensure!(world.memories("notes").read(&saved.id).await?.hash == saved.hash, "the memory is another");
        world.memories("notes").save("after the sleep", None).await?;
        let kept = world.api::<PersistentVolumeClaim>().get("notes-data").await?.metadata.uid;
        ensure!(kept == claim, "the claim was replaced");
        Ok(())
    })
    .await;
}

/// The template of another operator: what differs waits for the approval that names it.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_the_operator_waits_for_its_approval() {
    in_namespace("approval", async |world| {
        world.engine("notes").await?;
        let sets = world.api::<StatefulSet>();
        // Another version of the operator would have left another template, and said so.
        let set = sets.get("notes").await?;
        let text = set.metadata.annotations.unwrap_or_default().remove("memoryengine.io/rendered");
        let mut rendered: Value = serde_json::from_str(&text.context("an annotation")?)?;
        rendered["template"]["spec"]["terminationGracePeriodSeconds"] = json!(31);
        let patch = json!({
            "metadata": {"annotations": {"memoryengine.io/rendered": rendered.to_string()}},
            "spec": {"template": {"spec": {"terminationGracePeriodSeconds": 31}}},
        });
        sets.patch("notes", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        world.condition("notes", "UpdatePending", "True", "UpdateAwaitsApproval").await?;
        let waiting = world.ready("notes").await?;
        let uid = world.pod_uid("notes").await?;
        tokio::time::sleep(std::time::Duration::from_secs(15)).await;
        ensure!(world.pod_uid("notes").await? == uid, "it was restarted without an approval");
        let pending = waiting.status.and_then(|status| status.update?.pending).context("an update")?;
        ensure!(pending.changes.iter().any(|one| one.contains("31 → ")), "{:?}", pending.changes);
        annotate(world, json!({"memoryengine.io/approve-update": pending.hash})).await?;
        world.condition("notes", "UpdatePending", "False", "UpdateApplied").await?;
        world.ready("notes").await?;
        ensure!(world.pod_uid("notes").await? != uid, "the update was not applied");
        Ok(())
    })
    .await;
}

/// A deleted engine leaves its claim and a tombstone, and the sample of a policy protects another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_engine_leaves_a_tombstone_and_a_policy_protects_engines() {
    in_namespace("tombstone", async |world| {
        world.engine("notes").await?;
        world.memories("notes").save("kept", None).await?;
        world
            .until_engine("notes", "it is anchored", READY_LIMIT, |engine| {
                engine.status.as_ref().and_then(|status| status.log.as_ref()?.size).is_some()
            })
            .await?;
        annotate(world, json!({"memoryengine.io/deletion-reason": "moved to team b"})).await?;
        let sample = protect(world).await?;
        let engines = world.api::<MemoryEngine>();
        until("the policy refuses", SOON, async || {
            let refused = engines.delete("notes", &DeleteParams::background().dry_run()).await;
            Ok(refused.is_err_and(|error| error.to_string().contains("protected")).then_some(()))
        })
        .await?;
        annotate(world, json!({"memoryengine.io/allow-deletion": "notes"})).await?;
        engines.delete("notes", &DeleteParams::background()).await?;
        pod_is_gone(world).await?;
        let maps = world.api::<ConfigMap>();
        let stone = until("there is a tombstone", SOON, async || {
            maps.get_opt("notes-tombstone").await.map_err(Into::into)
        })
        .await?
        .data
        .unwrap_or_default();
        ensure!(stone.get("reason").is_some_and(|why| why == "moved to team b"), "{stone:?}");
        ensure!(stone.get("root").is_some_and(|root| root.len() == 64), "{stone:?}");
        ensure!(stone.get("claim").is_some_and(|claim| claim == "notes-data"), "{stone:?}");
        kubectl(&world.cluster, &["delete", "-f", &sample]).await?;
        Ok(())
    })
    .await;
}

/// Applies the sample for this namespace only, so that other tests can delete their engines. Returns the file.
async fn protect(world: &World) -> Result<String> {
    let sample =
        std::fs::read_to_string(e2e::paths::checkout_dir().join("config/samples/deletion-guard.yaml"))?;
    let here = format!(
        "  validationActions: [Deny]\n  matchResources:\n    namespaceSelector:\n      matchLabels:\n        \
         kubernetes.io/metadata.name: {}\n",
        world.namespace
    );
    let sample = sample.replace("  validationActions: [Deny]\n", &here);
    ensure!(sample.contains("namespaceSelector"), "the binding was not narrowed");
    let file = std::env::temp_dir().join(format!("deletion-guard-{}.yaml", world.namespace));
    std::fs::write(&file, sample)?;
    let file = file.to_string_lossy().into_owned();
    kubectl(&world.cluster, &["apply", "-f", &file]).await?;
    Ok(file)
}
