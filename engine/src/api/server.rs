//! Accepts connections and serves a router on them, within bounds.

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
use super::pace::{HEAD_TIMEOUT, Pace, Watched};
use super::stream::{HEAD_BYTES_MAX, Stream, last_words, see_out};
use crate::refusal::Refusal;
use engine_projection::ClientAddress;

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

/// Serves until drained; so many connections of one address at a time, each of which may rest so long between two
/// requests.
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
                // Out of descriptors, or a connection that ended in the queue: the next one may work.
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
            // Said at once: who waits in a queue that does not move learns nothing. Without room even for that it is
            // closed.
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
    address: ClientAddress,
    place: Place,
    admission: Arc<Admission>,
    /// How long it may rest between two requests.
    rest: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
        let Connection { address, place, admission, rest } = self;
        let pace = Arc::new(Pace::new(rest));
        // Small answers must not wait for more to come.
        let _best_effort = stream.set_nodelay(true);
        let router = paced(router, address, Arc::clone(&pace), rest);
        let mut serving = http1::Builder::new()
            .timer(TokioTimer::new())
            // The library has one time for a head and for the rest before it; the pace has two.
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
        // Half a head is a client that waits for an answer; none is one that has nothing to ask.
        let half = ended.is_none() && !parts.read_buf.is_empty();
        let words = half.then(|| last_words(head_timeout()));
        let leaving = admission.leave().filter(|_| !*stopped.borrow());
        drop(place);
        if leaving.is_some() {
            see_out(parts.io.into_inner().into_inner(), words).await;
        }
    }
}

/// The router, for one connection: it learns whose requests they are, and the pace of each, which answers announce.
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

/// How long the connection may rest, for clients that keep below it.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

fn head_timeout() -> Refusal {
    let rule = format!("the request line and headers did not arrive within {} s", HEAD_TIMEOUT.as_secs());
    Refusal::new(ErrorCode::RequestTimeout, rule).hint("send the whole head at once; nothing was done")
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is a stop as well.
    let _either = stopped.wait_for(|stopped| *stopped).await;
}
