//! The queue of finished spans. The library's own queue is bounded too, but does not say what it drops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use engine_core::metrics::table;
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use prometheus::IntCounterVec;
use service::{Family, MetricsError, Registry};

/// Counts what became of spans.
#[derive(Debug, Clone)]
pub(crate) struct TraceMetrics {
    spans: Family<IntCounterVec>,
}

impl TraceMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<TraceMetrics, MetricsError> {
        Ok(TraceMetrics { spans: registry.counters(table::TRACE_SPANS)? })
    }

    fn count(&self, outcome: &str, spans: usize) {
        self.spans.with_label_values(&[outcome]).inc_by(spans as u64);
    }
}

/// Admits as many spans as may wait.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    waiting: Arc<AtomicUsize>,
    max: usize,
    metrics: TraceMetrics,
}

impl Queue {
    pub(super) fn new(max: usize, metrics: TraceMetrics) -> Queue {
        Queue { waiting: Arc::default(), max, metrics }
    }

    /// Puts the queue before a processor.
    pub(super) fn processor<P>(&self, inner: P) -> Admitting<P> {
        Admitting { queue: self.clone(), inner }
    }

    /// Puts the end of the queue before an exporter.
    pub(super) fn exporter<E>(&self, inner: E) -> Counting<E> {
        Counting { queue: self.clone(), inner }
    }

    /// Takes a place in the queue, if one is free.
    fn admits(&self) -> bool {
        let admitted = self.waiting.fetch_add(1, Ordering::AcqRel) < self.max;
        if !admitted {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.metrics.count("queue_full", 1);
        }
        admitted
    }

    fn left(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::AcqRel);
    }
}

/// Passes a span on if the queue has a place.
#[derive(Debug)]
pub(super) struct Admitting<P> {
    queue: Queue,
    inner: P,
}

impl<P: SpanProcessor> SpanProcessor for Admitting<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.queue.admits() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Sends batches, and counts how that went.
#[derive(Debug)]
pub(super) struct Counting<E> {
    queue: Queue,
    inner: E,
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.inner.export(batch).await;
        // Until it is sent, a batch takes memory as the queue does.
        self.queue.left(spans);
        self.queue.metrics.count(if sent.is_ok() { "exported" } else { "export_failed" }, spans);
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_beyond_the_bound_are_dropped_and_counted() {
        let registry = Registry::new(&[]).unwrap();
        let queue = Queue::new(2, TraceMetrics::new(&registry).unwrap());
        assert_eq!(
            [queue.admits(), queue.admits(), queue.admits(), queue.admits()],
            [true, true, false, false]
        );
        queue.left(1);
        assert!(queue.admits() && !queue.admits());
        assert_eq!(queue.metrics.spans.with_label_values(&["queue_full"]).get(), 3);
    }
}
