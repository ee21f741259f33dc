//! Reports about models, durations and the process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine_core::metrics::{Metric, table};
use engine_core::policy::Finds;
use engine_core::wire::{
    BreakerState, CacheReport, Durations, MetricsReport, ModelHealth, ModelRole, ModelState, PolicyReport,
    ServiceHealth, SystemReport,
};
use engine_retrieval::providers::Provider;
use service::{Percentiles, WINDOW};

use super::Engine;

impl Engine {
    /// The models that the engine uses.
    pub(crate) fn models(&self) -> Vec<ModelHealth> {
        let built_in = self.catalogs.model();
        let dimension = Some(built_in.dimension()).filter(|dimension| *dimension > 0);
        let built_in = ModelHealth {
            role: ModelRole::BuiltIn,
            name: built_in.id().to_owned(),
            dimension,
            state: if dimension.is_some() { ModelState::Ready } else { ModelState::Off },
            embedded: None,
            total: None,
            service: None,
        };
        [Some(built_in), self.embedding_model(), self.rerank_model()].into_iter().flatten().collect()
    }

    /// What the policy forbids.
    pub(crate) fn policy_report(&self) -> PolicyReport {
        let policy = self.policy();
        let mut report = PolicyReport { exceptions: policy.exceptions(), ..PolicyReport::default() };
        for detector in policy.detectors() {
            match detector.finds {
                Finds::Secret => report.block.push(detector.name.to_owned()),
                Finds::Personal(kind) => report.redact.push(kind.name()),
            }
        }
        // Several detectors find the same kind.
        report.redact.sort();
        report.redact.dedup();
        report
    }

    fn embedding_model(&self) -> Option<ModelHealth> {
        let embeddings = self.embeddings.as_ref()?;
        let (status, service) = (embeddings.status(), service_health(embeddings.provider()));
        let state = match service.breaker {
            BreakerState::Open => ModelState::Unavailable,
            BreakerState::Closed if status.failure.is_some() => ModelState::Unavailable,
            BreakerState::Closed if status.embedded < status.total => ModelState::Loading,
            BreakerState::Closed => ModelState::Ready,
        };
        Some(ModelHealth {
            role: ModelRole::Embedding,
            name: status.model,
            dimension: status.dimension,
            state,
            embedded: Some(status.embedded),
            total: Some(status.total),
            service: Some(service),
        })
    }

    fn rerank_model(&self) -> Option<ModelHealth> {
        let provider = self.reranker.as_ref()?.provider();
        let service = service_health(provider);
        let is_open = service.breaker == BreakerState::Open;
        Some(ModelHealth {
            role: ModelRole::Rerank,
            name: provider.service().model.clone(),
            dimension: None,
            state: if is_open { ModelState::Unavailable } else { ModelState::Ready },
            embedded: None,
            total: None,
            service: Some(service),
        })
    }

    /// Durations of the last minutes, and figures of the process.
    pub(crate) fn metrics_report(&self) -> MetricsReport {
        let metrics = &self.metrics;
        let append = metrics.append_window.percentiles(Instant::now()).map(|found| ("append", found));
        let operations = metrics.query_seconds.percentiles().into_iter().chain(append);
        MetricsReport {
            window_seconds: WINDOW.as_secs(),
            operations: durations(operations),
            stages: durations(metrics.retrieval.stages.percentiles().into_iter()),
            caches: self.cache_reports(),
            system: self.system_report(),
            models: self.models(),
        }
    }

    fn cache_reports(&self) -> BTreeMap<String, CacheReport> {
        let mut caches: BTreeMap<String, CacheReport> = BTreeMap::new();
        for sample in self.metrics.samples(table::CACHE_REQUESTS.name) {
            let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
            caches.entry(label("cache")).or_default().add(&label("outcome"), whole(sample.value));
        }
        caches
    }

    fn system_report(&self) -> SystemReport {
        let figure = |metric: &Metric| self.metrics.samples(metric.name).first().map(|one| whole(one.value));
        SystemReport {
            resident_memory_bytes: figure(table::process::RESIDENT_MEMORY),
            cpu_seconds: figure(table::process::CPU),
            open_files: figure(table::process::OPEN_FILES),
            threads: figure(table::process::THREADS),
        }
    }
}

fn service_health(provider: &Provider) -> ServiceHealth {
    let report = provider.report();
    ServiceHealth {
        breaker: if report.is_breaker_open { BreakerState::Open } else { BreakerState::Closed },
        last_success_seconds_ago: report.since_success.map(|since| since.as_secs_f64()),
        last_failure_seconds_ago: report.since_failure.map(|(since, _)| since.as_secs_f64()),
        last_failure: report.since_failure.map(|(_, label)| label.to_owned()),
    }
}

fn durations(found: impl Iterator<Item = (&'static str, Percentiles)>) -> BTreeMap<String, Durations> {
    let seconds = Duration::as_secs_f64;
    let of = |Percentiles { count, p50, p95, p99 }| Durations {
        samples: count,
        p50: seconds(&p50),
        p95: seconds(&p95),
        p99: seconds(&p99),
    };
    found.map(|(label, percentiles)| (label.to_owned(), of(percentiles))).collect()
}

/// A figure of a registry as the integer that it is.
fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, not negative")]
    let whole = value.max(0.0) as u64;
    whole
}
