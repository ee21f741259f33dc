//! Backups on an object store: taken, verified by a restore, and an engine that begins from one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{BackupPhase, MemoryBackup, MemoryEngine};
use e2e::archived::{ArchiveStore, Jobs};
use e2e::wait::until;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::storage::health;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

/// Longest deletion with a last backup: the backup, a Job that verifies it, and the end of the pod.
const LAST_BACKUP_LIMIT: Duration = Duration::from_secs(180);

/// The Jobs of the engines in this namespace.
fn jobs(world: &World) -> Jobs<'_> {
    Jobs { cluster: &world.cluster, client: world.client.clone(), namespace: &world.namespace }
}

/// A spec of an engine with a continuous archive.
fn archived(store: &ArchiveStore) -> Value {
    let mut spec = small();
    spec["backup"] = store.backup(1);
    spec
}

/// Deletes an engine and its volume.
async fn lose(world: &World, engine: &str) -> Result<()> {
    world.api::<MemoryEngine>().delete(engine, &DeleteParams::default()).await?;
    let claim = format!("{engine}-data");
    until("the pod is gone", READY_LIMIT, async || {
        Ok(world.api::<Pod>().get_opt(&format!("{engine}-0")).await?.is_none().then_some(()))
    })
    .await?;
    world.api::<PersistentVolumeClaim>().delete(&claim, &DeleteParams::default()).await?;
    until("the volume is gone", READY_LIMIT, async || {
        Ok(world.api::<PersistentVolumeClaim>().get_opt(&claim).await?.is_none().then_some(()))
    })
    .await
}

/// A Job takes a backup and another one verifies it by a restore; after the engine and its volume are lost, a new
/// engine begins with every memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_verified_and_brings_an_engine_back() {
    in_namespace("tls-backups", async |world| {
        let store = ArchiveStore::made(&world.cluster, "backups").await?;
        store.give(&world.cluster, &world.namespace).await?;
        world.apply("notes", archived(&store)).await?;
        world.ready("notes").await?;
        world.condition("notes", "BackupHealthy", "Unknown", "BackupNotVerified").await?;
        let mut saved = Vec::new();
        for number in 0..20 {
            saved.push(world.memories("notes").save(&format!("memory number {number}"), None).await?.id);
        }
        let taken = jobs(world).take("notes", "backup-now").await?;
        ensure!(taken.spec.size >= 20 && taken.spec.engine == "notes", "{taken:?}");
        let name = taken.metadata.name.clone().context("a name")?;
        let (verified, verdict) = jobs(world).verify("notes", "verify-now", &name).await?;
        println!("{verdict}");
        ensure!(verdict["root"] == taken.spec.root, "{verdict}");
        ensure!(verified.status.and_then(|status| status.restore_millis).is_some(), "the time of a restore");
        let message = world.condition("notes", "BackupHealthy", "True", "BackupVerified").await?;
        ensure!(message.contains(&name), "{message}");

        let late = world.memories("notes").save("archived after the backup", None).await?;
        saved.push(late.id.clone());
        let head = world.memories("notes").head().await?.seq;
        until("the archive has the newest event", SOON, async || {
            let archive = health(world, "notes").await?.archive;
            Ok((archive.is_some_and(|archive| archive.archived_seq >= head)).then_some(()))
        })
        .await?;
        lose(world, "notes").await?;
        ensure!(world.api::<MemoryBackup>().get_opt(&name).await?.is_some(), "the record stays");

        let mut spec = archived(&store);
        spec["bootstrap"] = store.bootstrap(Some(&taken), "the volume was lost");
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        let message = world.condition("notes", "Restored", "True", "RestoredAnchored").await?;
        println!("{message}");
        for id in &saved {
            world.memories("notes").read(id).await.with_context(|| format!("{id} is lost"))?;
        }
        // The manifest stays as it is: a restart restores nothing, and loses nothing.
        let new = world.memories("notes").save("after the restore", None).await?;
        let before = world.pod_uid("notes").await?;
        world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
        until("another pod serves", READY_LIMIT, async || {
            let is_another = world.pod_uid("notes").await?.is_some_and(|uid| Some(&uid) != before.as_ref());
            Ok((is_another && world.memories("notes").read(&new.id).await.is_ok()).then_some(()))
        })
        .await?;
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}

/// A store in which an object is damaged is noticed by the next verification, which names the object; an engine does
/// not begin from an archive that lacks what is known elsewhere, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_not_verified_and_a_short_one_is_not_restored() {
    in_namespace("tls-backup-faults", async |world| {
        let store = ArchiveStore::made(&world.cluster, "backup-faults").await?;
        store.give(&world.cluster, &world.namespace).await?;
        world.apply("notes", archived(&store)).await?;
        world.ready("notes").await?;
        for number in 0..5 {
            world.memories("notes").save(&format!("memory number {number}"), None).await?;
        }
        let taken = jobs(world).take("notes", "backup-1").await?;
        let name = taken.metadata.name.clone().context("a name")?;
        jobs(world).verify("notes", "verify-1", &name).await?;
        let objects = store.objects.objects(&store.bucket).await?;
        let piece = objects.iter().find(|object| object.name.contains("/tails/")).context("a piece")?;
        store.objects.flip_byte(&store.bucket, &piece.name).await?;
        let verdict = jobs(world).run("notes-verify", "verify-2").await?;
        println!("{verdict}");
        ensure!(verdict["ok"] == false && verdict["backup"] == taken.spec.backup, "{verdict}");
        let record = jobs(world).record(&name, BackupPhase::Failed).await?;
        let why = record.status.and_then(|status| status.message).unwrap_or_default();
        let short = piece.name.rsplit('/').next().unwrap_or_default();
        ensure!(why.contains(short), "{why} does not name {short}");
        world.condition("notes", "BackupHealthy", "False", "BackupNotRestorable").await?;

        let mut more = taken.clone();
        more.spec.size += 1_000;
        let mut spec = small();
        spec["bootstrap"] = store.bootstrap(Some(&more), "another engine");
        world.apply("copy", spec).await?;
        let message = world.condition("copy", "Restored", "False", "RestoreFailed").await?;
        println!("{message}");
        world.condition("copy", "Stalled", "True", "RestoreFailed").await?;
        Ok(())
    })
    .await;
}

/// The disaster of the README: a namespace is deleted under load, and what was acknowledged comes back from the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_brings_back_what_was_acknowledged() {
    in_namespace("tls-rehearsal", async |world| {
        let steps = e2e::steps::Steps::start();
        let measured = e2e::rehearsal::show(&world.cluster, &world.namespace, &steps).await?;
        println!("{measured:?}");
        ensure!(measured.acknowledged > 100, "{measured:?}");
        Ok(())
    })
    .await;
}

/// An engine with a last backup before it is deleted.
fn deleted_with(store: &ArchiveStore, policy: &str) -> Value {
    let mut spec = archived(store);
    spec["deletionPolicy"] = json!(policy);
    spec
}

/// A deletion takes a last backup, verifies it, deletes the claim only then, and says so in the tombstone.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_takes_and_verifies_a_last_backup() {
    in_namespace("tls-last-backup", async |world| {
        let store = ArchiveStore::made(&world.cluster, "last-backup").await?;
        store.give(&world.cluster, &world.namespace).await?;
        world.apply("notes", deleted_with(&store, "BackupThenDelete")).await?;
        world.ready("notes").await?;
        let saved = world.memories("notes").save("the last one", None).await?;
        world.api::<MemoryEngine>().delete("notes", &DeleteParams::default()).await?;
        until("the engine is gone", LAST_BACKUP_LIMIT, async || {
            Ok(world.api::<MemoryEngine>().get_opt("notes").await?.is_none().then_some(()))
        })
        .await?;
        let stone = until("there is a tombstone", SOON, async || {
            world.api::<ConfigMap>().get_opt("notes-tombstone").await.map_err(Into::into)
        })
        .await?;
        let data = stone.data.unwrap_or_default();
        ensure!(data["lastBackupOutcome"].starts_with("Verified"), "{data:?}");
        let record = world.api::<MemoryBackup>().get(&data["lastBackup"]).await?;
        until("the claim is gone", READY_LIMIT, async || {
            Ok(world.api::<PersistentVolumeClaim>().get_opt("notes-data").await?.is_none().then_some(()))
        })
        .await?;
        let mut spec = small();
        spec["bootstrap"] = store.bootstrap(Some(&record), "a look at what was deleted");
        world.apply("copy", spec).await?;
        world.ready("copy").await?;
        world.memories("copy").read(&saved.id).await?;
        Ok(())
    })
    .await;
}

/// A namespace with an engine that wants a last backup is deleted all the same, and soon.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_a_last_backup_is_deleted() {
    in_namespace("tls-last-namespace", async |world| {
        let store = ArchiveStore::made(&world.cluster, "last-namespace").await?;
        store.give(&world.cluster, &world.namespace).await?;
        world.apply("notes", deleted_with(&store, "BackupThenRetain")).await?;
        world.ready("notes").await?;
        let namespaces: kube::Api<Namespace> = kube::Api::all(world.client.clone());
        namespaces.delete(&world.namespace, &DeleteParams::default()).await?;
        until("the namespace is gone", READY_LIMIT, async || {
            Ok(namespaces.get_opt(&world.namespace).await?.is_none().then_some(()))
        })
        .await
    })
    .await;
}
