//! Measures searches and reads. Each query is sent only once, so that no response comes from the cache. Only the
//! measurement of cached reads is an exception.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::context::Bench;
use super::limits_of_search::{FullText, Scans};
use super::process::Serving;
use super::row::{Row, Sample};
use super::text::Texts;

/// Minimum and maximum number of queries of one measurement. The minimum is enough for the 95th percentile; the maximum
/// limits the time.
const QUESTIONS_MIN: usize = 20;
const QUESTIONS_MAX: usize = 2_000;
/// Number of memories that are read repeatedly from the cache.
const KEPT: usize = 100;
/// Number of clients that read these memories concurrently.
const READERS: usize = 16;
/// Number of memories of the small log. The goals of a small engine apply up to this number.
pub(super) const SMALL: u64 = 10_000;
/// How long building the catalog of a project may take.
const CATALOG_MAX: Duration = Duration::from_secs(900);

/// A running engine that has memories.
pub(super) struct Filled<'a> {
    pub(super) bench: &'a Bench,
    pub(super) serving: &'a Serving,
    pub(super) data: &'a Path,
    pub(super) memories: u64,
}

/// A sample of operations that ran one after the other.
fn sample(latencies: Vec<Duration>) -> Sample {
    let elapsed = latencies.iter().sum();
    Sample::new(latencies, 1, elapsed)
}

impl Filled<'_> {
    /// Runs all measurements of searches and reads.
    pub(super) async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        self.warm().await?;
        let mut rows = Vec::from(self.cached().await?);
        rows.extend(self.keyword().await?);
        rows.push(self.hybrid().await?);
        rows.push(self.checkout().await?);
        rows.extend(self.vector().await?);
        Ok(rows)
    }

    fn work(&self, what: &str) -> String {
        format!("{what}, {} memories", self.memories)
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.serving.api).await
    }

    /// Whether the measurement should send another query.
    fn goes_on(&self, started: Instant, done: usize) -> bool {
        let time = self.bench.duration * self.bench.rounds;
        done < QUESTIONS_MIN || (done < QUESTIONS_MAX && started.elapsed() < time)
    }

    /// Waits until searches use all retrieval methods (lanes) and the engine does no work in the background.
    pub(super) async fn warm(&self) -> anyhow::Result<()> {
        self.bench.step("warming up");
        let (mut connection, started, mut n) = (self.connect().await?, Instant::now(), 0);
        loop {
            n += 1;
            let path = format!("/v1/search?project=bench&limit=1&q=warm{n}+up");
            let answer: Value =
                serde_json::from_slice(&connection.get_done(Method::GET, &path, String::new()).await?)?;
            if answer["degraded"].as_array().is_none_or(Vec::is_empty) {
                return self.serving.idle().await;
            }
            if started.elapsed() > CATALOG_MAX {
                bail!("searches were degraded after {CATALOG_MAX:?}: {}", answer["degraded"]);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Measures reads of memories that are in the cache.
    async fn cached(&self) -> anyhow::Result<[Row; 3]> {
        self.bench.step("reading by id, cached");
        let mut connection = self.connect().await?;
        let page = connection
            .get_done(Method::GET, &format!("/v1/events?limit={KEPT}&type=memory.saved"), String::new())
            .await?;
        let page: Value = serde_json::from_slice(&page)?;
        let events = page["events"].as_array().context("no events")?;
        let ids = events.iter().filter_map(|event| event["id"].as_str());
        let paths: Vec<String> = ids.map(|id| format!("/v1/memories/{id}")).collect();
        let read = |mut connection: Connection, paths: Vec<String>, until: Instant| async move {
            let mut latencies = Vec::new();
            for path in &paths {
                connection.get_done(Method::GET, path, String::new()).await?;
            }
            for path in paths.iter().cycle() {
                let before = Instant::now();
                if before >= until && !latencies.is_empty() {
                    break;
                }
                connection.get_done(Method::GET, path, String::new()).await?;
                latencies.push(before.elapsed());
            }
            anyhow::Ok(latencies)
        };
        let one = sample(read(connection, paths.clone(), Instant::now() + self.bench.duration).await?);
        let (started, mut running, mut latencies) = (Instant::now(), JoinSet::new(), Vec::new());
        for _ in 0..READERS {
            running.spawn(read(self.connect().await?, paths.clone(), started + self.bench.duration));
        }
        while let Some(ended) = running.join_next().await {
            latencies.extend(ended??);
        }
        let many = Sample::new(latencies, 1, started.elapsed());
        let time = |what: &str, share| Row::time(self.work(what), &one, share);
        let rate = Row::rate(self.work(&format!("read by id, cached, clients: {READERS}")), &many, "reads/s");
        Ok([
            time("read by id, cached, one client, p50", 0.5).at_most(200.0),
            time("read by id, cached, one client, p99", 0.99).at_most(2_000.0),
            rate.at_least(20_000.0),
        ])
    }

    /// Measures keyword searches for two words, both required. They alternate with searches of the full-text index
    /// alone.
    async fn keyword(&self) -> anyhow::Result<[Row; 2]> {
        self.bench.step("keyword search");
        let (mut connection, index, mut texts) =
            (self.connect().await?, FullText::open(self.data)?, Texts::new(91));
        let (mut all, mut narrowed, mut bare, started) = (Vec::new(), Vec::new(), Vec::new(), Instant::now());
        while self.goes_on(started, all.len()) {
            let words = texts.words(2);
            bare.push(index.all_of(&words)?);
            let path = format!("/v1/search?mode=lexical&q={}", words.replace(' ', "+"));
            all.push(get(&mut connection, &path).await?);
            narrowed.push(get(&mut connection, &format!("{path}&project=bench")).await?);
        }
        let bare = sample(bare).percentile_us(0.5).unwrap_or_default();
        let row = |what: &str, latencies| {
            let row = Row::time(self.work(what), &sample(latencies), 0.5);
            row.beside("FTS5 alone over the same index, p50", bare)
        };
        Ok([
            row("keyword search of two words, p50", all).at_most_of_limit(1.5),
            row("the same in one project, p50", narrowed),
        ])
    }

    /// Measures hybrid searches, by words and by vectors.
    async fn hybrid(&self) -> anyhow::Result<Row> {
        self.bench.step("hybrid search");
        let (mut connection, mut texts, started) = (self.connect().await?, Texts::new(92), Instant::now());
        let mut latencies = Vec::new();
        while self.goes_on(started, latencies.len()) {
            let path = format!("/v1/search?project=bench&q={}", texts.question().replace(' ', "+"));
            latencies.push(get(&mut connection, &path).await?);
        }
        let most = if self.memories <= SMALL { 10_000.0 } else { 50_000.0 };
        Ok(Row::time(self.work("hybrid search, p95"), &sample(latencies), 0.95).at_most(most))
    }

    /// Measures checkouts of a context for a query.
    async fn checkout(&self) -> anyhow::Result<Row> {
        self.bench.step("checkout");
        let (mut connection, mut texts, started) = (self.connect().await?, Texts::new(93), Instant::now());
        let mut latencies = Vec::new();
        while self.goes_on(started, latencies.len()) {
            let body = json!({ "project": "bench", "query": texts.question() }).to_string();
            let before = Instant::now();
            connection.get_done(Method::POST, "/v1/checkout", body).await?;
            latencies.push(before.elapsed());
        }
        Ok(Row::time(self.work("checkout, p95"), &sample(latencies), 0.95).at_most(200_000.0))
    }

    /// Measures searches by vectors only. The other lanes have a weight of 0 and therefore contribute no candidates.
    async fn vector(&self) -> anyhow::Result<[Row; 2]> {
        self.bench.step("vector search");
        let mut connection = self.connect().await?;
        let weights = json!({ "weights": { "static": 1.0 } }).to_string();
        connection.get_done(Method::PUT, "/v1/retrieval/weights", weights).await?;
        let scans = Scans::new(usize::try_from(self.memories)?);
        let (mut texts, started) = (Texts::new(94), Instant::now());
        let (mut found, mut exact, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        while self.goes_on(started, found.len()) {
            exact.push(scans.exact(found.len()));
            bytes.push(scans.bytes(found.len()));
            let path = format!("/v1/search?project=bench&q={}", texts.words(4).replace(' ', "+"));
            found.push(get(&mut connection, &path).await?);
        }
        connection.get_done(Method::DELETE, "/v1/retrieval/weights", String::new()).await?;
        let median = |latencies| sample(latencies).percentile_us(0.5).unwrap_or_default();
        let (exact, bytes) = (median(exact), median(bytes));
        let row = || Row::time(self.work("vector search, p50"), &sample(found.clone()), 0.5);
        Ok([
            row().beside("f32 scan alone, p50", exact).at_most_of_limit(1.5),
            row().beside("i8 scan alone, p50", bytes),
        ])
    }
}

/// Measures appends to an engine with few memories and to an engine with many, alternating.
pub(super) async fn append_beside(small: &Filled<'_>, large: &Filled<'_>) -> anyhow::Result<Row> {
    large.bench.step("appending to a small and to a large log");
    let (mut to_small, mut to_large) = (small.connect().await?, large.connect().await?);
    let (mut texts, started) = (Texts::new(95), Instant::now());
    let (mut few, mut many) = (Vec::new(), Vec::new());
    while large.goes_on(started, many.len()) {
        for (connection, latencies) in [(&mut to_small, &mut few), (&mut to_large, &mut many)] {
            let before = Instant::now();
            connection.get_done(Method::POST, "/v1/memories", texts.memory()).await?;
            latencies.push(before.elapsed());
        }
    }
    let few = sample(few).percentile_us(0.5).unwrap_or_default();
    let row = Row::time(large.work("append, one client, p50"), &sample(many), 0.5);
    Ok(row.beside("the same with 10,000 memories, p50", few).at_most_of_limit(1.2))
}

/// Sends a GET request and returns its latency.
async fn get(connection: &mut Connection, path: &str) -> anyhow::Result<Duration> {
    let before = Instant::now();
    connection.get_done(Method::GET, path, String::new()).await?;
    Ok(before.elapsed())
}
