//! The MemoryEngine kind: what a platform team writes. Each section of the spec that is more than a few fields has a
//! file, and so have the status and the CEL rules.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod embedding;
mod integrity;
mod limits;
mod mcp;
mod policy;
mod retention;
mod rules;
mod saving;
mod scheduling;
mod security;
mod service;
mod status;
mod writer;

pub use embedding::{Embedding, EmbeddingProvider};
pub use integrity::{
    ACCEPTED_ROLLBACKS_MAX, AcceptRollback, AcceptedRollback, Integrity, LogStatus, Rotation,
};
pub use limits::Limits;
pub use mcp::Mcp;
pub use policy::{Identifiers, Policy, PolicyException};
pub use retention::Retention;
pub use saving::{SameText, Saving};
pub use scheduling::{
    Affinity, LabelOperator, LabelRequirement, LabelSelector, NodeAffinity, NodeInclusion, NodeOperator,
    NodeRequirement, NodeSelector, NodeSelectorTerm, PodAffinity, PodAffinityTerm, PreferredNode,
    PreferredPods, TopologySpread, WhenUnsatisfiable,
};
pub use security::{FsGroupChangePolicy, PodSecurity, SeLinux, SeLinuxType, Seccomp, SeccompType};
pub use service::ServiceMetadata;
pub use status::{Endpoints, MemoryEngineStatus, Phase, ProjectionRebuild, ProjectionStatus, StorageStatus};
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

/// What is wanted of one engine. `spec: {}` is complete: every field has a default.
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
    /// Image of the engine, for example `registry.example/memory-engine:0.1.0`. Left out, the operator's own default is
    /// used, which moves with the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"))]
    pub image: Option<String>,

    /// When the kubelet pulls the image.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,

    /// Secrets of this namespace with the registry's credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub image_pull_secrets: Vec<PullSecret>,

    /// The pod that owns the log.
    #[serde(default)]
    pub writer: Writer,

    /// Who can reach the engine.
    #[serde(default)]
    pub exposure: Exposure,

    /// What the Service says besides. Left out, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceMetadata>,

    /// What the engine writes about itself.
    #[serde(default)]
    pub logging: Logging,

    /// How often the log is checked against what was recorded of it outside of its volume.
    #[serde(default)]
    pub integrity: Integrity,

    /// When the engine seals a segment of its log and begins the next one.
    #[serde(default)]
    pub rotation: Rotation,

    /// What may be written: which secrets refuse a write, which personal data is redacted, what is let through. Left out,
    /// the engine's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,

    /// Rules for whoever asks the engine for a retention plan without naming any. Nothing is removed by itself. Left out,
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// How memories are saved, for whoever saves one without saying it. Left out, the engine's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving: Option<Saving>,

    /// What makes the vectors by which memories are found by meaning. Left out, the table in the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,

    /// What agents find at `/mcp`, where the engine speaks the Model Context Protocol. Left out, the engine's own tools, under
    /// the names of its Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Mcp>,

    /// What one address may ask of the memory API. Left out, as often as it likes over at most 128 connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start of the pod.
    Always,
    /// Only when the node does not have it.
    #[default]
    IfNotPresent,
    /// Not at all: the image has to be on the node.
    Never,
}

/// A Secret by name, in the engine's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullSecret {
    /// Name of a Secret of type `kubernetes.io/dockerconfigjson`.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
}

/// Who can reach the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// The NetworkPolicy the operator keeps for the engine.
    #[serde(default)]
    pub network_policy: NetworkPolicyMode,
}

/// Whether the operator keeps a NetworkPolicy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Pods of the engine's namespace reach the memory API, the operator reaches the administration port, and the
    /// engine reaches nothing.
    #[default]
    Managed,
    /// None is kept: for teams with policies of their own.
    Disabled,
}

/// What the engine writes about itself, as JSON lines on standard error. Memories are never written there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Least severe messages to write.
    #[serde(default)]
    pub level: LogLevel,
}

/// Severity of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody's attention.
    Error,
    /// What may need it.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// What was decided on the way.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As the engine's configuration spells it.
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
