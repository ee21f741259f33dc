//! Traces: the spans of requests and of their parts are sent to a collector, in OTLP over HTTP.
//!
//! Nothing waits for the collector. Finished spans are put into a bounded queue ([`queue`]), from which a thread sends
//! them in batches ([`sender`]). If the collector is slow or gone, spans are dropped and counted. [`mod@ids`] decides
//! the trace of a request, and whether it is recorded, before its span begins; [`mod@layer`] makes the spans.

mod ids;
mod layer;
mod queue;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use engine_core::configuration::Tracing;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor};
use service::{REQUEST_SPAN, STAGE_SPAN, set_span_parent};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

pub(crate) use ids::begin;
pub(crate) use queue::TraceMetrics;

/// Maximum number of spans in one request, and the longest time that a span waits for others.
const BATCH_SPANS: usize = 512;
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// Time at the end of the process for sending what is queued. Kubernetes waits longer, but a collector that is gone
/// must not delay the next start.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Traces that are being sent. [`Traces::stop`] sends the rest.
#[derive(Debug)]
pub(crate) struct Traces {
    processor: Arc<queue::Admitting<BatchSpanProcessor>>,
}

impl Traces {
    /// Starts the thread that sends spans. `None` if no collector is configured. `engine` names the engine in its
    /// cluster.
    ///
    /// # Errors
    /// The CA certificates cannot be read, or the thread cannot be started.
    pub(crate) fn start(
        section: &Tracing,
        engine: &str,
        metrics: TraceMetrics,
    ) -> anyhow::Result<Option<Traces>> {
        let Some(endpoint) = &section.endpoint else { return Ok(None) };
        let timeout = Duration::from_secs(section.timeout_seconds());
        let client = sender::Sender::new(endpoint, timeout).context("traces cannot be sent")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint)
            .with_timeout(timeout)
            .build()
            .context("traces cannot be sent")?;
        let queue = queue::Queue::new(section.max_queued_spans(), metrics);
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(section.max_queued_spans())
            .with_max_export_batch_size(BATCH_SPANS)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let batches = BatchSpanProcessor::builder(queue.exporter(exporter)).with_batch_config(batches);
        let mut processor = queue.processor(batches.build());
        processor.set_resource(&resource(engine));
        ids::enable(f64::from(section.sampling_rate_per_million()) / 1e6);
        set_span_parent(layer::parent_of);
        Ok(Some(Traces { processor: Arc::new(processor) }))
    }

    /// The layer that turns spans into those of the trace.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        // Messages of the log are not copied into spans.
        let wanted =
            Targets::new().with_target(REQUEST_SPAN, Level::ERROR).with_target(STAGE_SPAN, Level::INFO);
        let spans_only = tracing_subscriber::filter::filter_fn(|metadata| metadata.is_span());
        layer::Spans::new(Arc::clone(&self.processor), "memory-engine")
            .with_filter(tracing_subscriber::filter::FilterExt::and(wanted, spans_only))
    }

    /// Sends the queued spans, for at most [`FLUSH_MAX`].
    pub(crate) fn stop(&self) {
        if let Err(fault) = self.processor.shutdown_with_timeout(FLUSH_MAX) {
            tracing::warn!(%fault, "the last spans may not have reached the collector");
        }
    }
}

/// What all spans are about.
fn resource(engine: &str) -> Resource {
    let (namespace, name) = engine.split_once('/').unwrap_or(("", "memory-engine"));
    let of = |key: &'static str, value: &str| opentelemetry::KeyValue::new(key, value.to_owned());
    let mut attributes = vec![of("service.name", name), of("service.version", env!("CARGO_PKG_VERSION"))];
    if !namespace.is_empty() {
        attributes.push(of("service.namespace", namespace));
    }
    // Without the detectors of the environment, which read variables that nobody set for this program.
    Resource::builder_empty().with_attributes(attributes).build()
}
