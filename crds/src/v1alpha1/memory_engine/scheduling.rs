//! Where the writer's pod may run, as far as it is not said by labels of nodes and taints: in the words of Kubernetes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::{DNS_LABEL, KEY, KEY_LENGTH_MAX, LABEL_VALUE, LABEL_VALUE_LENGTH_MAX};

/// Nodes the pod is drawn to, and other pods it is to be near to or far from, as in a pod's `affinity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// Nodes the pod must or should run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,

    /// Pods it must or should be near to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_affinity: Option<PodAffinity>,

    /// Pods it must or should be far from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// Nodes the pod must or should run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAffinity {
    /// The pod runs on no other nodes than these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,

    /// Nodes that are better than others, at most 8 kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredNode>,
}

/// Nodes for which at least one of the terms holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// One of these has to hold, 1 to 8.
    #[schemars(length(min = 1, max = 8))]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A node for which all of these hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    /// What the labels of the node have to be, 1 to 8.
    #[schemars(length(min = 1, max = 8))]
    pub match_expressions: Vec<NodeRequirement>,
}

/// What one label of a node has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRequirement {
    /// Key of the label, for example `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub key: String,

    /// How its value is compared.
    pub operator: NodeOperator,

    /// Values to compare with: at least one for `In` and `NotIn`, a number for `Gt` and `Lt`, none for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = LABEL_VALUE_LENGTH_MAX), regex(pattern = LABEL_VALUE)))]
    pub values: Vec<String>,
}

/// How the value of a node's label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeOperator {
    /// It is one of them.
    In,
    /// It is none of them.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// It is a greater number.
    Gt,
    /// It is a smaller number.
    Lt,
}

/// Nodes that are better than others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreferredNode {
    /// How much better, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// Which nodes.
    pub preference: NodeSelectorTerm,
}

/// Pods the writer's pod must or should be near to, or far from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinity {
    /// All of these have to hold, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,

    /// The more of these hold the better, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredPods>,
}

/// Pods that make one place better than another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredPods {
    /// How much better, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// Which pods.
    pub pod_affinity_term: PodAffinityTerm,
}

/// Pods, and what it means to be near to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinityTerm {
    /// Nodes with the same value of this label are near to each other, for example `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub topology_key: String,

    /// Labels of the pods. Left out, no pod; empty, every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,

    /// Namespaces of the pods, at most 8. Left out together with `namespaceSelector`, the engine's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)))]
    pub namespaces: Vec<String>,

    /// Labels of namespaces of the pods. Empty, every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Labels that objects have to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::match_labels")]
    pub match_labels: BTreeMap<String, String>,

    /// What labels have to be, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// What one label has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelRequirement {
    /// Key of the label, for example `app`.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub key: String,

    /// How its value is compared.
    pub operator: LabelOperator,

    /// Values to compare with: at least one for `In` and `NotIn`, none for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = LABEL_VALUE_LENGTH_MAX), regex(pattern = LABEL_VALUE)))]
    pub values: Vec<String>,
}

/// How the value of a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It is one of them.
    In,
    /// It is none of them.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// How evenly pods are spread, as in a pod's `topologySpreadConstraints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpread {
    /// Nodes with the same value of this label are one place, for example `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub topology_key: String,

    /// What to do when the pod fits nowhere.
    pub when_unsatisfiable: WhenUnsatisfiable,

    /// By how many pods places may differ, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub max_skew: i32,

    /// Places there have to be at least, 1 to 100. Only with `DoNotSchedule`; left out, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub min_domains: Option<i32>,

    /// Labels of the pods that are counted. Left out, those of all engines of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,

    /// Whether nodes count that the node selector and the affinity exclude. Left out, they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity_policy: Option<NodeInclusion>,

    /// Whether nodes count whose taints are not tolerated. Left out, they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_taints_policy: Option<NodeInclusion>,
}

/// What to do when the pod fits nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// Wait.
    DoNotSchedule,
    /// Take the least uneven place.
    ScheduleAnyway,
}

/// Whether nodes on which the pod may not run count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeInclusion {
    /// They do not.
    Honor,
    /// They do.
    Ignore,
}
