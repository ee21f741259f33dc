//! Measures a large log: start, verification, rebuild of the projection, memory use, and reads right after writes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::Method;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::context::Bench;
use super::limits;
use super::process::{self, Serving};
use super::row::{Row, Sample};
use super::search::{Filled, SMALL, append_beside};
use super::text::Texts;

/// Number of concurrent clients that fill the log. Each request saves one memory.
const FILLERS: u64 = 32;
/// Number of reads of each kind. Reads of the two kinds alternate.
const READS: usize = 500;

pub(super) fn measure(bench: &Bench, runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    // A large log is compared with a small one, unless it is small itself.
    let small = if bench.events > SMALL {
        let (data, serving) = filled(bench, runtime, "small", SMALL)?;
        rows.extend(runtime.block_on(asked(bench, &serving, &data, SMALL).rows())?);
        Some((data, serving))
    } else {
        None
    };
    let (data, serving) = filled(bench, runtime, "large", bench.events)?;
    let large = asked(bench, &serving, &data, bench.events);
    rows.extend(runtime.block_on(large.rows())?);
    if let Some((data, serving)) = small {
        let small = asked(bench, &serving, &data, SMALL);
        rows.push(runtime.block_on(append_beside(&small, &large))?);
        serving.stop()?;
    }
    bench.step("reading right after a write");
    rows.extend(runtime.block_on(read_after_write(&serving))?);
    rows.push(Row::figure(resident(bench, "with vectors"), serving.resident_mib()?, "MiB"));
    serving.stop()?;
    rows.push(without_vectors(bench, runtime, &data)?);
    rows.push(open(bench, runtime, &data)?);
    rows.extend(verify(bench, &data)?);
    rows.push(rebuild(bench, &data)?);
    Ok(rows)
}

/// Starts an engine and fills it with this number of memories.
fn filled(bench: &Bench, runtime: &Runtime, name: &str, memories: u64) -> anyhow::Result<(PathBuf, Serving)> {
    let data = bench.directory(name)?;
    bench.step(&format!("filling the {name} log"));
    let serving = Serving::start(&data)?;
    runtime.block_on(serving.ready())?;
    runtime.block_on(fill(memories, &serving))?;
    Ok((data, serving))
}

fn asked<'a>(bench: &'a Bench, serving: &'a Serving, data: &'a Path, memories: u64) -> Filled<'a> {
    Filled { bench, serving, data, memories }
}

/// Measures the memory use of an engine with the same log but without an embedding model.
fn without_vectors(bench: &Bench, runtime: &Runtime, data: &Path) -> anyhow::Result<Row> {
    let config = bench.directory.join("without-vectors.yaml");
    std::fs::write(&config, "embedding: {provider: none}\n")?;
    let serving = Serving::start_with(data, Some(&config))?;
    runtime.block_on(serving.ready())?;
    runtime.block_on(asked(bench, &serving, data, bench.events).warm())?;
    let row = Row::figure(resident(bench, "without vectors"), serving.resident_mib()?, "MiB").at_most(256.0);
    serving.stop()?;
    Ok(row)
}

fn resident(bench: &Bench, how: &str) -> String {
    format!("resident memory {how}, {} memories", bench.events)
}

async fn fill(memories: u64, serving: &Serving) -> anyhow::Result<()> {
    let address = serving.api;
    let mut running = JoinSet::new();
    for filler in 0..FILLERS {
        let count = memories / FILLERS + u64::from(filler < memories % FILLERS);
        running.spawn(async move {
            let mut texts = Texts::new(1_000 + filler);
            let mut connection = Connection::open(address).await?;
            for _ in 0..count {
                connection.get_done(Method::POST, "/v1/memories", texts.memory()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// Reads memories by id right after they were written, alternating with reads of an older memory.
async fn read_after_write(serving: &Serving) -> anyhow::Result<Vec<Row>> {
    let mut connection = Connection::open(serving.api).await?;
    let mut texts = Texts::new(77);
    let (mut fresh, mut warm, mut before) = (Vec::new(), Vec::new(), None::<String>);
    for _ in 0..READS {
        let saved = connection.get_done(Method::POST, "/v1/memories", texts.memory()).await?;
        let saved: Value = serde_json::from_slice(&saved)?;
        let path = format!("/v1/memories/{}", saved["id"].as_str().context("no id in the answer")?);
        fresh.push(timed_read(&mut connection, &path).await?);
        let known = before.get_or_insert(path);
        warm.push(timed_read(&mut connection, known).await?);
    }
    let sample = |latencies: Vec<Duration>| {
        let elapsed = latencies.iter().sum();
        Sample::new(latencies, 1, elapsed)
    };
    let (fresh, warm) = (sample(fresh), sample(warm));
    let median = |sample: &Sample| sample.percentile_us(0.5).unwrap_or_default();
    let compared = Row {
        p50_us: fresh.percentile_us(0.5),
        p99_us: fresh.percentile_us(0.99),
        ..Row::figure("read by id right after the write", median(&fresh) / median(&warm), "× a warm read")
    };
    Ok(vec![compared.at_most(2.0), Row::rate("read by id, warm, one client", &warm, "reads/s")])
}

async fn timed_read(connection: &mut Connection, path: &str) -> anyhow::Result<Duration> {
    let before = Instant::now();
    connection.get_done(Method::GET, path, String::new()).await?;
    Ok(before.elapsed())
}

fn open(bench: &Bench, runtime: &Runtime, data: &Path) -> anyhow::Result<Row> {
    let mut times = Vec::new();
    for _ in 0..bench.rounds {
        bench.step("opening the large log");
        let serving = Serving::start(data)?;
        times.push(runtime.block_on(serving.ready())?);
        serving.stop()?;
    }
    times.sort_unstable();
    let median = times[times.len() / 2].as_secs_f64();
    Ok(Row::figure(format!("start with {} events until ready", bench.events), median, "s").at_most(2.0))
}

fn verify(bench: &Bench, data: &Path) -> anyhow::Result<[Row; 2]> {
    bench.step("SHA-256");
    let small = limits::sha256(limits::SMALL, bench.duration);
    let event = limits::sha256(limits::EVENT, bench.duration);
    bench.step("verifying the large log");
    let (report, elapsed) = process::run(&["verify"], Some(data))?;
    let events = report["events"].as_f64().context("no events in the report")?;
    let row = |work: &str| Row::figure(work, events / elapsed.as_secs_f64(), "events/s");
    Ok([
        row("verify the log").beside("SHA-256 of 300 B on one core", small).at_least_of_limit(0.5),
        row("verify the log, beside its own hashes").beside("the four hashes of an event on one core", event),
    ])
}

fn rebuild(bench: &Bench, data: &Path) -> anyhow::Result<Row> {
    bench.step("SQLite without an engine");
    let limit = limits::sqlite(&bench.directory, bench.duration * 3)?;
    bench.step("rebuilding the projection");
    let (report, elapsed) = process::run(&["rebuild"], Some(data))?;
    let events = report["applied_seq"].as_f64().context("no position in the report")?;
    let row = Row::figure("rebuild the projection", events / elapsed.as_secs_f64(), "events/s");
    Ok(row.beside("rows with FTS5 in large transactions", limit).at_least_of_limit(0.7))
}
