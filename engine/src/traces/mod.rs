//! Traces: the spans of requests and of their parts are sent to a collector, in OTLP over HTTP.
//!
//! Nothing waits for the collector. Finished spans are put into a bounded queue ([`queue`]), from which a thread sends
//! them in batches ([`sender`]). If the collector is slow or gone, spans are dropped and counted. [`mod@ids`] makes the
//! ids of traces equal to those in the log.

mod ids;
mod queue;
mod sender;

use std::time::Duration;

use anyhow::Context as _;
use engine_core::configuration::Tracing;
use engine_core::trace_context::TraceParent;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use service::{REQUEST_SPAN, STAGE_SPAN, set_span_parent};
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

pub(crate) use ids::join;
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
    provider: SdkTracerProvider,
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
        let processor =
            BatchSpanProcessor::builder(queue.exporter(exporter)).with_batch_config(batches).build();
        let share = f64::from(section.sampling_rate_per_million()) / 1e6;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue.processor(processor))
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
            .with_id_generator(ids::Ids)
            .with_resource(resource(engine))
            .build();
        ids::enable();
        set_span_parent(parent_of);
        Ok(Some(Traces { provider }))
    }

    /// The layer that turns spans into those of the trace.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let tracer: SdkTracer = self.provider.tracer("memory-engine");
        // Messages of the log are not copied into spans, and neither are places in the source.
        let wanted =
            Targets::new().with_target(REQUEST_SPAN, Level::ERROR).with_target(STAGE_SPAN, Level::INFO);
        let spans_only = tracing_subscriber::filter::filter_fn(|metadata| metadata.is_span());
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(tracing_subscriber::filter::FilterExt::and(wanted, spans_only))
    }

    /// Sends the queued spans, for at most [`FLUSH_MAX`].
    pub(crate) fn stop(&self) {
        if let Err(fault) = self.provider.shutdown_with_timeout(FLUSH_MAX) {
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

/// The trace context for a request to another service that is made in a span.
fn parent_of(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let current = context.span();
    let known = current.span_context();
    known.is_valid().then(|| TraceParent {
        trace_id: known.trace_id().to_bytes(),
        span_id: known.span_id().to_bytes(),
        sampled: known.is_sampled(),
    })
}
