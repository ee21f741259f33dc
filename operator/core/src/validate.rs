//! Validates the spec. Code outside of this module does not read the raw spec: [`validate`] returns a spec that can be
//! carried out, and [`Essentials`] has the parts that are used even if the spec is invalid.
//!
//! The schema rejects most faults already. They are checked here again because the installed CRD can be older than the
//! operator, and because stored resources are not validated again when the CRD changes.

use std::collections::BTreeMap;

use crds::{
    Affinity, Embedding, Guard, ImagePullPolicy, Integrity, Limits, Mcp, MemoryEngine, MemoryEngineSpec,
    NetworkPolicyMode, PodSecurity, Policy, Quantity, READERS_MAX, Rerank, Resources, Retention, Rotation,
    Saving, ServiceMetadata, Toleration, TopologySpread,
};

use engine_core::configuration::{self, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use engine_core::digest::Hash;
use serde_json::{Value, json};

pub use access_fault::AccessFault;
pub use backup::{BackupTimes, ValidBackup};
pub use essentials::Essentials;
pub use fault::Fault;
pub use rollout::{ValidDrills, ValidRollout};
pub use rotation::{RotationTimes, ValidRotation};
pub use update::{UpdateWhen, ValidUpdate};
pub use upkeep::{RetentionTerms, UpkeepTimes, ValidUpkeep};

use crate::rollout::Rolled;
use crate::settings::Settings;
use crate::tls::{CERTIFICATE_SECONDS_MAX, CERTIFICATE_SECONDS_MIN};

mod access;
mod access_fault;
mod backup;
mod essentials;
mod exposure;
mod external_service;
mod fault;
mod guard;
mod mcp;
mod pod;
mod policy;
mod rollout;
mod rotation;
mod update;
mod upkeep;

/// A valid spec, in which every default is filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    /// Name of the engine.
    pub name: String,
    /// Namespace of the engine.
    pub namespace: String,
    /// UID of the resource, for owner references.
    pub uid: String,
    /// Image of the engine's container.
    pub image: String,
    /// When the image is pulled.
    pub image_pull_policy: ImagePullPolicy,
    /// Names of the Secrets with credentials for the registry.
    pub image_pull_secrets: Vec<String>,
    /// The parts that are used even if the spec is invalid.
    pub essentials: Essentials,
    /// Number of readers.
    pub readers: i32,
    /// How a new revision is introduced; `None` for at once.
    pub rollout: Option<ValidRollout>,
    /// The revisions of the workloads. A spec alone never says so.
    pub rolled: Option<Rolled>,
    /// Class of the volume; `None` for the cluster's default, an empty name for no class.
    pub class_name: Option<String>,
    /// CPU and memory of the engine's container.
    pub resources: Resources,
    /// Maximum duration of the drain in seconds.
    pub drain_seconds: i64,
    /// Where traces are sent to.
    pub tracing: Option<crds::Tracing>,
    /// Duration, in seconds, for which the engine serves on after it was told to stop; `None` is the engine's default.
    pub stop_delay_seconds: Option<i64>,
    /// Name of the PriorityClass of the pod.
    pub priority_class_name: Option<String>,
    /// Node labels that the pod requires.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pod tolerates.
    pub tolerations: Vec<Toleration>,
    /// Affinity to nodes and other pods.
    pub affinity: Option<Affinity>,
    /// Spread constraints; if empty, pods are spread evenly over nodes where possible.
    pub topology_spread: Vec<TopologySpread>,
    /// Labels added to the pod.
    pub pod_labels: BTreeMap<String, String>,
    /// Annotations added to the pod.
    pub pod_annotations: BTreeMap<String, String>,
    /// Security context of the pod.
    pub security: PodSecurity,
    /// Labels and annotations added to the Service.
    pub service: ServiceMetadata,
    /// Whether the operator creates a NetworkPolicy.
    pub network_policy: bool,
    /// Minimum severity of the engine's log messages.
    pub log_level: crds::LogLevel,
    /// Seconds between two complete verifications of the log by the engine.
    pub verify_interval_seconds: i32,
    /// Size in bytes at which the engine seals a segment.
    pub max_segment_bytes: u64,
    /// Age in seconds at which the engine seals a segment.
    pub max_segment_age_seconds: i32,
    /// What may be written. Here and below, `None` stands for the engine's default.
    pub policy: Option<Policy>,
    /// Defaults for saving memories.
    pub saving: Option<Saving>,
    /// Default rules for retention plans.
    pub retention: Option<Retention>,
    /// The provider of vectors.
    pub embedding: Option<Embedding>,
    /// The service that reranks the best results of a search; `None` for no reranking.
    pub rerank: Option<Rerank>,
    /// Settings of the endpoint `/mcp`.
    pub mcp: Option<Mcp>,
    /// Limits for each client address.
    pub limits: Option<Limits>,
    /// When the engine turns its reads off.
    pub guard: Option<Guard>,
    /// For what the engine is run.
    pub deployment_mode: crds::DeploymentMode,
    /// How clients outside of the cluster reach the engine; `None` for not at all.
    pub public: Option<crds::PublicExposure>,
    /// Whether clients outside of the cluster may reach the engine now. A spec alone never says so.
    pub is_published: bool,
    /// Pods of other namespaces that may reach the memory API.
    pub allow_from: Vec<crds::Peer>,
    /// Who may use the memory API; `None` for every client.
    pub access: Option<crds::Access>,
    /// When the operator replaces the token that it makes; `None` if it makes none.
    pub rotation: Option<ValidRotation>,
    /// Where the log is archived, and when backups are taken; `None` for no archive.
    pub backup: Option<ValidBackup>,
    /// The tasks that are done on a schedule.
    pub upkeep: Vec<ValidUpkeep>,
    /// What is restored before the first start; `None` for nothing.
    pub bootstrap: Option<crds::FromBackup>,
    /// TLS of the ports; `None` for no TLS.
    pub tls: Option<crds::Tls>,
    /// When a change that comes from the operator may restart the pod, and from which spec the pod is built.
    pub update: ValidUpdate,
    /// Whether the engine has no pod now. A spec alone never says so.
    pub is_stopped: bool,
    /// Namespace of the operator.
    pub operator_namespace: String,
}

impl Valid {
    /// Whether requests without a key are served.
    #[must_use]
    pub fn is_anonymous_allowed(&self) -> bool {
        is_anonymous_allowed(self.deployment_mode, self.access.as_ref())
    }

    /// Whether a pod restores the archive all the time.
    #[must_use]
    pub fn has_standby(&self) -> bool {
        self.backup.as_ref().is_some_and(|backup| backup.spec.standby.is_some())
    }
}

fn is_anonymous_allowed(mode: crds::DeploymentMode, access: Option<&crds::Access>) -> bool {
    match access.and_then(|access| access.anonymous) {
        Some(anonymous) => anonymous == crds::Anonymous::Allowed,
        None => mode != crds::DeploymentMode::Production,
    }
}

/// Maximum length of an engine's name in characters.
pub const NAME_LENGTH_MAX: usize = 40;
/// Minimum size of a volume in bytes: the file system of a smaller volume has no space for a log.
const SIZE_BYTES_MIN: u128 = 32 << 20;
/// Bounds of the size of a segment in bytes.
const SEGMENT_BYTES: std::ops::RangeInclusive<u128> = SEGMENT_BYTES_MIN as u128..=SEGMENT_BYTES_MAX as u128;

/// Validates a resource and fills in the defaults.
///
/// # Errors
/// Every fault that was found, not only the first one.
pub fn validate(engine: &MemoryEngine, settings: &Settings) -> Result<Valid, Vec<Fault>> {
    let mut faults = Vec::new();
    let name = check_name(engine, &mut faults);
    let (spec, writer) = (&engine.spec, &engine.spec.writer);
    let image = spec.image.clone().or_else(|| settings.engine_image.clone());
    faults.extend(image.is_none().then_some(Fault::NoImage));
    check_pods(spec, &mut faults);
    check_numbers(spec, &mut faults);
    check_integrity(&spec.integrity, &mut faults);
    let max_segment_bytes = check_rotation(&spec.rotation, &mut faults);
    check_sections(spec, &mut faults);
    check_tls(spec.tls.as_ref(), &mut faults);
    exposure::check_exposure(spec, &mut faults);
    let rotation = rotation::check_rotation(&name, spec, settings, &mut faults);
    let (backup, bootstrap) = backup::check(&name, spec, settings, &mut faults);
    let upkeep = upkeep::check(spec, settings, &mut faults);
    let (update, rollout) = (update::check(engine, &mut faults), rollout::check(spec, &mut faults));
    pod::check_shape(spec, &mut faults);
    let (Some(image), true) = (image, faults.is_empty()) else { return Err(faults) };
    Ok(Valid {
        access: rotation::access(&name, spec),
        name,
        namespace: engine.metadata.namespace.clone().unwrap_or_default(),
        uid: engine.metadata.uid.clone().unwrap_or_default(),
        image,
        image_pull_policy: spec.image_pull_policy,
        image_pull_secrets: spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        essentials: Essentials::of(engine),
        readers: spec.readers.replicas,
        rollout,
        rolled: None,
        class_name: writer.storage.class_name.clone(),
        resources: writer.resources.clone(),
        drain_seconds: i64::from(writer.drain_seconds),
        tracing: spec.monitoring.as_ref().and_then(|monitoring| monitoring.tracing.clone()),
        stop_delay_seconds: writer.stop_delay_seconds.map(i64::from),
        priority_class_name: writer.priority_class_name.clone(),
        node_selector: writer.node_selector.clone(),
        tolerations: writer.tolerations.clone(),
        affinity: writer.affinity.clone(),
        topology_spread: writer.topology_spread_constraints.clone(),
        pod_labels: writer.pod_labels.clone(),
        pod_annotations: writer.pod_annotations.clone(),
        security: writer.security_context.clone().unwrap_or_default(),
        service: spec.service.clone().unwrap_or_default(),
        network_policy: spec.exposure.network_policy == NetworkPolicyMode::Managed,
        log_level: spec.logging.level,
        verify_interval_seconds: spec.integrity.verify_interval_seconds,
        max_segment_bytes,
        max_segment_age_seconds: spec.rotation.max_segment_age_seconds,
        policy: spec.policy.clone(),
        retention: spec.retention.clone(),
        saving: spec.saving.clone(),
        embedding: spec.embedding.clone(),
        rerank: spec.rerank.clone(),
        mcp: spec.mcp.clone(),
        limits: spec.limits.clone(),
        guard: spec.guard.clone(),
        deployment_mode: spec.deployment_mode,
        public: spec.exposure.public.clone(),
        is_published: false,
        allow_from: spec.exposure.allow_from.clone(),
        rotation,
        backup,
        upkeep,
        bootstrap,
        tls: spec.tls.clone(),
        update,
        is_stopped: false,
        operator_namespace: settings.operator_namespace.clone(),
    })
}

fn check_name(engine: &MemoryEngine, faults: &mut Vec<Fault>) -> String {
    let name = engine.metadata.name.clone().unwrap_or_default();
    if !is_usable_name(&name) {
        faults.push(Fault::Name(name.clone()));
    }
    name
}

fn is_usable_name(name: &str) -> bool {
    name.len() <= NAME_LENGTH_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn check_pods(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    check_size(&spec.writer.storage.size, faults);
    check_resources(&spec.writer.resources, faults);
    check_range("spec.readers.replicas", spec.readers.replicas.into(), (0, READERS_MAX.into()), faults);
    let access = spec.access.as_ref();
    let has_token = access.is_some_and(|access| access.reader_token_secret_ref.is_some());
    let has_standby = spec.backup.as_ref().is_some_and(|backup| backup.standby.is_some());
    let has_followers = spec.readers.replicas > 0 || spec.rollout.is_some() || has_standby;
    if has_followers && !has_token && !is_anonymous_allowed(spec.deployment_mode, access) {
        faults.push(Fault::Access(AccessFault::NoReaderToken));
    }
}

fn check_size(size: &Quantity, faults: &mut Vec<Fault>) {
    let field = "spec.writer.storage.size";
    match size.units() {
        Ok(bytes) if bytes >= SIZE_BYTES_MIN => {}
        Ok(bytes) => faults.push(Fault::Quantity {
            field,
            problem: format!("{bytes} bytes are too few: write at least 32Mi"),
        }),
        Err(error) => faults.push(Fault::Quantity { field, problem: error.to_string() }),
    }
}

fn check_range(field: &'static str, value: i64, (min, max): (i64, i64), faults: &mut Vec<Fault>) {
    if !(min..=max).contains(&value) {
        faults.push(Fault::OutOfRange { field, value, min, max });
    }
}

fn check_tls(tls: Option<&crds::Tls>, faults: &mut Vec<Fault>) {
    if tls.is_some_and(|tls| tls.secret_ref.is_some() && tls.cert_manager.is_some()) {
        faults.push(Fault::TwoCertificates);
    }
    if let Some(seconds) = tls.and_then(|tls| tls.certificate_lifetime_seconds) {
        let bounds = (CERTIFICATE_SECONDS_MIN, CERTIFICATE_SECONDS_MAX);
        check_range("spec.tls.certificateLifetimeSeconds", seconds.into(), bounds, faults);
    }
    let lifetime =
        tls.and_then(|tls| tls.certificate_lifetime_seconds).map_or(CERTIFICATE_SECONDS_MAX, i64::from);
    let renewal = tls.and_then(|tls| tls.cert_manager.as_ref()?.renew_before_seconds);
    if renewal.is_some_and(|seconds| i64::from(seconds) >= lifetime) {
        let field = "spec.tls.certManager.renewBeforeSeconds";
        faults.push(Fault::AtMost { field, bound: "spec.tls.certificateLifetimeSeconds" });
    }
}

/// Checks that every number in the engine's configuration is within the bounds that the engine uses.
fn check_numbers(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    let spec = json!({"spec": spec});
    for (field, bounds) in configuration::keys().filter_map(|(_, key)| key.field.zip(key.bounds())) {
        let value = spec.pointer(&format!("/{}", field.replace('.', "/"))).and_then(Value::as_i64);
        let (min, max) = (i64::try_from(bounds.0), i64::try_from(bounds.1));
        if let Some(value) = value {
            check_range(field, value, (min.unwrap_or(i64::MAX), max.unwrap_or(i64::MAX)), faults);
        }
    }
}

/// Validates the sections of the spec that become sections of the engine's configuration. An engine does not start with
/// a section that it cannot read, so this function must find every fault that the engine would find.
fn check_sections(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    if let Some(policy) = &spec.policy {
        policy::check_policy(policy, faults);
    }
    if let Some(mcp) = &spec.mcp {
        mcp::check_mcp(mcp, faults);
    }
    if let Some(embedding) = &spec.embedding {
        external_service::check_embedding(embedding, faults);
    }
    if let Some(rerank) = &spec.rerank {
        external_service::check_rerank(rerank, faults);
    }
    if let Some(guard) = &spec.guard {
        guard::check_guard(guard, faults);
    }
    if let Some(access) = &spec.access {
        access::check_access(access, faults);
    }
    let tracing = spec.monitoring.as_ref().and_then(|monitoring| monitoring.tracing.as_ref());
    if tracing.is_some_and(|tracing| configuration::Address::of(&tracing.endpoint).is_none()) {
        faults.push(Fault::Collector);
    }
    if spec
        .limits
        .as_ref()
        .is_some_and(|limits| limits.burst.is_some() && limits.requests_per_second.is_none())
    {
        faults.push(Fault::Needs { field: "spec.limits.burst", needed: "spec.limits.requestsPerSecond" });
    }
}

fn check_integrity(integrity: &Integrity, faults: &mut Vec<Fault>) {
    let interval = i64::from(integrity.anchor_interval_seconds);
    let (min, max) = essentials::ANCHOR_INTERVAL_SECONDS;
    check_range("spec.integrity.anchorIntervalSeconds", interval, (min.into(), max.into()), faults);
    if let Some(accept) = &integrity.accept_rollback
        && (accept.size < 0 || Hash::from_hex(accept.root.as_bytes()).is_none())
    {
        faults.push(Fault::AcceptedHead);
    }
}

/// Validates `rotation`. Returns the maximum size of a segment in bytes, or 0 if the value is invalid.
fn check_rotation(rotation: &Rotation, faults: &mut Vec<Fault>) -> u64 {
    let problem = match rotation.max_segment_size.units() {
        Ok(bytes) if SEGMENT_BYTES.contains(&bytes) => return u64::try_from(bytes).unwrap_or_default(),
        Ok(bytes) => format!("{bytes} bytes: write a size between 1Mi and 1Gi"),
        Err(error) => error.to_string(),
    };
    faults.push(Fault::Quantity { field: "spec.rotation.maxSegmentSize", problem });
    0
}

fn check_resources(resources: &Resources, faults: &mut Vec<Fault>) {
    let pairs = [
        ("cpu", "spec.writer.resources.cpu", &resources.requests.cpu, &resources.limits.cpu),
        ("memory", "spec.writer.resources.memory", &resources.requests.memory, &resources.limits.memory),
    ];
    for (resource, field, request, limit) in pairs {
        let mut amount = |quantity: &Option<Quantity>| match quantity.as_ref().map(Quantity::milli) {
            Some(Ok(amount)) => Some(amount),
            Some(Err(error)) => {
                faults.push(Fault::Quantity { field, problem: error.to_string() });
                None
            }
            None => None,
        };
        if let (Some(request), Some(limit)) = (amount(request), amount(limit))
            && request > limit
        {
            faults.push(Fault::RequestAboveLimit(resource));
        }
    }
}
