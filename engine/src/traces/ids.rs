//! Which trace a request belongs to, and whether it is recorded. Both are decided before its span begins, so that a
//! trace that is not recorded costs next to nothing. A trace that begins here gets the id that the log has already, so
//! that a line leads to its trace.

use std::cell::Cell;
use std::sync::OnceLock;

use engine_core::trace_context::TraceParent;
use opentelemetry::trace::{SpanId, TraceId};
use service::RequestIds;
use tracing::Span;

/// Bound of the traces that are recorded; none if traces are off. A trace id, of which only the lower half counts, is
/// recorded if half of its value is below it, as the SDKs of OpenTelemetry decide.
static BOUND: OnceLock<u64> = OnceLock::new();

thread_local! {
    /// The place of the span that begins next on this thread.
    static NEXT: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Place of a span in a trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) trace: TraceId,
    /// The span above; [`SpanId::INVALID`] for the first one.
    pub(super) parent: SpanId,
    /// Whether another program made the span above.
    pub(super) is_remote: bool,
    pub(super) is_recorded: bool,
}

/// Turns traces on. `share` of them are recorded, where no caller decides.
pub(super) fn enable(share: f64) {
    // The first call counts.
    let _set = BOUND.set(bound(share));
}

fn bound(share: f64) -> u64 {
    // A value out of the range of the type becomes the nearest one.
    (share * (1_u64 << 63) as f64) as u64
}

fn is_recorded(trace: TraceId, bound: u64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < bound
}

/// Begins the span of a request in the trace that its ids name, and attaches the ids to the span.
pub(crate) fn begin(ids: &RequestIds, begin: impl FnOnce() -> Span) -> Span {
    if let Some(bound) = BOUND.get() {
        let TraceParent { trace_id, span_id, sampled } = ids.parent();
        let (trace, is_remote) = (TraceId::from_bytes(trace_id), ids.has_caller());
        let (parent, is_recorded) = if is_remote {
            (SpanId::from_bytes(span_id), sampled)
        } else {
            (SpanId::INVALID, is_recorded(trace, *bound))
        };
        NEXT.set(Some(Place { trace, parent, is_remote, is_recorded }));
    }
    let span = begin();
    // The span does not take it if no layer records this span.
    NEXT.set(None);
    ids.attach_to(&span);
    span
}

/// The place that was decided for the span that begins now, if one was.
pub(super) fn take_next() -> Option<Place> {
    NEXT.take()
}

/// The place of the first span of a trace that no request began.
pub(super) fn first(trace: TraceId) -> Place {
    let is_recorded = BOUND.get().is_some_and(|bound| is_recorded(trace, *bound));
    Place { trace, parent: SpanId::INVALID, is_remote: false, is_recorded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_traces_is_recorded() {
        let traces = || (0..10_000_u128).map(|n| TraceId::from(n * (u128::MAX / 9_999)));
        let recorded = |share: f64| traces().filter(|trace| is_recorded(*trace, bound(share))).count();
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 10_000));
        assert!((95..=105).contains(&recorded(0.01)), "{}", recorded(0.01));
        assert!((4_950..=5_050).contains(&recorded(0.5)), "{}", recorded(0.5));
    }
}
