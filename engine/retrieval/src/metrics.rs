//! Metrics of searches and of the providers that they use.

use std::sync::Arc;

use engine_core::metrics::table;
use prometheus::{CounterVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};
use service::{Family, MetricsError, Registry};

/// What searches count.
#[derive(Debug)]
pub struct RetrievalMetrics {
    pub degraded: Family<IntCounterVec>,
    pub provider: Arc<ProviderMetrics>,
}

/// What requests to embedding and rerank providers count and measure.
#[derive(Debug)]
pub struct ProviderMetrics {
    pub requests: Family<IntCounterVec>,
    pub retries: Family<IntCounterVec>,
    pub tokens: Family<IntCounterVec>,
    pub cost: Family<CounterVec>,
    pub seconds: Family<HistogramVec>,
    pub breaker: Family<IntGaugeVec>,
    pub stored: IntGauge,
    pub missing: IntGauge,
}

impl RetrievalMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// One of their names is taken.
    pub fn new(registry: &Registry) -> Result<RetrievalMetrics, MetricsError> {
        Ok(RetrievalMetrics {
            degraded: registry.counters(table::DEGRADED_OPERATIONS)?,
            provider: Arc::new(ProviderMetrics::new(registry)?),
        })
    }
}

impl ProviderMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// One of their names is taken.
    pub fn new(registry: &Registry) -> Result<ProviderMetrics, MetricsError> {
        Ok(ProviderMetrics {
            requests: registry.counters(table::PROVIDER_REQUESTS)?,
            retries: registry.counters(table::PROVIDER_RETRIES)?,
            tokens: registry.counters(table::PROVIDER_TOKENS)?,
            cost: registry.fractional_counters(table::PROVIDER_COST)?,
            seconds: registry.histograms(table::PROVIDER_SECONDS)?,
            breaker: registry.gauges(table::PROVIDER_BREAKER_OPEN)?,
            stored: registry.gauge(table::EMBEDDINGS_STORED)?,
            missing: registry.gauge(table::EMBEDDINGS_MISSING)?,
        })
    }
}
