//! Modes, holds and the guard on the cluster, with a real embedding service that fails in every way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::{EngineMode, MemoryEngine};
use e2e::cluster;
use e2e::model_server::{Behaviour, ModelServer};
use e2e::wait::until;
use engine_core::mode::Mode;
use engine_core::wire::{ModeReport, Transition};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{SOON, World, in_namespace, small};

/// Longest time from a change of the resource to its effect.
const MODE_LIMIT: Duration = Duration::from_secs(2);
const HOLD_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for the guard. Its holds last three seconds in these tests, and double with each failed probe.
const GUARD_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two saves, and between two searches, of the drill.
const PAUSE: Duration = Duration::from_millis(50);

/// The engine's report of its mode.
pub(crate) async fn mode(world: &World, engine: &str) -> Result<ModeReport> {
    let path = format!("/api/v1/namespaces/{}/pods/{engine}-0:8081/proxy/mode", world.namespace);
    Ok(world.client.request(http::Request::get(path).body(Vec::new())?).await?)
}

/// Waits until a mode is in effect; returns how long it took.
async fn until_mode(world: &World, wanted: Mode, limit: Duration) -> Result<Duration> {
    let started = Instant::now();
    until(&format!("the mode {wanted} is in effect"), limit, async || {
        Ok((mode(world, "notes").await?.mode.effective == wanted).then_some(()))
    })
    .await?;
    Ok(started.elapsed())
}

async fn search(world: &World, words: &str) -> Result<(u16, Value)> {
    let path = format!("/v1/search?q={}", words.replace(' ', "+"));
    let answer = world.memories("notes").send("GET", &path, None, Vec::new()).await?;
    Ok((answer.status, serde_json::from_str(&answer.body)?))
}

async fn annotate(world: &World, hold: Option<&Value>) -> Result<()> {
    let text = hold.map(Value::to_string);
    let patch = json!({"metadata": {"annotations": {"memoryengine.io/force-mode": text}}});
    world.api::<MemoryEngine>().patch("notes", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

fn shows(engine: &MemoryEngine, mode: EngineMode, reason: &str) -> bool {
    let status = engine.status.as_ref();
    let mut conditions = status.iter().flat_map(|status| &status.conditions);
    status.and_then(|status| status.effective_mode) == Some(mode)
        && conditions.any(|condition| condition.type_ == "ReadsEnabled" && condition.reason == reason)
}

/// A changed mode is in effect at once, restarts nothing, and is kept by the volume.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mode_is_in_effect_within_two_seconds_and_restarts_nothing() {
    in_namespace("modes", async |world| {
        world.engine("notes").await?;
        let pod = world.pod_uid("notes").await?;
        world.memories("notes").save("the kettle is blue", None).await?;
        for (word, effective, reason, reads, writes) in [
            (EngineMode::WriteOnly, Mode::WriteOnly, "ModeWithoutReads", 503, 201),
            (EngineMode::ReadOnly, Mode::ReadOnly, "ReadsOn", 200, 503),
            (EngineMode::Off, Mode::Off, "ModeWithoutReads", 503, 503),
            (EngineMode::ReadWrite, Mode::ReadWrite, "ReadsOn", 200, 201),
        ] {
            let mut spec = small();
            spec["mode"] = serde_json::to_value(word)?;
            world.apply("notes", spec).await?;
            let took = until_mode(world, effective, MODE_LIMIT).await?;
            println!("{effective} is in effect after {took:?}");
            ensure!(search(world, "kettle").await?.0 == reads, "{word:?}: reads");
            let body = serde_json::to_vec(&json!({"content": format!("saved in {effective}")}))?;
            let saved = world.memories("notes").send("POST", "/v1/memories", None, body).await?;
            ensure!(saved.status == writes, "{word:?}: writes: {saved:?}");
            world
                .until_engine("notes", "the status shows it", SOON, |engine| shows(engine, word, reason))
                .await?;
            // A mode that is wanted is no fault.
            world.ready("notes").await?;
        }
        ensure!(world.pod_uid("notes").await? == pod, "the pod was replaced");
        Ok(())
    })
    .await;
}

/// An annotation holds the mode, survives the pod, and ends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_holds_the_mode_until_it_ends() {
    in_namespace("holds", async |world| {
        world.engine("notes").await?;
        let until_when = Timestamp::now().checked_add(SignedDuration::from_secs(45))?;
        let hold =
            json!({"mode": "WriteOnly", "reason": "an upgrade", "by": "platform", "until": until_when});
        annotate(world, Some(&hold)).await?;
        let took = until_mode(world, Mode::WriteOnly, HOLD_LIMIT).await?;
        println!("held after {took:?}");
        let held = |engine: &MemoryEngine| shows(engine, EngineMode::WriteOnly, "ForcedByHold");
        world.until_engine("notes", "the status says who holds it", SOON, held).await?;
        // Events are published after the status.
        until("an event says it", SOON, async || {
            let events = world.api::<Event>().list(&ListParams::default()).await?.items;
            Ok(events.iter().any(|event| event.reason.as_deref() == Some("ForcedByHold")).then_some(()))
        })
        .await?;

        // The engine keeps the hold when its process ends.
        for pid in world.engine_pids("notes").await? {
            let pid = rustix::process::Pid::from_raw(pid).context("a pid")?;
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        }
        until("the engine is back", SOON, async || Ok(mode(world, "notes").await.ok())).await?;
        ensure!(mode(world, "notes").await?.mode.effective == Mode::WriteOnly, "the restart ended the hold");
        until_mode(world, Mode::ReadWrite, Duration::from_secs(60)).await?;
        ensure!(Timestamp::now() >= until_when, "it ended early");
        world.ready("notes").await?;

        annotate(world, Some(&json!({"mode": "WriteOnly"}))).await?;
        world.condition("notes", "Stalled", "True", "ForceModeInvalid").await?;
        ensure!(
            mode(world, "notes").await?.mode.effective == Mode::ReadWrite,
            "a wrong annotation changed the mode"
        );
        annotate(world, None).await?;
        world.ready("notes").await.map(|_| ())
    })
    .await;
}

/// One row of the drill's table.
struct Row {
    fault: &'static str,
    off: Duration,
    off_in_status: Duration,
    back: Duration,
    back_in_status: Duration,
    reason: String,
}

/// What the writer of the drill saw.
struct Written {
    acknowledged: usize,
    refused: Vec<String>,
    latencies: Vec<Duration>,
}

/// Takes the embedding service through everything that can go wrong with it. Reads are turned off and on without a
/// person, writes go on throughout, and the recorder derives every mode that was seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_turns_reads_off_and_on_and_loses_no_write() {
    in_namespace("drill", async |world| {
        let server = ModelServer::start(&cluster::node_network()?)?;
        world.apply("notes", drilled(&server.url())).await?;
        world.ready("notes").await?;
        world.memories("notes").save("the kettle is blue", None).await?;
        let stop = AtomicBool::new(false);
        let drill = async {
            let rows = drill(world, &server).await;
            stop.store(true, Ordering::Relaxed);
            rows
        };
        let (rows, written, ()) = tokio::join!(drill, write(world, &stop), read(world, &stop));
        print(&rows?, &written);
        ensure!(written.refused.is_empty(), "writes were refused: {:?}", written.refused);
        ensure!(written.acknowledged > 20, "only {} writes", written.acknowledged);
        replay_equals_what_was_seen(world).await
    })
    .await;
}

fn drilled(url: &str) -> Value {
    let mut spec = small();
    spec["embedding"] = json!({
        "provider": "http",
        "http": {
            "url": url, "model": "letters", "queryTimeoutMillis": 1000, "maxRequestsPerMinute": 100_000,
        },
    });
    spec["guard"] = json!({"holdSeconds": 3, "probeIntervalMillis": 200, "probeBudgetMillis": 250});
    spec
}

async fn drill(world: &World, server: &ModelServer) -> Result<Vec<Row>> {
    let slow = Behaviour::Slow(Duration::from_millis(500));
    let mut rows = Vec::new();
    for (fault, behaviour, reason) in [
        ("refuses connections", Behaviour::Refuses, "DependencyFailing"),
        ("answers 401", Behaviour::Status(401), "DependencyAuthenticationFailed"),
        ("accepts and hangs", Behaviour::Hangs, "DependencyFailing"),
        ("answers in 500 ms", slow, "DependencySlow"),
        ("answers 429", Behaviour::Status(429), "DependencyFailing"),
    ] {
        server.set(behaviour);
        let started = Instant::now();
        until_mode(world, Mode::WriteOnly, GUARD_LIMIT).await.context(fault)?;
        let off = started.elapsed();
        let (status, answer) = search(world, "kettle").await?;
        ensure!(status == 503 && answer["used"] == false, "{fault}: {status} {answer}");
        let is_off = |engine: &MemoryEngine| shows(engine, EngineMode::WriteOnly, reason);
        world.until_engine("notes", "the status says so", SOON, is_off).await.context(fault)?;
        let off_in_status = started.elapsed();
        server.set(Behaviour::Answers);
        let started = Instant::now();
        until_mode(world, Mode::ReadWrite, GUARD_LIMIT).await.context(fault)?;
        let back = started.elapsed();
        let is_on = |engine: &MemoryEngine| shows(engine, EngineMode::ReadWrite, "ReadsOn");
        world.until_engine("notes", "the status shows reads", SOON, is_on).await.context(fault)?;
        let (off_reason, back_in_status) = (answer["reason"].to_string(), started.elapsed());
        rows.push(Row { fault, off, off_in_status, back, back_in_status, reason: off_reason });
        until("searches answer", SOON, async || Ok((search(world, "kettle").await?.0 == 200).then_some(())))
            .await?;
    }
    Ok(rows)
}

/// Saves until the drill ends.
async fn write(world: &World, stop: &AtomicBool) -> Written {
    let memories = world.memories("notes");
    let mut written = Written { acknowledged: 0, refused: Vec::new(), latencies: Vec::new() };
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        match memories.save(&format!("saved during the drill {}", written.acknowledged), None).await {
            Ok(_) => written.acknowledged += 1,
            Err(error) => written.refused.push(format!("{error:#}")),
        }
        written.latencies.push(started.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    written
}

/// Searches until the drill ends, so that the guard has calls to judge.
async fn read(world: &World, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let _any_answer = search(world, &format!("kettle {number}")).await;
        tokio::time::sleep(PAUSE).await;
    }
}

fn print(rows: &[Row], written: &Written) {
    let ms = |time: Duration| time.as_millis();
    println!(
        "{:<20} {:>9} {:>11} {:>9} {:>11}  reason",
        "the service", "off ms", "in status", "back ms", "in status"
    );
    for Row { fault, off, off_in_status, back, back_in_status, reason } in rows {
        println!(
            "{fault:<20} {:>9} {:>11} {:>9} {:>11}  {reason}",
            ms(*off),
            ms(*off_in_status),
            ms(*back),
            ms(*back_in_status)
        );
    }
    let mut latencies = written.latencies.clone();
    latencies.sort_unstable();
    let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
    println!(
        "{} writes acknowledged, {} refused, p99 {} ms through the API server's proxy",
        written.acknowledged,
        written.refused.len(),
        ms(p99)
    );
}

/// The recorder derives every mode that the engine showed.
async fn replay_equals_what_was_seen(world: &World) -> Result<()> {
    let transitions = mode(world, "notes").await?.transitions;
    ensure!(transitions.len() >= 10, "{} transitions", transitions.len());
    for Transition { at, to, state, .. } in &transitions {
        let at = at.to_string();
        let command = ["/usr/bin/memory-engine", "guard", "replay", "--at", &at, "--data", "/data"];
        let replayed: Value = serde_json::from_str(&world.exec("notes-0", "engine", &command).await?)?;
        ensure!(
            replayed["mode"] == to.as_str() && replayed["state"] == state.as_str(),
            "{at}: {to} {state} was seen, {replayed} was derived"
        );
        ensure!(replayed["differing"] == json!([]), "{replayed}");
    }
    println!("{} transitions derived again from the log", transitions.len());
    Ok(())
}
