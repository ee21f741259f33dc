//! Gives every request its identifiers: taken from the caller, or made. They are in every line that is logged for the
//! request, and the answer repeats the id of the request.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use engine_core::trace_context::{REQUEST_ID_HEADER, TRACEPARENT_HEADER};
use engine_projection::ClientAddress;
use service::{AUDIT, RequestIds};
use tracing::{Instrument, Span};

use crate::engine::Engine;
use crate::spans;

/// Name of the header with the id of a request, in answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);

/// The span of a request, for code that handles the request in another task.
#[derive(Debug, Clone)]
pub(crate) struct RequestSpan(pub(crate) Span);

/// Handles a request in a span with its identifiers and the address of its client, and adds the id of the request to
/// the answer.
pub(super) async fn identify(
    State(engine): State<Arc<Engine>>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let ids = RequestIds::received(only(headers, REQUEST_ID_HEADER), only(headers, TRACEPARENT_HEADER));
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let is_mcp = route.starts_with("/mcp");
    let span = spans::of_request(&ids, method(request.method()), route);
    let address = request.extensions().get::<ClientAddress>().copied();
    if is_mcp {
        request.extensions_mut().insert(RequestSpan(span.clone()));
    }
    let handled = next.run(request).instrument(span.clone());
    let mut response = match address {
        Some(address) => address.scope(handled).await,
        None => handled.await,
    };
    spans::answered(&span, response.status().as_u16());
    if engine.is_stopping() {
        // A client that opens a connection for its next request then reaches another process, instead of sending the
        // request on a connection that is being closed.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_str(ids.request()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The value of a header that occurs once. A header that occurs twice is ambiguous.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

/// Name of a method. A client can send any word as a method, and such a word is not logged.
pub(super) fn method(method: &Method) -> &'static str {
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let names = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    known.iter().zip(names).find(|(known, _)| *known == method).map_or("_OTHER", |(_, name)| name)
}

/// Records every request on the admin port that changes something: who made it, what it was, and how it ended.
pub(super) async fn audit(request: Request, next: Next) -> Response {
    let changes = !request.method().is_safe();
    let client = request.extensions().get::<ClientAddress>().copied();
    let action = request.extensions().get::<MatchedPath>().cloned().filter(|_| changes);
    let response = next.run(request).await;
    if let Some(action) = action {
        let client = client.map(|client| client.to_string()).unwrap_or_default();
        let (action, status) = (action.as_str(), response.status().as_u16());
        tracing::info!(target: AUDIT, action, client, status, "an administrative request was answered");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_occurs_twice_counts_as_absent() {
        let mut headers = HeaderMap::new();
        assert_eq!(only(&headers, REQUEST_ID_HEADER), None);
        headers.append(REQUEST_ID, HeaderValue::from_static("a"));
        assert_eq!(only(&headers, REQUEST_ID_HEADER), Some(&b"a"[..]));
        headers.append(REQUEST_ID, HeaderValue::from_static("b"));
        assert_eq!(only(&headers, REQUEST_ID_HEADER), None);
    }

    #[test]
    fn a_method_is_one_of_a_few_words() {
        assert_eq!(method(&Method::GET), "GET");
        assert_eq!(method(&Method::PATCH), "PATCH");
        assert_eq!(method(&Method::from_bytes(b"anything").unwrap()), "_OTHER");
    }
}
