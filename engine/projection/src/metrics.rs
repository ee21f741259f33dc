//! Metrics of the projection.

use engine_core::metrics::table;
use prometheus::{IntCounter, IntCounterVec};
use service::{Family, MetricsError, Registry};

/// Metrics updated by the projection's thread.
#[derive(Debug)]
pub struct ProjectionMetrics {
    /// Failed steps.
    pub failures: IntCounter,
    /// Rebuilds by cause.
    pub rebuilds: Family<IntCounterVec>,
    /// Rebuilds whose rows differ from the replaced projection's.
    pub mismatches: IntCounter,
    /// Scrubs by result.
    pub scrubs: Family<IntCounterVec>,
}

impl ProjectionMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// One of the metric names is already registered.
    pub fn new(registry: &Registry) -> Result<ProjectionMetrics, MetricsError> {
        Ok(ProjectionMetrics {
            failures: registry.counter(table::PROJECTION_FAILURES)?,
            rebuilds: registry.counters(table::PROJECTION_REBUILDS)?,
            mismatches: registry.counter(table::PROJECTION_MISMATCHES)?,
            scrubs: registry.counters(table::PROJECTION_SCRUBS)?,
        })
    }
}
