//! `memory-engine serve`: from the first listen to the last sync.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api;
use crate::config::Config;
use crate::engine::Engine;
use crate::metrics::Metrics;

/// Where things are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
}

/// Serves until SIGTERM or SIGINT, then stops in order.
pub(crate) async fn serve(places: Places, config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let listener = listen(places.listen).await?;
    let admin_listener = listen(places.admin_listen).await?;
    let metrics = Metrics::new(&config.engine).context("cannot define the metrics")?;
    let engine = Arc::new(Engine::start(&places.data, metrics)?);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        engine = config.engine,
        data = %places.data.display(),
        listen = %listener.local_addr()?,
        admin_listen = %admin_listener.local_addr()?,
        "serving"
    );
    let clients = api::serve(listener, api::routes(Arc::clone(&engine)));
    let platform = api::serve(admin_listener, api::admin_routes(Arc::clone(&engine)));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop(engine, clients, platform, config.drain).await
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn stop(
    engine: Arc<Engine>,
    clients: api::Serving,
    platform: api::Serving,
    drain: Duration,
) -> anyhow::Result<()> {
    tracing::info!(?drain, "stopping: no new connections");
    if !clients.drain(drain).await {
        tracing::warn!("requests were still running at the end of the drain; they are cut off");
    }
    // The platform's port to the end, so that probes see a process that is stopping and not one that is gone.
    platform.drain(Duration::from_millis(100)).await;
    tokio::task::spawn_blocking(move || engine.stop()).await.context("stopping the threads failed")?;
    tracing::info!("stopped");
    Ok(())
}
