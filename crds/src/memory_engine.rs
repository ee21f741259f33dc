//! The MemoryEngine kind: what a platform team writes.

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    embedding::Embedding,
    integrity::{Integrity, Rotation},
    limits::Limits,
    mcp::Mcp,
    patterns::{
        DNS_SUBDOMAIN, DNS_SUBDOMAIN_OR_EMPTY, KEY_LENGTH_MAX, KEY_OR_EMPTY, LABEL_VALUE,
        LABEL_VALUE_LENGTH_MAX, NAME_LENGTH_MAX,
    },
    policy::Policy,
    quantity::Quantity,
    retention::Retention,
    saving::Saving,
    scheduling::{Affinity, TopologySpread},
    security::PodSecurity,
    service::ServiceMetadata,
    status::MemoryEngineStatus,
};

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

/// The pod that owns the log: one, never more, with the volume to itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Writer {
    /// Volume of the log.
    #[serde(default)]
    pub storage: Storage,

    /// CPU and memory of the pod.
    #[serde(default)]
    pub resources: Resources,

    /// Seconds the engine may take to answer what is under way when it is stopped. The pod is killed 10 seconds later.
    #[serde(default = "default_drain_seconds")]
    #[schemars(range(min = 1, max = 300))]
    pub drain_seconds: i32,

    /// PriorityClass of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub priority_class_name: Option<String>,

    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::node_selector")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints the pod accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,

    /// Nodes the pod is drawn to, and other pods it is to be near to or far from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// How evenly pods are spread, at most 8 rules. Left out, engines spread over the nodes if they can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["topologyKey", "whenUnsatisfiable"]
        )
    )]
    pub topology_spread_constraints: Vec<TopologySpread>,

    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::labels")]
    pub pod_labels: BTreeMap<String, String>,

    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::annotations")]
    pub pod_annotations: BTreeMap<String, String>,

    /// As whom the pod runs. Left out, as user 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurity>,
}

fn default_drain_seconds() -> i32 {
    20
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            storage: Storage::default(),
            resources: Resources::default(),
            drain_seconds: default_drain_seconds(),
            priority_class_name: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            topology_spread_constraints: Vec::new(),
            pod_labels: BTreeMap::new(),
            pod_annotations: BTreeMap::new(),
            security_context: None,
        }
    }
}

/// The volume. The claim is named `<engine>-data`, belongs to nobody and is kept when the engine is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of the volume, for example `10Gi`. It can grow while in use, where the class allows it; it cannot shrink.
    #[serde(default = "default_size")]
    pub size: Quantity,

    /// StorageClass of the volume; left out, the cluster's default class; `""`, none: a PersistentVolume that somebody made
    /// by hand, of at least this size, with this access mode and without a class. Cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN_OR_EMPTY))]
    pub class_name: Option<String>,

    /// `ReadWriteOncePod` gives the volume to one pod of the whole cluster; `ReadWriteOnce` is for classes that do
    /// not support it. Cannot be changed later.
    #[serde(default)]
    pub access_mode: AccessMode,
}

fn default_size() -> Quantity {
    Quantity("10Gi".into())
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: default_size(), class_name: None, access_mode: AccessMode::default() }
    }
}

/// How a volume may be mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// By one pod.
    #[default]
    ReadWriteOncePod,
    /// By one node.
    ReadWriteOnce,
}

impl AccessMode {
    /// As the API server spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOncePod => "ReadWriteOncePod",
            Self::ReadWriteOnce => "ReadWriteOnce",
        }
    }
}

/// CPU and memory, asked for and at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(default = "default_requests")]
    pub requests: ResourceList,

    /// What the pod may use at most. Above the memory limit it is killed; acknowledged memories are safe.
    #[serde(default = "default_limits")]
    pub limits: ResourceList,
}

fn default_requests() -> ResourceList {
    ResourceList { cpu: Some(Quantity("50m".into())), memory: Some(Quantity("64Mi".into())) }
}

fn default_limits() -> ResourceList {
    ResourceList { cpu: None, memory: Some(Quantity("512Mi".into())) }
}

impl Default for Resources {
    fn default() -> Self {
        Self { requests: default_requests(), limits: default_limits() }
    }
}

/// Amounts by resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceList {
    /// CPUs, for example `250m` or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,

    /// Bytes, for example `256Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// A taint the pod accepts, as in a pod's `tolerations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint; left out together with `operator: Exists`, every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = KEY_LENGTH_MAX), regex(pattern = KEY_OR_EMPTY))]
    pub key: Option<String>,

    /// How `key` is compared.
    #[serde(default)]
    pub operator: TolerationOperator,

    /// Value of the taint, for `operator: Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LABEL_VALUE_LENGTH_MAX), regex(pattern = LABEL_VALUE))]
    pub value: Option<String>,

    /// Effect of the taint; left out, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TolerationEffect>,

    /// Seconds a `NoExecute` taint is borne; left out, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub toleration_seconds: Option<i64>,
}

/// How a taint's key is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Key and value are the same.
    #[default]
    Equal,
    /// The key is there, whatever its value.
    Exists,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// Running pods leave.
    NoExecute,
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
