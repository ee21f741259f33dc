//! Metrics of the projection.

use engine_core::metrics::table;
use prometheus::{IntCounter, IntCounterVec};
use service::{Family, MetricsError, Registry};

/// What the projection's thread counts.
#[derive(Debug)]
pub struct ProjectionMetrics {
    pub failures: IntCounter,
    pub rebuilds: Family<IntCounterVec>,
    pub mismatches: IntCounter,
    pub scrubs: Family<IntCounterVec>,
}

impl ProjectionMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// One of their names is taken.
    pub fn new(registry: &Registry) -> Result<ProjectionMetrics, MetricsError> {
        Ok(ProjectionMetrics {
            failures: registry.counter(table::PROJECTION_FAILURES)?,
            rebuilds: registry.counters(table::PROJECTION_REBUILDS)?,
            mismatches: registry.counter(table::PROJECTION_MISMATCHES)?,
            scrubs: registry.counters(table::PROJECTION_SCRUBS)?,
        })
    }
}
