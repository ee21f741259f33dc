//! The engine to write to. A stopped engine is started in this process. It receives the same requests as a running
//! engine, so the checks, the keys and the log are the same.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
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

use crate::access::AccessControl;
use crate::api;
use crate::causes::with_causes;
use crate::engine::{Engine, Settings};
use crate::mcp::Access;
use crate::metrics::Metrics;
use crate::token_command::bearer;

/// Timeout of one attempt. It is longer than the engine's own timeout for a request.
const CALL_LIMIT: Duration = Duration::from_secs(40);
/// How long an idle connection is kept for the next call.
const POOL_IDLE_MAX: Duration = Duration::from_secs(4);
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The engine to send requests to. Clones share the engine.
#[derive(Debug, Clone)]
pub(super) struct Target {
    engine: Reached,
    /// How long the engine may be unavailable, for example during a restart, while a volume grows or while the
    /// projection is built.
    patience: Duration,
}

#[derive(Debug, Clone)]
enum Reached {
    Running {
        client: Box<Client<HttpConnector, Full<Bytes>>>,
        base: String,
        authorization: Option<HeaderValue>,
    },
    Here {
        engine: Arc<Engine>,
        routes: Router,
    },
}

/// Result of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// The data is durable; this request wrote it.
    New,
    /// The data was already durable; an earlier request with the same key wrote it.
    Before,
    /// The key was used before with a different request.
    Conflict,
    /// The engine refused the write.
    Refused(ErrorCode, String),
}

impl Target {
    pub(super) fn running(url: &str, token: Option<&str>, patience: Duration) -> anyhow::Result<Target> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().with_context(|| format!("{url:?} is not a URL"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            bail!("{url:?} is not the URL of an engine, such as http://127.0.0.1:8080");
        }
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // This is shorter than the keep-alive time of any engine, because a request on a connection that is being
            // closed fails.
            .pool_idle_timeout(POOL_IDLE_MAX)
            .build_http();
        let authorization = token.map(bearer).transpose()?;
        Ok(Target { engine: Reached::Running { client: Box::new(client), base, authorization }, patience })
    }

    pub(super) fn stopped(data: &Path, patience: Duration) -> anyhow::Result<Target> {
        let metrics = Metrics::new("").context("cannot define the metrics")?;
        let engine = Arc::new(Engine::start(data, metrics, Settings::default())?);
        let control = Arc::new(AccessControl::open(&engine));
        let access = Access::new("", &[], None);
        let routes = api::routes(Arc::clone(&engine), &access, control, api::Buckets::new(None));
        Ok(Target { engine: Reached::Here { engine, routes }, patience })
    }

    /// Stops the engine if it was started in this process.
    pub(super) fn close(self) {
        if let Reached::Here { engine, .. } = self.engine {
            engine.stop();
        }
    }

    pub(super) async fn head(&self) -> anyhow::Result<LogHead> {
        self.get("/v1/log/head").await
    }

    /// Returns a page of events after sequence number `after`, and the number of the last event in the log.
    pub(super) async fn page(&self, after: u64) -> anyhow::Result<EventPage> {
        self.get(&format!("/v1/events?after={after}&limit={EVENTS_LIMIT_MAX}")).await
    }

    /// Returns the id of the currently valid memory with this tag. The part of the tag after the last colon must
    /// consist of letters and digits.
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
        serde_json::from_slice(&body)
            .with_context(|| format!("{path}: the answer does not come from an engine"))
    }

    pub(super) async fn write(&self, path: &str, key: &str, body: Bytes) -> anyhow::Result<Written> {
        Ok(self.write_and_read(path, Some(key), body).await?.0)
    }

    /// Sends a write. Returns its result and the body of the response.
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
        let ErrorBody { error, .. } = serde_json::from_slice(&answer)
            .with_context(|| format!("{path}: {status} without an engine's error; check the URL"))?;
        if error.code == ErrorCode::IdempotencyConflict {
            return Ok((Written::Conflict, answer));
        }
        if status.is_client_error() {
            return Ok((Written::Refused(error.code, error.message), answer));
        }
        bail!("{path}: {} {}: {}", status.as_u16(), error.code.as_str(), error.message)
    }

    /// Returns the event with this sequence number, if it exists.
    pub(super) async fn event(&self, seq: u64) -> anyhow::Result<Option<EventView>> {
        let page: EventPage =
            self.get(&format!("/v1/events?after={}&limit=1", seq.saturating_sub(1))).await?;
        Ok(page.events.into_iter().next().filter(|event| event.seq == seq))
    }

    /// Returns the memory with this id. It is an error if no memory has the id.
    pub(super) async fn memory(&self, id: &str) -> anyhow::Result<MemoryView> {
        self.get(&format!("/v1/memories/{id}")).await
    }

    /// Sends a request, and retries until the response is final or the time `patience` is over. Retries are safe: every
    /// write except a document has an idempotency key, and ingesting the same document again changes nothing.
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
                Ok(Err(fault)) => with_causes(&fault),
                Err(_) => format!("no answer in {CALL_LIMIT:?}"),
            };
            if started.elapsed() > self.patience {
                bail!("{path}: no success in {:?}; the last attempt: {why}", self.patience);
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
            Reached::Running { client, base, authorization } => {
                if let Some(authorization) = authorization {
                    request = request.header("authorization", authorization);
                }
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

/// Whether the failure is transient, so that a retry may succeed. A log that does not verify is a permanent failure.
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
