//! Metrics of the log.

use engine_core::metrics::table;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use service::{Family, MetricsError, Registry};

/// What the log's threads count and measure.
#[derive(Debug)]
pub struct LogMetrics {
    pub appends: IntCounter,
    pub sync_seconds: Histogram,
    pub storage_failures: Family<IntCounterVec>,
    pub checkpoint_size: IntGauge,
    pub integrity_faults: IntCounter,
    pub segments_compressed: IntCounter,
}

impl LogMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// One of their names is taken.
    pub fn new(registry: &Registry) -> Result<LogMetrics, MetricsError> {
        Ok(LogMetrics {
            appends: registry.counter(table::APPENDS)?,
            sync_seconds: registry.histogram(table::LOG_SYNC_SECONDS)?,
            storage_failures: registry.counters(table::STORAGE_FAILURES)?,
            checkpoint_size: registry.gauge(table::LOG_CHECKPOINT_SIZE)?,
            integrity_faults: registry.counter(table::LOG_INTEGRITY_FAULTS)?,
            segments_compressed: registry.counter(table::LOG_SEGMENTS_COMPRESSED)?,
        })
    }
}
