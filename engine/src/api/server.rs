//! Accepts connections and serves a router on them, within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use engine_core::wire::ErrorCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::admission::{Admission, Place};
use super::stream::{Stream, last_words, see_out};
use crate::client::Address;
use crate::refusal::Refusal;

/// From an accepted connection, or the last answer on it, to the end of the next head. A head is one packet or a few;
/// clients of the field's servers are used to connections that end when they were idle for seconds.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest query string and ordinary headers.
pub(crate) const HEAD_BYTES_MAX: usize = 96 << 10;
/// Headers of one request, as the HTTP library bounds them: a proxy or two add a dozen.
pub(crate) const HEADERS_MAX: usize = 100;

/// A port being served.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    admission: Arc<Admission>,
}

impl Serving {
    /// Takes no more connections, lets requests that have begun finish, at most this long. Whether all did.
    pub(crate) async fn drain(self, at_most: Duration) -> bool {
        // Receivers are gone only when nothing is left to stop.
        self.stop.send_replace(true);
        self.accepting.abort();
        tokio::time::timeout(at_most, self.admission.empty()).await.is_ok()
    }
}

/// Serves until drained; so many connections of one address at a time.
pub(crate) fn serve(listener: TcpListener, router: Router, per_address_max: usize) -> Serving {
    let (stop, stopped) = watch::channel(false);
    let admission = Arc::new(Admission::new(per_address_max));
    let accepting = tokio::spawn(accept(listener, router, Arc::clone(&admission), stopped));
    Serving { stop, accepting, admission }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    admission: Arc<Admission>,
    stopped: watch::Receiver<bool>,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(fault) => {
                // Out of descriptors, or a connection that ended in the queue: the next one may work.
                tracing::warn!(%fault, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let address = Address::new(peer.ip());
        match admission.admit(address) {
            Ok(place) => {
                let connection = Connection { address, place, admission: Arc::clone(&admission) };
                tokio::spawn(connection.serve(stream, router.clone(), stopped.clone()));
            }
            // Said at once: who waits in a queue that does not move learns nothing. Without room even for that it is closed.
            Err(refusal) => {
                if let Some(leaving) = admission.leave() {
                    tokio::spawn(async move {
                        see_out(stream, Some(last_words(refusal))).await;
                        drop(leaving);
                    });
                }
            }
        }
    }
}

/// A connection that was admitted.
struct Connection {
    address: Address,
    place: Place,
    admission: Arc<Admission>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
        let Connection { address, place, admission } = self;
        // Small answers must not wait for more to come.
        let _best_effort = stream.set_nodelay(true);
        let router = router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(address);
            request
        });
        let mut serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Stream::new(stream)), TowerToHyperService::new(router));
        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = told_to_stop(&mut stopped) => {
                std::pin::Pin::new(&mut serving).graceful_shutdown();
                (&mut serving).await
            }
        };
        let parts = serving.into_parts();
        let words = ended.err().and_then(|fault| {
            tracing::debug!(%fault, "a connection ended early");
            // Half a head is a client that waits for an answer; none is one that has nothing to ask.
            (fault.is_timeout() && !parts.read_buf.is_empty()).then(|| last_words(head_timeout()))
        });
        let leaving = admission.leave().filter(|_| !*stopped.borrow());
        drop(place);
        if leaving.is_some() {
            see_out(parts.io.into_inner().into_inner(), words).await;
        }
    }
}

fn head_timeout() -> Refusal {
    let rule = format!("the request line and headers did not arrive within {} s", HEAD_TIMEOUT.as_secs());
    Refusal::new(ErrorCode::RequestTimeout, rule).hint("send the whole head at once; nothing was done")
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is a stop as well.
    let _either = stopped.wait_for(|stopped| *stopped).await;
}
