//! Backups on an object store: taken, verified by a restore, and an engine that begins from one.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{BackupPhase, MemoryBackup, MemoryEngine};
use e2e::deploy::kubectl;
use e2e::object_store::ObjectStore;
use e2e::wait::until;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::storage::health;
use crate::tls::allow;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

/// Longest run of a Job: the spread of its begin, the image, and the work.
const JOB_LIMIT: Duration = Duration::from_secs(150);
/// Bytes of a key-encryption key.
const KEY_BYTES: usize = 32;

/// A store as engines in this namespace use it.
struct Store {
    object_store: ObjectStore,
    bucket: String,
}

impl Store {
    /// A new bucket, with the Secret and the ConfigMap that an engine needs for it.
    async fn made(world: &World, bucket: &str) -> Result<Store> {
        let object_store = ObjectStore::deployed(&world.cluster).await?;
        let bucket = object_store.bucket(bucket).await?;
        let store = Store { object_store, bucket };
        store.reachable(world).await?;
        Ok(store)
    }

    /// What an engine in this namespace needs to reach the store.
    async fn reachable(&self, world: &World) -> Result<()> {
        let params = PatchParams::apply("platform");
        let credentials = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "objects"},
            "stringData": {
                "access_key_id": self.object_store.access_key(),
                "secret_access_key": self.object_store.secret_key(),
            },
        });
        world.api::<Secret>().patch("objects", &params, &Patch::Apply(&credentials)).await?;
        let authority = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "objects-ca"},
            "data": {"ca.crt": self.object_store.ca_pem()},
        });
        world.api::<ConfigMap>().patch("objects-ca", &params, &Patch::Apply(&authority)).await?;
        Ok(())
    }

    fn destination(&self) -> Value {
        json!({
            "url": format!("s3://{}/memories", self.bucket),
            "endpoint": self.object_store.endpoint(),
            "credentialsSecretRef": {"name": "objects"},
            "caConfigMapRef": {"name": "objects-ca", "key": "ca.crt"},
        })
    }

    /// A spec of an engine with a continuous archive in this store.
    fn archived(&self) -> Value {
        let mut spec = small();
        spec["backup"] = json!({
            "destination": self.destination(), "keyEncryptionKeySecretRef": key(), "archiveIntervalSeconds": 1,
        });
        spec
    }
}

/// Reference to the key-encryption key.
fn key() -> Value {
    json!({"name": "encryption", "key": "key"})
}

/// Makes a Secret with a key-encryption key.
async fn make_key(world: &World, digits: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "encryption"},
        "stringData": {"key": digits},
    });
    let params = PatchParams::apply("platform");
    world.api::<Secret>().patch("encryption", &params, &Patch::Apply(&secret)).await?;
    Ok(())
}

fn new_encryption_key() -> Result<String> {
    let mut bytes = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Creates a Job from a CronJob, waits until it has ended, and returns its verdict.
async fn job(world: &World, cron_job: &str, name: &str) -> Result<Value> {
    let from = format!("--from=cronjob/{cron_job}");
    kubectl(&world.cluster, &["-n", &world.namespace, "create", "job", name, &from]).await?;
    until(&format!("the Job {name} has ended"), JOB_LIMIT, async || {
        let status = world.api::<Job>().get(name).await?.status.unwrap_or_default();
        let has_ended = status
            .conditions
            .unwrap_or_default()
            .iter()
            .any(|one| ["Complete", "Failed"].contains(&one.type_.as_str()) && one.status == "True");
        Ok(has_ended.then_some(()))
    })
    .await?;
    let selected = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let pods = world.api::<Pod>().list(&selected).await?.items;
    let statuses = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    let messages: Vec<_> = statuses.filter_map(|status| status.state?.terminated?.message).collect();
    let message = messages.last().context("a termination message")?;
    serde_json::from_str(message).with_context(|| message.clone())
}

/// The record of a backup once it has this phase.
async fn record(world: &World, name: &str, phase: BackupPhase) -> Result<MemoryBackup> {
    until(&format!("{name} is {phase:?}"), SOON, async || {
        let record = world.api::<MemoryBackup>().get(name).await?;
        let is_so = record.status.as_ref().and_then(|status| status.phase) == Some(phase);
        Ok(is_so.then_some(record))
    })
    .await
}

/// Takes a backup with a Job; returns its record.
async fn take(world: &World, engine: &str, job_name: &str) -> Result<MemoryBackup> {
    let verdict = job(world, &format!("{engine}-backup"), job_name).await?;
    println!("{verdict}");
    ensure!(verdict["verdict"] == "Done", "{verdict}");
    let name = verdict["result"].as_str().context("the name of a record")?.to_owned();
    record(world, &name, BackupPhase::Taken).await
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

/// A Job takes a backup and another one verifies it by a restore; after the engine and its volume are lost, a new engine
/// begins with every memory, and the loss of one object is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_verified_and_brings_an_engine_back() {
    in_namespace("tls-backups", async |world| {
        allow(world).await?;
        let store = Store::made(world, "backups").await?;
        make_key(world, &new_encryption_key()?).await?;
        world.apply("notes", store.archived()).await?;
        world.ready("notes").await?;
        world.condition("notes", "BackupHealthy", "Unknown", "BackupNotVerified").await?;
        let mut saved = Vec::new();
        for number in 0..20 {
            saved.push(world.memories("notes").save(&format!("memory number {number}"), None).await?.id);
        }
        let taken = take(world, "notes", "backup-now").await?;
        ensure!(taken.spec.size >= 20 && taken.spec.engine == "notes", "{taken:?}");

        let verdict = job(world, "notes-verify", "verify-now").await?;
        println!("{verdict}");
        ensure!(verdict["ok"] == true && verdict["root"] == taken.spec.root, "{verdict}");
        let name = taken.metadata.name.clone().context("a name")?;
        let verified = record(world, &name, BackupPhase::Verified).await?;
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

        let mut spec = store.archived();
        spec["bootstrap"] = json!({"fromBackup": {
            "source": store.destination(), "keyEncryptionKeySecretRef": key(), "reason": "the volume was lost",
            "atLeast": {"size": taken.spec.size, "root": taken.spec.root},
        }});
        world.apply("notes", spec.clone()).await?;
        world.ready("notes").await?;
        let message = world.condition("notes", "Restored", "True", "RestoredAnchored").await?;
        println!("{message}");
        for id in &saved {
            world.memories("notes").read(id).await.with_context(|| format!("{id} is lost"))?;
        }
        // The manifest stays as it is: a restart restores nothing, and loses nothing.
        let new = world.memories("notes").save("after the restore", None).await?;
        world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
        world.ready("notes").await?;
        world.memories("notes").read(&new.id).await?;
        Ok(())
    })
    .await;
}
