//! Reads request bodies. Each body has limits on size and time, and all bodies together have a memory budget.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use engine_core::limits::BODY_BYTES_MAX;
use engine_core::request::{Refused, idempotency_key, parse};
use engine_core::wire::ErrorCode;
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::blocking::run_blocking;
use super::body_budget::{BodyBudget, SMALL_BODY_BYTES};
use super::state::Api;
use crate::operations::{SentKey, bind};
use crate::refusal::Refusal;

/// Time that a body may take in addition to the time that its bytes need at the lowest rate.
const BODY_GRACE: Duration = Duration::from_secs(5);
/// The lowest rate at which a body may arrive, bytes per second: the rate of a bad phone line. A slower sender would
/// occupy memory that other requests need.
const BODY_BYTES_PER_SECOND_MIN: usize = 32 << 10;
/// Maximum number of bytes of a refused body that are read and discarded, so that the client receives the response.
const DISCARD_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// A parsed body, its idempotency key, and the memory that is reserved for the body.
#[derive(Debug)]
pub(super) struct ParsedBody<T> {
    pub(super) request: T,
    pub(super) key: Option<SentKey>,
    /// Memory reserved for the body until the request is answered.
    _room: Option<OwnedSemaphorePermit>,
}

impl<T: DeserializeOwned + Serialize> FromRequest<Api> for ParsedBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Api) -> Result<ParsedBody<T>, Refusal> {
        let (head, body) = request.into_parts();
        let key = match key(&head.headers) {
            Ok(key) => key,
            Err(refused) => {
                discard(&head.headers, body).await;
                return Err(refused.into());
            }
        };
        let (body, room) = admit(&api.bodies, &head.headers, body).await?;
        let request: T = run_blocking(body.len() > SMALL_BODY_BYTES, || parse(&body))?;
        let key = key.map(|key| bind(key, head.uri.path(), &request)).transpose()?;
        Ok(ParsedBody { request, key, _room: room })
    }
}

/// Receives a body within the limits. A refused body is read to its end and discarded. The memory stays reserved until
/// the returned permit is dropped.
///
/// # Errors
/// The body is not JSON, too large, too slow or incomplete, or the memory budget is used up.
pub(super) async fn admit(
    bodies: &BodyBudget,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refusal> {
    match check_head(headers).and_then(|declared| bodies.take(declared)) {
        Ok(room) => Ok((receive(body).await?, room)),
        Err(refusal) => {
            discard(headers, body).await;
            Err(refusal)
        }
    }
}

/// Checks the headers and returns the maximum size that the body may have, bytes.
fn check_head(headers: &HeaderMap) -> Result<usize, Refusal> {
    // A browser can send a form to any site without a CORS preflight, but not JSON.
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| !is_json(kind)) {
        return Err(Refusal::new(ErrorCode::UnsupportedMediaType, "the body must be application/json")
            .hint("send the header Content-Type: application/json"));
    }
    match declared(headers) {
        Some(length) if length > BODY_BYTES_MAX => Err(too_large()),
        Some(length) => Ok(length),
        None => Ok(BODY_BYTES_MAX),
    }
}

/// Whether a content type is JSON.
pub(super) fn is_json(kind: &HeaderValue) -> bool {
    let name = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("application/json")
}

/// The declared length of the body, bytes.
fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large() -> Refusal {
    Refusal::new(ErrorCode::PayloadTooLarge, format!("the body has more than {BODY_BYTES_MAX} bytes"))
        .hint("send fewer events at once")
}

fn too_slow(received: usize) -> Refusal {
    Refusal::new(
        ErrorCode::RequestTimeout,
        format!(
            "only {received} bytes of the body arrived, fewer than {BODY_BYTES_PER_SECOND_MIN} bytes per second"
        ),
    )
    .hint("send the complete body at once; nothing was written")
}

/// Reads a body. Refuses a body that is too large or too slow.
async fn receive(mut body: Body) -> Result<Vec<u8>, Refusal> {
    let (started, mut received) = (Instant::now(), Vec::new());
    loop {
        let needed = Duration::from_secs_f64(received.len() as f64 / BODY_BYTES_PER_SECOND_MIN as f64);
        let frame = timeout_at(started + BODY_GRACE + needed, body.frame());
        match frame.await.map_err(|_| too_slow(received.len()))? {
            None => return Ok(received),
            Some(Err(_)) => {
                return Err(
                    Refusal::new(ErrorCode::InvalidArgument, "the body ended early").hint("send it again")
                );
            }
            Some(Ok(frame)) => {
                // A frame without data is a trailer, which this API does not use.
                let Ok(data) = frame.into_data() else { continue };
                if received.len() + data.len() > BODY_BYTES_MAX {
                    return Err(too_large());
                }
                received.extend_from_slice(&data);
            }
        }
    }
}

/// Reads and discards a refused body. Otherwise a client that is still sending would get a connection reset instead of
/// the response. The size is limited here; the timeout of the request limits the time. A larger body is left unread,
/// and so is the body of a client that waits for `100 Continue`.
async fn discard(headers: &HeaderMap, body: Body) {
    discard_up_to(DISCARD_BYTES_MAX, headers, body).await;
}

/// Reads and discards the body of a caller who is not recognised, if it is small. A proxy between the two ends the
/// request of a client that is answered before its body is sent, and clients of HTTP/2 report that as an error of the
/// connection instead of the response.
pub(super) async fn discard_small(headers: &HeaderMap, body: Body) {
    discard_up_to(SMALL_BODY_BYTES, headers, body).await;
}

async fn discard_up_to(bytes_max: usize, headers: &HeaderMap, body: Body) {
    let too_much = declared(headers).is_some_and(|length| length > bytes_max);
    if too_much || headers.contains_key(header::EXPECT) {
        return;
    }
    let mut body = Limited::new(body, bytes_max);
    let rest = async { while let Some(Ok(_frame)) = body.frame().await {} };
    // After the timeout the request is answered anyway.
    let _enough = tokio::time::timeout(BODY_GRACE, rest).await;
}

/// Returns the idempotency key.
///
/// # Errors
/// There is more than one key, or the key has a wrong form.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut values = headers.get_all("idempotency-key").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => idempotency_key(value.as_bytes()).map(Some),
        (Some(_), Some(_)) => Err(Refused::IdempotencyKey),
    }
}
