//! The HTTP server for probes and metrics.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, extract::State, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::sync::Semaphore;

use service::listen;

use crate::metrics::Metrics;

/// Maximum number of connections. Further connections wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Timeout for receiving the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum duration of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves probes and metrics until the listener fails.
///
/// # Errors
/// The operator cannot listen on `address`.
pub(crate) async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        // A standby is also ready: it can take over at any time, and a rolling update waits until the new pod is ready.
        .route("/readyz", get(|| async { "ok" }))
        .route("/metrics", get(|State(metrics): State<Arc<Metrics>>| async move { metrics.text() }))
        .with_state(metrics);
    let listener = listen(address).with_context(|| format!("{address} cannot be listened on"))?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await?;
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(place);
        });
    }
}
