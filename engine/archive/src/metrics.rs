//! Metrics of the archive.

use engine_core::metrics::table;
use prometheus::{IntCounterVec, IntGauge};
use service::{Family, MetricsError, Registry};

/// Metrics that the archive's task and the scrape update.
#[derive(Debug)]
pub struct ArchiveMetrics {
    /// Last event in the archive.
    pub seq: IntGauge,
    /// Events that are not in the archive.
    pub lag_events: IntGauge,
    /// Age of the state that a restore would give.
    pub lag_seconds: IntGauge,
    /// Objects stored.
    pub objects: Family<IntCounterVec>,
    /// Bytes stored.
    pub bytes: Family<IntCounterVec>,
    /// Failed steps.
    pub failures: Family<IntCounterVec>,
    /// Event up to which everything forgotten is removed.
    pub forgotten_seq: IntGauge,
}

impl ArchiveMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// One of the metric names is already registered.
    pub fn new(registry: &Registry) -> Result<ArchiveMetrics, MetricsError> {
        Ok(ArchiveMetrics {
            seq: registry.gauge(table::ARCHIVED_SEQ)?,
            lag_events: registry.gauge(table::ARCHIVE_LAG_EVENTS)?,
            lag_seconds: registry.gauge(table::ARCHIVE_LAG_SECONDS)?,
            objects: registry.counters(table::ARCHIVE_OBJECTS)?,
            bytes: registry.counters(table::ARCHIVE_BYTES)?,
            failures: registry.counters(table::ARCHIVE_FAILURES)?,
            forgotten_seq: registry.gauge(table::ARCHIVE_FORGOTTEN_SEQ)?,
        })
    }

    pub(crate) fn stored(&self, kind: &str, bytes: u64) {
        self.objects.with_label_values(&[kind]).inc();
        self.bytes.with_label_values(&[kind]).inc_by(bytes);
    }
}
