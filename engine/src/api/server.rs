//! Accepts connections and serves a router on them, within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

/// Connections of one port. More wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;
/// From an accepted connection, or the last answer on it, to the end of the next head: idle connections end too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest query string and ordinary headers.
const HEAD_BYTES_MAX: usize = 96 << 10;

/// A port being served.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    connections: Arc<Semaphore>,
}

impl Serving {
    /// Takes no more connections, lets requests that have begun finish, at most this long. Whether all did.
    pub(crate) async fn drain(self, at_most: Duration) -> bool {
        // Receivers are gone only when nothing is left to stop.
        self.stop.send_replace(true);
        self.accepting.abort();
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        tokio::time::timeout(at_most, self.connections.acquire_many(all)).await.is_ok()
    }
}

/// Serves until drained.
pub(crate) fn serve(listener: TcpListener, router: Router) -> Serving {
    let (stop, stopped) = watch::channel(false);
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepting = tokio::spawn(accept(listener, router, Arc::clone(&connections), stopped));
    Serving { stop, accepting, connections }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
) {
    while let Ok(permit) = Arc::clone(&connections).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone(), permit, stopped.clone()));
            }
            Err(fault) => {
                // Out of descriptors, or a connection that ended in the queue: the next one may work.
                tracing::warn!(%fault, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    permit: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    // Small answers must not wait for more to come.
    let _best_effort = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = told_to_stop(&mut stopped) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "a connection ended early");
    }
    drop(permit);
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is a stop as well.
    let _either = stopped.wait_for(|stopped| *stopped).await;
}
