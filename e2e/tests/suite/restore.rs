//! Restored objects: the claim on its kept volume, and every child from a saved manifest.

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::wait::{condition, until};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::repair::{CHILDREN, api};
use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

/// Returns the claim in the three forms in which it is restored: as written by hand, as saved in a backup, and as
/// recreated by Velero.
fn ways(saved: &Value, volume: &str) -> Vec<(&'static str, Value)> {
    let by_hand = json!({
        "metadata": {"name": "notes-data"},
        "spec": {
            "accessModes": saved["spec"]["accessModes"], "storageClassName": saved["spec"]["storageClassName"],
            "volumeName": volume, "resources": {"requests": {"storage": "64Mi"}},
        },
    });
    let manifest = json!({
        "metadata": {
            "name": "notes-data", "labels": saved["metadata"]["labels"],
            "annotations": {"memoryengine.io/anchor": saved["metadata"]["annotations"]["memoryengine.io/anchor"]},
        },
        "spec": saved["spec"],
    });
    let mut velero = manifest.clone();
    velero["metadata"]["labels"]["velero.io/backup-name"] = json!("nightly");
    velero["metadata"]["labels"]["velero.io/restore-name"] = json!("nightly-1");
    vec![("by hand", by_hand), ("from a manifest", manifest), ("by Velero", velero)]
}

/// An engine's claim is deleted, its volume is kept, and the claim is recreated on it. The engine continues with every
/// memory, and no condition tells the user to delete anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_brought_back_on_its_kept_volume_is_taken_over() {
    in_namespace("claim-back", async |world| {
        world.engine("notes").await?;
        let first = world.memories("notes").save("older than the claim", None).await?;
        let claims = world.api::<PersistentVolumeClaim>();
        let saved = serde_json::to_value(claims.get("notes-data").await?)?;
        let volume = saved["spec"]["volumeName"].as_str().context("a bound claim")?.to_owned();
        for (way, claim) in ways(&saved, &volume) {
            let last = world.memories("notes").save(&format!("before it comes back {way}"), None).await?;
            lose_claim(world, &volume, i64::try_from(last.seq)?).await.with_context(|| way.to_owned())?;
            claims.create(&PostParams::default(), &serde_json::from_value(claim)?).await?;
            taken_over(world, way).await.with_context(|| way.to_owned())?;
            for memory in [&first.id, &last.id] {
                world.memories("notes").read(memory).await.with_context(|| way.to_owned())?;
            }
        }
        let free = json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}});
        volumes(world).patch(&volume, &PatchParams::default(), &Patch::Merge(&free)).await?;
        Ok(())
    })
    .await;
}

fn volumes(world: &World) -> Api<PersistentVolume> {
    Api::all(world.client.clone())
}

async fn lose_claim(world: &World, volume: &str, head: i64) -> Result<()> {
    world
        .until_engine("notes", "its head is reported", SOON, |engine| {
            let log = engine.status.as_ref().and_then(|status| status.log.as_ref());
            log.is_some_and(|log| log.head_seq >= head && log.size >= Some(head))
        })
        .await?;
    let keep = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    volumes(world).patch(volume, &PatchParams::default(), &Patch::Merge(&keep)).await?;
    world.api::<PersistentVolumeClaim>().delete("notes-data", &DeleteParams::default()).await?;
    world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
    let message = world.condition("notes", "Stalled", "True", "VolumeLost").await?;
    ensure!(!message.to_lowercase().contains("delete"), "{message}");
    // The first step of a restore: clear the reference to the deleted claim on the volume.
    let forget = json!({"spec": {"claimRef": {"uid": null, "resourceVersion": null}}});
    volumes(world).patch(volume, &PatchParams::default(), &Patch::Merge(&forget)).await?;
    Ok(())
}

/// Waits until the engine is ready. Meanwhile no condition may report one of the engine's own objects as an object of
/// others.
async fn serves_again(world: &World, way: &str) -> Result<MemoryEngine> {
    until(&format!("{way}: it serves again"), READY_LIMIT, async || {
        let engine = world.api::<MemoryEngine>().get("notes").await?;
        if let Some(stalled) = condition(&engine, "Stalled").filter(|c| c.reason == "NameConflict") {
            return Ok(Some(Err(anyhow::anyhow!("{way}: reported as foreign: {}", stalled.message))));
        }
        Ok(crate::world::is_current(&engine).then_some(Ok(engine)))
    })
    .await?
}

async fn taken_over(world: &World, way: &str) -> Result<()> {
    let ready = serves_again(world, way).await?;
    let integrity = condition(&ready, "LogIntegrity").context("a condition")?;
    ensure!(integrity.status == "True", "{integrity:?}");
    let claim = world.api::<PersistentVolumeClaim>().get("notes-data").await?.metadata;
    ensure!(claim.owner_references.unwrap_or_default().is_empty(), "the claim would go with its engine");
    ensure!(claim.labels.unwrap_or_default().contains_key("memoryengine.io/engine"), "it has no mark");
    Ok(())
}

/// Returns an object as a backup stores it.
fn as_saved(object: &DynamicObject) -> Result<Value> {
    let mut saved = serde_json::to_value(object)?;
    saved.as_object_mut().context("an object")?.remove("status");
    let metadata = saved["metadata"].as_object_mut().context("metadata")?;
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        metadata.remove(field);
    }
    Ok(saved)
}

/// Every child is restored from a manifest before its engine, as backup tools do: with the previous owner, without an
/// owner, with more labels, with fewer labels. The engine adopts all of them.
#[tokio::test(flavor = "multi_thread")]
async fn children_restored_from_manifests_are_taken_over() {
    type Change = fn(&mut Value);
    let ways: [(&str, Change); 4] = [
        ("with the owner of before", |_| {}),
        ("without an owner", |saved| saved["metadata"]["ownerReferences"] = Value::Null),
        ("by Velero", |saved| {
            saved["metadata"]["ownerReferences"] = Value::Null;
            saved["metadata"]["labels"]["velero.io/backup-name"] = json!("nightly");
        }),
        ("without owner and labels", |saved| {
            saved["metadata"]["ownerReferences"] = Value::Null;
            saved["metadata"]["labels"] = Value::Null;
        }),
    ];
    in_namespace("restored", async |world| {
        world.engine("notes").await?;
        let memory = world.memories("notes").save("older than the restore", None).await?;
        for (way, change) in ways {
            let mut saved = Vec::new();
            for (group, kind, plural, name) in CHILDREN {
                saved.push(as_saved(&api(world, group, kind, plural).get(name).await?)?);
            }
            delete_engine(world).await?;
            for ((group, kind, plural, _), mut saved) in CHILDREN.into_iter().zip(saved) {
                change(&mut saved);
                let object = serde_json::from_value(saved)?;
                let restored = api(world, group, kind, plural).create(&PostParams::default(), &object).await;
                restored.with_context(|| format!("{way}: {kind}"))?;
            }
            world.apply("notes", small()).await?;
            let ready = serves_again(world, way).await?;
            world.memories("notes").read(&memory.id).await.with_context(|| way.to_owned())?;
            for (group, kind, plural, name) in CHILDREN {
                let owners = api(world, group, kind, plural).get(name).await?.metadata.owner_references;
                let uids: Vec<String> =
                    owners.unwrap_or_default().into_iter().map(|owner| owner.uid).collect();
                ensure!(
                    Some(&uids) == ready.metadata.uid.clone().map(|uid| vec![uid]).as_ref(),
                    "{way}: {kind} {name}: {uids:?}"
                );
            }
        }
        Ok(())
    })
    .await;
}

async fn delete_engine(world: &World) -> Result<()> {
    world.api::<MemoryEngine>().delete("notes", &DeleteParams::background()).await?;
    for (group, kind, plural, name) in CHILDREN {
        until(&format!("{kind} {name} is gone"), READY_LIMIT, async || {
            Ok(api(world, group, kind, plural).get_opt(name).await?.is_none().then_some(()))
        })
        .await?;
    }
    until("the pod is gone", READY_LIMIT, async || {
        Ok(world.api::<Pod>().get_opt("notes-0").await?.is_none().then_some(()))
    })
    .await
}

/// If a claim has the name that an engine needs and does not indicate its owner, the operator leaves it alone and does
/// not tell the user to delete it. Once the user hands it over as the message describes, the engine adopts it.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_somebody_else_is_left_alone_until_it_is_handed_over() {
    in_namespace("claim-foreign", async |world| {
        let claims = world.api::<PersistentVolumeClaim>();
        let foreign = json!({
            "metadata": {"name": "notes-data", "labels": {"app": "somebody-elses"}},
            "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "64Mi"}}},
        });
        let before = claims.create(&PostParams::default(), &serde_json::from_value(foreign)?).await?;
        world.apply("notes", small()).await?;
        let message = world.condition("notes", "Stalled", "True", "NameConflict").await?;
        ensure!(message.contains("kubectl label pvc notes-data"), "{message}");
        ensure!(!message.to_lowercase().contains("delete"), "{message}");
        let now = claims.get("notes-data").await?;
        ensure!(now.metadata.labels == before.metadata.labels, "the foreign claim was written to");
        ensure!(world.api::<Pod>().get_opt("notes-0").await?.is_none(), "an engine was created on it");

        let labels = json!({"metadata": {"labels": {
            "memoryengine.io/engine": "notes", "app.kubernetes.io/managed-by": "memory-operator",
        }}});
        claims.patch("notes-data", &PatchParams::default(), &Patch::Merge(&labels)).await?;
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}
