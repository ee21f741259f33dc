//! The spans of requests and of their parts. Their attributes are those of the conventions of OpenTelemetry for HTTP,
//! databases and the Model Context Protocol. They have names, numbers and codes of the program, never a text of a
//! client.

use engine_core::trace_context::TraceParent;
use service::{REQUEST_SPAN, RequestIds, STAGE_SPAN};
use tracing::Span;
use tracing::field::Empty;

use crate::traces::begin;

/// Begins the span of an HTTP request. `method` and `route` are words of the program, never texts of a client.
pub(crate) fn of_request(ids: &RequestIds, method: &'static str, route: &str) -> Span {
    begin(ids, || {
        tracing::error_span!(
            target: REQUEST_SPAN,
            "request",
            otel.kind = "server",
            otel.name = format_args!("{method} {route}"),
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            otel.status_code = Empty,
            request_id = ids.request(),
        )
    })
}

/// Begins the span of a call that comes over standard input, or from a caller that sent its trace context.
pub(crate) fn of_call(caller: Option<TraceParent>) -> Span {
    let ids = RequestIds::made();
    let ids = caller.map_or(ids.clone(), |caller| ids.called_by(caller));
    begin(&ids, || {
        tracing::error_span!(
            target: REQUEST_SPAN,
            "request",
            otel.kind = "server",
            otel.name = "call",
            request_id = ids.request(),
        )
    })
}

/// Records how a request was answered.
pub(crate) fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// What a span of the log or the projection says is the database.
const DATABASE: &str = "memory_engine";

/// Begins the span of a write to the log.
pub(crate) fn of_append(events: usize) -> Span {
    tracing::info_span!(
        target: STAGE_SPAN,
        "append",
        otel.kind = "internal",
        db.system.name = DATABASE,
        db.operation.name = "append",
        db.operation.batch.size = events,
    )
}

/// Begins the span of a read of the projection. `operation` is the label in metrics.
pub(crate) fn of_query(operation: &'static str) -> Span {
    tracing::info_span!(
        target: STAGE_SPAN,
        "query",
        otel.kind = "internal",
        otel.name = format_args!("query {operation}"),
        db.system.name = DATABASE,
        db.operation.name = operation,
    )
}

/// Begins the span of the end of a memory's validity.
pub(crate) fn of_invalidation() -> Span {
    tracing::info_span!(
        target: STAGE_SPAN,
        "invalidate",
        otel.kind = "internal",
        db.system.name = DATABASE,
        db.operation.name = "invalidate",
    )
}

/// Begins the span of a call of a tool. `tool` is a name of the table of tools. A caller that sent its trace context in
/// the message is the parent of the span, whoever sent the request that the message was in.
pub(crate) fn of_tool(tool: &'static str, caller: Option<TraceParent>) -> Span {
    macro_rules! span {
        ($target:expr, $level:ident) => {
            tracing::$level!(
                target: $target,
                "tool",
                otel.kind = "server",
                otel.name = format_args!("tools/call {tool}"),
                mcp.method.name = "tools/call",
                gen_ai.operation.name = "execute_tool",
                gen_ai.tool.name = tool,
            )
        };
    }
    let Some(caller) = caller else { return span!(STAGE_SPAN, info_span) };
    let ids = RequestIds::current().unwrap_or_else(RequestIds::made).called_by(caller);
    // A span of a request, so that the log has the caller's trace also if no traces are sent.
    begin(&ids, || span!(REQUEST_SPAN, error_span))
}
