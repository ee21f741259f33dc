//! Two rollouts, printed as they happen: a bad revision is judged and rolled back, and a good one becomes the stable
//! one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use crds::{MemoryEngine, RolloutGateStatus, RolloutPhase, RolloutStatus};
use kube::Api;
use serde_json::{Value, json};

use crate::cluster::{self, Cluster};
use crate::deploy::{apply, install, restricted_namespace};
use crate::images;
use crate::memories::Memories;
use crate::steps::Steps;
use crate::wait::{condition, until};

const NAMESPACE: &str = "canary";
const ENGINE: &str = "notes";
/// Memories before the first rollout.
const MEMORIES: usize = 60;
const READY_LIMIT: Duration = Duration::from_secs(180);
/// Longest rollout.
const ROLLOUT_LIMIT: Duration = Duration::from_secs(300);
/// Pause between two searches of the client.
const PACE: Duration = Duration::from_millis(40);
/// Pause between two looks at the status.
const LOOK: Duration = Duration::from_secs(2);
/// Width of a progress bar, characters.
const BAR: i64 = 24;

/// Runs the demo on the local cluster.
///
/// # Errors
/// A step did not do what its printed line says.
pub async fn run(steps: &Steps) -> Result<()> {
    steps.say("1/5  a cluster, and the images on it (seconds, unless they have to be built)");
    images::build_all(steps).await?;
    cluster::up(steps).await?;
    let cluster = cluster::ensure_up().await?;
    steps.say("2/5  the operator, installed with its Helm chart");
    install(&cluster).await?;
    show(&cluster, NAMESPACE, steps).await?;
    steps.say("     done: kubectl get memoryengine notes -n canary -o yaml");
    Ok(())
}

/// The part after the installation, in a namespace of its own.
///
/// # Errors
/// A step did not do what its printed line says.
pub async fn show(cluster: &Cluster, namespace: &str, steps: &Steps) -> Result<()> {
    let place = Place { cluster, namespace, steps };
    steps.say(&format!("3/5  an engine with {MEMORIES} memories, and a client that searches"));
    apply(cluster, &restricted_namespace(namespace)).await?;
    place.ask_for(&json!(null)).await?;
    place.ready().await?;
    let memories = Memories::of(&cluster.plain_client(), namespace, ENGINE);
    for number in 0..MEMORIES {
        let text = format!("the kettle number {number} is on shelf {}", number * 7);
        memories.save(&text, None).await?;
    }
    let client = Client::start(memories);
    steps.say("4/5  a bad revision: its model server is not there. Nobody gets one of its answers");
    let http = json!({"url": "http://127.0.0.1:9/v1", "model": "nobody", "dimension": 64});
    place.ask_for(&json!({"provider": "http", "http": http})).await?;
    place.watch(RolloutPhase::RolledBack).await?;
    steps.say("5/5  a good revision goes through every step");
    place.ask_for(&json!({"provider": "builtin"})).await?;
    place.watch(RolloutPhase::Stable).await?;
    let (answered, failed) = client.stop().await?;
    steps.say(&format!(
        "     the client had {answered} answers, and {failed} reads failed while the writer restarted"
    ));
    Ok(())
}

struct Place<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    steps: &'a Steps,
}

impl Place<'_> {
    async fn ask_for(&self, embedding: &Value) -> Result<()> {
        let mut engine = json!({
            "apiVersion": crds::API_VERSION,
            "kind": "MemoryEngine",
            "metadata": {"name": ENGINE, "namespace": self.namespace},
            "spec": {
                "writer": {"storage": {"size": "64Mi"}},
                "rollout": {
                    "darkLaunchSeconds": 3, "shadowSeconds": 5, "canary": [{"weight": 50, "seconds": 5}],
                    "soakingSeconds": 5, "pairIntervalMillis": 50,
                    "gates": ["Error", "Timeout", "Fallback", "Degraded", "Digest", "Chain", "Readiness"],
                },
            },
        });
        if !embedding.is_null() {
            engine["spec"]["embedding"] = embedding.clone();
        }
        apply(self.cluster, &engine.to_string()).await.map(|_| ())
    }

    fn engines(&self) -> Api<MemoryEngine> {
        Api::namespaced(self.cluster.client(), self.namespace)
    }

    async fn ready(&self) -> Result<()> {
        until("the engine is ready", READY_LIMIT, async || {
            let engine = self.engines().get(ENGINE).await?;
            let is_ready = condition(&engine, "Ready").is_some_and(|one| one.status == "True");
            let rollout = rollout_of(&engine);
            Ok((is_ready && rollout.is_some_and(|one| one.phase == RolloutPhase::Stable)).then_some(()))
        })
        .await
    }

    /// Prints the status until the rollout has ended like this.
    async fn watch(&self, end: RolloutPhase) -> Result<()> {
        let (began, mut last, mut left) = (Instant::now(), None, false);
        while began.elapsed() < ROLLOUT_LIMIT {
            let engine = self.engines().get(ENGINE).await?;
            let rollout = rollout_of(&engine).context("the status has no rollout")?;
            left |= !matches!(rollout.phase, RolloutPhase::Stable | RolloutPhase::RolledBack);
            if last != Some(rollout.phase) {
                self.steps.say(&format!("     {:?}: {}", rollout.phase, rollout.message));
                last = Some(rollout.phase);
            }
            for gate in &rollout.gates {
                self.steps.say(&format!("       {}", bar(gate)));
            }
            if left && rollout.phase == end {
                return Ok(());
            }
            if left && matches!(rollout.phase, RolloutPhase::Stable | RolloutPhase::RolledBack) {
                bail!("the rollout ended as {:?}: {}", rollout.phase, rollout.message);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the rollout did not end within {ROLLOUT_LIMIT:?}")
    }
}

fn rollout_of(engine: &MemoryEngine) -> Option<RolloutStatus> {
    engine.status.as_ref().and_then(|status| status.rollout.clone())
}

/// A gate in one line, with how many of its pairs there are.
fn bar(gate: &RolloutGateStatus) -> String {
    let all = gate.missing_pairs.map_or(0, |missing| gate.step_pairs + missing);
    let full = match gate.verdict.as_str() {
        "Pass" => BAR,
        _ => (gate.step_pairs * BAR).checked_div(all).unwrap_or_default().clamp(0, BAR),
    };
    let [full, rest] = [full, BAR - full].map(|width| usize::try_from(width).unwrap_or_default());
    format!(
        "{:<10} {}{} {:<9} {} pairs, {} only canary bad, {} only stable bad",
        format!("{:?}", gate.gate),
        "█".repeat(full),
        "░".repeat(rest),
        gate.verdict,
        gate.step_pairs,
        gate.canary_only,
        gate.stable_only
    )
}

/// A client that searches for something else each time.
struct Client {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(usize, usize)>,
}

impl Client {
    fn start(memories: Memories) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut answered, mut failed) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                let path = format!("/v1/search?q=kettle+{}+shelf+{answered}", answered % MEMORIES);
                match memories.send("GET", &path, None, Vec::new()).await {
                    Ok(answer) if answer.status == 200 => answered += 1,
                    Ok(_) | Err(_) => failed += 1,
                }
                tokio::time::sleep(PACE).await;
            }
            (answered, failed)
        });
        Self { stop, task }
    }

    async fn stop(self) -> Result<(usize, usize)> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the client ended unexpectedly")
    }
}
