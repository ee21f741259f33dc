//! Accepts connections and serves a router on them, within the limits for connections and times.

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

use super::admission::{Admission, Place};
use super::connection_timeouts::{HEAD_TIMEOUT, Pace, Watched};
use super::stream::{HEAD_BYTES_MAX, Stream, last_words, see_out};
use crate::refusal::Refusal;
use engine_projection::ClientAddress;

/// A port that is being served.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    admission: Arc<Admission>,
}

impl Serving {
    /// Stops accepting connections and waits, at most this long, until the requests in progress are finished. Returns
    /// whether all were.
    pub(crate) async fn drain(self, at_most: Duration) -> bool {
        // The receivers are gone only when there is nothing left to stop.
        self.stop.send_replace(true);
        self.accepting.abort();
        tokio::time::timeout(at_most, self.admission.empty()).await.is_ok()
    }
}

/// Serves until drained. Limits the number of connections per address, and the time a connection may be idle between
/// two requests.
pub(crate) fn serve(
    listener: TcpListener,
    router: Router,
    per_address_max: usize,
    rest: Duration,
) -> Serving {
    let (stop, stopped) = watch::channel(false);
    let admission = Arc::new(Admission::new(per_address_max));
    let accepting = tokio::spawn(accept(listener, router, Arc::clone(&admission), rest, stopped));
    Serving { stop, accepting, admission }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    admission: Arc<Admission>,
    rest: Duration,
    stopped: watch::Receiver<bool>,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(fault) => {
                // Out of file descriptors, or a connection that ended in the accept queue: the next one may work.
                tracing::warn!(%fault, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let address = ClientAddress::new(peer.ip());
        match admission.admit(address) {
            Ok(place) => {
                let connection = Connection { address, place, admission: Arc::clone(&admission), rest };
                tokio::spawn(connection.serve(stream, router.clone(), stopped.clone()));
            }
            // Refused at once: a client that waits in a queue that does not move learns nothing. If even the refusal
            // has no free slot, the connection is closed.
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

/// An admitted connection.
struct Connection {
    address: ClientAddress,
    place: Place,
    admission: Arc<Admission>,
    /// How long it may be idle between two requests.
    rest: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
        let Connection { address, place, admission, rest } = self;
        let pace = Arc::new(Pace::new(rest));
        // Nagle's algorithm would delay small answers.
        let _best_effort = stream.set_nodelay(true);
        let router = paced(router, address, Arc::clone(&pace), rest);
        let mut serving = http1::Builder::new()
            .timer(TokioTimer::new())
            // The library has one timeout for a head and the idle time before it; `Pace` has one for each.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(
                TokioIo::new(Stream::new(stream, Arc::clone(&pace))),
                TowerToHyperService::new(router),
            );
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = pace.over() => None,
            () = told_to_stop(&mut stopped) => {
                std::pin::Pin::new(&mut serving).graceful_shutdown();
                tokio::select! {
                    ended = &mut serving => Some(ended),
                    () = pace.over() => None,
                }
            }
        };
        let parts = serving.into_parts();
        if let Some(Err(fault)) = &ended {
            tracing::debug!(%fault, "a connection ended early");
        }
        // A client that sent part of a head waits for an answer; one that sent nothing does not.
        let half = ended.is_none() && !parts.read_buf.is_empty();
        let words = half.then(|| last_words(head_timeout()));
        let leaving = admission.leave().filter(|_| !*stopped.borrow());
        drop(place);
        if leaving.is_some() {
            see_out(parts.io.into_inner().into_inner(), words).await;
        }
    }
}

/// The router for one connection: it attaches the client address to each request, updates the pace, and announces the
/// idle time in each answer.
fn paced(
    router: Router,
    address: ClientAddress,
    pace: Arc<Pace>,
    rest: Duration,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let asked = Arc::clone(&pace);
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
            response.map(|body| Body::new(Watched::new(body, Arc::clone(&pace))))
        })
}

/// Announces how long the connection may be idle, so that a client can close it before the server does.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

fn head_timeout() -> Refusal {
    let rule = format!("the request line and headers did not arrive within {} s", HEAD_TIMEOUT.as_secs());
    Refusal::new(ErrorCode::RequestTimeout, rule).hint("send the complete head at once; nothing was done")
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _either = stopped.wait_for(|stopped| *stopped).await;
}
