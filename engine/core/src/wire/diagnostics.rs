//! Reports of the admin port for people and their tools: models, durations, figures of the process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /health/models`: the models that an engine uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelsHealth {
    /// The built-in model, the embedding service and the reranking service, as far as they are configured.
    pub models: Vec<ModelHealth>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelHealth {
    /// What the model is used for.
    pub role: ModelRole,
    /// Name of the model.
    pub name: String,
    /// Dimension of its vectors; absent for a reranker, and until the first vector exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
    /// Whether the model is used.
    pub state: ModelState,
    /// Memories that have a vector of the model; only for the embedding service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<u64>,
    /// Memories in all; only for the embedding service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The service; absent for a model in the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceHealth>,
}

/// A service outside of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// State of the circuit breaker.
    pub breaker: BreakerState,
    /// Seconds since the last successful request of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_seconds_ago: Option<f64>,
    /// Seconds since the last failed request of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_seconds_ago: Option<f64>,
    /// What failed then: an `outcome` of `memory_provider_requests_total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// What a model is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRole {
    /// Vectors that the engine computes itself; they also answer while the embedding service does not.
    BuiltIn,
    /// Vectors from a service.
    Embedding,
    /// The order of the best results.
    Rerank,
}

/// Whether a model is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// It is used.
    Ready,
    /// Memories have no vector yet.
    Loading,
    /// The service does not answer.
    Unavailable,
    /// Vectors are switched off.
    Off,
}

/// State of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Requests are sent.
    Closed,
    /// The service failed repeatedly. Except for a trial request every few seconds, none is sent.
    Open,
}

/// `GET /metrics/json`: durations of the last minutes, and figures of the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsReport {
    /// Age in seconds of the oldest samples that count.
    pub window_seconds: u64,
    /// Durations of writes (`append`) and of reads of the projection, by operation.
    pub operations: BTreeMap<String, Durations>,
    /// Durations of the stages of searches.
    pub stages: BTreeMap<String, Durations>,
    /// Lookups since the start of the process, by cache.
    pub caches: BTreeMap<String, CacheReport>,
    /// Figures of the process.
    pub system: SystemReport,
    /// The models.
    pub models: Vec<ModelHealth>,
}

/// Durations in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// Number of samples: the newest, at most 1,024.
    pub samples: usize,
    /// The median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Lookups in a cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheReport {
    /// Number of lookups, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Share of the lookups with the outcome `hit` or `negative`, 0 to 1; absent without lookups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit_rate: Option<f64>,
}

impl CacheReport {
    /// Adds lookups with an outcome.
    pub fn add(&mut self, outcome: &str, lookups: u64) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += lookups;
        let all: u64 = self.outcomes.values().sum();
        let hits: u64 = ["hit", "negative"].iter().filter_map(|hit| self.outcomes.get(*hit)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a share of lookups, as far as 53 bits hold them")]
        let rate = hits as f64 / all as f64;
        self.hit_rate = (all > 0).then_some(rate);
    }
}

/// Figures of the process. A figure is absent on systems that do not have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemReport {
    /// Memory in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_memory_bytes: Option<u64>,
    /// CPU time since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<u64>,
    /// Open file descriptors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hit_rate_is_a_share_of_all_lookups() {
        let mut cache = CacheReport::default();
        assert_eq!(cache.hit_rate, None);
        for (outcome, lookups) in [("hit", 2), ("negative", 1), ("miss", 5), ("hit", 0)] {
            cache.add(outcome, lookups);
        }
        assert_eq!(cache.hit_rate, Some(0.375));
    }
}
