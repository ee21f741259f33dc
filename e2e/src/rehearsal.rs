//! A rehearsal of a disaster, printed as it happens: the namespace of an engine is deleted while clients save memories,
//! and another engine begins with what is in the object store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryBackup, MemoryEngine};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::archived::{ArchiveStore, Jobs};
use crate::cluster::{self, Cluster};
use crate::deploy::{apply, install, restricted_namespace};
use crate::images;
use crate::memories::Memories;
use crate::steps::Steps;
use crate::wait::{condition, until};

const NAMESPACE: &str = "rehearsal";
const ENGINE: &str = "notes";
const BUCKET: &str = "rehearsal";
/// Clients that save at the same time, each one memory after the other.
const CLIENTS: usize = 4;
/// Time for which they save before the backup, and between it and the disaster.
const LOAD: Duration = Duration::from_secs(5);
/// Interval of the archive, seconds.
const ARCHIVE_INTERVAL_SECONDS: u32 = 2;
/// How old a memory may be that is lost: the interval, and a step of the archive on a busy machine.
const LOST_AT_MOST: Duration = Duration::from_secs(ARCHIVE_INTERVAL_SECONDS as u64 + 2);
const READY_LIMIT: Duration = Duration::from_secs(180);
const GONE_LIMIT: Duration = Duration::from_secs(180);
/// Pause of a client after an answer, so that the disks of other tests have their turn.
const PACE: Duration = Duration::from_millis(20);

/// What the rehearsal has measured.
#[derive(Debug)]
pub struct Measured {
    /// Memories that were acknowledged before the disaster.
    pub acknowledged: usize,
    /// Those of them that are gone.
    pub lost: usize,
    /// Age of the oldest lost one when the namespace was deleted (recovery point).
    pub rpo: Duration,
    /// From the new resource to the first memory that was read again (recovery time).
    pub rto: Duration,
}

/// A memory that was acknowledged.
struct Acknowledged {
    id: String,
    at: Instant,
}

/// Runs the rehearsal on the local cluster.
///
/// # Errors
/// A step did not do what its printed line says.
pub async fn run(steps: &Steps) -> Result<()> {
    steps.say("1/7  a cluster, and the images on it (seconds, unless they have to be built)");
    images::build_all(steps).await?;
    crate::object_store::prepare(steps).await?;
    cluster::up(steps).await?;
    let cluster = cluster::ensure_up().await?;
    steps.say("2/7  the operator, installed with its Helm chart");
    install(&cluster).await?;
    let Measured { acknowledged, lost, rpo, rto } = show(&cluster, NAMESPACE, steps).await?;
    steps.say("     done");
    println!(
        "{acknowledged} memories were acknowledged, {lost} are lost; RPO {:.1} s, RTO {:.1} s",
        rpo.as_secs_f64(),
        rto.as_secs_f64()
    );
    Ok(())
}

/// The part after the installation, in a namespace of its own.
///
/// # Errors
/// A step did not do what its printed line says.
pub async fn show(cluster: &Cluster, namespace: &str, steps: &Steps) -> Result<Measured> {
    steps.say("3/7  a bucket, and an engine that archives its log there");
    let store = ArchiveStore::made(cluster, BUCKET).await?;
    let place = Place { cluster, namespace, store };
    place.begin(&json!(null)).await?;
    steps.say("4/7  clients save memories; a backup is taken and verified by a restore");
    let clients = Clients::start(cluster, namespace);
    tokio::time::sleep(LOAD).await;
    let backup = place.backup(steps).await?;
    tokio::time::sleep(LOAD).await;
    steps.say("5/7  the namespace is deleted while they save: the resource, the pod and the volume are gone");
    let disaster = Instant::now();
    place.destroy().await?;
    let acknowledged = clients.stop().await?;
    steps.say(&format!("     {} memories were acknowledged", acknowledged.len()));
    steps.say("6/7  a new namespace, and an engine that begins with the archive");
    let started = Instant::now();
    place.begin(&place.store.bootstrap(Some(&backup), "a rehearsal of a disaster")).await?;
    let first = acknowledged.first().context("no memory was saved")?;
    Memories::of(&cluster.plain_client(), namespace, ENGINE).read(&first.id).await?;
    let rto = started.elapsed();
    steps.say(&format!("     the first memory is read again after {:.1} s", rto.as_secs_f64()));
    steps.say("7/7  every memory that was acknowledged is asked for");
    let mut measured = Measured { acknowledged: acknowledged.len(), lost: 0, rpo: Duration::ZERO, rto };
    let memories = Memories::of(&cluster.plain_client(), namespace, ENGINE);
    for memory in &acknowledged {
        let answer = memories.send("GET", &format!("/v1/memories/{}", memory.id), None, Vec::new()).await?;
        if answer.status == 404 {
            let age = disaster.saturating_duration_since(memory.at);
            ensure!(age <= LOST_AT_MOST, "a memory that was saved {age:?} before the disaster is lost");
            measured.lost += 1;
            measured.rpo = measured.rpo.max(age);
        } else {
            answer.success::<Value>()?;
        }
    }
    Ok(measured)
}

/// Where the rehearsal takes place.
struct Place<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    store: ArchiveStore,
}

impl Place<'_> {
    /// Makes the namespace and the engine, and waits until it serves.
    async fn begin(&self, bootstrap: &Value) -> Result<()> {
        apply(self.cluster, &restricted_namespace(self.namespace)).await?;
        self.store.give(self.cluster, self.namespace).await?;
        let mut engine = json!({
            "apiVersion": crds::API_VERSION,
            "kind": "MemoryEngine",
            "metadata": {"name": ENGINE, "namespace": self.namespace},
            "spec": {
                "writer": {
                    "storage": {"size": "128Mi"},
                    "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                },
                "backup": self.store.backup(ARCHIVE_INTERVAL_SECONDS),
            },
        });
        if !bootstrap.is_null() {
            engine["spec"]["bootstrap"] = bootstrap.clone();
        }
        apply(self.cluster, &engine.to_string()).await?;
        let engines: Api<MemoryEngine> = Api::namespaced(self.cluster.client(), self.namespace);
        until("the engine is Ready", READY_LIMIT, async || {
            let engine = engines.get(ENGINE).await?;
            let is_ready = condition(&engine, "Ready").is_some_and(|ready| ready.status == "True");
            Ok(is_ready.then_some(()))
        })
        .await
    }

    /// Takes a backup and verifies it. What is known about it is kept outside of the cluster, as a pipeline would.
    async fn backup(&self, steps: &Steps) -> Result<MemoryBackup> {
        let jobs = Jobs { cluster: self.cluster, client: self.cluster.client(), namespace: self.namespace };
        let taken = jobs.take(ENGINE, "before-the-disaster").await?;
        let name = taken.metadata.name.clone().unwrap_or_default();
        let (verified, _) = jobs.verify(ENGINE, "verify-it", &name).await?;
        let millis = verified.status.and_then(|status| status.restore_millis).unwrap_or_default();
        steps.say(&format!("     {} events, restored by the verification in {millis} ms", taken.spec.size));
        Ok(taken)
    }

    /// Deletes the namespace, and waits until nothing is left of it.
    async fn destroy(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client());
        namespaces.delete(self.namespace, &DeleteParams::default()).await?;
        until("the namespace is gone", GONE_LIMIT, async || {
            Ok(namespaces.get_opt(self.namespace).await?.is_none().then_some(()))
        })
        .await
    }
}

/// Clients that save until they are stopped.
struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<Acknowledged>>>,
}

impl Clients {
    fn start(cluster: &Cluster, namespace: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |number: usize| {
            let memories = Memories::of(&cluster.plain_client(), namespace, ENGINE);
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut saved = Vec::new();
                let mut count = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    let text = format!("client {number} has saved its memory number {count}");
                    if let Ok(answer) = memories.save(&text, None).await {
                        saved.push(Acknowledged { id: answer.id, at: Instant::now() });
                    }
                    tokio::time::sleep(PACE).await;
                }
                saved
            })
        };
        Self { tasks: (0..CLIENTS).map(client).collect(), stop }
    }

    /// What was acknowledged, in the order of time.
    async fn stop(self) -> Result<Vec<Acknowledged>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await?);
        }
        all.sort_by_key(|memory| memory.at);
        Ok(all)
    }
}
