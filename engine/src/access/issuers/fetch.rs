//! One attempt to get the keys of an issuer. Time, size and the number of requests are bounded, and redirects are
//! refused: the configuration says where keys are.

use std::io;
use std::path::Path;
use std::time::Duration;

use engine_core::configuration::{AccessIssuer, Address};
use engine_core::issuer::{KEY_SET_BYTES_MAX, KeySet, KeySetFault, discovered_keys, lifetime};
use engine_retrieval::providers::{ClientError, http_client_trusting};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Uri};
use rustls::RootCertStore;
use service::regular_file;
use service::secret_file::{self, Exposed};
use service::tls::certificates;
use thiserror::Error;

/// Maximum time of one request. Issuers answer within tens of milliseconds.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a file with authorities or with a token, bytes.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// How long keys from a file are used before it is read again.
const FILE_LIFETIME: Duration = Duration::from_secs(15);

/// Media types of key sets and descriptions. The API server of Kubernetes refuses a request that accepts only the
/// latter.
const ACCEPTED: &str = "application/jwk-set+json, application/json";

/// Why keys could not be fetched. No text has a part of an answer or of a token.
#[derive(Debug, Error)]
pub(super) enum FetchFault {
    #[error("{0} cannot be read: {1}")]
    File(&'static str, io::Error),
    #[error("caFile contains no certificate in PEM")]
    Authorities,
    #[error("the token in bearerTokenFile cannot be sent in a header")]
    Token,
    #[error("the URL of the keys cannot be used: it must be https://, or http:// on this machine")]
    Url,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no answer within {} s", FETCH_TIMEOUT.as_secs())]
    Timeout,
    #[error("the connection failed")]
    Connection,
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("the answer has more than {KEY_SET_BYTES_MAX} bytes")]
    Size,
    #[error(transparent)]
    Content(#[from] KeySetFault),
}

/// An answer with status 200.
struct Answer {
    body: Bytes,
    cache_control: Option<String>,
}

/// Fetches the keys of an issuer. Returns them with the time after which they should be fetched again.
pub(super) async fn keys(rules: &AccessIssuer) -> Result<(KeySet, Duration), FetchFault> {
    if let Some(file) = &rules.jwks_file {
        let bytes = regular_file::read(Path::new(file), KEY_SET_BYTES_MAX as u64)
            .map_err(|fault| FetchFault::File("jwksFile", fault))?;
        return Ok((KeySet::read(&bytes)?, FILE_LIFETIME));
    }
    let url = match &rules.jwks_url {
        Some(url) => url.clone(),
        None => {
            let described = get(rules, &rules.discovery_url()).await?;
            discovered_keys(&described.body, &rules.issuer)?
        }
    };
    let Answer { body, cache_control } = get(rules, &url).await?;
    Ok((KeySet::read(&body)?, lifetime(cache_control.as_deref())))
}

async fn get(rules: &AccessIssuer, url: &str) -> Result<Answer, FetchFault> {
    let address = Address::of(url).filter(|address| address.is_encrypted || address.is_this_machine());
    let uri: Uri = url.parse().ok().filter(|_| address.is_some()).ok_or(FetchFault::Url)?;
    tokio::time::timeout(FETCH_TIMEOUT, exchange(rules, uri)).await.map_err(|_| FetchFault::Timeout)?
}

async fn exchange(rules: &AccessIssuer, uri: Uri) -> Result<Answer, FetchFault> {
    // Made for every attempt, so that changed files count.
    let authorities = rules.ca_file.as_deref().map(authorities).transpose()?;
    let client = http_client_trusting(&uri, FETCH_TIMEOUT, authorities)?;
    let mut request = Request::get(uri)
        .header(header::ACCEPT, ACCEPTED)
        .header(header::USER_AGENT, concat!("memory-engine/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::new()))
        .map_err(|_| FetchFault::Url)?;
    if let Some(path) = &rules.bearer_token_file {
        request.headers_mut().insert(header::AUTHORIZATION, bearer(path)?);
    }
    let response = client.request(request).await.map_err(|_| FetchFault::Connection)?;
    if response.status() != hyper::StatusCode::OK {
        return Err(FetchFault::Status(response.status().as_u16()));
    }
    let cache_control = response.headers().get(header::CACHE_CONTROL);
    let cache_control = cache_control.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(response.into_body(), KEY_SET_BYTES_MAX).collect().await;
    let body = body.map_err(|fault| match fault.is::<LengthLimitError>() {
        true => FetchFault::Size,
        false => FetchFault::Connection,
    })?;
    Ok(Answer { body: body.to_bytes(), cache_control })
}

fn authorities(path: &str) -> Result<RootCertStore, FetchFault> {
    let text = regular_file::read(Path::new(path), FILE_BYTES_MAX)
        .map_err(|fault| FetchFault::File("caFile", fault))?;
    let mut store = RootCertStore::empty();
    for authority in certificates(&text).unwrap_or_default() {
        store.add(authority).map_err(|_| FetchFault::Authorities)?;
    }
    if store.is_empty() { Err(FetchFault::Authorities) } else { Ok(store) }
}

/// The header with the token of a file. A platform replaces the file before the token expires.
fn bearer(path: &str) -> Result<HeaderValue, FetchFault> {
    let (text, _) = secret_file::read(Path::new(path), FILE_BYTES_MAX, Exposed::Reported)
        .map_err(|fault| FetchFault::File("bearerTokenFile", fault))?;
    let text = std::str::from_utf8(&text).map_err(|_| FetchFault::Token)?;
    let header = HeaderValue::try_from(format!("Bearer {}", text.trim()));
    let mut header = header.map_err(|_| FetchFault::Token)?;
    header.set_sensitive(true);
    Ok(header)
}
