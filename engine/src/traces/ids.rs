//! Ids of traces. A trace that begins here gets the id that the log has already, so that a line leads to its trace.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use service::RequestIds;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Whether traces are recorded.
static IS_ENABLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Id of the trace that begins next on this thread.
    static NEXT: Cell<Option<TraceId>> = const { Cell::new(None) };
}

pub(super) fn enable() {
    IS_ENABLED.store(true, Ordering::Release);
}

/// Makes the ids of spans, and of traces that have no id yet.
#[derive(Debug)]
pub(super) struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT.take().unwrap_or_else(|| RandomIdGenerator::default().new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        RandomIdGenerator::default().new_span_id()
    }
}

/// Makes the span of a request part of the trace that its ids name. Returns the ids for requests to other services.
pub(crate) fn join(span: &Span, ids: RequestIds) -> RequestIds {
    if !IS_ENABLED.load(Ordering::Acquire) {
        return ids;
    }
    let parent = ids.parent();
    let trace_id = TraceId::from_bytes(parent.trace_id);
    if ids.has_caller() {
        let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let span_id = SpanId::from_bytes(parent.span_id);
        let caller = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
        // This fails only for a span that has begun, and this one has not.
        let _set = span.set_parent(opentelemetry::Context::new().with_remote_span_context(caller));
    } else {
        NEXT.set(Some(trace_id));
    }
    // This begins the span.
    let own = super::parent_of(span);
    NEXT.set(None);
    own.map_or(ids.clone(), |own| ids.with_parent(own))
}
