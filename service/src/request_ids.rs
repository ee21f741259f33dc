//! The identifiers of the request that is being handled. They are attached to a span, so that every line that is logged
//! inside of the span carries them, also on other threads ([`in_span`]).

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use engine_core::trace_context::{TraceParent, accepted_request_id};
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

/// Target of the span of a request. Every filter of a log has to enable it.
pub const REQUEST_SPAN: &str = "request";
/// Target of the spans of parts of a request. Only a trace records them.
pub const STAGE_SPAN: &str = "stage";

/// How the trace context of a span is found, if traces are recorded.
static SPAN_PARENT: OnceLock<fn(&Span) -> Option<TraceParent>> = OnceLock::new();

/// Sets how the trace context of a span is found. The first call counts.
pub fn set_span_parent(find: fn(&Span) -> Option<TraceParent>) {
    let _first_counts = SPAN_PARENT.set(find);
}

/// The identifiers of one request. Clones share one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds(Arc<Ids>);

#[derive(Debug, PartialEq, Eq)]
struct Ids {
    request: String,
    /// What requests to other services carry: the trace, and the span that made them.
    parent: TraceParent,
    /// Whether a caller sent the trace context.
    has_caller: bool,
}

impl RequestIds {
    /// Takes the identifiers that a caller sent, and makes those that are absent or may not be logged.
    #[must_use]
    pub fn received(request_id: Option<&[u8]>, traceparent: Option<&[u8]>) -> RequestIds {
        let parent = traceparent.and_then(TraceParent::parse);
        let has_caller = parent.is_some();
        let made = || TraceParent { trace_id: random(), span_id: random(), sampled: false };
        let parent = parent.unwrap_or_else(made);
        let request =
            request_id.and_then(accepted_request_id).map_or_else(|| hex(&random::<8>()), str::to_owned);
        RequestIds(Arc::new(Ids { request, parent, has_caller }))
    }

    /// Makes identifiers for work that nobody requested.
    #[must_use]
    pub fn made() -> RequestIds {
        RequestIds::received(None, None)
    }

    /// The id of the request.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.0.request
    }

    /// The id of the trace, in hex digits.
    #[must_use]
    pub fn trace(&self) -> String {
        self.0.parent.trace()
    }

    /// The trace context for requests to other services.
    #[must_use]
    pub fn parent(&self) -> TraceParent {
        self.0.parent
    }

    /// Whether a caller sent the trace context.
    #[must_use]
    pub fn has_caller(&self) -> bool {
        self.0.has_caller
    }

    /// The trace context for a request to another service that is made in the current span.
    #[must_use]
    pub fn outgoing() -> Option<TraceParent> {
        let recorded = SPAN_PARENT.get().and_then(|find| find(&Span::current()));
        recorded.or_else(|| RequestIds::current().map(|ids| ids.parent()))
    }

    /// The same request, as a part of a trace that another caller sent.
    #[must_use]
    pub fn called_by(&self, parent: TraceParent) -> RequestIds {
        RequestIds(Arc::new(Ids { request: self.0.request.clone(), parent, has_caller: true }))
    }

    /// Attaches the identifiers to a span. Does nothing if nobody records the span.
    pub fn attach_to(&self, span: &Span) {
        span.with_subscriber(|(id, subscriber)| {
            if let Some(span) = subscriber.downcast_ref::<Registry>().and_then(|spans| spans.span(id)) {
                span.extensions_mut().replace(self.clone());
            }
        });
    }

    /// The identifiers of the request that the current span belongs to.
    #[must_use]
    pub fn current() -> Option<RequestIds> {
        let found = Span::current().with_subscriber(|(id, subscriber)| {
            let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
            span.scope().find_map(|span| span.extensions().get::<RequestIds>().cloned())
        });
        found.flatten()
    }
}

/// Random bytes that are taken from the operating system at once. A call for each request would cost as much as the
/// rest of its ids.
const RANDOM_BYTES: usize = 1 << 10;

thread_local! {
    /// Random bytes, and how many of them are used.
    static RANDOM: RefCell<([u8; RANDOM_BYTES], usize)> = const { RefCell::new(([0; RANDOM_BYTES], RANDOM_BYTES)) };
}

/// Random bytes, which no other id has.
fn random<const N: usize>() -> [u8; N] {
    RANDOM.with_borrow_mut(|(bytes, used)| {
        if *used + N > RANDOM_BYTES {
            // Without random numbers the ids are useless, and the request is served all the same.
            let _without = getrandom::fill(bytes);
            *used = 0;
        }
        let mut taken = [0; N];
        taken.copy_from_slice(&bytes[*used..*used + N]);
        *used += N;
        taken
    })
}

fn hex(bytes: &[u8]) -> String {
    engine_core::digest::hex(bytes)
}

/// Runs `work`, on whatever thread, in the span that is current now.
pub fn in_span<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(work)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn what_a_caller_sent_is_kept_and_the_rest_is_made() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let ids = RequestIds::received(Some(b"a-7"), Some(trace.as_bytes()));
        assert_eq!((ids.request(), ids.trace().as_str()), ("a-7", "4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(ids.parent().to_string(), trace);
        let [one, other] = [RequestIds::received(Some(b"a b"), Some(b"00-")), RequestIds::made()];
        assert_eq!((one.request().len(), one.trace().len()), (16, 32));
        assert_ne!(one.request(), other.request());
        assert_ne!(one.trace(), other.trace());
    }

    #[test]
    fn other_threads_know_the_request() {
        let _default = tracing::subscriber::set_default(
            tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()),
        );
        let ids = RequestIds::made();
        let span = tracing::error_span!(target: REQUEST_SPAN, "request");
        ids.attach_to(&span);
        let work = span.in_scope(|| {
            let inner = tracing::error_span!("inner");
            inner.in_scope(|| in_span(RequestIds::current))
        });
        assert_eq!(RequestIds::current(), None);
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let found =
            std::thread::spawn(move || tracing::dispatcher::with_default(&dispatch, work)).join().unwrap();
        assert_eq!(found, Some(ids));
    }
}
