//! The MemoryEngine kind: the resource that a platform team writes. Larger sections of the spec, the status and the CEL
//! rules have files of their own.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod access;
mod access_scope;
mod backup;
mod embedding;
mod exposure;
mod external_service;
mod integrity;
mod issuer;
mod lifecycle;
mod limits;
mod mcp;
mod mode;
mod monitoring;
mod policy;
mod readers;
mod rerank;
mod retention;
mod rollout;
mod rules;
mod saving;
mod scheduling;
mod secrets;
mod security;
mod service;
mod status;
mod tls;
mod upkeep;
mod writer;

pub use access::{ACCESS_KEYS_MAX, Access, AccessKey, AccessRateLimit, AccessSecret, Anonymous};
pub use access_scope::{ACCESS_PROJECTS_MAX, AccessScope};
pub use backup::{
    Backup, BackupCredentials, BackupDestination, BackupStandby, BackupStatus, BackupVerification,
    BackupVolume, Bootstrap, FromBackup, LastBackup, RestoreAtLeast, RestoreUntil, RestoredStatus,
    StandbyStatus,
};
pub use embedding::{Embedding, EmbeddingProvider, EmbeddingService};
pub use exposure::{
    DeploymentMode, Exposure, ExposureTicket, GatewayReference, NetworkPolicyMode, OnViolation, PEERS_MAX,
    PUBLIC_HOSTS_MAX, Peer, PublicExposure, PublicGateway, PublicIngress, PublicLoadBalancer, TicketFailMode,
};
pub use external_service::KeyReference;
pub use integrity::{
    ACCEPTED_ROLLBACKS_MAX, AcceptRollback, AcceptedRollback, Integrity, LogStatus, Rotation,
};
pub use issuer::{
    ACCESS_CERTIFICATES_MAX, ACCESS_ISSUERS_MAX, AccessCertificate, AccessIssuer, TokenAlgorithm,
};
pub use lifecycle::{
    AppliedUpdate, DeletionOutcome, DeletionPolicy, DeletionStatus, Fence, FenceStatus, HibernationStatus,
    PendingUpdate, UPDATE_CHANGES_MAX, Update, UpdatePolicy, UpdateStatus, UpdateWindow,
};
pub use limits::Limits;
pub use mcp::Mcp;
pub use mode::{EngineMode, Guard};
pub use monitoring::{Monitoring, Tracing};
pub use policy::{Identifiers, Policy, PolicyException};
pub use readers::{READERS_MAX, Readers, ReadersStatus};
pub use rerank::Rerank;
pub use retention::Retention;
pub use rollout::{
    CANARY_STEPS_MAX, DECISIONS_MAX, GATES_MAX, PAIR_INTERVAL_MILLIS, REHEARSAL_QUESTIONS, REHEARSAL_SECONDS,
    Rollout, RolloutDecision, RolloutDrills, RolloutGate, RolloutGateStatus, RolloutPhase, RolloutRehearsal,
    RolloutStatus, RolloutStep, STEP_SECONDS_MAX,
};
pub use saving::{SameText, Saving};
pub use scheduling::{
    Affinity, LabelOperator, LabelRequirement, LabelSelector, NodeAffinity, NodeInclusion, NodeOperator,
    NodeRequirement, NodeSelector, NodeSelectorTerm, PodAffinity, PodAffinityTerm, PreferredNode,
    PreferredPods, TopologySpread, WhenUnsatisfiable,
};
pub use secrets::{SecretStatus, Secrets, TokenRotation, TokenRotationPhase};
pub use security::{FsGroupChangePolicy, PodSecurity, SeLinux, SeLinuxType, Seccomp, SeccompType};
pub use service::ServiceMetadata;
pub use status::{Endpoints, MemoryEngineStatus, Phase, ProjectionRebuild, ProjectionStatus, StorageStatus};
pub use tls::{ApiCertificate, CertManager, IssuerRef, Tls, TlsRotation, TlsSecret, TlsStatus};
pub use upkeep::{
    AppliedRetention, RETENTION_HOLDS_MAX, RetentionApply, RetentionCounts, RetentionPlan, RetentionStatus,
    ScheduleInForce, Scrub, UpkeepRun, UpkeepStatus, UpkeepTask,
};
pub use writer::{
    AccessMode, ResourceList, Resources, Storage, Toleration, TolerationEffect, TolerationOperator, Writer,
};

use crate::{
    definition::definition,
    patterns::{DNS_SUBDOMAIN, NAME_LENGTH_MAX},
};

/// The definition of `memoryengines.memoryengine.io`, ready to be applied.
#[must_use]
pub fn memory_engine_crd() -> Value {
    definition::<MemoryEngine>(rules::add)
}

/// Desired state of one engine. `spec: {}` is valid: every field has a default.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "memoryengine.io",
    version = "v1alpha1",
    kind = "MemoryEngine",
    plural = "memoryengines",
    shortname = "meng",
    category = "memory",
    namespaced,
    status = "MemoryEngineStatus",
    scale(
        spec_replicas_path = ".spec.readers.replicas",
        status_replicas_path = ".status.readers.replicas",
        label_selector_path = ".status.readers.selector"
    ),
    derive = "PartialEq",
    doc = "A memory for AI agents: one append-only log on one volume, and the engine that serves it.",
    crates(kube_core = "kube_core"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.effectiveMode"),
    printcolumn(name = "Head", type_ = "integer", json_path = ".status.log.headSeq"),
    printcolumn(
        name = "Log",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"LogIntegrity\")].reason"
    ),
    printcolumn(name = "Volume", type_ = "string", json_path = ".status.storage.capacity"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MemoryEngineSpec {
    /// Image of the engine, for example `registry.example/memory-engine:0.1.0`. Defaults to the image that the operator
    /// is configured with, which changes when the operator is upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"))]
    pub image: Option<String>,

    /// When the kubelet pulls the image, and that of scheduled Jobs.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,

    /// Secrets in the namespace of the engine with credentials for the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub image_pull_secrets: Vec<PullSecret>,

    /// For what the engine is run. `Production` requires `tls` and access control.
    #[serde(default)]
    pub deployment_mode: DeploymentMode,

    /// What clients may do. The mode in effect may be narrower: see `status.effectiveMode` and the condition
    /// `ReadsEnabled`. A change takes effect within seconds and restarts nothing. `"Off"` needs quotes: without them,
    /// YAML takes the word for a boolean.
    #[serde(default)]
    pub mode: EngineMode,

    /// When the engine turns its reads off because something that they need fails, and on again. Defaults to the
    /// engine's own values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,

    /// The pod that owns the log.
    #[serde(default)]
    pub writer: Writer,

    /// Pods that answer reads beside the writer. Defaults to none.
    #[serde(default)]
    pub readers: Readers,

    /// How a new revision is introduced, `{}` for the defaults. Defaults to at once, without a comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// Which clients can reach the engine.
    #[serde(default)]
    pub exposure: Exposure,

    /// Labels and annotations added to the Service. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceMetadata>,

    /// What the engine logs.
    #[serde(default)]
    pub logging: Logging,

    /// How often the log is verified against the anchor, which is recorded outside of its volume.
    #[serde(default)]
    pub integrity: Integrity,

    /// When the engine seals a segment of its log and begins the next one.
    #[serde(default)]
    pub rotation: Rotation,

    /// What may be written: which secrets cause a write to be refused, which personal data is redacted, and which texts
    /// are exempt. Defaults to the engine's own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,

    /// How long memories are kept: default rules for retention plans, and when the operator has a plan made. Without a
    /// schedule nothing is removed automatically. Defaults to no rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// How memories are saved when a request does not set it. Defaults to the engine's own values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving: Option<Saving>,

    /// The provider of the vectors for semantic search. Defaults to the table built into the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,

    /// The service that reranks the best results of a search. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank: Option<Rerank>,

    /// The Model Context Protocol endpoint at `/mcp`. Defaults to the engine's own tools, served under the host names
    /// of its Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Mcp>,

    /// Limits for each client address on the memory API. Defaults to unlimited requests over at most 128 connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// Who may use the memory API. Defaults to every client that can reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// Secrets that the operator makes for the engine. Defaults to those of `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Secrets>,

    /// A continuous archive of the log, and backups. Defaults to none: the memories are lost with the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,

    /// From what a new engine begins. The manifest may keep it: it is used once. Defaults to an empty log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,

    /// How the engine is observed. Defaults to metrics and logs, without traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,

    /// TLS 1.3 on the memory API and on the administration port, `{}` for the defaults. Defaults to no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// Whether the operator leaves everything of this engine as it is. It changes no object, no pod and no setting of
    /// the engine, except that it ends an exposure which is no longer safe. It goes on to verify the log and to write
    /// the status; the condition `Suspended` says what it would change.
    #[serde(default)]
    pub suspend: bool,

    /// Whether the engine stops. Its pod ends after a last anchor of the log; the claim, Secrets, Services and the
    /// configuration stay. With `false` it starts again.
    #[serde(default)]
    pub hibernate: bool,

    /// Stops writes while reads go on, and records in `status.fence` where the log ended. Restarts nothing. Defaults to
    /// no fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,

    /// When a new version of the operator may restart the pod. Defaults to after an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,

    /// What happens to the data when this resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Pull at every start of the pod.
    Always,
    /// Pull only when the image is not on the node.
    #[default]
    IfNotPresent,
    /// Never pull: the image must already be on the node.
    Never,
}

/// A Secret in the namespace of the engine, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullSecret {
    /// Name of a Secret of type `kubernetes.io/dockerconfigjson`.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
}

/// What the engine logs, as JSON lines on standard error. The content of memories is never logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Minimum severity of the messages to log.
    #[serde(default)]
    pub level: LogLevel,
}

/// Severity of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Problems that need attention.
    Error,
    /// Possible problems.
    Warn,
    /// Normal operation.
    #[default]
    Info,
    /// Internal decisions, for debugging.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Spelling in the engine's configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
