//! What backups cost a writer, what a backup of unchanged data stores, and how long a restore takes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use engine_core::wire::BackupTaken;
use hyper::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::context::Bench;
use super::process::{Serving, run};
use super::row::{Row, Sample};
use super::text::Texts;

/// Most that backups may multiply the 99th percentile of an append by.
const TIMES_MAX: f64 = 1.5;
/// Most that a backup of unchanged data may store, kilobytes.
const UNCHANGED_KB_MAX: f64 = 100.0;
/// Longest time from an archive of a million events to an engine that answers, seconds.
const RESTORE_MAX: f64 = 120.0;
/// The same for a restore that would have to begin with a copy of the projection.
const FAST_RESTORE: f64 = 60.0;
/// Concurrent clients that fill the log, and memories in each of their requests.
const FILLERS: u64 = 8;
const BATCH: u64 = 100;
/// Events of the log beside which appends are measured.
const BESIDE: u64 = 20_000;
/// Longest time until everything is archived: the fill writes faster than one step archives.
const ARCHIVED_MAX: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn measure(bench: &Bench, runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    let mut rows = beside_backups(bench, runtime)?;
    rows.extend(restore(bench, runtime)?);
    Ok(rows)
}

/// An engine that archives to a directory.
fn start(bench: &Bench, runtime: &Runtime, name: &str, events: u64) -> anyhow::Result<Serving> {
    let (data, store) = (bench.directory(name)?, bench.directory(&format!("{name}-store"))?);
    let store = store.canonicalize()?;
    let config = bench.directory.join(format!("{name}.yaml"));
    let section = json!({"backup": {"url": format!("file://{}", store.display())}});
    std::fs::write(&config, section.to_string())?;
    let serving = Serving::start_with(&data, Some(&config))?;
    runtime.block_on(async {
        serving.ready().await?;
        fill(&serving, events.min(bench.events)).await?;
        archived(&serving).await
    })?;
    Ok(serving)
}

async fn fill(serving: &Serving, events: u64) -> anyhow::Result<()> {
    let address = serving.api;
    let mut running = JoinSet::new();
    let requests = events.div_ceil(BATCH);
    for filler in 0..FILLERS {
        let own = requests / FILLERS + u64::from(filler < requests % FILLERS);
        running.spawn(async move {
            let mut texts = Texts::new(3_000 + filler);
            let mut connection = Connection::open(address).await?;
            for _ in 0..own {
                let memories: Vec<String> = (0..BATCH).map(|_| texts.memory()).collect();
                let body = format!(r#"{{"memories":[{}]}}"#, memories.join(","));
                connection.get_done(Method::POST, "/v1/memories/batch", body).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// Waits until everything is archived.
async fn archived(serving: &Serving) -> anyhow::Result<()> {
    let mut connection = Connection::open(serving.admin).await?;
    let asked = Instant::now();
    loop {
        let status = connection.get_done(Method::GET, "/backups", String::new()).await?;
        let status: Value = serde_json::from_slice(&status)?;
        if status["state"] == "archiving" && status["lag_events"] == 0 {
            return Ok(());
        }
        anyhow::ensure!(asked.elapsed() < ARCHIVED_MAX, "not everything was archived: {status}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn backup(connection: &mut Connection) -> anyhow::Result<BackupTaken> {
    let taken = connection.get_done(Method::POST, "/backups", String::new()).await?;
    Ok(serde_json::from_slice(&taken)?)
}

/// Appends of one client, alternating without and with backups, one after the other, in the same run.
fn beside_backups(bench: &Bench, runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    bench.step("archive: filling the log");
    let serving = start(bench, runtime, "archived", BESIDE)?;
    let (mut without, mut with, mut backups) = (Vec::new(), Vec::new(), 0);
    let mut texts = Texts::new(4_000);
    for _ in 0..bench.rounds {
        bench.step("archive: appends");
        without.extend(runtime.block_on(appends(bench, &serving, &mut texts))?);
        bench.step("archive: appends during backups");
        let (latencies, taken) = runtime.block_on(appends_during_backups(bench, &serving, &mut texts))?;
        with.extend(latencies);
        backups += taken;
    }
    bench.step("archive: a backup of unchanged data");
    let unchanged = runtime.block_on(async {
        archived(&serving).await?;
        let mut connection = Connection::open(serving.admin).await?;
        backup(&mut connection).await?;
        backup(&mut connection).await
    })?;
    serving.stop()?;
    let sample = |latencies: Vec<Duration>| {
        let elapsed = latencies.iter().sum();
        Sample::new(latencies, 1, elapsed)
    };
    let (without, with) = (sample(without), sample(with));
    let limit = without.percentile_us(0.99).context("no append")?;
    Ok(vec![
        Row::time("append, one client, p99, without backups", &without, 0.99),
        Row::time(format!("append, one client, p99, during {backups} backups"), &with, 0.99)
            .beside("the same without backups", limit)
            .at_most_of_limit(TIMES_MAX),
        Row::figure("stored by a backup of unchanged data", unchanged.stored_bytes as f64 / 1e3, "KB")
            .at_most(UNCHANGED_KB_MAX),
    ])
}

async fn appends(bench: &Bench, serving: &Serving, texts: &mut Texts) -> anyhow::Result<Vec<Duration>> {
    let mut connection = Connection::open(serving.api).await?;
    let (started, mut latencies) = (Instant::now(), Vec::new());
    while started.elapsed() < bench.duration || latencies.is_empty() {
        let before = Instant::now();
        connection.get_done(Method::POST, "/v1/memories", texts.memory()).await?;
        latencies.push(before.elapsed());
    }
    Ok(latencies)
}

/// Appends while one backup after the other is taken. Returns the number of backups too.
async fn appends_during_backups(
    bench: &Bench,
    serving: &Serving,
    texts: &mut Texts,
) -> anyhow::Result<(Vec<Duration>, u64)> {
    let (admin, duration) = (serving.admin, bench.duration);
    let backups = tokio::spawn(async move {
        let mut connection = Connection::open(admin).await?;
        let (started, mut taken) = (Instant::now(), 0);
        while started.elapsed() < duration || taken == 0 {
            backup(&mut connection).await?;
            taken += 1;
        }
        anyhow::Ok(taken)
    });
    let latencies = appends(bench, serving, texts).await?;
    Ok((latencies, backups.await??))
}

/// A restore of the large log until an engine on it has saved, found and read a memory. The projection is built from
/// the log.
fn restore(bench: &Bench, runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    bench.step("archive: filling the large log");
    let serving = start(bench, runtime, "large", bench.events)?;
    runtime.block_on(async {
        let mut connection = Connection::open(serving.admin).await?;
        backup(&mut connection).await
    })?;
    serving.stop()?;
    let store = bench.directory.join("large-store").canonicalize()?;
    let scratch = bench.directory("scratch")?;
    let (url, scratch) = (format!("file://{}", store.display()), text(&scratch));
    let mut restored = Vec::new();
    for _ in 0..bench.rounds {
        bench.step("archive: restoring the large log");
        let arguments = ["backup", "verify", "--store", &url, "--scratch", &scratch];
        restored.push(run(&arguments, None)?.0);
    }
    restored.sort_by_key(|report| report["rto_ms"].as_u64());
    let report = &restored[restored.len() / 2];
    let seconds = |key: &str| {
        report[key].as_f64().map(|ms| ms / 1e3).with_context(|| format!("the report has no {key}"))
    };
    let events = report["events"].as_u64().context("the report has no events")?;
    let part = |what: &str, key: &str| anyhow::Ok(Row::figure(what, seconds(key)?, "s"));
    let whole =
        Row::figure(format!("restore of {events} events until an engine answers"), seconds("rto_ms")?, "s");
    Ok(vec![
        whole.beside("beyond this, a copy of the projection would pay", FAST_RESTORE).at_most(RESTORE_MAX),
        part("of that: reading and writing the pieces", "download_ms")?,
        part("of that: opening and verifying the log", "open_ms")?,
        part("of that: building the projection", "projection_ms")?,
        part("of that: using the engine", "drill_ms")?,
    ])
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
