//! What traces and the ids of requests cost a read that is answered from the cache: over HTTP, in turns with an engine
//! without traces, and in process without everything else.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use engine_core::configuration::Tracing;
use hyper::Method;
use service::{LogLines, RequestIds, selected};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use super::connection::Connection;
use super::context::Bench;
use super::process::Serving;
use super::row::{Row, Sample, median};
use crate::metrics::Metrics;
use crate::spans;
use crate::traces::Traces;

/// Most that traces may add to the median of a cached read.
const TIMES_MAX: f64 = 1.1;
/// The engines: a part of a million traces that is recorded; none without traces.
const ENGINES: [(&str, Option<u32>); 3] = [
    ("cached read over HTTP", None),
    ("cached read over HTTP, traces on, all recorded", Some(1_000_000)),
    ("cached read over HTTP, traces on, 1 % recorded", Some(10_000)),
];
/// Requests of a batch in process.
const BATCH: u64 = 1_000;
/// Largest body that the collector reads, bytes. A batch of spans is smaller.
const BODY_BYTES_MAX: u64 = 4 << 20;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let collector = Collector::start()?;
    let mut engines = Vec::new();
    for (place, (_, share)) in ENGINES.into_iter().enumerate() {
        let data = bench.directory(&format!("traces-{place}"))?;
        let config = share.map(|share| collector.configuration(&data, share)).transpose()?;
        let serving = Serving::start_with(&data, config.as_deref())?;
        runtime.block_on(serving.ready())?;
        let path = runtime.block_on(remember(serving.api))?;
        engines.push((serving, path));
    }
    let mut samples: [Vec<Sample>; ENGINES.len()] = Default::default();
    for _ in 0..bench.rounds {
        for ((serving, path), samples) in engines.iter().zip(&mut samples) {
            bench.step("traces: cached reads");
            samples.push(runtime.block_on(read(bench, serving.api, path))?);
        }
    }
    for (serving, _) in engines {
        serving.stop()?;
    }
    ensure!(collector.received.load(Ordering::Acquire) > 0, "no trace reached the collector");
    let samples = samples.map(median);
    let off = samples[0].percentile_us(0.5).context("no read")?;
    let mut rows = Vec::new();
    for ((work, share), sample) in ENGINES.into_iter().zip(&samples) {
        let row = Row::time(work, sample, 0.5);
        rows.push(if share.is_none() {
            row
        } else {
            row.beside("the same without traces", off).at_most_of_limit(TIMES_MAX)
        });
    }
    rows.extend(in_process(bench, &collector)?);
    Ok(rows)
}

/// Saves a memory. Returns the path of a request that reads it.
async fn remember(api: SocketAddr) -> anyhow::Result<String> {
    let mut connection = Connection::open(api).await?;
    let body = r#"{"content": "the kettle is blue"}"#.to_owned();
    let saved = connection.get_done(Method::POST, "/v1/memories", body).await?;
    let saved: serde_json::Value = serde_json::from_slice(&saved)?;
    let path = format!("/v1/memories/{}", saved["id"].as_str().context("no id")?);
    // From now on the answer comes from the cache.
    connection.get_done(Method::GET, &path, String::new()).await?;
    Ok(path)
}

async fn read(bench: &Bench, api: SocketAddr, path: &str) -> anyhow::Result<Sample> {
    let mut connection = Connection::open(api).await?;
    let (mut latencies, started) = (Vec::new(), Instant::now());
    while started.elapsed() < bench.duration {
        let before = Instant::now();
        connection.get_done(Method::GET, path, String::new()).await?;
        latencies.push(before.elapsed());
    }
    Ok(Sample::new(latencies, 1, started.elapsed()))
}

/// The span and the ids of a request, without a request.
fn in_process(bench: &Bench, collector: &Collector) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    bench.step("traces: in process");
    let off = tracing_subscriber::registry().with(lines());
    let off = tracing::subscriber::with_default(off, || requests(bench));
    rows.push(Row::time("ids and span of a request, in process", &off, 0.5));
    let section = Tracing { endpoint: Some(collector.endpoint()), ..Tracing::default() };
    let metrics = Metrics::new("")?;
    let traces = Traces::start(&section, "", metrics.traces.clone())?.context("traces are on")?;
    let on = tracing_subscriber::registry().with(traces.layer()).with(lines());
    let on = tracing::subscriber::with_default(on, || requests(bench));
    traces.stop();
    rows.push(Row::time("ids and span of a request, in process, traces on", &on, 0.5));
    Ok(rows)
}

/// The log of an engine, which attaches the ids to spans.
fn lines<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    LogLines::new(std::io::stderr).with_filter(selected(&[], tracing::Level::INFO))
}

/// The time that each request of a batch takes on average, for many batches.
fn requests(bench: &Bench) -> Sample {
    let (mut times, started) = (Vec::new(), Instant::now());
    while started.elapsed() < bench.duration {
        let before = Instant::now();
        for _ in 0..BATCH {
            let ids = RequestIds::received(None, None);
            let span = spans::of_request(&ids, "GET", "/v1/memories/{id}");
            span.in_scope(|| black_box(&ids));
            spans::answered(&span, 200);
        }
        times.push(before.elapsed() / BATCH as u32);
    }
    Sample::new(times, BATCH, started.elapsed())
}

/// A collector that takes everything.
struct Collector {
    address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Collector {
    fn start() -> anyhow::Result<Collector> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let collector = Collector { address: listener.local_addr()?, received: Arc::default() };
        let received = Arc::clone(&collector.received);
        // The threads end with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let received = Arc::clone(&received);
                std::thread::spawn(move || while answer(&stream, &received).is_some() {});
            }
        });
        Ok(collector)
    }

    fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// Writes the configuration of an engine that sends its traces here.
    fn configuration(&self, data: &Path, share: u32) -> anyhow::Result<std::path::PathBuf> {
        let path = data.join("config.yaml");
        let endpoint = self.endpoint();
        std::fs::write(
            &path,
            format!("tracing: {{endpoint: '{endpoint}', samplingRatePerMillion: {share}}}\n"),
        )?;
        Ok(path)
    }
}

/// Answers one request; none at the end of the connection.
fn answer(stream: &TcpStream, received: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.by_ref().take(BODY_BYTES_MAX).read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        length =
            line.strip_prefix("content-length:").map(|length| length.trim().parse().ok()).unwrap_or(length);
    }
    let mut body = Vec::new();
    reader.take(BODY_BYTES_MAX.min(length?)).read_to_end(&mut body).ok()?;
    received.fetch_add(body.len() as u64, Ordering::AcqRel);
    let mut stream = stream;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        .ok()
}
