//! Rollouts: a good revision goes through every step, a bad one is rolled back, and clients notice neither.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, RolloutPhase, RolloutStatus};
use e2e::cluster;
use e2e::model_server::ModelServer;
use e2e::wait::{condition, until};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::tls::allow;
use crate::world::{Kstatus, READY_LIMIT, SOON, World, in_namespace, kstatus, small};

/// Longest time for one step. Each gate needs 245 pairs, which take as long as both revisions need to answer.
pub(crate) const STEP_LIMIT: Duration = Duration::from_secs(240);
/// Longest time without an acknowledged save. The writer's pod is replaced once.
const GAP_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(40);
/// Memories before a rollout begins.
const MEMORIES: usize = 60;
/// The objects of a canary.
pub(crate) const CANARY: &str = "notes-canary";

/// An engine with readers that introduces revisions within seconds.
pub(crate) fn stepwise(gates: &[&str]) -> Value {
    let mut spec = small();
    spec["readers"] = json!({"replicas": 2});
    spec["rollout"] = json!({
        "darkLaunchSeconds": 3, "shadowSeconds": 3, "canary": [{"weight": 50, "seconds": 3}], "soakingSeconds": 5,
        "pairIntervalMillis": 50, "gates": gates,
    });
    spec
}

pub(crate) fn rollout(engine: &MemoryEngine) -> Option<&RolloutStatus> {
    engine.status.as_ref().and_then(|status| status.rollout.as_ref())
}

pub(crate) async fn phase(world: &World, phase: RolloutPhase, limit: Duration) -> Result<RolloutStatus> {
    let is_there = |engine: &MemoryEngine| rollout(engine).is_some_and(|rollout| rollout.phase == phase);
    let engine = world.until_engine("notes", &format!("{phase:?}"), limit, is_there).await?;
    rollout(&engine).cloned().context("a rollout")
}

async fn ask(world: &World, request: &Value) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {"memoryengine.io/rollout": request.to_string()}}});
    world.api::<MemoryEngine>().patch("notes", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// What clients saw.
#[derive(Default)]
pub(crate) struct Seen {
    acknowledged: Vec<String>,
    pub(crate) longest_gap: Duration,
    answered: usize,
    failed: Vec<String>,
    longest_read: Duration,
}

impl Seen {
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered
    }
}

/// Saves memories until the end, and tries each again until it is acknowledged.
async fn write(world: &World, stop: &AtomicBool) -> Seen {
    let (memories, mut seen, mut last) = (world.memories("notes"), Seen::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let text = format!("saved during the rollout, number {}", seen.acknowledged.len());
        let key = format!("rollout-{}", seen.acknowledged.len());
        if let Ok(saved) = memories.save(&text, Some(&key)).await {
            seen.longest_gap = seen.longest_gap.max(last.elapsed());
            last = Instant::now();
            seen.acknowledged.push(saved.id);
        }
        tokio::time::sleep(10 * PAUSE).await;
    }
    seen.longest_gap = seen.longest_gap.max(last.elapsed());
    seen
}

/// Searches through the Service of the writer and that of the readers until the end, each time for other words.
async fn read(world: &World, stop: &AtomicBool) -> Seen {
    let (mut seen, mut number) = (Seen::default(), 0_usize);
    let services = [world.memories("notes-readers"), world.memories("notes")];
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/v1/search?q=kettle+{}+number+{number}", number % MEMORIES);
        let began = Instant::now();
        // While the writer's pod is replaced, nobody is behind its Service.
        match services[0].send("GET", &path, None, Vec::new()).await {
            Ok(answer) if answer.status == 200 => {
                seen.answered += 1;
                seen.longest_read = seen.longest_read.max(began.elapsed());
            }
            Ok(answer) => seen.failed.push(format!("{}: {}", answer.status, answer.body)),
            Err(error) => seen.failed.push(format!("{error:#}")),
        }
        let _while_it_is_there = services[1].send("GET", &path, None, Vec::new()).await;
        number += 1;
        tokio::time::sleep(PAUSE).await;
    }
    seen
}

/// Carries out `rollout` while clients read and write; returns what they saw.
pub(crate) async fn with_clients(
    world: &World,
    rollout: impl AsyncFnOnce(&World) -> Result<()>,
) -> Result<(Seen, Seen)> {
    let stop = AtomicBool::new(false);
    let all = async {
        let result = rollout(world).await;
        stop.store(true, Ordering::Relaxed);
        result
    };
    let (result, wrote, read) = tokio::join!(all, write(world, &stop), read(world, &stop));
    println!(
        "{} saves acknowledged, longest gap {:?}; {} reads, {} failed, longest {:?}",
        wrote.acknowledged.len(),
        wrote.longest_gap,
        read.answered,
        read.failed.len(),
        read.longest_read
    );
    result?;
    ensure!(wrote.longest_gap < GAP_LIMIT, "no save was acknowledged for {:?}", wrote.longest_gap);
    ensure!(read.failed.is_empty(), "reads failed: {:?}", read.failed);
    for id in &wrote.acknowledged {
        world.memories("notes").read(id).await.with_context(|| format!("{id} is lost"))?;
    }
    Ok((wrote, read))
}

pub(crate) async fn prepared(world: &World, spec: Value) -> Result<()> {
    world.apply("notes", spec).await?;
    world.ready("notes").await?;
    phase(world, RolloutPhase::Stable, READY_LIMIT).await?;
    for number in 0..MEMORIES {
        let text = format!("the kettle number {number} is on shelf {}", number * 7);
        world.memories("notes").save(&text, None).await?;
    }
    world.condition("notes", "ReadersReady", "True", "ReadersServing").await.map(|_| ())
}

pub(crate) async fn nothing_is_left_of_the_canary(world: &World) -> Result<()> {
    until("nothing is left of the canary", SOON + READY_LIMIT, async || {
        let claims = world.api::<PersistentVolumeClaim>().list(&ListParams::default()).await?.items;
        let left = [
            world.api::<StatefulSet>().get_opt(CANARY).await?.is_some(),
            world.api::<Service>().get_opt(CANARY).await?.is_some(),
            world.api::<ConfigMap>().get_opt(CANARY).await?.is_some(),
            world.api::<NetworkPolicy>().get_opt(CANARY).await?.is_some(),
            claims
                .iter()
                .any(|claim| claim.metadata.name.as_deref().is_some_and(|name| name.contains(CANARY))),
        ];
        Ok((!left.contains(&true)).then_some(()))
    })
    .await
}

/// Names of the reasons of the events of the engine.
async fn events(world: &World) -> Result<Vec<String>> {
    let events = world.api::<Event>().list(&ListParams::default()).await?.items;
    Ok(events.into_iter().filter_map(|event| event.reason).collect())
}

/// The image, the embedding, the reranker or the policy make a revision. This one answers as the one before. Drills end
/// each step before the promotion, and some let the canary's calls of the model server fail: no gate counts that.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_revision_becomes_the_stable_one_and_no_client_notices() {
    in_namespace("tls-rollout-good", async |world| {
        allow(world).await?;
        let server = ModelServer::start(&cluster::node_network()?)?;
        let http = |millis| {
            let http = json!({"url": server.url(), "model": "letters", "queryTimeoutMillis": millis});
            json!({"provider": "http", "http": http})
        };
        let mut spec =
            stepwise(&["Error", "Timeout", "Fallback", "Digest", "Chain", "Downgrade", "Readiness"]);
        spec["rollout"]["drills"] = json!({});
        spec["embedding"] = http(1_000);
        prepared(world, spec.clone()).await?;
        let began = Instant::now();
        with_clients(world, async |world| {
            spec["embedding"] = http(1_500);
            world.apply("notes", spec).await?;
            for step in [
                RolloutPhase::DarkLaunch,
                RolloutPhase::Shadow,
                RolloutPhase::Canary,
                RolloutPhase::Promoting,
                RolloutPhase::Soaking,
                RolloutPhase::Stable,
            ] {
                let reached = phase(world, step, STEP_LIMIT).await?;
                println!("{:>6.1} s {step:?}: {}", began.elapsed().as_secs_f64(), reached.message);
            }
            Ok(())
        })
        .await?;
        let engine = world.ready("notes").await?;
        let rollout = rollout(&engine).context("a rollout")?;
        ensure!(rollout.wanted_revision == rollout.stable_revision, "{rollout:?}");
        world.condition("notes", "RolledOut", "True", "RevisionServing").await?;
        let said = events(world).await?;
        for step in ["DarkLaunch", "Shadow", "Canary", "Promoting", "Soaking", "Stable"] {
            ensure!(said.contains(&format!("Rollout{step}")), "no event of {step}: {said:?}");
        }
        every_drill_passed(world).await?;
        nothing_is_left_of_the_canary(world).await
    })
    .await;
}

/// Each of the three steps ended with all six drills, and no memory of them is left.
async fn every_drill_passed(world: &World) -> Result<()> {
    let labelled = ListParams::default().labels("memoryengine.io/job=drill");
    let pods = world.api::<Pod>().list(&labelled).await?.items;
    ensure!(pods.len() == 3, "{} pods of drills", pods.len());
    for pod in pods {
        let statuses =
            pod.status.into_iter().flat_map(|status| status.container_statuses.unwrap_or_default());
        let ended = statuses.filter_map(|one| one.state?.terminated?.message).next().context("a verdict")?;
        let verdict: Value = serde_json::from_str(&ended)?;
        println!("drills: {verdict}");
        let drills = verdict["drills"].as_object().context("drills")?;
        let is_passed = |name: &&str| drills.get(*name).is_some_and(|drill| drill["outcome"] == "passed");
        let all = ["write-path", "mode", "metrics", "read-path", "auth-failure", "consecutive-failures"];
        let not_passed: Vec<_> = all.iter().filter(|name| !is_passed(name)).collect();
        ensure!(not_passed.is_empty(), "{not_passed:?}: {verdict}");
    }
    let answer =
        world.memories("notes").send("GET", "/v1/search?project=drill-rollout", None, Vec::new()).await?;
    let found: Value = serde_json::from_str(&answer.body)?;
    ensure!(found["items"] == json!([]), "a drill has left {found}");
    Ok(())
}

/// The new revision asks a model server that is not there: its answers are degraded, and nobody gets one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_revision_is_rolled_back_by_itself_and_the_status_says_so() {
    in_namespace("rollout-bad", async |world| {
        let spec = stepwise(&["Error", "Timeout", "Fallback", "Degraded", "Digest", "Chain", "Downgrade"]);
        prepared(world, spec.clone()).await?;
        with_clients(world, async |world| {
            let mut bad = spec.clone();
            let http = json!({"url": "http://127.0.0.1:9/v1", "model": "nobody", "dimension": 64});
            bad["embedding"] = json!({"provider": "http", "http": http});
            world.apply("notes", bad).await?;
            let rolled_back = phase(world, RolloutPhase::RolledBack, STEP_LIMIT).await?;
            println!("{}", rolled_back.message);
            ensure!(rolled_back.message.contains("still asks for"), "{}", rolled_back.message);
            Ok(())
        })
        .await?;
        nothing_is_left_of_the_canary(world).await?;
        let engine = world.api::<MemoryEngine>().get("notes").await?;
        ensure!(kstatus(&engine) == Kstatus::Failed, "{:?}", kstatus(&engine));
        ensure!(
            condition(&engine, "Ready").is_some_and(|one| one.status == "True"),
            "the stable revision serves"
        );
        ensure!(condition(&engine, "Stalled").is_some_and(|one| one.reason == "RolledBack"), "it is said");
        let version = engine.metadata.resource_version.clone();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let later = world.api::<MemoryEngine>().get("notes").await?;
        ensure!(
            rollout(&later) == rollout(&engine),
            "the rollout flaps: {version:?} {:?}",
            later.metadata.resource_version
        );
        // Back in Git, and everything is as it was.
        world.apply("notes", spec.clone()).await?;
        phase(world, RolloutPhase::Stable, SOON).await?;
        world.ready("notes").await?;
        // Another revision starts at once, and a person can end it.
        let mut other = spec;
        other["embedding"] = json!({"provider": "none"});
        let began = Instant::now();
        world.apply("notes", other).await?;
        phase(world, RolloutPhase::DarkLaunch, SOON).await?;
        ensure!(began.elapsed() < Duration::from_secs(10), "it began after {:?}", began.elapsed());
        ask(world, &json!({"verb": "abort", "by": "ada", "reason": "not today"})).await?;
        let aborted = phase(world, RolloutPhase::RolledBack, SOON).await?;
        ensure!(aborted.message.contains("ada asked to abort: not today"), "{}", aborted.message);
        Ok(())
    })
    .await;
}
