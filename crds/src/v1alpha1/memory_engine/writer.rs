//! The pod that owns the log: its volume, its resources and where it runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    scheduling::{Affinity, TopologySpread},
    security::PodSecurity,
};
use crate::{
    patterns::{
        DNS_SUBDOMAIN, DNS_SUBDOMAIN_OR_EMPTY, KEY_LENGTH_MAX, KEY_OR_EMPTY, LABEL_VALUE,
        LABEL_VALUE_LENGTH_MAX, NAME_LENGTH_MAX,
    },
    quantity::Quantity,
};

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
