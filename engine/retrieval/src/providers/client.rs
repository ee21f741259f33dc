//! HTTP client of a provider: sends a request within limits on rate, time and size, and records metrics.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine_core::file_mode::ModeFault;
use engine_core::guard::Dependency;
use engine_core::trace_context::TRACEPARENT_HEADER;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use service::RequestIds;
use thiserror::Error;
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::breaker::Breaker;
use super::failure::Failure;
use super::limits::{Limits, Purpose};
use super::observer::{CallObserver, ObservedCall};
use super::{Service, backoff, secret};
use crate::metrics::ProviderMetrics;
use crate::stages::model_request;

/// Maximum number of idle connections that are kept open, and for how long. Most services close idle connections after
/// a minute.
const IDLE_CONNECTIONS_MAX: usize = 4;
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Maximum number of concurrent requests that clients wait for.
const INTERACTIVE_MAX: usize = 16;
/// Pause after a response with status 429 that has no `Retry-After`.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a client cannot be set up.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error(transparent)]
    Key(#[from] secret::BadKey),
    #[error("cannot read CA certificates to verify {0}: {1}; set SSL_CERT_FILE to a CA bundle")]
    Certificates(Uri, std::io::Error),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// State shared by all clients of one service.
#[derive(Debug)]
pub struct Provider {
    dependency: Dependency,
    /// `embedding` or `rerank`; the label in metrics.
    name: &'static str,
    service: Service,
    key: Mutex<Option<SecretString>>,
    /// Why somebody else can read or change the file of the key.
    key_exposed: Mutex<Option<ModeFault>>,
    limits: Limits,
    breaker: Mutex<Breaker>,
    /// No request is sent before this time, because the service demanded a pause.
    paused: Mutex<Option<Instant>>,
    /// Requests that clients wait for. A service that hangs must not collect more and more of them.
    interactive: Semaphore,
    last: Mutex<Last>,
    metrics: Arc<ProviderMetrics>,
    observer: Arc<dyn CallObserver>,
}

/// The last answers of a service.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    success: Option<Instant>,
    failure: Option<(Instant, &'static str)>,
}

/// What is known about a service, for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderReport {
    /// Whether the circuit breaker is open: the service is not called.
    pub is_breaker_open: bool,
    /// Time since the last successful request.
    pub since_success: Option<Duration>,
    /// Time since the last failed request, and the label of the failure.
    pub since_failure: Option<(Duration, &'static str)>,
}

impl Provider {
    /// Creates a provider. With `fills`, a part of the rate limit is reserved for background use. `observer` is told
    /// how requests end.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub fn new(
        dependency: Dependency,
        service: Service,
        fills: bool,
        metrics: Arc<ProviderMetrics>,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Arc<Provider>, ClientError> {
        let read = |path: &std::path::PathBuf| secret::read(path, service.exposed_key);
        let (key, key_exposed) = service.key_file.as_ref().map(read).transpose()?.unzip();
        let key_exposed = key_exposed.flatten();
        if let (Some(fault), Some(path)) = (key_exposed, &service.key_file) {
            tracing::warn!(path = %path.display(), %fault, "a key is used, although somebody else can read or change it");
        }
        let limits = Limits::new(service.requests_per_minute, service.tokens_per_minute, fills);
        Ok(Arc::new(Provider {
            dependency,
            name: dependency.as_str(),
            service,
            key: Mutex::new(key),
            key_exposed: Mutex::new(key_exposed),
            limits,
            breaker: Mutex::default(),
            paused: Mutex::default(),
            interactive: Semaphore::new(INTERACTIVE_MAX),
            last: Mutex::default(),
            metrics,
            observer,
        }))
    }

    /// Label in metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// What is known about the service.
    pub fn report(&self) -> ProviderReport {
        let now = Instant::now();
        let Last { success, failure } = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        ProviderReport {
            is_breaker_open: self.breaker.lock().unwrap_or_else(PoisonError::into_inner).is_open(),
            since_success: success.map(|at| now.saturating_duration_since(at)),
            since_failure: failure.map(|(at, label)| (now.saturating_duration_since(at), label)),
        }
    }

    /// Counts a retry.
    pub fn count_retry(&self) {
        self.metrics.retries.with_label_values(&[self.name]).inc();
    }

    /// Counts the tokens that a response reports, and their cost.
    pub(super) fn count_tokens(&self, tokens: u64) {
        self.metrics.tokens.with_label_values(&[self.name]).inc_by(tokens);
        #[expect(clippy::cast_precision_loss, reason = "a price, as far as 53 bits hold it")]
        let cost = tokens as f64 * self.service.price_per_million as f64 / 1e12;
        self.metrics.cost.with_label_values(&[self.name]).inc_by(cost);
    }

    fn admit(&self, purpose: Purpose, tokens: u32) -> Result<(), Failure> {
        let now = Instant::now();
        if let Some(until) = *self.paused.lock().unwrap_or_else(PoisonError::into_inner)
            && now < until
        {
            return Err(Failure::Paused(until - now));
        }
        // The breaker is asked last: if it admits a trial request, that request has to be sent.
        self.limits.admit(purpose, tokens).map_err(Failure::Throttled)?;
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker.admit(now).map_err(Failure::BreakerOpen)
    }

    fn record<T>(&self, answer: &Result<T, Failure>) {
        let outcome = answer.as_ref().map_or_else(|failure| failure.label(), |_| "ok");
        self.metrics.requests.with_label_values(&[self.name, outcome]).inc();
        // A request that was not sent says nothing about the service.
        if !matches!(answer, Err(Failure::Throttled(_) | Failure::BreakerOpen(_))) {
            self.note(outcome, answer.is_ok());
        }
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(_) => breaker.succeeded(),
            Err(Failure::RateLimited(wait)) => {
                let until = Instant::now() + *wait;
                *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
            }
            Err(failure) if failure.is_the_services() => breaker.failed(Instant::now()),
            Err(_) => {}
        }
    }

    fn note(&self, outcome: &'static str, is_success: bool) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match is_success {
            true => last.success = Some(now),
            false => last.failure = Some((now, outcome)),
        }
    }

    /// Whether somebody else can read or change the file of the key.
    pub fn is_key_exposed(&self) -> bool {
        self.key_exposed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Reads the key file again, because the key may have been rotated. Returns whether the key differs from the one
    /// that was used.
    fn reload_key(&self) -> bool {
        let Some(path) = &self.service.key_file else { return false };
        match secret::read(path, self.service.exposed_key) {
            Ok((key, exposed)) => {
                *self.key_exposed.lock().unwrap_or_else(PoisonError::into_inner) = exposed;
                let mut used = self.key.lock().unwrap_or_else(PoisonError::into_inner);
                let differs = used.as_ref().is_none_or(|used| used.expose_secret() != key.expose_secret());
                *used = Some(key);
                differs
            }
            Err(fault) => {
                tracing::warn!(provider = self.name, %fault, "the service refused the key, and the key file cannot be read again");
                false
            }
        }
    }
}

/// Limits of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) purpose: Purpose,
    /// Approximate number of tokens in the request.
    pub(super) tokens: u32,
    /// Timeout of the request.
    pub(super) patience: Duration,
    pub(super) answer_bytes_max: usize,
}

/// A pool of connections over HTTP or HTTPS.
pub type HttpClient = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Makes a client for services at a URL. `timeout` limits the time until a connection is open.
///
/// # Errors
/// If the CA certificates cannot be read or TLS cannot be set up.
pub fn http_client(url: &Uri, timeout: Duration) -> Result<HttpClient, ClientError> {
    http_client_trusting(url, timeout, None)
}

/// Makes a client as [`http_client`]. With `authorities`, only these vouch for a server, and not those of the system.
///
/// # Errors
/// As [`http_client`].
pub fn http_client_trusting(
    url: &Uri,
    timeout: Duration,
    authorities: Option<RootCertStore>,
) -> Result<HttpClient, ClientError> {
    let builder = match (url.scheme_str(), authorities) {
        (Some("https"), None) => HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|fault| ClientError::Certificates(url.clone(), fault))?,
        // Plain HTTP needs no CA certificates.
        (_, authorities) => HttpsConnectorBuilder::new().with_tls_config(
            ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()?
                .with_root_certificates(authorities.unwrap_or_else(RootCertStore::empty))
                .with_no_client_auth(),
        ),
    };
    Ok(pooled(builder.https_or_http().enable_http1().wrap_connector(tcp(timeout))))
}

/// Makes a client as [`http_client`], with this configuration of TLS, for example one that presents a certificate.
#[must_use]
pub fn http_client_presenting(tls: ClientConfig, timeout: Duration) -> HttpClient {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    pooled(builder.wrap_connector(tcp(timeout)))
}

fn tcp(timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeout));
    tcp
}

fn pooled(connector: HttpsConnector<HttpConnector>) -> HttpClient {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build(connector)
}

/// Connections to one service. They belong to the runtime that sends the requests.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    provider: Arc<Provider>,
}

impl Client {
    /// Creates a client for a provider.
    ///
    /// # Errors
    /// If the CA certificates cannot be read or TLS cannot be set up.
    pub fn new(provider: Arc<Provider>) -> Result<Client, ClientError> {
        let http = http_client(&provider.service.url, provider.service.timeout)?;
        Ok(Client { http, provider })
    }

    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Sends a request and parses the response body with `read`.
    pub(super) async fn post<T>(
        &self,
        body: Vec<u8>,
        bounds: Bounds,
        read: impl FnOnce(&[u8]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let span = model_request(self.provider.name, &self.provider.service);
        let answer = self.post_in_span(body, bounds, read).instrument(span.clone()).await;
        span.record("gen_ai.usage.input_tokens", bounds.tokens);
        if let Err(failure) = &answer {
            span.record("error.type", failure.label());
            span.record("otel.status_code", "ERROR");
        }
        answer
    }

    async fn post_in_span<T>(
        &self,
        body: Vec<u8>,
        bounds: Bounds,
        read: impl FnOnce(&[u8]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let call = ObservedCall::begin(&self.provider.observer, self.provider.dependency, bounds.purpose);
        let mut answer = self.admitted(body.clone(), bounds).await;
        // The key may have been rotated: then the new one is tried before the failure counts.
        if matches!(answer, Err(Failure::Status(401 | 403))) && self.provider.reload_key() {
            answer = self.admitted(body, bounds).await;
        }
        let answer = answer.and_then(|bytes| read(&bytes));
        self.provider.record(&answer);
        call.end(&answer);
        answer
    }

    /// Sends a request if the limits admit it.
    async fn admitted(&self, body: Vec<u8>, bounds: Bounds) -> Result<Bytes, Failure> {
        let _permit = match bounds.purpose {
            Purpose::Interactive => Some(
                self.provider.interactive.try_acquire().map_err(|_| Failure::Saturated(INTERACTIVE_MAX))?,
            ),
            // There is one background thread.
            Purpose::Background => None,
        };
        self.provider.admit(bounds.purpose, bounds.tokens)?;
        let seconds = &self.provider.metrics.seconds;
        let _timer = seconds.with_label_values(&[self.provider.name]).start_timer();
        within(bounds.patience, self.exchange(body, bounds)).await
    }

    async fn exchange(&self, body: Vec<u8>, bounds: Bounds) -> Result<Bytes, Failure> {
        // Nothing reaches the service, which others use too.
        if let Some(failure) = self.provider.observer.injected(self.provider.dependency) {
            return Err(failure);
        }
        let mut request = Request::post(&self.provider.service.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("memory-engine/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .expect("the address was parsed and the headers are constants");
        if let Some(parent) = RequestIds::outgoing() {
            let parent = HeaderValue::try_from(parent.to_string()).expect("hex digits and hyphens");
            request.headers_mut().insert(TRACEPARENT_HEADER, parent);
        }
        if let Some(key) = &*self.provider.key.lock().unwrap_or_else(PoisonError::into_inner) {
            request.headers_mut().insert(header::AUTHORIZATION, secret::header(key));
        }
        let response = self.http.request(request).await.map_err(|fault| connection_failure(&fault))?;
        check_status(&response)?;
        // If the declared length of the body exceeds the limit, the body is not read.
        let body = Limited::new(response.into_body(), bounds.answer_bytes_max);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(fault) if fault.is::<LengthLimitError>() => Err(Failure::TooLarge(bounds.answer_bytes_max)),
            Err(_) => Err(Failure::ConnectionReset),
        }
    }
}

/// Classifies an exchange without a response by the causes of its error.
fn connection_failure(fault: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = Some(fault);
    while let Some(fault) = cause {
        if fault.is::<rustls::Error>() {
            return Failure::Tls;
        }
        if fault.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return Failure::ConnectionReset;
        }
        let io = fault.downcast_ref::<std::io::Error>();
        match io.map(std::io::Error::kind) {
            Some(ErrorKind::ConnectionRefused) => return Failure::ConnectionRefused,
            Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe) => {
                return Failure::ConnectionReset;
            }
            _ => {}
        }
        // The source of an I/O error is that of the error it wraps, which is skipped.
        let wrapped = io.and_then(std::io::Error::get_ref);
        cause = wrapped.map_or_else(|| fault.source(), |wrapped| Some(wrapped as _));
    }
    Failure::Unreachable
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(Failure::Timeout(patience)))
}

/// Converts an error status to a failure. A redirect is a failure too, because the key is meant only for the configured
/// URL.
fn check_status<B>(response: &Response<B>) -> Result<(), Failure> {
    let wanted = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wanted = wanted.and_then(|value| backoff::asked_for(value, Timestamp::now()));
    match (response.status(), wanted) {
        (StatusCode::OK, _) => Ok(()),
        (StatusCode::TOO_MANY_REQUESTS, wanted) => Err(Failure::RateLimited(wanted.unwrap_or(PAUSE))),
        (StatusCode::SERVICE_UNAVAILABLE, Some(wanted)) => Err(Failure::RateLimited(wanted)),
        (status, _) => Err(Failure::Status(status.as_u16())),
    }
}

/// Serialises a request body as JSON.
pub(super) fn json(body: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("strings and numbers are always JSON")
}

#[cfg(test)]
mod tests;
