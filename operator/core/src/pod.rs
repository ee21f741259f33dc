//! The writer's pod, as far as decisions depend on it.

use kube_core::DynamicObject;
use serde_json::Value;

/// Label by which a StatefulSet's controller tells of which template a pod is.
const REVISION_LABEL: &str = "controller-revision-hash";

/// What a pod shows about its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Name of the pod.
    pub name: String,
    /// Which template of its StatefulSet it was made from.
    pub revision: Option<String>,
    /// Address on the pod network.
    pub ip: Option<String>,
    /// Whether its readiness probe passes.
    pub ready: bool,
    /// Whether the engine's process is running.
    pub running: bool,
    /// Whether the pod is being ended.
    pub deleting: bool,
    /// Why the scheduler has no node for it.
    pub unschedulable: Option<String>,
    /// Why the container is not running: the kubelet's word and its message.
    pub waiting: Option<(String, String)>,
    /// How the container's last run ended: a word and the exit code.
    pub last_end: Option<(String, i64)>,
    /// How often the container was started again.
    pub restarts: i64,
}

impl PodView {
    /// Reads a pod.
    #[must_use]
    pub fn of(pod: &DynamicObject) -> Self {
        let at = |path: &str| pod.data.pointer(path);
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let container = at("/status/containerStatuses/0").cloned().unwrap_or_default();
        let waiting = container.pointer("/state/waiting").map(|waiting| {
            (
                text(waiting.get("reason")).unwrap_or_default(),
                text(waiting.get("message")).unwrap_or_default(),
            )
        });
        let last_end = container.pointer("/lastState/terminated").map(|ended| {
            (text(ended.get("reason")).unwrap_or_default(), ended["exitCode"].as_i64().unwrap_or_default())
        });
        let unschedulable = condition(pod, "PodScheduled")
            .filter(|scheduled| scheduled["status"] == "False")
            .map(|scheduled| text(scheduled.get("message")).unwrap_or_default());
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            revision: pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)).cloned(),
            ip: text(at("/status/podIP")),
            ready: condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True"),
            running: container.pointer("/state/running").is_some(),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            unschedulable,
            waiting,
            last_end,
            restarts: container["restartCount"].as_i64().unwrap_or_default(),
        }
    }
}

fn condition<'a>(pod: &'a DynamicObject, name: &str) -> Option<&'a Value> {
    pod.data.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == name)
}
