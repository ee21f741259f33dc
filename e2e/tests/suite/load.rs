//! Continuous writers, and an engine that is killed repeatedly, or replaced in a rolling restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::memories::Memories;
use e2e::wait::until;
use engine_core::wire::EventPage;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::world::{READY_LIMIT, World, in_namespace};

const CLIENTS: usize = 8;
const KILLS: usize = 20;
/// Minimum number of memories that are acknowledged between two kills, so that each kill hits a working engine.
const ACKNOWLEDGED_BETWEEN: usize = 100;
/// Longest time to save one memory across a kill: the container's start, its backoff, and the time until it is ready.
const SAVE_LIMIT: Duration = Duration::from_secs(90);
/// Delay between two attempts of one save.
const RETRY: Duration = Duration::from_millis(50);
/// Concurrent reads at the end.
const READERS: usize = 16;
const PAGE: u64 = 1000;

/// State shared by the clients.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
}

/// An acknowledged memory.
struct Saved {
    id: String,
    content: String,
    /// From the first attempt to the acknowledgement.
    took: Duration,
}

/// Every acknowledged memory survives twenty kills of the process under load. No memory is stored twice, although each
/// save was repeated under its idempotency key until it was answered.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_load_lose_and_double_nothing() {
    in_namespace("load", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: another cluster's processes cannot be killed from here");
            return Ok(());
        }
        world.apply("notes", json!({"writer": {"storage": {"size": "256Mi"}}})).await?;
        world.ready("notes").await?;
        let load = Arc::new(Load::default());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| tokio::spawn(write(client, world.memories("notes"), load.clone())))
            .collect();
        let killed = kill_again_and_again(world, &load).await;
        load.stop.store(true, Ordering::Relaxed);
        let mut saved = Vec::new();
        for client in clients {
            saved.extend(client.await??);
        }
        killed?;
        judge(world, &load, &saved).await?;
        let restarts = restarts(world).await?;
        ensure!(restarts >= i32::try_from(KILLS)?, "the container restarted {restarts} times");
        Ok(())
    })
    .await;
}

/// A rolling restart, here by a change of the pod's annotations, fails no request of clients that repeat a request
/// which was refused with 503 or not answered. One pod writes to the volume at a time, so there is a gap, which is
/// printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_fails_no_request() {
    in_namespace("rolling", async |world| {
        let spec = |revision: &str| {
            let storage = json!({"size": "256Mi"});
            json!({"writer": {"storage": storage, "podAnnotations": {"example.org/revision": revision}}})
        };
        world.apply("notes", spec("1")).await?;
        world.ready("notes").await?;
        let old = world.pod_uid("notes").await?;
        let load = Arc::new(Load::default());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| tokio::spawn(write(client, world.memories("notes"), load.clone())))
            .collect();
        let restarted = async {
            goes_on(&load, "before the restart").await?;
            world.apply("notes", spec("2")).await?;
            world.ready("notes").await?;
            ensure!(world.pod_uid("notes").await? != old, "the pod is the old one");
            goes_on(&load, "after the restart").await
        };
        let restarted = restarted.await;
        load.stop.store(true, Ordering::Relaxed);
        let mut saved = Vec::new();
        for client in clients {
            saved.extend(client.await??);
        }
        restarted?;
        let gap = saved.iter().map(|saved| saved.took).max().unwrap_or_default();
        println!("longest gap {gap:?}");
        judge(world, &load, &saved).await
    })
    .await;
}

/// Waits until the clients have saved some more memories.
async fn goes_on(load: &Load, when: &str) -> Result<()> {
    let before = load.acknowledged.load(Ordering::Relaxed);
    until(&format!("the load goes on {when}"), SAVE_LIMIT, async || {
        let since = load.acknowledged.load(Ordering::Relaxed) - before;
        Ok((since >= ACKNOWLEDGED_BETWEEN).then_some(()))
    })
    .await
}

/// Saves one memory after another and repeats each until it is acknowledged. Returns the memories.
async fn write(client: usize, memories: Memories, load: Arc<Load>) -> Result<Vec<Saved>> {
    let mut saved = Vec::new();
    while !load.stop.load(Ordering::Relaxed) {
        let key = format!("client-{client}-{}", saved.len());
        let content = format!("what client {client} said as its number {}", saved.len());
        let begun = Instant::now();
        let acknowledged = async {
            loop {
                match memories.save(&content, Some(&key)).await {
                    Ok(answer) => return answer,
                    Err(_) => load.refused.fetch_add(1, Ordering::Relaxed),
                };
                tokio::time::sleep(RETRY).await;
            }
        };
        let acknowledged = tokio::time::timeout(SAVE_LIMIT, acknowledged).await;
        let answer = acknowledged.with_context(|| format!("{key} was not acknowledged"))?;
        load.acknowledged.fetch_add(1, Ordering::Relaxed);
        saved.push(Saved { id: answer.id, content, took: begun.elapsed() });
    }
    Ok(saved)
}

async fn kill_again_and_again(world: &World, load: &Load) -> Result<()> {
    for kill in 0..KILLS {
        goes_on(load, &format!("before kill {kill}")).await?;
        // The status contains the container's id shortly after the container has started.
        let pids = until("the engine's process is known", READY_LIMIT, async || {
            let pids = world.engine_pids("notes").await?;
            Ok((!pids.is_empty()).then_some(pids))
        })
        .await?;
        for pid in pids {
            kill_process(Pid::from_raw(pid).context("a process id")?, Signal::KILL)?;
        }
    }
    Ok(())
}

async fn judge(world: &World, load: &Load, saved: &[Saved]) -> Result<()> {
    world.ready("notes").await?;
    let memories = world.memories("notes");
    let lost: Vec<&str> = stream::iter(saved)
        .map(|saved| lost(&memories, saved))
        .buffer_unordered(READERS)
        .try_filter_map(async |lost| Ok(lost))
        .try_collect()
        .await?;
    let counts = contents(&memories).await?;
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    let landed: usize = counts.values().sum();
    let report = world.exec("notes-0", "engine", &["memory-engine", "verify", "--data", "/data"]).await?;
    let report: Value = serde_json::from_str(&report).with_context(|| report.clone())?;
    println!(
        "acknowledged {}  in the log {landed}  lost {}  doubled {}  \
         failed attempts {}  chain ok {}",
        saved.len(),
        lost.len(),
        doubled.len(),
        load.refused.load(Ordering::Relaxed),
        report["ok"]
    );
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    ensure!(doubled.is_empty(), "saved more than once: {doubled:?}");
    ensure!(landed == saved.len(), "{landed} memories in the log, {} acknowledged", saved.len());
    ensure!(report["ok"] == true, "the chain does not verify: {report}");
    Ok(())
}

/// Returns the content of an acknowledged memory that cannot be read back unchanged; `None` if it can.
async fn lost<'a>(memories: &Memories, saved: &'a Saved) -> Result<Option<&'a str>> {
    let answer = memories.send("GET", &format!("/v1/memories/{}", saved.id), None, Vec::new()).await?;
    let same =
        answer.status == 200 && answer.success::<engine_core::wire::MemoryView>()?.content == saved.content;
    Ok((!same).then_some(saved.content.as_str()))
}

/// Returns how often each content occurs in the log.
async fn contents(memories: &Memories) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    let mut after = 0;
    loop {
        let page: EventPage = memories.get(&format!("/v1/events?after={after}&limit={PAGE}")).await?;
        for event in &page.events {
            let payload: Value = serde_json::from_str(event.payload.get())?;
            let content = payload["content"].as_str().context("an event without content")?.to_owned();
            *counts.entry(content).or_default() += 1;
            after = event.seq;
        }
        if page.events.is_empty() || after >= page.head_seq {
            return Ok(counts);
        }
    }
}

async fn restarts(world: &World) -> Result<i32> {
    let status = world.api::<Pod>().get("notes-0").await?.status.unwrap_or_default();
    Ok(status.container_statuses.iter().flatten().map(|container| container.restart_count).sum())
}
