//! Measures durable appends, over HTTP and in process.

use std::sync::Arc;
use std::time::Instant;

use engine_core::request;
use engine_core::wire::SaveMemory;
use hyper::Method;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::context::Bench;
use super::limits;
use super::process::Serving;
use super::row::{Row, Sample, median};
use super::text::Texts;
use crate::engine::{Engine, Settings};
use crate::metrics::Metrics;

/// Loads to measure: number of concurrent clients, and number of events per request.
const LOADS: [(usize, usize); 5] = [(1, 1), (8, 1), (64, 1), (8, 100), (64, 100)];
/// Maximum number of records in one group when the disk limit is measured. Larger groups do not make a disk faster.
const GROUP_MAX: usize = 100;
/// Numbers of concurrent in-process clients; each has one event in progress.
const IN_PROCESS: [usize; 3] = [1, 8, 64];

pub(super) fn measure(bench: &Bench, runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    let mut samples = Samples::default();
    for round in 0..bench.rounds {
        let serving = Serving::start(&bench.directory("append")?)?;
        runtime.block_on(serving.ready())?;
        for (place, (clients, batch)) in LOADS.into_iter().enumerate() {
            let group = (clients * batch).min(GROUP_MAX);
            bench.step(&format!("disk: groups of {group}"));
            samples.limits[place].push(limits::group_commit(&bench.directory, group, bench.duration)?);
            bench.step(&format!("append: {clients} clients, batches of {batch}"));
            let load = http(bench, &serving, clients, batch, u64::from(round));
            samples.http[place].push(runtime.block_on(load)?);
        }
        serving.stop()?;
        bench.step("append: in process");
        for (place, tasks) in IN_PROCESS.into_iter().enumerate() {
            samples.in_process[place].push(runtime.block_on(in_process(bench, tasks))?);
        }
    }
    Ok(samples.rows())
}

#[derive(Default)]
struct Samples {
    limits: [Vec<Sample>; LOADS.len()],
    http: [Vec<Sample>; LOADS.len()],
    in_process: [Vec<Sample>; IN_PROCESS.len()],
}

impl Samples {
    fn rows(self) -> Vec<Row> {
        let limits = self.limits.map(median);
        let single = limits[0].rate;
        let mut rows = vec![Row::rate("append 320 B + fdatasync, no engine", &limits[0], "events/s")];
        for (((clients, batch), sample), limit) in LOADS.into_iter().zip(self.http.map(median)).zip(&limits) {
            let work = match batch {
                1 => format!("append over HTTP, clients: {clients}"),
                _ => format!("append over HTTP, clients: {clients}, batches of {batch}"),
            };
            let row = Row::rate(work, &sample, "events/s")
                .beside("groups of the same size, at most 100", limit.rate);
            rows.push(match (clients, batch) {
                (1, 1) => row.at_least_of_limit(0.8),
                (64, 1) => row.at_least(20_000.0),
                (64, 100) => row.at_least_of_limit(0.5),
                _ => row,
            });
        }
        for (tasks, sample) in IN_PROCESS.into_iter().zip(self.in_process.map(median)) {
            let row = Row::rate(format!("append in process, clients: {tasks}"), &sample, "events/s");
            rows.push(row.beside("append 320 B + fdatasync", single));
        }
        rows
    }
}

/// Runs clients, each of which sends one request after the other until the time is over.
async fn http(
    bench: &Bench,
    serving: &Serving,
    clients: usize,
    batch: usize,
    seed: u64,
) -> anyhow::Result<Sample> {
    let (address, until) = (serving.api, Instant::now() + bench.duration);
    let started = Instant::now();
    let mut running = JoinSet::new();
    for client in 0..clients as u64 {
        running.spawn(async move {
            let mut texts = Texts::new(seed << 32 | client << 8 | batch as u64);
            let mut connection = Connection::open(address).await?;
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let (path, body) = match batch {
                    1 => ("/v1/memories", texts.memory()),
                    _ => ("/v1/events", texts.events(batch)),
                };
                let before = Instant::now();
                connection.get_done(Method::POST, path, body).await?;
                latencies.push(before.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let latencies = all(running).await?;
    Ok(Sample::new(latencies, batch as u64, started.elapsed()))
}

/// Like [`http()`], but in process and without HTTP: measures the queue and thread of the log, and the projection.
async fn in_process(bench: &Bench, tasks: usize) -> anyhow::Result<Sample> {
    let data = bench.directory("in-process")?;
    let engine = Arc::new(Engine::start(&data, Metrics::new("")?, Settings::default())?);
    while !engine.is_ready() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let (started, until) = (Instant::now(), Instant::now() + bench.duration);
    let mut running = JoinSet::new();
    for task in 0..tasks as u64 {
        let engine = Arc::clone(&engine);
        running.spawn(async move {
            let mut texts = Texts::new(task);
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let draft = request::memory(request::parse::<SaveMemory>(texts.memory().as_bytes())?)?;
                let before = Instant::now();
                engine.commit(vec![draft], None).await?;
                latencies.push(before.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let latencies = all(running).await?;
    let elapsed = started.elapsed();
    tokio::task::spawn_blocking(move || engine.stop()).await?;
    Ok(Sample::new(latencies, 1, elapsed))
}

async fn all(
    mut running: JoinSet<anyhow::Result<Vec<std::time::Duration>>>,
) -> anyhow::Result<Vec<std::time::Duration>> {
    let mut latencies = Vec::new();
    while let Some(ended) = running.join_next().await {
        latencies.extend(ended??);
    }
    Ok(latencies)
}
