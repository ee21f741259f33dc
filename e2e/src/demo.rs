//! The main use case, printed as it happens: an engine is applied, memories are saved, the engine's pod is killed, and
//! no memory is lost.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;

use crate::cluster::{self, Cluster};
use crate::deploy::{apply, install, kubectl, restricted_namespace};
use crate::images;
use crate::memories::Memories;
use crate::steps::Steps;
use crate::wait::{condition, until};

const NAMESPACE: &str = "demo";
const ENGINE: &str = "notes";
const READY_LIMIT: Duration = Duration::from_secs(120);

const MEMORIES: [&str; 5] = [
    "The staging database moves to the new region on Thursday",
    "Deployments are frozen from December 20 to January 3",
    "The customer prefers answers in French",
    "Retries use exponential backoff with full jitter",
    "The on-call rota changes every Monday at 09:00",
];

/// Runs the demo on the local cluster, or on the one that `KUBECONFIG` names.
///
/// # Errors
/// A step did not do what its printed line says.
pub async fn run(steps: &Steps) -> Result<()> {
    steps.say("1/7  a cluster, and the images on it (seconds, unless they have to be built)");
    images::build_all(steps).await?;
    if !cluster::is_local() {
        // `up` prints how to load the images. Without the images, the next step would wait in vain.
        cluster::up(steps).await?;
    }
    let cluster = cluster::ensure_up().await?;
    steps.say("2/7  the operator, installed with its Helm chart");
    install(&cluster).await?;
    steps.say("3/7  a MemoryEngine is applied");
    let engine = engine(&cluster).await?;
    let seconds = ready(&cluster).await?;
    steps.say(&format!("     Ready {seconds:.1} s after it was applied"));
    steps.say("4/7  memories are saved through its Service");
    let memories = Memories::of(&cluster.plain_client(), NAMESPACE, ENGINE);
    let saved = save(&memories, steps).await?;
    steps.say("5/7  its pod is killed, without grace");
    let seconds = kill(&cluster, &memories).await?;
    steps.say(&format!("     the first memory was acknowledged again {seconds:.1} s later"));
    steps.say("6/7  every acknowledged memory is read and searched for");
    verify(&memories, &saved, steps).await?;
    steps.say("7/7  what the platform team sees");
    show(&cluster, &engine, &memories).await?;
    steps.say("     done: every acknowledged memory survived");
    println!("{NEXT}");
    Ok(())
}

const NEXT: &str = "
What to try next
  export KUBECONFIG=$(cargo run -q -p e2e -- cluster kubeconfig)
  kubectl -n demo get meng,pods,pvc             the engine and what the operator made for it
  kubectl -n demo describe meng notes           conditions and events
  kubectl -n demo delete svc notes              drift: it is back within a second
  kubectl -n demo patch meng notes --type merge -p '{\"spec\":{\"writer\":{\"storage\":{\"size\":\"256Mi\"}}}}'
                                                the volume grows while in use
  kubectl -n demo port-forward svc/notes 8080   and an agent finds its memory at http://localhost:8080/mcp
  kubectl -n demo delete meng notes             the engine goes, its volume claim stays
Clean up
  make clean-cluster                            ends the cluster and everything in it";

async fn engine(cluster: &Cluster) -> Result<Api<MemoryEngine>> {
    let sample = std::fs::read_to_string(crate::paths::checkout_dir().join("config/samples/demo.yaml"))
        .context("config/samples/demo.yaml")?;
    apply(cluster, &restricted_namespace(NAMESPACE)).await?;
    apply(cluster, &sample).await?;
    Ok(Api::namespaced(cluster.client(), NAMESPACE))
}

/// Waits until the engine is ready for its current spec; returns the seconds that this took.
async fn ready(cluster: &Cluster) -> Result<f64> {
    let started = std::time::Instant::now();
    let engines: Api<MemoryEngine> = Api::namespaced(cluster.client(), NAMESPACE);
    until("the engine is Ready", READY_LIMIT, async || {
        let engine = engines.get(ENGINE).await?;
        let status = engine.status.clone().unwrap_or_default();
        let current = status.observed_generation == engine.metadata.generation;
        Ok((current && condition(&engine, "Ready").is_some_and(|ready| ready.status == "True")).then_some(()))
    })
    .await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn save(memories: &Memories, steps: &Steps) -> Result<Vec<(String, String)>> {
    let mut saved = Vec::new();
    for content in MEMORIES {
        let answer = memories.save(content, None).await?;
        steps.say(&format!("     seq {:>3}  {}…  {content}", answer.seq, &answer.hash[..12]));
        saved.push((answer.id, content.to_owned()));
    }
    Ok(saved)
}

async fn kill(cluster: &Cluster, memories: &Memories) -> Result<f64> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
    let started = std::time::Instant::now();
    pods.delete("notes-0", &DeleteParams::default().grace_period(0)).await?;
    until("a memory is acknowledged again", READY_LIMIT, async || {
        Ok(memories.save("Written after the pod was killed", Some("demo-after-kill")).await.ok())
    })
    .await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn verify(memories: &Memories, saved: &[(String, String)], steps: &Steps) -> Result<()> {
    for (id, content) in saved {
        let found = memories.read(id).await?;
        ensure!(found.content == *content, "memory {id} says {:?}", found.content);
    }
    steps.say(&format!("     {} of {} read back, word for word", saved.len(), saved.len()));
    let answer = memories.search("exponential backoff").await?;
    let hit = answer.items.first().context("the search found nothing")?;
    steps.say(&format!("     search \"exponential backoff\": {} [{}]", hit.snippet, hit.citation));
    Ok(())
}

async fn show(cluster: &Cluster, engines: &Api<MemoryEngine>, memories: &Memories) -> Result<()> {
    let head = memories.head().await?;
    let wanted = i64::try_from(head.seq)?;
    until("the status shows the head of the log", Duration::from_secs(30), async || {
        let status = engines.get_status(ENGINE).await?.status.unwrap_or_default();
        Ok(status.log.is_some_and(|log| log.head_seq >= wanted).then_some(()))
    })
    .await?;
    ready(cluster).await?;
    println!("{}", kubectl(cluster, &["-n", NAMESPACE, "get", "meng", ENGINE]).await?.trim_end());
    println!("log {}  head {}  {}", head.log_id, head.seq, head.hash);
    Ok(())
}
