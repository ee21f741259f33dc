//! The HTTP clients with which the operator connects to engines.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};

/// Timeout of a request for a report. An engine needs more time only if it has a problem, and a slow engine delays the
/// reconciles of others.
pub(crate) const REPORT_TIMEOUT: Duration = Duration::from_millis(1500);

/// A client of engines without TLS.
pub(crate) type PlainClient = Client<HttpConnector, Full<Bytes>>;
/// A client of one engine with TLS.
pub(crate) type TlsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Opens connections to pods.
pub(crate) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(REPORT_TIMEOUT));
    connector
}

/// A client that keeps connections for a while.
pub(crate) fn pooled<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Shorter than the time after which an engine closes an idle connection (75 s; 10 s in earlier versions; at
        // least 5 s if configured). A request on a connection that the engine is closing would fail.
        .pool_idle_timeout(Duration::from_secs(4))
        .build(connector)
}
