//! Metrics of searches and of the providers that they use.

use std::sync::Arc;

use engine_core::metrics::table;
use prometheus::{CounterVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};
use service::{Family, MetricsError, Registry, Timed};

/// Metrics of searches.
#[derive(Debug)]
pub struct RetrievalMetrics {
    /// Number of answers that were given without one of the lanes, by operation and reason.
    pub degraded: Family<IntCounterVec>,
    /// Lookups in caches, by cache and outcome.
    pub cache: Family<IntCounterVec>,
    /// Duration of the stages of searches.
    pub stages: Timed,
    pub provider: Arc<ProviderMetrics>,
}

/// Metrics of requests to embedding and rerank providers.
#[derive(Debug)]
pub struct ProviderMetrics {
    pub requests: Family<IntCounterVec>,
    pub retries: Family<IntCounterVec>,
    /// Number of tokens that providers processed.
    pub tokens: Family<IntCounterVec>,
    /// Cost of the requests, in the currency of the configured price.
    pub cost: Family<CounterVec>,
    /// Duration of requests.
    pub seconds: Family<HistogramVec>,
    /// 1 while the circuit breaker of the provider is open; set at each scrape.
    pub breaker: Family<IntGaugeVec>,
    /// Number of memories that have a vector of the configured external model.
    pub stored: IntGauge,
    /// Number of memories that have no vector of that model yet.
    pub missing: IntGauge,
}

impl RetrievalMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// If one of the names is already registered.
    pub fn new(registry: &Registry) -> Result<RetrievalMetrics, MetricsError> {
        Ok(RetrievalMetrics {
            degraded: registry.counters(table::DEGRADED_OPERATIONS)?,
            cache: registry.counters(table::CACHE_REQUESTS)?,
            stages: Timed::new(registry, table::STAGE_SECONDS)?,
            provider: Arc::new(ProviderMetrics::new(registry)?),
        })
    }
}

impl ProviderMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// If one of the names is already registered.
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
