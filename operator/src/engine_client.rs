//! Client of the engines' administration API.

use std::sync::Arc;

use engine_core::{
    trace_context::{REQUEST_ID_HEADER, TRACEPARENT_HEADER},
    wire::{
        BackupTaken, CanaryGrant, CanaryReport, CheckpointAnswer, DeclareHold, DeliverTicket,
        FollowingHealth, GivenAnchor, Health, IntegrityHealth, ModeHealth, ModeReport, RoleHealth,
        StartUpkeep, TakeBackup, TicketHealth, UpkeepRun, WantMode,
    },
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::AUTHORIZATION,
};
use operator_core::report::{self, Unusable, quoted};
use serde::de::DeserializeOwned;
use service::RequestIds;

use crate::{
    admin_tokens::AdminToken,
    connections::{PlainClient, REPORT_TIMEOUT, TlsClient, connector, pooled},
};

/// Maximum size of a report in bytes.
const REPORT_BYTES_MAX: usize = 64 * 1024;
/// Longest text of a fault of parsing, characters. It may quote the answer, whose author is not known.
const QUOTED_CHARS_MAX: usize = 200;

/// A client for administration ports.
pub(crate) struct EngineClient {
    client: PlainClient,
    port: u16,
}

/// An engine to talk to.
#[derive(Clone)]
pub(crate) struct Target {
    /// Address of its pod.
    pub(crate) ip: String,
    /// The client for an engine that has TLS.
    pub(crate) tls: Option<Arc<TlsClient>>,
    /// What its administration port demands, if anything.
    pub(crate) token: Option<AdminToken>,
}

/// Why a request to an engine failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error("the operator has no certificate for it: its Secrets cannot be read or used")]
    NoCertificate,
    #[error("no answer within {REPORT_TIMEOUT:?}")]
    TimedOut,
    #[error("no connection: {0}")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the answer was cut off or is larger than {REPORT_BYTES_MAX} bytes")]
    Body,
    #[error("the answer cannot be parsed: {}", quoted(&.0.to_string(), QUOTED_CHARS_MAX))]
    Format(#[from] serde_json::Error),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("the administration port demands another token than that of spec.access.adminTokenSecretRef")]
    Token,
    #[error("the answer has status {0}")]
    Status(StatusCode),
}

impl EngineClient {
    /// A client for engines with this administration port.
    pub(crate) fn new(port: u16) -> Self {
        Self { client: pooled(connector()), port }
    }

    /// Requests the report of the engine .
    ///
    /// # Errors
    /// The engine does not respond in time, or the response is not a report.
    pub(crate) async fn report(&self, target: &Target) -> Result<Health, ReportError> {
        let request = Request::get(self.address(target, "/health")).body(Full::default())?;
        Ok(report::health(self.exchange(target, request, &[StatusCode::OK]).await?)?)
    }

    /// Requests the report of an engine that follows another one; `None` if it follows none.
    ///
    /// # Errors
    /// The engine does not respond in time, or the response is not a report.
    pub(crate) async fn following(&self, target: &Target) -> Result<Option<FollowingHealth>, ReportError> {
        let request = Request::get(self.address(target, "/health")).body(Full::default())?;
        let report: RoleHealth = self.exchange(target, request, &[StatusCode::OK]).await?;
        Ok(report.following)
    }

    /// Requests the engine's newest checkpoint, with a proof that the checkpoint extends the tree of the given size.
    ///
    /// # Errors
    /// The engine does not respond in time, or the response is not a checkpoint, for example because the log is
    /// shorter.
    pub(crate) async fn checkpoint(
        &self,
        target: &Target,
        extends: Option<u64>,
    ) -> Result<CheckpointAnswer, ReportError> {
        let path =
            extends.map_or_else(|| "/checkpoint".to_owned(), |size| format!("/checkpoint?extends={size}"));
        let request = Request::get(self.address(target, &path)).body(Full::default())?;
        Ok(report::checkpoint(self.exchange(target, request, &[StatusCode::OK]).await?)?)
    }

    /// Sends the engine the anchor that its log must extend. The response contains what the engine found when it
    /// compared its log with the anchor.
    ///
    /// # Errors
    /// The engine does not respond in time, or its version does not accept anchors.
    pub(crate) async fn push_anchor(
        &self,
        target: &Target,
        given: &GivenAnchor,
    ) -> Result<IntegrityHealth, ReportError> {
        let request = Request::post(self.address(target, "/anchor"))
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(given)?))?;
        Ok(report::integrity(self.exchange(target, request, &[StatusCode::OK, StatusCode::CONFLICT]).await?)?)
    }

    /// Sends the engine the wanted mode. The response contains the mode in effect.
    ///
    /// # Errors
    /// The engine does not respond in time, or refuses the mode.
    pub(crate) async fn push_mode(
        &self,
        target: &Target,
        wanted: &WantMode,
    ) -> Result<ModeHealth, ReportError> {
        self.put_mode(target, "/mode/wanted", serde_json::to_vec(wanted)?).await
    }

    /// Sends the engine the hold that the resource declares. The response contains the mode in effect.
    ///
    /// # Errors
    /// The engine does not respond in time, or refuses the hold.
    pub(crate) async fn push_hold(
        &self,
        target: &Target,
        declared: &DeclareHold,
    ) -> Result<ModeHealth, ReportError> {
        self.put_mode(target, "/mode/declared", serde_json::to_vec(declared)?).await
    }

    /// Asks the engine for a backup. It goes on if it takes longer than this waits.
    ///
    /// # Errors
    /// The engine does not respond in time, has no archive, or the backup failed.
    pub(crate) async fn take_backup(
        &self,
        target: &Target,
        wanted: &TakeBackup,
    ) -> Result<BackupTaken, ReportError> {
        let request = Request::post(self.address(target, "/backups"))
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(wanted)?))?;
        Ok(report::backup(self.exchange(target, request, &[StatusCode::OK]).await?)?)
    }

    /// Has the engine carry out upkeep. It goes on if it takes longer than this waits.
    ///
    /// # Errors
    /// The engine does not respond in time, or its version knows no upkeep.
    pub(crate) async fn upkeep(
        &self,
        target: &Target,
        wanted: &StartUpkeep,
    ) -> Result<UpkeepRun, ReportError> {
        let request = Request::post(self.address(target, "/upkeep"))
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(wanted)?))?;
        Ok(report::upkeep(self.exchange(target, request, &[StatusCode::OK]).await?, wanted)?)
    }

    /// Delivers the ticket for clients outside of the cluster, or takes it back. The response contains what the engine
    /// holds then.
    ///
    /// # Errors
    /// The engine does not respond in time, or refuses the ticket.
    pub(crate) async fn deliver_ticket(
        &self,
        target: &Target,
        ticket: &DeliverTicket,
    ) -> Result<TicketHealth, ReportError> {
        let request = Request::put(self.address(target, "/ticket"))
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(ticket)?))?;
        Ok(report::ticket(self.exchange(target, request, &[StatusCode::OK]).await?)?)
    }

    /// Requests what the engine reports about a canary.
    ///
    /// # Errors
    /// The engine does not respond in time, or its version knows no canaries.
    pub(crate) async fn canary(&self, target: &Target) -> Result<CanaryReport, ReportError> {
        let request = Request::get(self.address(target, "/canary")).body(Full::default())?;
        self.exchange(target, request, &[StatusCode::OK]).await
    }

    /// Tells the engine about the canary; `None` for that there is none.
    ///
    /// # Errors
    /// The engine does not respond in time, or refuses the grant.
    pub(crate) async fn grant_canary(
        &self,
        target: &Target,
        grant: Option<&CanaryGrant>,
    ) -> Result<CanaryReport, ReportError> {
        let address = self.address(target, "/canary");
        let request = match grant {
            Some(grant) => Request::put(address)
                .header("content-type", "application/json")
                .body(Full::from(serde_json::to_vec(grant)?))?,
            None => Request::delete(address).body(Full::default())?,
        };
        self.exchange(target, request, &[StatusCode::OK]).await
    }

    async fn put_mode(&self, target: &Target, path: &str, body: Vec<u8>) -> Result<ModeHealth, ReportError> {
        let request = Request::put(self.address(target, path))
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        let report: ModeReport = self.exchange(target, request, &[StatusCode::OK]).await?;
        Ok(report::mode(report.mode))
    }

    /// Sends a request with the ids of the reconcile, so that the lines which the engine logs for it can be found.
    async fn exchange<T: DeserializeOwned>(
        &self,
        target: &Target,
        mut request: Request<Full<Bytes>>,
        good: &[StatusCode],
    ) -> Result<T, ReportError> {
        let ids = RequestIds::current().unwrap_or_else(RequestIds::made);
        for (name, value) in
            [(REQUEST_ID_HEADER, ids.request().to_owned()), (TRACEPARENT_HEADER, ids.parent().to_string())]
        {
            request.headers_mut().insert(name, value.try_into().map_err(hyper::http::Error::from)?);
        }
        let exchange = async {
            let answer = self.send(target, request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), REPORT_BYTES_MAX);
            let bytes = body.collect().await.map_err(|_| ReportError::Body)?.to_bytes();
            if good.contains(&status) {
                Ok(serde_json::from_slice(&bytes)?)
            } else if status == StatusCode::UNAUTHORIZED && target.token.is_some() {
                Err(ReportError::Token)
            } else {
                Err(ReportError::Status(status))
            }
        };
        tokio::time::timeout(REPORT_TIMEOUT, exchange).await.map_err(|_| ReportError::TimedOut)?
    }

    /// Sends a request with the token of the engine. Only if the engine refuses it, the token before is sent.
    async fn send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ReportError> {
        let tokens = target.token.as_ref().map(AdminToken::headers).unwrap_or_default();
        let mut tokens = tokens.into_iter();
        let (mut next, mut is_newest) = (tokens.next(), true);
        loop {
            let mut attempt = request.clone();
            if let Some(token) = next {
                attempt.headers_mut().insert(AUTHORIZATION, token);
            }
            let answer = match &target.tls {
                Some(client) => client.request(attempt).await?,
                None => self.client.request(attempt).await?,
            };
            if let Some(token) = target.token.as_ref().filter(|_| is_newest) {
                token.note(answer.status().is_success());
            }
            (next, is_newest) = (tokens.next(), false);
            // An engine that has refused the newest token too often says 429. The one before may still be right.
            let is_refused =
                [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&answer.status());
            if !is_refused || next.is_none() {
                return Ok(answer);
            }
        }
    }

    fn address(&self, target: &Target, path: &str) -> String {
        let Target { ip, tls, token: _ } = target;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
        format!("{scheme}://{host}:{}{path}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Router, http::HeaderMap, routing::get};
    use engine_core::trace_context::TraceParent;
    use service::REQUEST_SPAN;
    use tracing::Instrument;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[tokio::test]
    async fn an_engine_learns_the_ids_of_the_reconcile() {
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let heard = seen.clone();
        let answer = move |headers: HeaderMap| {
            heard.lock().unwrap().push(headers);
            std::future::ready("{}")
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = axum::serve(listener, Router::new().route("/checkpoint", get(answer)));
        tokio::spawn(serving.into_future());
        let subscriber = tracing_subscriber::registry().with(tracing_subscriber::fmt::layer());
        let _default = tracing::subscriber::set_default(subscriber);
        let ids = RequestIds::made();
        let span = tracing::error_span!(target: REQUEST_SPAN, "reconcile");
        ids.attach_to(&span);
        let client = EngineClient::new(port);
        let target = Target { ip: "127.0.0.1".to_owned(), tls: None, token: None };
        for _ in 0..2 {
            // The answer is not a checkpoint, which does not matter here.
            let answered = client.checkpoint(&target, None).instrument(span.clone()).await;
            assert!(matches!(answered, Err(ReportError::Format(_))), "{answered:?}");
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 2);
        for headers in seen.iter() {
            assert_eq!(headers[REQUEST_ID_HEADER], ids.request());
            let parent = TraceParent::parse(headers[TRACEPARENT_HEADER].as_bytes()).unwrap();
            assert_eq!(parent.trace(), ids.trace());
        }
    }

    /// An engine demands the token before until the kubelet has delivered the changed Secret.
    #[tokio::test]
    async fn a_token_is_sent_and_the_one_before_only_where_the_newest_is_refused() {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = seen.clone();
        let answer = move |headers: HeaderMap| {
            let token = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default().to_owned());
            let is_right = token.as_deref() == Some("Bearer first");
            heard.lock().unwrap().push(token.unwrap_or_default());
            std::future::ready(if is_right { StatusCode::OK } else { StatusCode::UNAUTHORIZED })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(axum::serve(listener, Router::new().route("/checkpoint", get(answer))).into_future());
        let (client, tokens) = (EngineClient::new(port), crate::admin_tokens::AdminTokens::default());
        let ask = async || {
            let target = Target { ip: "127.0.0.1".to_owned(), tls: None, token: tokens.known("a/b") };
            client.checkpoint(&target, None).await.unwrap_err()
        };
        assert!(matches!(ask().await, ReportError::Status(StatusCode::UNAUTHORIZED)));
        for (token, expected) in
            [("first", vec!["Bearer first"]), ("second", vec!["Bearer second", "Bearer first"])]
        {
            seen.lock().unwrap().clear();
            tokens.keep("a/b", ("uid", false), token, None);
            let error = ask().await;
            assert!(matches!(error, ReportError::Format(_)), "{error}: the answer has no body");
            assert_eq!(*seen.lock().unwrap(), expected);
        }
        tokens.keep("a/b", ("uid", false), "third", None);
        let error = ask().await;
        assert!(matches!(error, ReportError::Token), "{error}");
        assert!(!error.to_string().contains("third"));
    }
}
