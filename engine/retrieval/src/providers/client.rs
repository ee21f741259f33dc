//! One request to a service, everything about it bounded and counted.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use secrecy::SecretString;
use thiserror::Error;

use super::breaker::Breaker;
use super::limits::{Limits, Use};
use super::{Service, backoff, secret};
use crate::metrics::ProviderMetrics;

/// Connections that are kept open, and for how long without a request: services close theirs after a minute.
const IDLE_CONNECTIONS_MAX: usize = 4;
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Patience when a service says "later" without saying when.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a service cannot be used at all.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error(transparent)]
    Key(#[from] secret::BadKey),
    #[error("no certificates to check {0} by: {1}; put a bundle in place and name it in SSL_CERT_FILE")]
    Certificates(Uri, std::io::Error),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why a request was not answered. Neither text nor key is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no connection")]
    Unreachable,
    #[error("answered with status {0}")]
    Status(u16),
    #[error("asks not to be asked for {0:?}")]
    RateLimited(Duration),
    #[error("not asked for {0:?}: the configured limit is reached")]
    Throttled(Duration),
    #[error("not asked for {0:?}: it failed too often in a row")]
    BreakerOpen(Duration),
    #[error("answered with more than {0} bytes")]
    TooLarge(usize),
    #[error("answered with something else than was asked for: {0}")]
    Malformed(&'static str),
}

impl Failure {
    /// Name in metrics and in answers that had to do without.
    pub fn label(self) -> &'static str {
        match self {
            Failure::Timeout(_) => "timeout",
            Failure::Unreachable => "unreachable",
            Failure::Status(500..) => "server_error",
            Failure::Status(_) => "refused",
            Failure::RateLimited(_) => "rate_limited",
            Failure::Throttled(_) => "throttled",
            Failure::BreakerOpen(_) => "breaker_open",
            Failure::TooLarge(_) => "too_large",
            Failure::Malformed(_) => "malformed",
        }
    }

    /// How long it is of no use to ask again, where that is known.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Failure::RateLimited(wait) | Failure::Throttled(wait) | Failure::BreakerOpen(wait) => Some(wait),
            _ => None,
        }
    }

    /// Whether the service found fault with the texts, and may take others.
    pub fn is_about_the_texts(self) -> bool {
        matches!(self, Failure::Status(400 | 413 | 422))
    }

    /// Whether it says something about the service's health.
    fn is_the_services(self) -> bool {
        !matches!(self, Failure::RateLimited(_) | Failure::Throttled(_) | Failure::BreakerOpen(_))
            && !self.is_about_the_texts()
    }
}

/// What everybody who asks one service shares.
#[derive(Debug)]
pub struct Provider {
    /// `embedding` or `rerank`, in metrics.
    name: &'static str,
    service: Service,
    key: Mutex<Option<SecretString>>,
    limits: Limits,
    breaker: Mutex<Breaker>,
    /// The service asked not to be asked before.
    paused: Mutex<Option<Instant>>,
    metrics: Arc<ProviderMetrics>,
}

impl Provider {
    /// `fills` says whether it is asked in the background too.
    pub fn new(
        name: &'static str,
        service: Service,
        fills: bool,
        metrics: Arc<ProviderMetrics>,
    ) -> Result<Arc<Provider>, ClientError> {
        let key = service.key_file.as_deref().map(secret::read).transpose()?;
        let limits = Limits::new(service.requests_per_minute, service.tokens_per_minute, fills);
        Ok(Arc::new(Provider {
            name,
            service,
            key: Mutex::new(key),
            limits,
            breaker: Mutex::default(),
            paused: Mutex::default(),
            metrics,
        }))
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// One more try of what had failed.
    pub fn count_retry(&self) {
        self.metrics.retries.with_label_values(&[self.name]).inc();
    }

    /// What an answer has cost.
    pub(super) fn count_tokens(&self, tokens: u64) {
        self.metrics.tokens.with_label_values(&[self.name]).inc_by(tokens);
        #[expect(clippy::cast_precision_loss, reason = "a price, as far as 53 bits hold it")]
        let cost = tokens as f64 * self.service.price_per_million as f64 / 1e12;
        self.metrics.cost.with_label_values(&[self.name]).inc_by(cost);
    }

    fn admit(&self, using: Use, tokens: u32) -> Result<(), Failure> {
        let now = Instant::now();
        if let Some(until) = *self.paused.lock().unwrap_or_else(PoisonError::into_inner)
            && now < until
        {
            return Err(Failure::RateLimited(until - now));
        }
        // The breaker last: what it lets through to try is sent.
        self.limits.admit(using, tokens).map_err(Failure::Throttled)?;
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker.admit(now).map_err(Failure::BreakerOpen)
    }

    fn record<T>(&self, answer: &Result<T, Failure>) {
        let outcome = answer.as_ref().map_or_else(|failure| failure.label(), |_| "ok");
        self.metrics.requests.with_label_values(&[self.name, outcome]).inc();
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
        self.metrics.breaker.with_label_values(&[self.name]).set(i64::from(breaker.is_open()));
    }

    /// A key that is refused may have been replaced.
    fn read_key_again(&self) {
        let Some(path) = &self.service.key_file else { return };
        match secret::read(path) {
            Ok(key) => *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key),
            Err(fault) => {
                tracing::warn!(provider = self.name, %fault, "the key was refused and cannot be read again");
            }
        }
    }
}

/// One request: how it counts, how long it may take, how much may come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) using: Use,
    /// Tokens in it, about.
    pub(super) tokens: u32,
    pub(super) patience: Duration,
    pub(super) answer_bytes_max: usize,
}

/// Connections to one service. They live on the runtime that sends the requests.
#[derive(Debug)]
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    provider: Arc<Provider>,
}

impl Client {
    pub fn new(provider: Arc<Provider>) -> Result<Client, ClientError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(provider.service.timeout));
        let builder = match provider.service.url.scheme_str() {
            Some("https") => HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
                .map_err(|fault| ClientError::Certificates(provider.service.url.clone(), fault))?,
            // No certificate is ever looked at, so none has to be there.
            _ => HttpsConnectorBuilder::new().with_tls_config(
                ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth(),
            ),
        };
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(builder.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(Client { http, provider })
    }

    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Sends a request and gives what `read` makes of the answer.
    pub(super) async fn post<T>(
        &self,
        body: Vec<u8>,
        bounds: Bounds,
        read: impl FnOnce(&[u8]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let admitted = self.provider.admit(bounds.using, bounds.tokens);
        let answer = match admitted {
            Ok(()) => {
                let seconds = &self.provider.metrics.seconds;
                let _timer = seconds.with_label_values(&[self.provider.name]).start_timer();
                let bytes = within(bounds.patience, self.exchange(body, bounds)).await;
                bytes.and_then(|bytes| read(&bytes))
            }
            Err(failure) => Err(failure),
        };
        self.provider.record(&answer);
        if matches!(answer, Err(Failure::Status(401 | 403))) {
            self.provider.read_key_again();
        }
        answer
    }

    async fn exchange(&self, body: Vec<u8>, bounds: Bounds) -> Result<Bytes, Failure> {
        let mut request = Request::post(&self.provider.service.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("memory-engine/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .expect("the address was parsed and the headers are constants");
        if let Some(key) = &*self.provider.key.lock().unwrap_or_else(PoisonError::into_inner) {
            request.headers_mut().insert(header::AUTHORIZATION, secret::header(key));
        }
        let response = self.http.request(request).await.map_err(|_| Failure::Unreachable)?;
        check_status(&response)?;
        // What says how long it is and is too long is not read at all.
        let body = Limited::new(response.into_body(), bounds.answer_bytes_max);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(fault) if fault.is::<LengthLimitError>() => Err(Failure::TooLarge(bounds.answer_bytes_max)),
            Err(_) => Err(Failure::Unreachable),
        }
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(Failure::Timeout(patience)))
}

/// Redirections are failures too: the key is for this address.
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

/// A body as JSON.
pub(super) fn json(body: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("strings and numbers are always JSON")
}

#[cfg(test)]
mod tests;
