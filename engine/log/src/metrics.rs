//! Metrics of the log.

use engine_core::metrics::table;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use service::{Family, MetricsError, Registry};

/// Metrics updated by the log's threads.
#[derive(Debug)]
pub struct LogMetrics {
    /// Events appended.
    pub appends: IntCounter,
    /// Duration of the sync of a commit, in seconds.
    pub sync_seconds: Histogram,
    /// Failures of the volume.
    pub storage_failures: Family<IntCounterVec>,
    /// Size of the local checkpoint, in events.
    pub checkpoint_size: IntGauge,
    /// Integrity faults found.
    pub integrity_faults: IntCounter,
    /// Segments compressed.
    pub segments_compressed: IntCounter,
}

impl LogMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// One of the metric names is already registered.
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
