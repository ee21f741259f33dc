//! Every name, label and annotation the operator gives to an object, and the kinds it makes.

use std::collections::BTreeMap;

/// Field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "memory-operator";
/// Label that names the engine an object belongs to; every watch of children is bound to it.
pub const ENGINE_LABEL: &str = "memoryengine.io/engine";
/// Who keeps an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Selects every object the operator keeps, and nothing else.
pub const WATCH_SELECTOR: &str = "app.kubernetes.io/managed-by=memory-operator,memoryengine.io/engine";
/// Annotation of the pod template: changes when the configuration does, so that the pod is made anew.
pub const CONFIG_HASH_ANNOTATION: &str = "memoryengine.io/config-hash";
/// Annotation of every object that goes with its engine: changes when anything that is applied does.
pub const APPLIED_HASH_ANNOTATION: &str = "memoryengine.io/applied-hash";

/// Annotation of the claim: what was recorded of the log on it, in JSON.
pub const ANCHOR_ANNOTATION: &str = "memoryengine.io/anchor";
/// The key of the anchor's ConfigMap, and the file the engine reads at its start.
pub const ANCHOR_FILE: &str = "anchor.json";

/// Name of the engine's container in its pod. Others may be beside it.
pub const ENGINE_CONTAINER: &str = "engine";

/// Port of the memory API.
pub const API_PORT: u16 = 8080;
/// Port of probes, metrics and the engine's report.
pub const ADMIN_PORT: u16 = 8081;

/// The kinds the operator makes. Which children there are of them stands in [`crate::children`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// The claim of the log's volume.
    PersistentVolumeClaim,
    /// Identity of the pod, without a token.
    ServiceAccount,
    /// The engine's configuration file.
    ConfigMap,
    /// The address of the API, and the headless one of the pod.
    Service,
    /// Who may reach the pod.
    NetworkPolicy,
    /// What a drain may do.
    PodDisruptionBudget,
    /// The writer.
    StatefulSet,
}

impl ChildKind {
    /// API group, version, kind and plural.
    #[must_use]
    pub fn resource(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::PersistentVolumeClaim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
        }
    }

    /// The kind as Kubernetes spells it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        self.resource().2
    }
}

/// One child by kind and name; the namespace is always the engine's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey {
    /// What it is.
    pub kind: ChildKind,
    /// What it is called.
    pub name: String,
}

impl std::fmt::Display for ChildKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.kind(), self.name)
    }
}

/// Name of the claim.
#[must_use]
pub fn claim(engine: &str) -> String {
    format!("{engine}-data")
}

/// Name of the ConfigMap.
#[must_use]
pub fn config_map(engine: &str) -> String {
    format!("{engine}-config")
}

/// Name of the ConfigMap with what the log must extend.
#[must_use]
pub fn anchor_config_map(engine: &str) -> String {
    format!("{engine}-anchor")
}

/// Name of the Service that gives the pod its own DNS name.
#[must_use]
pub fn headless_service(engine: &str) -> String {
    format!("{engine}-headless")
}

/// Labels that select the pods of one engine. They never change: a StatefulSet's selector is immutable.
#[must_use]
pub fn selector(engine: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "memory-engine".to_owned()),
        ("app.kubernetes.io/instance".to_owned(), engine.to_owned()),
        (ENGINE_LABEL.to_owned(), engine.to_owned()),
    ])
}

/// Labels of every object made for one engine.
#[must_use]
pub fn labels(engine: &str) -> BTreeMap<String, String> {
    let mut labels = selector(engine);
    labels.insert(MANAGED_BY_LABEL.to_owned(), FIELD_MANAGER.to_owned());
    labels
}
