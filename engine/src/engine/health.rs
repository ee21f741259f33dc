//! Readiness, the health report and the metrics of an engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::wire::{
    ConfigurationFile, DegradedReason, EngineStatus, Health, LogHealth, ModeHealth, ProjectionHealth,
    ProjectionState, Role, RoleHealth, StorageHealth, StorageReason, TlsHealth,
};
use engine_log::WriteState;
use engine_retrieval::embeddings::EmbeddingStatus;
use engine_retrieval::providers::{Provider, Reranker};
use service::MetricsError;

use super::Engine;
use super::checks::READINESS;
use crate::access::Issuers;
use crate::ticket::PublicGate;

/// How long after the log was opened readiness waits for the projection. Normally the projection is ready within
/// milliseconds, so that a client of a new pod finds that reads work.
const READS_FIRST: Duration = Duration::from_secs(5);

impl Engine {
    /// Whether the engine can serve requests.
    pub(crate) fn is_ready(&self) -> bool {
        READINESS.iter().all(|check| (check.fault)(self).is_none())
    }

    /// Whether readiness no longer waits for the projection: the mode has no reads, or the projection has had its time
    /// and writes are possible without it.
    pub(super) fn is_ready_without_reads(&self) -> bool {
        let mode = self.modes.effective();
        !mode.reads() || mode.writes() && self.log_open_for() >= Some(READS_FIRST)
    }

    /// How long the log has been open; `None` while it is not.
    fn log_open_for(&self) -> Option<Duration> {
        self.published.head()?;
        Some(self.opened.get_or_init(Instant::now).elapsed())
    }

    /// The health report with the role of the engine.
    pub(crate) fn role_health(&self) -> RoleHealth {
        let applied = self.projection.applied_seq();
        let durable = self.published.head_seq();
        let following = self.following().map(|following| following.health(durable, applied));
        let role = if following.is_some() { Role::Reader } else { Role::Writer };
        RoleHealth { health: self.health(), role, following, drill_faults: self.modes.drill_faults_health() }
    }

    /// The health report.
    pub(crate) fn health(&self) -> Health {
        let storage = self.storage_health();
        let projection = self.projection_health();
        let mode = self.modes.health();
        let (configuration, not_applied) = self.configuration.report();
        let tls = self.certificates.health();
        let issuers = self.issuers.get().map(|issuers| issuers.health()).unwrap_or_default();
        let mut reasons = self.degraded(&storage, projection.state, configuration.file, &mode, tls.as_ref());
        if issuers.iter().any(|issuer| issuer.keys == 0) {
            reasons.push(DegradedReason::IssuerUnavailable);
        }
        let head = self.published.head();
        Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: if reasons.is_empty() { EngineStatus::Ok } else { EngineStatus::Degraded },
            reasons,
            log: LogHealth {
                id: head.as_ref().map(|head| head.log_id.clone()).unwrap_or_default(),
                seq: head.as_ref().map_or(0, |head| head.seq),
                hash: head.map(|head| head.hash.to_string()).unwrap_or_default(),
                recovered_torn_bytes: self.published.torn_bytes(),
                // The key of a copy is not that of the log: it signs only what the next start reads.
                checkpoint: self
                    .following()
                    .is_none()
                    .then(|| self.log_handles.attestation.recent(&self.log_handles.context))
                    .flatten(),
                integrity: self.published.integrity(),
            },
            projection,
            storage,
            started_at: self.started_at,
            mode: Some(mode),
            not_applied,
            configuration: Some(configuration),
            tls,
            issuers,
            ticket: self.public_gate().map(|gate| gate.health()),
            restored: self.restored.clone(),
            archive: self.archive().map(|archive| archive.health(self.published.head_seq())),
        }
    }

    /// Adds the issuers of tokens to the health report.
    pub(crate) fn show_issuers(&self, issuers: Arc<Issuers>) {
        // There is one access control, so a second call does not happen.
        let _first_counts = self.issuers.set(issuers);
    }

    /// Adds the gate of the public port.
    pub(crate) fn set_public_gate(&self, gate: Arc<PublicGate>) {
        // There is one public port, so a second call does not happen.
        let _first_counts = self.public_gate.set(gate);
    }

    /// The gate of the public port, if there is one.
    pub(crate) fn public_gate(&self) -> Option<&Arc<PublicGate>> {
        self.public_gate.get()
    }

    /// What does not work or is not in force.
    fn degraded(
        &self,
        storage: &StorageHealth,
        projection: ProjectionState,
        file: ConfigurationFile,
        mode: &ModeHealth,
        tls: Option<&TlsHealth>,
    ) -> Vec<DegradedReason> {
        let log = match storage.reason {
            Some(StorageReason::VolumeFull) => Some(DegradedReason::VolumeFull),
            Some(StorageReason::IoError) => Some(DegradedReason::IoError),
            Some(StorageReason::LogCorrupt) => Some(DegradedReason::LogCorrupt),
            None => (!storage.writable).then_some(DegradedReason::LogOpening),
        };
        let projection = match projection {
            ProjectionState::Ready => None,
            ProjectionState::Rebuilding => Some(DegradedReason::ProjectionRebuilding),
            ProjectionState::Failed => Some(DegradedReason::ProjectionFailed),
        };
        let is_bad = matches!(file, ConfigurationFile::Invalid | ConfigurationFile::Unreadable);
        let following = self.following();
        let is_broken = following.is_some_and(|following| following.is_broken());
        let is_behind =
            following.is_some_and(|following| following.unready(self.projection.applied_seq()).is_some());
        let mut ports = tls.into_iter().flat_map(|tls| [&tls.api, &tls.admin]).flatten();
        let others = [
            (
                is_down(self.embeddings.as_ref().map(|one| one.provider())),
                DegradedReason::EmbeddingUnavailable,
            ),
            (is_down(self.reranker.as_ref().map(Reranker::provider)), DegradedReason::RerankUnavailable),
            (self.pseudonyms.is_lost(), DegradedReason::PseudonymKeyLost),
            (is_bad, DegradedReason::ConfigurationInvalid),
            (ports.any(|port| port.fault.is_some()), DegradedReason::CertificateInvalid),
            (self.is_key_exposed(), DegradedReason::SecretFileExposed),
            (mode.effective != mode.wanted, DegradedReason::ModeForced),
            (mode.unreadable, DegradedReason::ModeUnreadable),
            (is_broken, DegradedReason::ChainBroken),
            (is_behind && !is_broken, DegradedReason::CopyBehind),
        ];
        let others = others.into_iter().filter_map(|(found, reason)| found.then_some(reason));
        log.into_iter().chain(projection).chain(others).collect()
    }

    /// Whether somebody else can read or change a file with a key.
    fn is_key_exposed(&self) -> bool {
        let providers = [
            self.embeddings.as_ref().map(|one| one.provider()),
            self.reranker.as_ref().map(Reranker::provider),
        ];
        self.certificates.is_key_exposed() || providers.into_iter().flatten().any(Provider::is_key_exposed)
    }

    /// The embedding model, and how many memories have vectors.
    pub(crate) fn embedding_status(&self) -> EmbeddingStatus {
        if let Some(embeddings) = &self.embeddings {
            return embeddings.status();
        }
        let (model, (embedded, _)) = (self.catalogs.model(), self.catalogs.size());
        EmbeddingStatus {
            model: model.id().to_owned(),
            dimension: Some(model.dimension()).filter(|dimension| *dimension > 0),
            embedded: embedded as u64,
            // The engine computes vectors when a project is searched, so no vector counts as missing.
            total: embedded as u64,
            ..EmbeddingStatus::default()
        }
    }

    fn storage_health(&self) -> StorageHealth {
        let space = self.published.space();
        let reason = match self.published.store() {
            WriteState::Writable | WriteState::Opening => None,
            WriteState::Full => Some(StorageReason::VolumeFull),
            WriteState::Failing => Some(StorageReason::IoError),
            WriteState::Corrupt(_) => Some(StorageReason::LogCorrupt),
        };
        let writable = self.published.store() == WriteState::Writable;
        StorageHealth { capacity_bytes: space.capacity, available_bytes: space.available, writable, reason }
    }

    fn projection_health(&self) -> ProjectionHealth {
        let applied_seq = self.projection.applied_seq();
        let unverified =
            matches!(self.published.store(), WriteState::Corrupt(_)) && self.published.head().is_none();
        ProjectionHealth {
            applied_seq,
            lag: self.published.head_seq().saturating_sub(applied_seq),
            state: if unverified { ProjectionState::Failed } else { self.projection.state() },
            digest: self.projection.checked().map(|(digest, _)| digest.to_string()),
            checked_at: self.projection.checked().map(|(_, at)| at),
            rebuild: self.projection.rebuild(self.published.head_seq()),
        }
    }

    /// The services that are configured.
    fn providers(&self) -> impl Iterator<Item = &Provider> {
        let embedding = self.embeddings.as_ref().map(|embeddings| embeddings.provider());
        embedding.into_iter().chain(self.reranker.as_ref().map(Reranker::provider))
    }

    /// Returns all metrics as text. Sets the gauges to the current state first.
    ///
    /// # Errors
    /// A metric cannot be written.
    pub(crate) fn scrape(&self) -> Result<String, MetricsError> {
        let health = self.health();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let file = health.configuration.map(|configuration| configuration.file).unwrap_or_default();
        let is_in_force = matches!(file, ConfigurationFile::InForce | ConfigurationFile::None);
        self.metrics.health.configuration_in_force.set(i64::from(is_in_force));
        self.metrics.health.log_head_seq.set(gauge(health.log.seq));
        self.metrics.health.log_writable.set(i64::from(health.storage.writable));
        self.metrics.policy.pseudonym_key_lost.set(i64::from(self.pseudonyms.is_lost()));
        self.metrics.health.torn_bytes.set(gauge(health.log.recovered_torn_bytes));
        let segments = self.published.extent().map_or(0, |(_, segments)| segments.len());
        self.metrics.health.segments.set(gauge(segments as u64));
        self.metrics.health.verified_through.set(gauge(health.log.integrity.verified_through));
        self.metrics.health.integrity_fault.set(i64::from(health.log.integrity.fault.is_some()));
        self.metrics.health.projection_lag.set(gauge(health.projection.lag));
        let rebuild = health.projection.rebuild;
        let missing = rebuild.map_or(0, |rebuild| rebuild.head_seq.saturating_sub(rebuild.applied_seq));
        self.metrics.health.projection_rebuild_lag.set(gauge(missing));
        self.metrics.health.storage_available.set(gauge(health.storage.available_bytes));
        self.metrics.health.storage_capacity.set(gauge(health.storage.capacity_bytes));
        self.modes.set_gauges();
        self.canary.set_gauges();
        if let Some(following) = self.following() {
            following.set_gauges(health.log.seq, self.projection.applied_seq());
        }
        if let Some(gate) = self.public_gate() {
            gate.set_gauges();
        }
        if let Some(archive) = self.archive() {
            let status = archive.status(health.log.seq);
            self.metrics.archive.seq.set(gauge(status.archived_seq));
            self.metrics.archive.lag_events.set(gauge(status.lag_events));
            self.metrics.archive.lag_seconds.set(gauge(status.lag_seconds));
        }
        let breaker = &self.metrics.retrieval.provider.breaker;
        for provider in self.providers() {
            let is_open = provider.report().is_breaker_open;
            breaker.with_label_values(&[provider.name()]).set(i64::from(is_open));
        }
        self.metrics.encode()
    }
}

/// Whether a service is configured and not called because it failed repeatedly.
fn is_down(provider: Option<&Provider>) -> bool {
    provider.is_some_and(|provider| provider.report().is_breaker_open)
}
