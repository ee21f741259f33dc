//! The pod that owns the log: its volume, its resources and its scheduling.

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

/// The pod that owns the log. There is never more than one, and no other pod uses its volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Writer {
    /// Volume of the log.
    #[serde(default)]
    pub storage: Storage,

    /// CPU and memory of the pod.
    #[serde(default)]
    pub resources: Resources,

    /// Seconds that running requests may take to finish when the engine stops. The pod is killed 10 seconds later.
    #[serde(default = "default_drain_seconds")]
    #[schemars(range(min = 1, max = 300))]
    pub drain_seconds: i32,

    /// Seconds that the engine serves on after it was told to stop, while it is not ready, 0 to 120, for example `15`
    /// behind a load balancer that notices slowly. The pod is killed that much later. Defaults to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 120))]
    pub stop_delay_seconds: Option<i32>,

    /// PriorityClass of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub priority_class_name: Option<String>,

    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::node_selector")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that the pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,

    /// Affinity of the pod to nodes and other pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// How pods are spread, at most 8 constraints. By default, engines are spread over the nodes where possible.
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

    /// Security context of the pod. By default, it runs as user 65532.
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
            stop_delay_seconds: None,
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

/// The volume of the log. The claim is named `<engine>-data`, has no owner, and is kept when the engine is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of the volume, for example `10Gi`. It can be increased while in use if the class allows it, and cannot be
    /// reduced.
    #[serde(default = "default_size")]
    pub size: Quantity,

    /// StorageClass of the volume. Defaults to the cluster's default class. `""` selects a PersistentVolume without a
    /// class, created by hand with at least this size and this access mode. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN_OR_EMPTY))]
    pub class_name: Option<String>,

    /// How the volume is mounted. `ReadWriteOncePod` allows a single pod in the cluster; use `ReadWriteOnce` for
    /// classes that do not support it. Immutable.
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
    /// By a single pod.
    #[default]
    ReadWriteOncePod,
    /// By a single node.
    ReadWriteOnce,
}

impl AccessMode {
    /// Spelling in the Kubernetes API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOncePod => "ReadWriteOncePod",
            Self::ReadWriteOnce => "ReadWriteOnce",
        }
    }
}

/// Requests and limits of CPU and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Resources that the scheduler reserves.
    #[serde(default = "default_requests")]
    pub requests: ResourceList,

    /// Maximum resources of the pod. A pod that exceeds the memory limit is killed; acknowledged memories are not lost.
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

/// A taint that the pod tolerates, as in a pod's `tolerations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint. If omitted with `operator: Exists`, matches every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = KEY_LENGTH_MAX), regex(pattern = KEY_OR_EMPTY))]
    pub key: Option<String>,

    /// How the taint is compared.
    #[serde(default)]
    pub operator: TolerationOperator,

    /// Value of the taint, for `operator: Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LABEL_VALUE_LENGTH_MAX), regex(pattern = LABEL_VALUE))]
    pub value: Option<String>,

    /// Effect of the taint. Defaults to all effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TolerationEffect>,

    /// Seconds that a `NoExecute` taint is tolerated. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub toleration_seconds: Option<i64>,
}

/// How a taint is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Key and value are equal.
    #[default]
    Equal,
    /// The key exists, with any value.
    Exists,
}

/// Effect of a taint on pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationEffect {
    /// New pods are not scheduled.
    NoSchedule,
    /// New pods are scheduled elsewhere where possible.
    PreferNoSchedule,
    /// Running pods are evicted.
    NoExecute,
}
