//! The client of the engine that is followed: it reads lines from its admin port, and forwards writes to its API.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use engine_core::digest::Hash;
use engine_core::wire::{
    DIGEST_PATH, HAS_LINE_HEADER, HEAD_SEQ_HEADER, LINES_PATH, LOG_ID_HEADER, LogRoot, ROOT_PATH,
    RecentDigests,
};
use engine_log::FollowingLines;
use engine_retrieval::providers::{
    ClientError, HttpClient, http_client, http_client_presenting, http_client_trusting,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use service::secret_file::Exposed;
use service::tls::{Identity, TlsError, client_config};
use thiserror::Error;

use super::settings::FollowSettings;
use crate::causes::innermost;
use crate::token_command::{bearer, read_token};

/// How long a request for lines may wait for the next one, milliseconds. An idle log is confirmed this often, so that
/// the age of the state is known to the second.
const WAIT_MS: u64 = 1_000;
/// Timeout of a request for lines, with their transfer.
const LINES_TIMEOUT: Duration = Duration::from_secs(30);
/// Time until a connection is open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer with lines, bytes: more than the largest batch of a log can have.
const LINES_BYTES_MAX: usize = 128 << 20;
/// Timeout of a request for digests or a root.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest size of the digests, bytes. They have about a hundred bytes each.
const DIGESTS_BYTES_MAX: usize = 256 << 10;
/// Largest size of an answer with a root, bytes. It has two hundred.
const ROOT_BYTES_MAX: usize = 4 << 10;
/// Age of a client from which on its certificate, token and authorities are read again. A failure makes a new client
/// too.
const CLIENT_AGE_MAX: Duration = Duration::from_secs(60);
/// Timeout of a forwarded request. It is shorter than that of the request here, so that a caller is told what happened.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(25);

/// Why an engine cannot be followed in the way that was asked for.
#[derive(Debug, Error)]
pub(crate) enum FollowSetupError {
    #[error("{0} is not the URL of a port, such as https://notes:8081")]
    Url(Uri),
    #[error("the URL of an engine has a user name in it: put the token into --follow-token-file")]
    UserName,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0:#}")]
    Token(anyhow::Error),
    #[error("the volume cannot be read: {0}")]
    Volume(#[from] io::Error),
}

/// A response to a forwarded request.
pub(crate) type Forwarded = hyper::Response<Incoming>;

/// Why a request was not answered by the engine that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotForwarded {
    /// There is no address for writes.
    NoAddress,
    /// Nothing was sent.
    Unreachable(String),
    /// It is not known whether it was carried out.
    Unanswered(String),
}

/// A client with the certificate and the token that were read when it was made.
#[derive(Debug, Clone)]
struct Client {
    http: HttpClient,
    authorization: Option<HeaderValue>,
    made: Instant,
}

/// The engine that is followed.
#[derive(Debug)]
pub(crate) struct Writer {
    settings: FollowSettings,
    client: Mutex<Option<Client>>,
    forwarding: Mutex<Option<Forwarding>>,
}

/// A client for forwarded requests, with the authorities that were read when it was made. It presents no certificate:
/// the caller of a forwarded request is not this engine.
#[derive(Debug, Clone)]
struct Forwarding {
    http: HttpClient,
    made: Instant,
}

impl Writer {
    pub(super) fn new(settings: FollowSettings) -> Result<Writer, FollowSetupError> {
        for url in [Some(&settings.admin), settings.api.as_ref()].into_iter().flatten() {
            if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
                return Err(FollowSetupError::UserName);
            }
            let is_port = matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some();
            if !is_port || !matches!(url.path(), "" | "/") || url.query().is_some() {
                return Err(FollowSetupError::Url(url.clone()));
            }
        }
        let client = made(&settings)?;
        let forwarding = settings.api.as_ref().map(|api| made_to_forward(&settings, api)).transpose()?;
        Ok(Writer { settings, client: Mutex::new(Some(client)), forwarding: Mutex::new(forwarding) })
    }

    /// Asks for the lines after the last line of the copy: the number of its last event, and the hash of the line.
    ///
    /// # Errors
    /// A label for metrics, and what is wrong.
    pub(super) async fn lines_after(
        &self,
        (seq, line): (u64, Hash),
    ) -> Result<FollowingLines, (&'static str, String)> {
        let client = self.client().map_err(|fault| ("unreachable", fault.to_string()))?;
        let asked = tokio::time::timeout(LINES_TIMEOUT, self.exchange(&client, seq, line)).await;
        let answer =
            asked.unwrap_or_else(|_| Err(("unreachable", format!("no answer in {LINES_TIMEOUT:?}"))));
        if answer.is_err() {
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }

    /// Asks for the newest digests of its projection.
    ///
    /// # Errors
    /// There is no such answer. For people, without secrets.
    pub(super) async fn digests(&self) -> Result<RecentDigests, String> {
        self.report(DIGEST_PATH, DIGESTS_BYTES_MAX).await
    }

    /// Asks for the root of its log at a number of events.
    ///
    /// # Errors
    /// There is no such answer. For people, without secrets.
    pub(super) async fn root(&self, size: u64) -> Result<LogRoot, String> {
        self.report(&format!("{ROOT_PATH}?size={size}"), ROOT_BYTES_MAX).await
    }

    async fn report<T: DeserializeOwned>(&self, query: &str, bytes_max: usize) -> Result<T, String> {
        let client = self.client().map_err(|fault| fault.to_string())?;
        let asked = self.get(&client, query, bytes_max);
        let answer = tokio::time::timeout(REPORT_TIMEOUT, asked).await;
        let (_, body) =
            answer.map_err(|_| format!("no answer in {REPORT_TIMEOUT:?}"))?.map_err(|(_, fault)| fault)?;
        serde_json::from_slice(&body).map_err(|fault| format!("the answer cannot be read: {fault}"))
    }

    /// The client, made anew if it is old or has failed.
    fn client(&self) -> Result<Client, FollowSetupError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client.as_ref().filter(|client| client.made.elapsed() < CLIENT_AGE_MAX) {
            return Ok(client.clone());
        }
        Ok(client.insert(made(&self.settings)?).clone())
    }

    async fn exchange(
        &self,
        client: &Client,
        seq: u64,
        line: Hash,
    ) -> Result<FollowingLines, (&'static str, String)> {
        let query = format!("{LINES_PATH}?after={seq}&line={line}&wait_ms={WAIT_MS}");
        let (headers, body) = self.get(client, &query, LINES_BYTES_MAX).await?;
        read(&headers, body).ok_or(("refused", "the answer is not that of an engine".to_owned()))
    }

    /// Asks the admin port.
    async fn get(
        &self,
        client: &Client,
        query: &str,
        bytes_max: usize,
    ) -> Result<(HeaderMap, Bytes), (&'static str, String)> {
        let mut request = Request::get(at(&self.settings.admin, query))
            .body(Full::new(Bytes::new()))
            .map_err(|fault| ("unreachable", fault.to_string()))?;
        if let Some(authorization) = &client.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        let unreachable = |fault: &hyper_util::client::legacy::Error| ("unreachable", innermost(fault));
        let response = client.http.request(request).await.map_err(|fault| unreachable(&fault))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, bytes_max).collect().await;
        let body = body.map_err(|fault| ("cut", format!("the answer ended early: {fault}")))?.to_bytes();
        if head.status != StatusCode::OK {
            let text: String = String::from_utf8_lossy(&body).chars().take(300).collect();
            return Err(("refused", format!("the engine that is followed answers {}: {text}", head.status)));
        }
        Ok((head.headers, body))
    }

    /// Sends a request to the API of the engine that is followed.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) async fn forward(
        &self,
        (method, path_and_query): (Method, &str),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Forwarded, NotForwarded> {
        let Some(api) = &self.settings.api else { return Err(NotForwarded::NoAddress) };
        let client = self.forwarding(api).map_err(|fault| NotForwarded::Unreachable(fault.to_string()))?;
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut()) = (method, at(api, path_and_query));
        *request.headers_mut() = headers;
        let answer = match tokio::time::timeout(FORWARD_TIMEOUT, client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(fault)) if fault.is_connect() => Err(NotForwarded::Unreachable(innermost(&fault))),
            Ok(Err(fault)) => Err(NotForwarded::Unanswered(innermost(&fault))),
            Err(_) => Err(NotForwarded::Unanswered(format!("no answer in {FORWARD_TIMEOUT:?}"))),
        };
        if answer.is_err() {
            *self.forwarding.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }

    /// The client for forwarded requests, made anew if it is old or has failed: its authorities may have been replaced.
    fn forwarding(&self, api: &Uri) -> Result<HttpClient, FollowSetupError> {
        let mut forwarding = self.forwarding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = forwarding.as_ref().filter(|known| known.made.elapsed() < CLIENT_AGE_MAX) {
            return Ok(known.http.clone());
        }
        Ok(forwarding.insert(made_to_forward(&self.settings, api)?).http.clone())
    }
}

fn made_to_forward(settings: &FollowSettings, api: &Uri) -> Result<Forwarding, FollowSetupError> {
    let http = match &settings.tls_directory {
        Some(directory) => {
            let authorities = Identity::read(directory, Exposed::Reported)?.authorities;
            http_client_trusting(api, CONNECT_TIMEOUT, Some(authorities))?
        }
        None => http_client(api, CONNECT_TIMEOUT)?,
    };
    Ok(Forwarding { http, made: Instant::now() })
}

fn made(settings: &FollowSettings) -> Result<Client, FollowSetupError> {
    let http = match &settings.tls_directory {
        Some(directory) => http_client_presenting((*client_config(directory)?).clone(), CONNECT_TIMEOUT),
        None => http_client(&settings.admin, CONNECT_TIMEOUT)?,
    };
    let token = settings.token_file.as_deref().map(|path| bearer(&read_token(path)?)).transpose();
    let authorization = token.map_err(FollowSetupError::Token)?;
    Ok(Client { http, authorization, made: Instant::now() })
}

/// The URL of a path at a port. The URL of the port was checked, and a path with a query that a client sent is valid.
fn at(port: &Uri, path_and_query: &str) -> Uri {
    let mut parts = port.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| port.clone())
}

/// What the answer to a request for lines says.
fn read(headers: &HeaderMap, lines: Bytes) -> Option<FollowingLines> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let has_line = match text(HAS_LINE_HEADER)? {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    let (log_id, head_seq) = (text(LOG_ID_HEADER)?.to_owned(), text(HEAD_SEQ_HEADER)?.parse().ok()?);
    Some(FollowingLines { log_id, head_seq, has_line, lines: lines.into() })
}
