//! The engine that events go to. One that does not run is started in this process and asked in the same way: the same
//! checks, the same keys, the same log.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use engine_core::limits::EVENTS_LIMIT_MAX;
use engine_core::wire::{ErrorBody, ErrorCode, EventPage, EventView, LogHead, MemoryView, SearchAnswer};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::api;
use crate::engine::{Engine, Settings};
use crate::mcp::Access;
use crate::metrics::Metrics;

/// Longer than the engine itself gives a request.
const CALL_LIMIT: Duration = Duration::from_secs(40);
/// How long a connection is kept for the next call.
const POOL_IDLE_MAX: Duration = Duration::from_secs(4);
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Where to send requests; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    engine: Reached,
    /// How long it may be away: a restart, a volume that is being grown, a projection that is being built.
    patience: Duration,
}

#[derive(Debug, Clone)]
enum Reached {
    Running { client: Client<HttpConnector, Full<Bytes>>, base: String },
    Here { engine: Arc<Engine>, routes: Router },
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// It is durable now.
    New,
    /// It was durable before, under the same key.
    Before,
    /// The key was used with another request.
    Conflict,
    /// The engine does not take it.
    Refused(ErrorCode, String),
}

impl Target {
    pub(super) fn running(url: &str, patience: Duration) -> anyhow::Result<Target> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().with_context(|| format!("{url:?} is not a URL"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            bail!("{url:?} is not the URL of an engine, such as http://127.0.0.1:8080");
        }
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Shorter than any engine lets a connection rest: a request on one that is being closed fails.
            .pool_idle_timeout(POOL_IDLE_MAX)
            .build_http();
        Ok(Target { engine: Reached::Running { client, base }, patience })
    }

    pub(super) fn stopped(data: &Path, patience: Duration) -> anyhow::Result<Target> {
        let metrics = Metrics::new("").context("cannot define the metrics")?;
        let engine = Arc::new(Engine::start(data, metrics, Settings::default())?);
        let routes = api::routes(Arc::clone(&engine), &Access::new("", &[], None), None);
        Ok(Target { engine: Reached::Here { engine, routes }, patience })
    }

    /// Stops an engine that was started here.
    pub(super) fn close(self) {
        if let Reached::Here { engine, .. } = self.engine {
            engine.stop();
        }
    }

    pub(super) async fn head(&self) -> anyhow::Result<LogHead> {
        self.get("/v1/log/head").await
    }

    /// Events after this one, and the number of the last one there is.
    pub(super) async fn page(&self, after: u64) -> anyhow::Result<EventPage> {
        self.get(&format!("/v1/events?after={after}&limit={EVENTS_LIMIT_MAX}")).await
    }

    /// Id of the memory that has this tag, a word of letters and digits, and is true now.
    pub(super) async fn find(&self, project: &str, tag: &str) -> anyhow::Result<Option<String>> {
        let word = tag.rsplit(':').next().unwrap_or(tag);
        let project: String = project.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/v1/search?mode=lexical&limit=10&project={project}&q={word}");
        let answer: SearchAnswer = self.get(&path).await?;
        Ok(answer.items.into_iter().find(|hit| hit.tags.iter().any(|it| it == tag)).map(|hit| hit.id))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let (status, body) = self.ask(Method::GET, path, None, Bytes::new()).await?;
        if status != StatusCode::OK {
            bail!("{path}: the engine answers {status}: {}", String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).with_context(|| format!("{path}: the answer is not an engine's"))
    }

    pub(super) async fn write(&self, path: &str, key: &str, body: Bytes) -> anyhow::Result<Written> {
        Ok(self.write_and_read(path, Some(key), body).await?.0)
    }

    /// Writes; answers what became of it, and what the engine said.
    pub(super) async fn write_and_read(
        &self,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> anyhow::Result<(Written, Bytes)> {
        let (status, answer) = self.ask(Method::POST, path, key, body).await?;
        match status {
            StatusCode::CREATED => return Ok((Written::New, answer)),
            StatusCode::OK => return Ok((Written::Before, answer)),
            _ => {}
        }
        let ErrorBody { error } = serde_json::from_slice(&answer)
            .with_context(|| format!("{path}: {status} without an engine's error: is this an engine?"))?;
        if error.code == ErrorCode::IdempotencyConflict {
            return Ok((Written::Conflict, answer));
        }
        if status.is_client_error() {
            return Ok((Written::Refused(error.code, error.message), answer));
        }
        bail!("{path}: {} {}: {}", status.as_u16(), error.code.as_str(), error.message)
    }

    /// One event, as it was written.
    pub(super) async fn event(&self, seq: u64) -> anyhow::Result<Option<EventView>> {
        let page: EventPage =
            self.get(&format!("/v1/events?after={}&limit=1", seq.saturating_sub(1))).await?;
        Ok(page.events.into_iter().next().filter(|event| event.seq == seq))
    }

    /// One memory, if it is there.
    pub(super) async fn memory(&self, id: &str) -> anyhow::Result<MemoryView> {
        self.get(&format!("/v1/memories/{id}")).await
    }

    /// Asks until there is an answer that asking again would not change. Every write has a key, so that asking twice
    /// writes once.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let (started, mut wait) = (Instant::now(), WAIT_FIRST);
        loop {
            let outcome = timeout(CALL_LIMIT, self.once(method.clone(), path, key, body.clone())).await;
            let why = match outcome {
                Ok(Ok((status, answer))) if !is_passing(status, &answer) => return Ok((status, answer)),
                Ok(Ok((status, answer))) => format!("{status}: {}", String::from_utf8_lossy(&answer)),
                Ok(Err(fault)) => format!("{fault:#}"),
                Err(_) => format!("no answer in {CALL_LIMIT:?}"),
            };
            if started.elapsed() > self.patience {
                bail!("{path}: no success in {:?}; at last: {why}", self.patience);
            }
            sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::builder().method(method).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        match &self.engine {
            Reached::Running { client, base } => {
                let request = request.uri(format!("{base}{path}")).body(Full::new(body))?;
                let (head, body) = client.request(request).await?.into_parts();
                Ok((head.status, body.collect().await?.to_bytes()))
            }
            Reached::Here { routes, .. } => {
                let request = request.uri(path).body(Body::from(body))?;
                let (head, body) = routes.clone().oneshot(request).await?.into_parts();
                Ok((head.status, body.collect().await?.to_bytes()))
            }
        }
    }
}

/// Whether waiting may help. A log that does not verify stays so.
fn is_passing(status: StatusCode, answer: &[u8]) -> bool {
    let corrupt = || {
        let body: Option<ErrorBody> = serde_json::from_slice(answer).ok();
        body.is_some_and(|body| body.error.code == ErrorCode::LogCorrupt)
    };
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY => true,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => !corrupt(),
        _ => false,
    }
}
