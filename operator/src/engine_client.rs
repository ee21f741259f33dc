//! Asking an engine about itself.

use std::time::Duration;

use engine_core::wire::Health;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use operator_core::names::ADMIN_PORT;

/// Longest wait for a report; an engine that needs longer is unwell, and others wait behind it.
const REPORT_TIMEOUT: Duration = Duration::from_millis(1500);
/// Largest report read.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// A client for administration ports.
pub(crate) struct EngineClient(Client<HttpConnector, Empty<Bytes>>);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error("no answer within {REPORT_TIMEOUT:?}")]
    TimedOut,
    #[error("no connection: {0}")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("the address is not one: {0}")]
    Address(#[from] hyper::http::uri::InvalidUri),
    #[error("the answer broke off or is larger than {REPORT_BYTES_MAX} bytes")]
    Body,
    #[error("the answer is not a report: {0}")]
    Format(#[from] serde_json::Error),
}

impl EngineClient {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(REPORT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self(client)
    }

    /// What the engine at this address says about itself.
    ///
    /// # Errors
    /// It does not answer in time, or not with a report.
    pub(crate) async fn report(&self, ip: &str) -> Result<Health, ReportError> {
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let address = format!("http://{host}:{ADMIN_PORT}/health").parse()?;
        let exchange = async {
            let answer = self.0.get(address).await?;
            let body = Limited::new(answer.into_body(), REPORT_BYTES_MAX);
            let bytes = body.collect().await.map_err(|_| ReportError::Body)?.to_bytes();
            Ok(serde_json::from_slice(&bytes)?)
        };
        tokio::time::timeout(REPORT_TIMEOUT, exchange).await.map_err(|_| ReportError::TimedOut)?
    }
}
