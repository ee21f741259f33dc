//! Turns the spans of the program into spans of a trace. It does less than a bridge for all programs could: spans have
//! no events and no links, and what is not recorded has only its place in the trace.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use engine_core::trace_context::TraceParent;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Span, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::ids::{self, Place};

/// The layer. It passes finished spans to a processor.
#[derive(Debug)]
pub(super) struct Spans<P> {
    processor: Arc<P>,
    scope: InstrumentationScope,
}

impl<P> Spans<P> {
    pub(super) fn new(processor: Arc<P>, scope: &'static str) -> Spans<P> {
        Spans { processor, scope: InstrumentationScope::builder(scope).build() }
    }
}

/// What a span of the program has until it ends.
struct Traced {
    /// What requests to other services carry.
    context: TraceParent,
    /// The span of the trace; none if it is not recorded.
    open: Option<SpanData>,
}

/// The trace context for a request to another service that is made in a span.
pub(super) fn parent_of(span: &Span) -> Option<TraceParent> {
    let found = span.with_subscriber(|(id, subscriber)| {
        let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
        span.scope().find_map(|span| span.extensions().get::<Traced>().map(|traced| traced.context))
    });
    found.flatten()
}

impl<P, S> Layer<S> for Spans<P>
where
    P: SpanProcessor + 'static,
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let below = |context: TraceParent| Place {
            trace: TraceId::from_bytes(context.trace_id),
            parent: SpanId::from_bytes(context.span_id),
            is_remote: false,
            is_recorded: context.sampled,
        };
        let above = || span.parent()?.extensions().get::<Traced>().map(|traced| below(traced.context));
        let place = ids::take_next()
            .or_else(above)
            .unwrap_or_else(|| ids::first(RandomIdGenerator::default().new_trace_id()));
        let own = RandomIdGenerator::default().new_span_id();
        let open = place.is_recorded.then(|| self.open(place, own, attributes));
        let context = TraceParent {
            trace_id: place.trace.to_bytes(),
            span_id: own.to_bytes(),
            sampled: place.is_recorded,
        };
        span.extensions_mut().replace(Traced { context, open });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Traced>().and_then(|traced| traced.open.as_mut())
        {
            values.record(&mut Fields(open));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let traced = span.extensions_mut().remove::<Traced>();
        if let Some(mut ended) = traced.and_then(|traced| traced.open) {
            ended.end_time = SystemTime::now();
            self.processor.on_end(ended);
        }
    }
}

impl<P> Spans<P> {
    fn open(&self, place: Place, own: SpanId, attributes: &Attributes<'_>) -> SpanData {
        let now = SystemTime::now();
        let flags = TraceFlags::SAMPLED;
        let mut open = SpanData {
            span_context: SpanContext::new(place.trace, own, flags, false, TraceState::NONE),
            parent_span_id: place.parent,
            parent_span_is_remote: place.is_remote,
            span_kind: SpanKind::Internal,
            name: attributes.metadata().name().into(),
            start_time: now,
            end_time: now,
            attributes: Vec::with_capacity(attributes.metadata().fields().len()),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        };
        attributes.record(&mut Fields(&mut open));
        open
    }
}

/// The fields of a span of the program, as attributes. Those that begin with `otel.` describe the span itself.
struct Fields<'a>(&'a mut SpanData);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        let attributes = &mut self.0.attributes;
        match attributes.iter_mut().find(|attribute| attribute.key.as_str() == field.name()) {
            Some(known) => known.value = value,
            None => attributes.push(KeyValue::new(field.name(), value)),
        }
    }

    fn put_text(&mut self, field: &Field, text: String) {
        match field.name() {
            "otel.name" => self.0.name = text.into(),
            "otel.kind" => {
                self.0.span_kind = match text.as_str() {
                    "server" => SpanKind::Server,
                    "client" => SpanKind::Client,
                    _ => SpanKind::Internal,
                }
            }
            "otel.status_code" => {
                self.0.status = if text == "ERROR" { Status::error("") } else { Status::Unset };
            }
            _ => self.put(field, text.into()),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }
}
