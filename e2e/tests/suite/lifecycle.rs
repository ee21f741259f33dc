//! From apply to delete: the main use case.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::wait::{condition, until};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::world::{Kstatus, READY_LIMIT, SOON, World, in_namespace, kstatus, small};

/// One change of an engine, as a pipeline that waits sees it.
#[derive(Clone, Debug)]
struct Seen {
    generation: i64,
    kstatus: Kstatus,
    ready: Option<String>,
}

/// Watches an engine from before its creation, and records every state in which it was seen.
async fn watch(world: &World, name: &str) -> Result<(Arc<Mutex<Vec<Seen>>>, tokio::task::JoinHandle<()>)> {
    let engines = world.api::<MemoryEngine>();
    let params = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(200);
    let mut stream = engines.watch(&params, "0").await?.boxed();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let task = tokio::spawn(async move {
        while let Ok(Some(event)) = stream.try_next().await {
            if let WatchEvent::Added(engine) | WatchEvent::Modified(engine) = event {
                kept.lock().expect("nobody panics with it").push(Seen {
                    generation: engine.metadata.generation.unwrap_or_default(),
                    kstatus: kstatus(&engine),
                    ready: condition(&engine, "Ready").map(|ready| ready.status.clone()),
                });
            }
        }
    });
    Ok((seen, task))
}

/// A pipeline that waits by kstatus does not proceed before the operator has reconciled a new resource, or while an
/// edit is being rolled out.
#[tokio::test(flavor = "multi_thread")]
async fn kstatus_is_right_at_every_moment() {
    in_namespace("kstatus", async |world| {
        let (seen, watching) = watch(world, "notes").await?;
        world.engine("notes").await?;
        let first = seen.lock().expect("a list").clone();
        ensure!(
            first.first().is_some_and(|s| s.kstatus == Kstatus::InProgress),
            "at first: {:?}",
            first.first()
        );
        let uid = world.pod_uid("notes").await?;

        let mut spec = small();
        spec["writer"]["drainSeconds"] = json!(33);
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        // When kstatus reports completion, a pod of the new spec has already replaced the old pod.
        let pod = world.api::<Pod>().get("notes-0").await?;
        ensure!(pod.metadata.uid != uid, "the pod is the old one");
        let grace = pod.spec.and_then(|spec| spec.termination_grace_period_seconds);
        ensure!(grace == Some(43), "the grace period is {grace:?}");
        watching.abort();

        let seen = seen.lock().expect("a list").clone();
        for generation in [1, 2] {
            let states: Vec<&Seen> = seen.iter().filter(|state| state.generation == generation).collect();
            ensure!(states.len() >= 2, "generation {generation} was seen in {} states", states.len());
            ensure!(
                states[0].kstatus == Kstatus::InProgress,
                "generation {generation} began as {:?}",
                states[0]
            );
        }
        for state in &seen {
            let done = state.kstatus == Kstatus::Current;
            ensure!(
                !done || state.ready.as_deref() == Some("True"),
                "reported as done while not ready: {state:?}"
            );
            ensure!(state.kstatus != Kstatus::Failed, "reported as failed meanwhile: {state:?}");
        }
        Ok(())
    })
    .await;
}

/// Agents in other pods reach the engine by the name of its Service.
#[tokio::test(flavor = "multi_thread")]
async fn a_memory_saved_from_another_pod_is_found_through_the_service() {
    in_namespace("another-pod", async |world| {
        let ready = world.engine("notes").await?;
        let api =
            ready.status.and_then(|status| status.endpoints).context("the status names an endpoint")?.api;
        world.shell_pod("agent").await?;
        let save = format!(
            "curl -sS --max-time 5 -H 'Content-Type: application/json' {api}/v1/memories \
             -d '{{\"content\": \"the red kettle is in the attic\", \"project\": \"house\"}}'"
        );
        let saved: Value = serde_json::from_str(&world.shell("agent", "shell", &save).await?)?;
        let search = "curl -sS --max-time 5 'http://notes:8080/v1/search?q=kettle&project=house'";
        let found: Value = serde_json::from_str(&world.shell("agent", "shell", search).await?)?;
        ensure!(found["items"][0]["id"] == saved["id"], "saved {saved}, found {found}");
        ensure!(found["applied_seq"] == saved["seq"], "the answer does not reflect the write: {found}");
        Ok(())
    })
    .await;
}

/// Acknowledged memories are still there, in the same log, after the pod was killed without a grace period.
#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_memory_survives_the_pod() {
    in_namespace("pod-killed", async |world| {
        world.engine("notes").await?;
        let memories = world.memories("notes");
        let mut saved = Vec::new();
        for n in 0..50 {
            saved.push(memories.save(&format!("memory number {n}"), None).await?);
        }
        let before = memories.head().await?;
        let uid = world.pod_uid("notes").await?;
        world.api::<Pod>().delete("notes-0", &DeleteParams::default().grace_period(0)).await?;
        until("another pod serves", READY_LIMIT, async || {
            let other = world.pod_uid("notes").await?;
            Ok((other.is_some() && other != uid && memories.head().await.is_ok()).then_some(()))
        })
        .await?;
        let after = memories.head().await?;
        ensure!(
            (&before.log_id, before.seq, &before.hash) == (&after.log_id, after.seq, &after.hash),
            "{before:?} became {after:?}"
        );
        for (n, memory) in saved.iter().enumerate() {
            let found = memories.read(&memory.id).await?;
            ensure!(found.content == format!("memory number {n}") && found.hash == memory.hash, "{found:?}");
        }
        ensure!(
            memories.save("one more", None).await?.seq == before.seq + 1,
            "the sequence does not continue"
        );
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}

/// A spec that is edited in place is applied, and a child that is no longer wanted is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_spec_converges_and_what_is_not_wanted_goes() {
    in_namespace("edited", async |world| {
        world.engine("notes").await?;
        let policies = world.api::<NetworkPolicy>();
        ensure!(policies.get_opt("notes").await?.is_some(), "there is no NetworkPolicy");
        let uid = world.pod_uid("notes").await?;

        let mut spec = small();
        spec["exposure"] = json!({"networkPolicy": "Disabled"});
        world.apply("notes", spec.clone()).await?;
        until("the NetworkPolicy is pruned", SOON, async || {
            Ok(policies.get_opt("notes").await?.is_none().then_some(()))
        })
        .await?;
        world.ready("notes").await?;
        ensure!(world.pod_uid("notes").await? == uid, "the pod was replaced unnecessarily");

        spec["exposure"] = json!({"networkPolicy": "Managed"});
        spec["logging"] = json!({"level": "debug"});
        spec["writer"]["resources"] = json!({"limits": {"memory": "256Mi"}});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        ensure!(policies.get_opt("notes").await?.is_some(), "the NetworkPolicy is not back");
        let pod = world.api::<Pod>().get("notes-0").await?;
        let limit =
            serde_json::to_value(&pod)?.pointer("/spec/containers/0/resources/limits/memory").cloned();
        ensure!(limit == Some(json!("256Mi")), "the pod's memory limit is {limit:?}");
        ensure!(pod.metadata.uid != uid, "a new configuration did not cause a new pod");
        Ok(())
    })
    .await;
}

/// Deleting an engine deletes no memory; an engine of the same name adopts the volume.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_engine_leaves_its_volume_and_the_next_one_finds_the_memories() {
    in_namespace("kept", async |world| {
        world.engine("notes").await?;
        let saved = world.memories("notes").save("kept for later", None).await?;
        let claims = world.api::<PersistentVolumeClaim>();
        let claim = claims.get("notes-data").await?;
        ensure!(claim.metadata.owner_references.is_none(), "the claim would be collected with its owner");

        world.api::<MemoryEngine>().delete("notes", &DeleteParams::background()).await?;
        gone(&world.api::<StatefulSet>(), "notes").await?;
        gone(&world.api::<Service>(), "notes").await?;
        gone(&world.api::<Pod>(), "notes-0").await?;
        let kept = claims.get("notes-data").await?;
        ensure!(
            kept.metadata.uid == claim.metadata.uid && kept.metadata.deletion_timestamp.is_none(),
            "{kept:?}"
        );

        world.engine("notes").await?;
        let found = world.memories("notes").read(&saved.id).await?;
        ensure!(found.hash == saved.hash, "{found:?}");
        ensure!(claims.get("notes-data").await?.metadata.uid == claim.metadata.uid, "the claim was replaced");
        Ok(())
    })
    .await;
}

async fn gone<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    until(&format!("{name} is gone"), READY_LIMIT, async || {
        Ok(api.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}

/// A wrong image, then the right one: once the operator has observed the correction, kstatus no longer reports the
/// engine as failed, although the old pod still shows the failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_image_is_never_called_failed() {
    in_namespace("corrected", async |world| {
        let (seen, watching) = watch(world, "notes").await?;
        for _ in 0..3 {
            let mut wrong = small();
            wrong["image"] = json!("localhost/no-such-image:never");
            world.apply("notes", wrong).await?;
            world.condition("notes", "Stalled", "True", "ImagePullFailed").await?;
            let corrected = world.apply("notes", small()).await?.metadata.generation.unwrap_or_default();
            world.ready("notes").await?;
            let seen = seen.lock().expect("a list").clone();
            let states: Vec<&Seen> = seen.iter().filter(|state| state.generation == corrected).collect();
            ensure!(!states.is_empty(), "generation {corrected} was not seen");
            for state in states {
                ensure!(
                    state.kstatus != Kstatus::Failed,
                    "reported as failed after the correction: {state:?}"
                );
            }
        }
        watching.abort();
        Ok(())
    })
    .await;
}

/// A spec is edited many times: each edit is applied, and no conflict with another field manager is reported.
#[tokio::test(flavor = "multi_thread")]
async fn many_edits_of_the_spec_are_carried_out_at_once() {
    in_namespace("edits", async |world| {
        world.engine("notes").await?;
        let maps = world.api::<k8s_openapi::api::core::v1::ConfigMap>();
        for number in 0..12 {
            let level = ["debug", "info", "warn"][number % 3];
            let mut spec = small();
            spec["logging"] = json!({"level": level});
            world.apply("notes", spec).await?;
            until(&format!("edit {number} is applied"), std::time::Duration::from_secs(5), async || {
                let config = maps.get("notes-config").await?.data.unwrap_or_default();
                Ok(config.values().any(|text| text.contains(level)).then_some(()))
            })
            .await?;
            let engine = world.api::<MemoryEngine>().get("notes").await?;
            let stalled = condition(&engine, "Stalled").context("a condition")?;
            ensure!(stalled.status == "False", "edit {number}: {stalled:?}");
        }
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}
