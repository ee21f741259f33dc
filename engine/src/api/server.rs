//! Accepts connections and serves a router on them, within limits on the number of connections and on time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
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
use super::public::PortGate;
use super::stream::{HEAD_BYTES_MAX, Stream, close_gracefully, refusal_response};
use crate::refusal::Refusal;
use crate::ticket::PublicGate;
use engine_core::certificate::Certificate;
use engine_core::digest::Hash;
use engine_projection::ClientAddress;
use service::tls::{ServerTls, Socket};

/// A port to serve.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// What closes the port, if anything does.
    pub(crate) gate: Option<Arc<PublicGate>>,
}

type Stopped = watch::Receiver<bool>;
/// The authorities that a port trusts.
type Trust = watch::Receiver<Option<Hash>>;

/// How long a connection may be used after the trusted authorities have changed or its port has closed, and how long
/// its last request may take after that. Together less than a minute: then only clients are connected that the new
/// authorities vouch for, and none through a port that is closed.
const DISTRUSTED_IDLE_MAX: Duration = Duration::from_secs(25);
const DISTRUSTED_REQUEST_MAX: Duration = Duration::from_secs(30);

/// The certificate that the client of a connection has presented, and that an authority of the port vouches for.
#[derive(Debug, Clone, Default)]
pub(super) struct PeerCertificate(pub(super) Option<Arc<Certificate>>);

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
pub(crate) fn serve(port: Port, router: Router, per_address_max: usize, rest: Duration) -> Serving {
    let (stop, stopped) = watch::channel(false);
    let limiter = Arc::new(ConnectionLimiter::new(per_address_max));
    let accepting = tokio::spawn(accept(port, router, Arc::clone(&limiter), rest, stopped));
    Serving { stop, accepting, limiter }
}

async fn accept(
    Port { listener, tls, gate }: Port,
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
                let (router, stopped, tls) = (router.clone(), stopped.clone(), tls.clone());
                let gate = gate.clone();
                tokio::spawn(async move {
                    // The authorities are read before the handshake, so that no change of them is missed.
                    let trust = tls.as_ref().and_then(|tls| tls.trust());
                    if let Some(socket) = greeted(stream, tls).await {
                        connection.serve(socket, router, stopped, (trust, gate)).await;
                    }
                });
            }
            // The connection is refused at once, so that the client learns the reason instead of waiting in a queue. If
            // no slot is free for sending the refusal, the connection is closed without one.
            Err(refusal) => {
                if let Some(leaving) = limiter.leave() {
                    let tls = tls.clone();
                    tokio::spawn(async move {
                        if let Some(socket) = greeted(stream, tls).await {
                            close_gracefully(socket, Some(refusal_response(refusal))).await;
                        }
                        drop(leaving);
                    });
                }
            }
        }
    }
}

/// Completes the handshake of a port with TLS. `None` if the client does not complete it.
async fn greeted(stream: TcpStream, tls: Option<Arc<ServerTls>>) -> Option<Socket> {
    // Nagle's algorithm would delay small responses, so it is disabled.
    let _best_effort = stream.set_nodelay(true);
    match tls {
        None => Some(Socket::Plain(stream)),
        Some(tls) => {
            let greeted = tls.accept(stream).await;
            greeted.inspect_err(|fault| tracing::debug!(%fault, "a handshake failed")).ok()
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
    async fn serve(
        self,
        stream: Socket,
        router: Router,
        mut stopped: Stopped,
        (trust, gate): (Option<Trust>, Option<Arc<PublicGate>>),
    ) {
        let Connection { address, slot, limiter, rest } = self;
        let timeouts = Arc::new(ConnectionTimeouts::new(rest));
        let is_last = Arc::new(AtomicBool::new(false));
        let certificate = PeerCertificate(stream.peer_certificate().map(Arc::new));
        let open = gate.as_ref().map(|gate| gate.watch());
        let peer = (address, certificate, PortGate(gate));
        let router = paced(router, peer, (Arc::clone(&timeouts), Arc::clone(&is_last)), rest);
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
            () = revoked(trust, open, &is_last) => {
                std::pin::Pin::new(&mut serving).graceful_shutdown();
                tokio::time::timeout(DISTRUSTED_REQUEST_MAX, &mut serving).await.ok()
            }
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
    (address, certificate, gate): (ClientAddress, PeerCertificate, PortGate),
    (timeouts, is_last): (Arc<ConnectionTimeouts>, Arc<AtomicBool>),
    rest: Duration,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let asked = Arc::clone(&timeouts);
    let announced = HeaderValue::from_str(&format!("timeout={}", rest.as_secs())).ok();
    router
        .map_request(move |mut request: Request<Incoming>| {
            asked.asked();
            request.extensions_mut().insert(address);
            request.extensions_mut().insert(certificate.clone());
            request.extensions_mut().insert(gate.clone());
            request
        })
        .map_response(move |mut response: Response| {
            if let Some(announced) = &announced {
                response.headers_mut().insert(KEEP_ALIVE, announced.clone());
            }
            if is_last.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
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

/// Returns some time after the trusted authorities have changed since the connection was accepted, or its port has
/// closed. From then on each response announces that the connection ends, so that no client sends a request on a
/// connection that is closing.
async fn revoked(trust: Option<Trust>, open: Option<watch::Receiver<bool>>, is_last: &AtomicBool) {
    tokio::select! {
        () = distrusted(trust) => {}
        () = closed(open) => {}
    }
    is_last.store(true, Ordering::Relaxed);
    tokio::time::sleep(DISTRUSTED_IDLE_MAX).await;
}

/// Returns when the trusted authorities have changed. An error means that the port ends, which the connection learns in
/// another way.
async fn distrusted(trust: Option<Trust>) {
    let Some(mut trust) = trust else { return std::future::pending().await };
    if trust.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Returns when the port is closed. An error means that the process ends.
async fn closed(open: Option<watch::Receiver<bool>>) {
    let Some(mut open) = open else { return std::future::pending().await };
    if open.wait_for(|open| !open).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is dropped, which counts as a stop too.
    let _either = stopped.wait_for(|stopped| *stopped).await;
}
