//! The client of a canary: of its API and of its readiness probe.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Request, StatusCode};
use engine_core::request::Refused;
use engine_core::wire::CanaryGrant;
use engine_retrieval::providers::{HttpClient, http_client_trusting};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use rustls::RootCertStore;
use service::secret_file::Exposed;
use service::tls::Identity;

use crate::causes::innermost;

/// How long a canary may take for an answer, with its transfer. A client waits for it in vain at most this long.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a look at its readiness may take.
const READINESS_TIMEOUT: Duration = Duration::from_secs(1);
/// Time until a connection is open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Age of a client from which on the authorities are read again. A failure makes a new client too.
const CLIENT_AGE_MAX: Duration = Duration::from_secs(60);

/// What a canary has answered.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) elapsed: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    Timeout,
    /// For people, without secrets.
    Fault(String),
}

/// A canary that can be asked.
#[derive(Debug)]
pub(crate) struct Target {
    api: Uri,
    readyz: Uri,
    /// Directories with the authorities that vouch for it: those of this engine's own certificates.
    authorities: Vec<PathBuf>,
    client: Mutex<Option<(HttpClient, Instant)>>,
}

impl Target {
    /// Checks the URLs of a grant. With `needs_tls`, what clients send must not go through a connection without it.
    ///
    /// # Errors
    /// A URL cannot be used.
    pub(super) fn of(
        grant: &CanaryGrant,
        needs_tls: bool,
        authorities: Vec<PathBuf>,
    ) -> Result<Target, Refused> {
        let refused = |field: &str, rule: &str| Refused::Body(format!("{field} {rule}"));
        let url = |field: &str, text: &str| {
            let url: Uri = text.parse().map_err(|_| refused(field, "must be a URL"))?;
            let has_user = url.authority().is_none_or(|authority| authority.as_str().contains('@'));
            let is_http = matches!(url.scheme_str(), Some("http" | "https"));
            if is_http && !has_user { Ok(url) } else { Err(refused(field, "must be a URL of http or https")) }
        };
        let (api, readyz) = (url("api", &grant.api)?, url("readyz", &grant.readyz)?);
        if !matches!(api.path(), "" | "/") || api.query().is_some() {
            return Err(refused("api", "must be the URL of a port, such as https://notes-canary:8080"));
        }
        if needs_tls && api.scheme_str() != Some("https") {
            return Err(refused(
                "api",
                "must be a URL of https, because this engine serves its API with TLS",
            ));
        }
        Ok(Target { api, readyz, authorities, client: Mutex::new(None) })
    }

    /// Whether it has these URLs.
    pub(super) fn is_of(&self, grant: &CanaryGrant) -> bool {
        let same = |url: &Uri, text: &str| text.parse::<Uri>().is_ok_and(|other| other == *url);
        same(&self.api, &grant.api) && same(&self.readyz, &grant.readyz)
    }

    /// The client, made anew if it is old or has failed: its authorities may have been replaced.
    fn client(&self) -> Result<HttpClient, String> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = client.as_ref().filter(|(_, made)| made.elapsed() < CLIENT_AGE_MAX) {
            return Ok(known.clone());
        }
        let mut trusted = RootCertStore::empty();
        for directory in &self.authorities {
            let identity = Identity::read(directory, Exposed::Reported).map_err(|fault| fault.to_string())?;
            trusted.roots.extend(identity.authorities.roots);
        }
        let made = http_client_trusting(&self.api, CONNECT_TIMEOUT, Some(trusted));
        let made = made.map_err(|fault| fault.to_string())?;
        Ok(client.insert((made, Instant::now())).0.clone())
    }

    /// Sends a question to the API.
    ///
    /// # Errors
    /// There is no complete answer in time, or it has more than `bytes_max` bytes.
    pub(crate) async fn ask(
        &self,
        path_and_query: &str,
        headers: HeaderMap,
        bytes_max: usize,
    ) -> Result<Exchange, Unanswered> {
        let mut parts = self.api.clone().into_parts();
        parts.path_and_query = path_and_query.parse().ok();
        let url = Uri::from_parts(parts).map_err(|fault| Unanswered::Fault(fault.to_string()))?;
        self.exchange((url, headers), ANSWER_TIMEOUT, bytes_max).await
    }

    /// Looks whether it is ready; otherwise says why that is not known.
    pub(super) async fn is_ready(&self) -> (bool, Option<String>) {
        let asked = (self.readyz.clone(), HeaderMap::new());
        match self.exchange(asked, READINESS_TIMEOUT, 64 << 10).await {
            Ok(answer) => (answer.status == StatusCode::OK, None),
            Err(Unanswered::Timeout) => (false, Some(format!("no answer in {READINESS_TIMEOUT:?}"))),
            Err(Unanswered::Fault(fault)) => (false, Some(fault)),
        }
    }

    async fn exchange(
        &self,
        (url, headers): (Uri, HeaderMap),
        at_most: Duration,
        bytes_max: usize,
    ) -> Result<Exchange, Unanswered> {
        let client = self.client().map_err(Unanswered::Fault)?;
        let mut request = Request::new(Full::new(Bytes::new()));
        (*request.uri_mut(), *request.headers_mut()) = (url, headers);
        let started = Instant::now();
        let asked = async {
            let response = client.request(request).await.map_err(|fault| innermost(&fault))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, bytes_max).collect().await.map_err(|fault| fault.to_string())?;
            Ok((head, body.to_bytes()))
        };
        let answer = match tokio::time::timeout(at_most, asked).await {
            Ok(Ok((head, body))) => {
                let elapsed = started.elapsed();
                return Ok(Exchange { status: head.status, headers: head.headers, body, elapsed });
            }
            Ok(Err(fault)) => Unanswered::Fault(fault),
            Err(_) => Unanswered::Timeout,
        };
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Err(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_core::wire::CanaryReads;

    fn target(api: &str, readyz: &str, needs_tls: bool) -> Result<Target, Refused> {
        let grant = CanaryGrant {
            revision: "one".to_owned(),
            pod: String::new(),
            api: api.to_owned(),
            readyz: readyz.to_owned(),
            reads: CanaryReads::Shadow,
            weight: 0,
            floor: false,
            pair_interval_ms: 1_000,
            rehearsal: None,
        };
        Target::of(&grant, needs_tls, Vec::new())
    }

    #[test]
    fn a_canary_is_reached_by_two_urls_without_secrets() {
        let probe = "http://canary:8082/readyz";
        assert!(target("http://canary:8080", probe, false).is_ok());
        assert!(target("https://canary:8080/", probe, true).is_ok());
        for api in
            ["canary:8080", "ftp://canary", "http://a:b@canary", "http://canary/x", "http://canary/?x", ""]
        {
            assert!(target(api, probe, false).is_err(), "{api}");
        }
        assert!(target("http://canary:8080", "file:///readyz", false).is_err());
        assert!(target("http://canary:8080", probe, true).is_err(), "keys of clients need TLS");
    }
}
