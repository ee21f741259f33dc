//! Scheduling constraints of the writer's pod other than node labels and tolerations, in the terms of the pod API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::{DNS_LABEL, KEY, KEY_LENGTH_MAX, LABEL_VALUE, LABEL_VALUE_LENGTH_MAX};

/// Affinity of the pod to nodes and other pods, as in a pod's `affinity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// Nodes that the pod must or should run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,

    /// Pods that it must or should run near to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_affinity: Option<PodAffinity>,

    /// Pods that it must or should run away from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// Nodes that the pod must or should run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAffinity {
    /// Nodes that the pod is restricted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,

    /// Nodes that the pod prefers, at most 8 terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredNode>,
}

/// Nodes that match at least one of the terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// Terms, of which at least one must match, 1 to 8.
    #[schemars(length(min = 1, max = 8))]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A node that matches all of these expressions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    /// Requirements on the labels of the node, 1 to 8.
    #[schemars(length(min = 1, max = 8))]
    pub match_expressions: Vec<NodeRequirement>,
}

/// A requirement on one label of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRequirement {
    /// Key of the label, for example `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub key: String,

    /// How the value is compared.
    pub operator: NodeOperator,

    /// Values to compare with: at least one for `In` and `NotIn`, a number for `Gt` and `Lt`, none for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = LABEL_VALUE_LENGTH_MAX), regex(pattern = LABEL_VALUE)))]
    pub values: Vec<String>,
}

/// How the value of a node's label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeOperator {
    /// The value is in the list.
    In,
    /// The value is not in the list.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// The value is a number greater than the given one.
    Gt,
    /// The value is a number less than the given one.
    Lt,
}

/// Nodes that the pod prefers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreferredNode {
    /// Weight of the preference, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// Nodes to prefer.
    pub preference: NodeSelectorTerm,
}

/// Pods that the writer's pod must or should run near to, or away from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinity {
    /// Terms that must all match, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,

    /// Terms that should match, at most 8. The node with the highest sum of weights is preferred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredPods>,
}

/// A weighted term: pods that make a node preferable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredPods {
    /// Weight of the term, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// Pods to match.
    pub pod_affinity_term: PodAffinityTerm,
}

/// Pods to match, and the topology in which they count as near.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinityTerm {
    /// Node label that defines the topology, for example `topology.kubernetes.io/zone`. Nodes with the same value are
    /// near to each other.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub topology_key: String,

    /// Labels of the pods. If omitted, matches no pod; if empty, matches every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,

    /// Namespaces of the pods, at most 8. If this and `namespaceSelector` are omitted, the engine's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)))]
    pub namespaces: Vec<String>,

    /// Labels of the namespaces of the pods. If empty, matches every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Labels that objects must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::match_labels")]
    pub match_labels: BTreeMap<String, String>,

    /// Requirements on the labels, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelRequirement {
    /// Key of the label, for example `app`.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub key: String,

    /// How the value is compared.
    pub operator: LabelOperator,

    /// Values to compare with: at least one for `In` and `NotIn`, none for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = LABEL_VALUE_LENGTH_MAX), regex(pattern = LABEL_VALUE)))]
    pub values: Vec<String>,
}

/// How the value of a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The value is in the list.
    In,
    /// The value is not in the list.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
}

/// How pods are spread, as in a pod's `topologySpreadConstraints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpread {
    /// Node label that defines the topology, for example `topology.kubernetes.io/zone`. Nodes with the same value form
    /// one domain.
    #[schemars(length(min = 1, max = KEY_LENGTH_MAX), regex(pattern = KEY))]
    pub topology_key: String,

    /// What to do when no node satisfies the constraint.
    pub when_unsatisfiable: WhenUnsatisfiable,

    /// Maximum difference in the number of pods between two domains, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub max_skew: i32,

    /// Minimum number of domains, 1 to 100. Only with `DoNotSchedule`. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub min_domains: Option<i32>,

    /// Labels of the pods to count. Defaults to the pods of all engines in the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,

    /// Whether to count nodes that the node selector or the affinity excludes: `Honor` (default) does not count them,
    /// `Ignore` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity_policy: Option<NodeInclusion>,

    /// Whether to count nodes with taints that the pod does not tolerate: `Honor` does not count them,
    /// `Ignore` (default) does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_taints_policy: Option<NodeInclusion>,
}

/// What to do when no node satisfies the constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// Leave the pod pending.
    DoNotSchedule,
    /// Schedule the pod on the node that minimises the skew.
    ScheduleAnyway,
}

/// Whether nodes on which the pod cannot run are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeInclusion {
    /// Do not count them.
    Honor,
    /// Count them.
    Ignore,
}
