//! The spans of requests.

use service::{REQUEST_SPAN, RequestIds};
use tracing::Span;
use tracing::field::Empty;

/// Begins the span of an HTTP request. `method` and `route` are words of the program, never texts of a client.
pub(crate) fn of_request(ids: RequestIds, method: &'static str, route: &str) -> (Span, RequestIds) {
    let span = tracing::error_span!(
        target: REQUEST_SPAN,
        "request",
        otel.kind = "server",
        otel.name = format_args!("{method} {route}"),
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        request_id = ids.request(),
        trace_id = ids.trace(),
    );
    ids.attach_to(&span);
    (span, ids)
}

/// Begins the span of a call that comes over standard input.
pub(crate) fn of_call() -> Span {
    let ids = RequestIds::made();
    let span = tracing::error_span!(
        target: REQUEST_SPAN,
        "request",
        otel.kind = "server",
        otel.name = "call",
        request_id = ids.request(),
        trace_id = ids.trace(),
    );
    ids.attach_to(&span);
    span
}

/// Records how a request was answered.
pub(crate) fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
}
