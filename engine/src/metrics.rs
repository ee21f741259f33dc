//! Every metric of the engine, defined here and nowhere else.

use prometheus::{
    CounterVec, Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// From a tenth of a millisecond, which is a cached read, to ten seconds, after which a client has gone.
const LATENCY_BUCKETS_S: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// One registry, passed around; labels have few values, all chosen by the engine.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) appends: IntCounter,
    pub(crate) append_seconds: Histogram,
    pub(crate) sync_seconds: Histogram,
    pub(crate) queries: IntCounterVec,
    pub(crate) query_seconds: HistogramVec,
    pub(crate) policy: PolicyMetrics,
    pub(crate) cache: IntCounterVec,
    pub(crate) degraded: IntCounterVec,
    pub(crate) provider: ProviderMetrics,
    pub(crate) http_requests: IntCounterVec,
    pub(crate) storage_failures: IntCounterVec,
    pub(crate) projection_failures: IntCounter,
    pub(crate) projection_rebuilds: IntCounterVec,
    pub(crate) projection_rebuild_lag: IntGauge,
    pub(crate) projection_mismatches: IntCounter,
    pub(crate) projection_scrubs: IntCounterVec,
    pub(crate) log_head_seq: IntGauge,
    pub(crate) log_writable: IntGauge,
    pub(crate) torn_bytes: IntGauge,
    pub(crate) segments: IntGauge,
    pub(crate) checkpoint_size: IntGauge,
    pub(crate) verified_through: IntGauge,
    pub(crate) integrity_fault: IntGauge,
    pub(crate) integrity_faults: IntCounter,
    pub(crate) segments_compressed: IntCounter,
    pub(crate) projection_lag: IntGauge,
    pub(crate) forgotten: IntCounter,
    pub(crate) retention_runs: IntCounterVec,
    pub(crate) retention_removed: IntCounter,
    pub(crate) retention_last_applied: IntGauge,
    pub(crate) storage_available: IntGauge,
    pub(crate) storage_capacity: IntGauge,
}

/// What the policy does.
#[derive(Debug)]
pub(crate) struct PolicyMetrics {
    pub(crate) blocked: IntCounterVec,
    pub(crate) redactions: IntCounterVec,
    pub(crate) pseudonym_key_lost: IntGauge,
}

impl PolicyMetrics {
    fn new(define: &Define<'_>) -> Result<PolicyMetrics, prometheus::Error> {
        Ok(PolicyMetrics {
            blocked: define.counters(
                "memory_policy_blocked_total",
                "Writes refused because of a secret, or of personal data in a name.",
                &["detector"],
            )?,
            redactions: define.counters(
                "memory_redactions_total",
                "Personal data redacted before it was written.",
                &["field", "kind"],
            )?,
            pseudonym_key_lost: define.gauge(
                "memory_pseudonym_key_lost",
                "1 when the key of the tokens in identifiers is not there.",
            )?,
        })
    }
}

impl Metrics {
    /// Fails only when two definitions below clash.
    pub(crate) fn new(engine: &str) -> Result<Metrics, prometheus::Error> {
        let labels = [("engine".to_owned(), engine.to_owned())].into();
        let registry = Registry::new_custom(None, Some(labels))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let define = Define(&registry);
        Ok(Metrics {
            appends: define.counter("memory_appends_total", "Events made durable.")?,
            append_seconds: define.latency("memory_append_seconds", "Request queued until acknowledged.")?,
            sync_seconds: define.latency("memory_log_sync_seconds", "fdatasync of one group of events.")?,
            queries: define.counters("memory_queries_total", "Reads of the projection.", &["operation"])?,
            query_seconds: define.latencies(
                "memory_query_seconds",
                "Read of the projection.",
                "operation",
            )?,
            policy: PolicyMetrics::new(&define)?,
            cache: define.counters(
                "memory_cache_requests_total",
                "Answers looked for among those that were kept.",
                &["cache", "outcome"],
            )?,
            degraded: define.counters(
                "memory_degraded_operations_total",
                "Answers in which a part of the engine took no part.",
                &["operation", "reason"],
            )?,
            provider: ProviderMetrics::new(&define)?,
            http_requests: define.counters(
                "memory_http_requests_total",
                "Requests answered.",
                &["route", "code"],
            )?,
            storage_failures: define.counters(
                "memory_storage_failures_total",
                "Failed storage steps.",
                &["step"],
            )?,
            projection_failures: define
                .counter("memory_projection_failures_total", "Transactions of the projection that failed.")?,
            projection_rebuilds: define.counters(
                "memory_projection_rebuilds_total",
                "Projections begun anew.",
                &["reason"],
            )?,
            projection_rebuild_lag: define.gauge(
                "memory_projection_rebuild_lag_events",
                "Events missing in the projection that is being built; 0 while there is none.",
            )?,
            projection_mismatches: define.counter(
                "memory_projection_mismatches_total",
                "Projections that had answered with other rows than the log gives.",
            )?,
            projection_scrubs: define.counters(
                "memory_projection_scrubs_total",
                "Projections looked over from end to end.",
                &["outcome"],
            )?,
            log_head_seq: define.gauge("memory_log_head_seq", "Last durable event.")?,
            log_writable: define.gauge("memory_log_writable", "1 while the log takes events.")?,
            torn_bytes: define.gauge("memory_log_torn_bytes", "Bytes of unfinished writes set aside.")?,
            segments: define.gauge("memory_log_segments", "Files the log consists of.")?,
            checkpoint_size: define.gauge(
                "memory_log_checkpoint_size",
                "Events covered by the checkpoint the next start uses.",
            )?,
            verified_through: define.gauge(
                "memory_log_verified_through",
                "Last event of those read back and verified by this process.",
            )?,
            integrity_fault: define.gauge(
                "memory_log_integrity_fault",
                "1 while the log is not what it was; nothing is written.",
            )?,
            integrity_faults: define
                .counter("memory_log_integrity_faults_total", "Findings that the log is not what it was.")?,
            segments_compressed: define
                .counter("memory_log_segments_compressed_total", "Sealed segments compressed.")?,
            projection_lag: define
                .gauge("memory_projection_lag_events", "Durable events not applied yet.")?,
            forgotten: define
                .counter("memory_forgotten_total", "Memories forgotten, by request or retention.")?,
            retention_runs: define.counters(
                "memory_retention_runs_total",
                "Retention plans made, carried out and refused.",
                &["outcome"],
            )?,
            retention_removed: define
                .counter("memory_retention_removed_total", "Memories removed by retention.")?,
            retention_last_applied: define.gauge(
                "memory_retention_last_applied_timestamp_seconds",
                "When this process carried out a plan last; 0 when it has not.",
            )?,
            storage_available: define.gauge("memory_storage_available_bytes", "Free space of the volume.")?,
            storage_capacity: define.gauge("memory_storage_capacity_bytes", "Size of the volume.")?,
            registry,
        })
    }

    /// The text format Prometheus scrapes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Of services outside.
#[derive(Debug)]
pub(crate) struct ProviderMetrics {
    pub(crate) requests: IntCounterVec,
    pub(crate) retries: IntCounterVec,
    pub(crate) tokens: IntCounterVec,
    pub(crate) cost: CounterVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) breaker: IntGaugeVec,
    pub(crate) stored: IntGauge,
    pub(crate) missing: IntGauge,
}

impl ProviderMetrics {
    fn new(define: &Define<'_>) -> Result<ProviderMetrics, prometheus::Error> {
        Ok(ProviderMetrics {
            requests: define.counters(
                "memory_provider_requests_total",
                "Requests to services outside, by how they ended; some are not sent.",
                &["provider", "outcome"],
            )?,
            retries: define.counters(
                "memory_provider_retries_total",
                "Requests to services outside that repeat one which failed.",
                &["provider"],
            )?,
            tokens: define.counters(
                "memory_provider_tokens_total",
                "Tokens that services outside have taken, as they count them where they say so.",
                &["provider"],
            )?,
            cost: define.costs(
                "memory_provider_cost_total",
                "Price of those tokens, in what the configured price is in.",
                "provider",
            )?,
            seconds: define.latencies(
                "memory_provider_seconds",
                "Request to a service outside until it was answered or given up.",
                "provider",
            )?,
            breaker: define.gauges(
                "memory_provider_breaker_open",
                "1 while a service outside is left alone because it does not work.",
                "provider",
            )?,
            stored: define
                .gauge("memory_embeddings_stored", "Memories whose vector was made by the outside model.")?,
            missing: define.gauge(
                "memory_embeddings_missing",
                "Memories that wait for a vector of the outside model.",
            )?,
        })
    }
}

struct Define<'a>(&'a Registry);

impl Define<'_> {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn costs(&self, name: &str, help: &str, label: &str) -> Result<CounterVec, prometheus::Error> {
        self.register(CounterVec::new(Opts::new(name, help), &[label])?)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), &[label])?)
    }

    fn latency(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(latency(name, help))?)
    }

    fn latencies(&self, name: &str, help: &str, label: &str) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(latency(name, help), &[label])?)
    }
}

fn latency(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS_S.to_vec())
}
