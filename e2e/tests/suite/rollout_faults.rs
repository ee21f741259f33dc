//! Rollouts of revisions with a fault: each of them is rolled back by itself, and clients notice nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, RolloutPhase};
use e2e::cluster;
use e2e::model_server::{Behaviour, ModelServer};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::rollouts::{
    CANARY, STEP_LIMIT, nothing_is_left_of_the_canary, phase, prepared, rollout, stepwise, with_clients,
};
use crate::world::{READY_LIMIT, SOON, World, in_namespace};

/// Longest time without an acknowledged save while no writer is replaced.
const WRITE_GAP: Duration = Duration::from_secs(5);
/// How long a canary may be not ready.
const READY_DEADLINE: Duration = READY_LIMIT;

/// What is done to the canary while it answers half of the sessions.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Its pod is killed whenever it is ready.
    Killed,
    /// Its process stops, and keeps its connections.
    Hung,
    /// Its service refuses it, so that its reads answer 503.
    Errors,
    /// Its service is slow.
    Slow,
    /// Its reranker puts the worst first.
    Wrong,
}

impl Fault {
    /// What notices it. The others would judge a busy machine too.
    fn gates(self) -> Value {
        match self {
            Self::Killed | Self::Hung | Self::Errors => json!(["Error", "Timeout", "Fallback", "Readiness"]),
            // A service that is slow for long turns reads off, and they answer 503.
            Self::Slow => json!(["Error", "Timeout", "Fallback", "OverLimit"]),
            Self::Wrong => json!(["KnownItemMissed"]),
        }
    }

    /// The revision that has the fault, beside the stable one.
    fn revision(self, spec: &mut Value, server: &ModelServer) {
        match self {
            Self::Wrong => spec["rerank"] = json!({"url": server.url(), "model": "ranks"}),
            _ => spec["embedding"] = embedding(server, &format!("{self:?}")),
        }
    }

    async fn happen(self, world: &World, server: &ModelServer) -> Result<()> {
        match self {
            Self::Killed => kill_when_ready(world).await,
            Self::Hung => signal(world, Signal::STOP).await,
            Self::Errors => {
                server.set(Behaviour::Status(401));
                Ok(())
            }
            Self::Slow => {
                server.set(Behaviour::Slow(Duration::from_millis(400)));
                Ok(())
            }
            Self::Wrong => {
                server.set(Behaviour::WorstFirst);
                Ok(())
            }
        }
    }
}

fn embedding(server: &ModelServer, model: &str) -> Value {
    json!({"provider": "http", "http": {"url": server.url(), "model": model, "queryTimeoutMillis": 1_000}})
}

/// Ends the pod of the canary without a farewell, if it is ready. Kubernetes starts another one at once, while a
/// container that ends again and again is started later each time.
async fn kill_when_ready(world: &World) -> Result<()> {
    let (pods, name) = (world.api::<Pod>(), format!("{CANARY}-0"));
    let pod = pods.get_opt(&name).await?;
    let conditions = pod.and_then(|pod| pod.status).and_then(|status| status.conditions).unwrap_or_default();
    if conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True") {
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
    }
    Ok(())
}

/// Sends a signal to the process of the canary, if it runs.
async fn signal(world: &World, signal: Signal) -> Result<()> {
    let Some(pod) = world.api::<Pod>().get_opt(&format!("{CANARY}-0")).await? else { return Ok(()) };
    // Between two starts there is no process.
    for pid in cluster::host_pids(&pod, Some("engine")).unwrap_or_default() {
        let _has_ended = kill_process(Pid::from_raw(pid).context("a process")?, signal);
    }
    Ok(())
}

async fn rolled_back(world: &World, spec: &Value, server: &ModelServer, fault: Fault) -> Result<()> {
    server.set(Behaviour::Answers);
    let mut spec = spec.clone();
    spec["rollout"]["gates"] = fault.gates();
    world.apply("notes", spec.clone()).await?;
    world.ready("notes").await?;
    let mut bad = spec.clone();
    fault.revision(&mut bad, server);
    let (wrote, _) = with_clients(world, async |world| {
        world.apply("notes", bad).await?;
        phase(world, RolloutPhase::Canary, STEP_LIMIT).await?;
        let began = Instant::now();
        loop {
            fault.happen(world, server).await?;
            let engine = world.api::<MemoryEngine>().get("notes").await?;
            let now = rollout(&engine).context("a rollout")?;
            if now.phase == RolloutPhase::RolledBack {
                println!("{fault:?}: rolled back after {:?}: {}", began.elapsed(), now.message);
                return Ok(());
            }
            ensure!(now.phase == RolloutPhase::Canary, "{fault:?} was not noticed: {now:?}");
            ensure!(began.elapsed() < STEP_LIMIT, "{fault:?} was not noticed in time: {now:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await?;
    ensure!(wrote.longest_gap < WRITE_GAP, "{fault:?}: no save for {:?}", wrote.longest_gap);
    nothing_is_left_of_the_canary(world).await?;
    world.apply("notes", spec).await?;
    phase(world, RolloutPhase::Stable, SOON).await.map(drop)
}

async fn each_is_rolled_back(world: &World, faults: &[Fault]) -> Result<()> {
    // Both revisions ask a service of their own, so that a busy machine makes both of them slow.
    let [stable, server] =
        [ModelServer::start(&cluster::node_network()?)?, ModelServer::start(&cluster::node_network()?)?];
    let mut spec = stepwise(&["Error"]);
    spec["embedding"] = embedding(&stable, "stable");
    // A pod that hangs has no pairs.
    spec["rollout"]["readyDeadlineSeconds"] = READY_DEADLINE.as_secs().into();
    // Long enough that only a fault ends it.
    spec["rollout"]["canary"] = json!([{"weight": 50, "seconds": 600}]);
    prepared(world, spec.clone()).await?;
    for fault in faults {
        rolled_back(world, &spec, &server, *fault).await.with_context(|| format!("{fault:?}"))?;
    }
    Ok(())
}

/// The pod that answers notices these by itself: a client gets the answer of the stable revision.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_killed_or_hangs_is_rolled_back_and_no_read_fails() {
    in_namespace("rollout-away", async |world| {
        each_is_rolled_back(world, &[Fault::Killed, Fault::Hung]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_with_errors_late_answers_or_wrong_ones_is_rolled_back() {
    let faults = [Fault::Errors, Fault::Slow, Fault::Wrong];
    in_namespace("rollout-worse", async |world| each_is_rolled_back(world, &faults).await).await;
}
