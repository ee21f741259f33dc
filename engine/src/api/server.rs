//! Accepts connections and serves a router on them, within limits on the number of connections and on time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use engine_core::wire::ErrorCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::{Service, ServiceExt};

use super::admission::{ConnectionLimiter, ConnectionSlot};
use super::connection_timeouts::{ConnectionTimeouts, HEAD_TIMEOUT, Watched};
use super::stream::{HEAD_BYTES_MAX, Stream, close_gracefully, refusal_response};
use crate::refusal::Refusal;
use engine_projection::ClientAddress;

/// A port that is being served.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    limiter: Arc<ConnectionLimiter>,
}

impl Serving {
    /// Stops accepting connections and waits, at most `at_most`, until the requests in progress are finished. Returns
    /// whether all of them finished.
    pub(crate) async fn drain(self, at_most: Duration) -> bool {
        // The receivers are gone only when there is nothing left to stop.
        self.stop.send_replace(true);
        self.accepting.abort();
        tokio::time::timeout(at_most, self.limiter.empty()).await.is_ok()
    }
}

/// Serves a router until the returned [`Serving`] is drained. Limits the number of connections per address, and the
/// time that a connection may be idle between two requests.
pub(crate) fn serve(
    listener: TcpListener,
    router: Router,
    per_address_max: usize,
    rest: Duration,
) -> Serving {
    let (stop, stopped) = watch::channel(false);
    let limiter = Arc::new(ConnectionLimiter::new(per_address_max));
    let accepting = tokio::spawn(accept(listener, router, Arc::clone(&limiter), rest, stopped));
    Serving { stop, accepting, limiter }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    limiter: Arc<ConnectionLimiter>,
    rest: Duration,
    stopped: watch::Receiver<bool>,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(fault) => {
                // Either the process has no free file descriptor, or the connection ended in the accept queue. The next
                // connection may work.
                tracing::warn!(%fault, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let address = ClientAddress::new(peer.ip());
        match limiter.admit(address) {
            Ok(slot) => {
                let connection = Connection { address, slot, limiter: Arc::clone(&limiter), rest };
                tokio::spawn(connection.serve(stream, router.clone(), stopped.clone()));
            }
            // The connection is refused at once, so that the client learns the reason instead of waiting in a queue. If
            // no slot is free for sending the refusal, the connection is closed without one.
            Err(refusal) => {
                if let Some(leaving) = limiter.leave() {
                    tokio::spawn(async move {
                        close_gracefully(stream, Some(refusal_response(refusal))).await;
                        drop(leaving);
                    });
                }
            }
        }
    }
}

/// An admitted connection.
struct Connection {
    address: ClientAddress,
    slot: ConnectionSlot,
    limiter: Arc<ConnectionLimiter>,
    /// How long the connection may be idle between two requests.
    rest: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
        let Connection { address, slot, limiter, rest } = self;
        let timeouts = Arc::new(ConnectionTimeouts::new(rest));
        // Nagle's algorithm would delay small responses, so it is disabled.
        let _best_effort = stream.set_nodelay(true);
        let router = paced(router, address, Arc::clone(&timeouts), rest);
        let mut serving = http1::Builder::new()
            .timer(TokioTimer::new())
            // The HTTP library has one timeout for both a head and the idle time before it. `ConnectionTimeouts` has
            // one for each.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(
                TokioIo::new(Stream::new(stream, Arc::clone(&timeouts))),
                TowerToHyperService::new(router),
            );
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = timeouts.over() => None,
            () = told_to_stop(&mut stopped) => {
                std::pin::Pin::new(&mut serving).graceful_shutdown();
                tokio::select! {
                    ended = &mut serving => Some(ended),
                    () = timeouts.over() => None,
                }
            }
        };
        let parts = serving.into_parts();
        let stream = parts.io.into_inner();
        match (&ended, stream.unreadable()) {
            // The line has the ids of the answer, so that a client that shows them leads to what is wrong.
            (Some(Err(fault)), Some(ids)) => {
                let (request_id, trace_id) = (ids.request(), ids.trace());
                tracing::debug!(request_id, trace_id, %fault, "the head of a request cannot be read");
            }
            (Some(Err(fault)), None) => tracing::debug!(%fault, "a connection ended early"),
            _ => {}
        }
        // A client that sent part of a head waits for a response; a client that sent nothing does not.
        let half = ended.is_none() && !parts.read_buf.is_empty();
        let words = half.then(|| refusal_response(head_timeout()));
        let leaving = limiter.leave().filter(|_| !*stopped.borrow());
        drop(slot);
        if leaving.is_some() {
            close_gracefully(stream.into_inner(), words).await;
        }
    }
}

/// Returns the router for one connection. It attaches the client address to each request, updates the timeouts, and
/// announces the idle time in each response.
fn paced(
    router: Router,
    address: ClientAddress,
    timeouts: Arc<ConnectionTimeouts>,
    rest: Duration,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let asked = Arc::clone(&timeouts);
    let announced = HeaderValue::from_str(&format!("timeout={}", rest.as_secs())).ok();
    router
        .map_request(move |mut request: Request<Incoming>| {
            asked.asked();
            request.extensions_mut().insert(address);
            request
        })
        .map_response(move |mut response: Response| {
            if let Some(announced) = &announced {
                response.headers_mut().insert(KEEP_ALIVE, announced.clone());
            }
            response.map(|body| Body::new(Watched::new(body, Arc::clone(&timeouts))))
        })
}

/// Header that announces how long the connection may be idle, so that a client can close it before the server does.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

fn head_timeout() -> Refusal {
    let rule = format!("the request line and headers did not arrive within {} s", HEAD_TIMEOUT.as_secs());
    Refusal::new(ErrorCode::RequestTimeout, rule).hint("send the complete head at once; nothing was done")
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is dropped, which counts as a stop too.
    let _either = stopped.wait_for(|stopped| *stopped).await;
}
