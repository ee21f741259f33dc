//! The metrics registry of one engine, and the metrics that do not belong to one of its libraries.

use std::sync::Arc;

use engine_core::metrics::table;
use engine_log::LogMetrics;
use engine_projection::ProjectionMetrics;
use engine_retrieval::RetrievalMetrics;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use service::{Family, MetricsError, Registry};

use crate::traces::TraceMetrics;

/// All metrics of one engine, grouped by component.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) log: Arc<LogMetrics>,
    pub(crate) projection: Arc<ProjectionMetrics>,
    pub(crate) retrieval: Arc<RetrievalMetrics>,
    pub(crate) health: HealthMetrics,
    pub(crate) policy: PolicyMetrics,
    pub(crate) retention: RetentionMetrics,
    pub(crate) append_seconds: Histogram,
    pub(crate) queries: Family<IntCounterVec>,
    pub(crate) query_seconds: Family<HistogramVec>,
    pub(crate) cache: Family<IntCounterVec>,
    pub(crate) http_requests: Family<IntCounterVec>,
    pub(crate) forgotten: IntCounter,
    pub(crate) traces: TraceMetrics,
}

impl Metrics {
    /// Registers all metrics. `engine` becomes a label of every sample.
    ///
    /// # Errors
    /// Two metrics have the same name.
    pub(crate) fn new(engine: &str) -> Result<Metrics, MetricsError> {
        let registry = Registry::new(&[("engine", engine)])?;
        Ok(Metrics {
            log: Arc::new(LogMetrics::new(&registry)?),
            projection: Arc::new(ProjectionMetrics::new(&registry)?),
            retrieval: Arc::new(RetrievalMetrics::new(&registry)?),
            health: HealthMetrics::new(&registry)?,
            policy: PolicyMetrics::new(&registry)?,
            retention: RetentionMetrics::new(&registry)?,
            append_seconds: registry.histogram(table::APPEND_SECONDS)?,
            queries: registry.counters(table::QUERIES)?,
            query_seconds: registry.histograms(table::QUERY_SECONDS)?,
            cache: registry.counters(table::CACHE_REQUESTS)?,
            http_requests: registry.counters(table::HTTP_REQUESTS)?,
            forgotten: registry.counter(table::FORGOTTEN)?,
            traces: TraceMetrics::new(&registry)?,
            registry,
        })
    }

    /// Returns all samples, in the text format that Prometheus scrapes.
    ///
    /// # Errors
    /// A metric cannot be written.
    pub(crate) fn encode(&self) -> Result<String, MetricsError> {
        self.registry.encode()
    }
}

/// Gauges with values from the health report, which are set at each scrape.
#[derive(Debug)]
pub(crate) struct HealthMetrics {
    pub(crate) log_head_seq: IntGauge,
    pub(crate) log_writable: IntGauge,
    pub(crate) torn_bytes: IntGauge,
    pub(crate) segments: IntGauge,
    pub(crate) verified_through: IntGauge,
    pub(crate) integrity_fault: IntGauge,
    pub(crate) projection_lag: IntGauge,
    pub(crate) projection_rebuild_lag: IntGauge,
    pub(crate) storage_available: IntGauge,
    pub(crate) storage_capacity: IntGauge,
}

impl HealthMetrics {
    fn new(registry: &Registry) -> Result<HealthMetrics, MetricsError> {
        Ok(HealthMetrics {
            log_head_seq: registry.gauge(table::LOG_HEAD_SEQ)?,
            log_writable: registry.gauge(table::LOG_WRITABLE)?,
            torn_bytes: registry.gauge(table::LOG_TORN_BYTES)?,
            segments: registry.gauge(table::LOG_SEGMENTS)?,
            verified_through: registry.gauge(table::LOG_VERIFIED_THROUGH)?,
            integrity_fault: registry.gauge(table::LOG_INTEGRITY_FAULT)?,
            projection_lag: registry.gauge(table::PROJECTION_LAG)?,
            projection_rebuild_lag: registry.gauge(table::PROJECTION_REBUILD_LAG)?,
            storage_available: registry.gauge(table::STORAGE_AVAILABLE)?,
            storage_capacity: registry.gauge(table::STORAGE_CAPACITY)?,
        })
    }
}

/// Counters of what the policy blocks and redacts.
#[derive(Debug)]
pub(crate) struct PolicyMetrics {
    pub(crate) blocked: Family<IntCounterVec>,
    pub(crate) redactions: Family<IntCounterVec>,
    pub(crate) pseudonym_key_lost: IntGauge,
}

impl PolicyMetrics {
    fn new(registry: &Registry) -> Result<PolicyMetrics, MetricsError> {
        Ok(PolicyMetrics {
            blocked: registry.counters(table::POLICY_BLOCKED)?,
            redactions: registry.counters(table::REDACTIONS)?,
            pseudonym_key_lost: registry.gauge(table::PSEUDONYM_KEY_LOST)?,
        })
    }
}

/// Counters of what retention plans do.
#[derive(Debug)]
pub(crate) struct RetentionMetrics {
    pub(crate) runs: Family<IntCounterVec>,
    pub(crate) removed: IntCounter,
    pub(crate) last_applied: IntGauge,
}

impl RetentionMetrics {
    fn new(registry: &Registry) -> Result<RetentionMetrics, MetricsError> {
        Ok(RetentionMetrics {
            runs: registry.counters(table::RETENTION_RUNS)?,
            removed: registry.counter(table::RETENTION_REMOVED)?,
            last_applied: registry.gauge(table::RETENTION_LAST_APPLIED)?,
        })
    }
}
