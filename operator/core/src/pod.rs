//! The state of the writer's pod, as far as decisions depend on it.
//!
//! Service meshes and log collectors add containers to pods. Everything in a pod is therefore found by its name or
//! type, never by its position: container statuses are sorted by name, and the order of other lists is not guaranteed.

use kube_core::DynamicObject;
use serde_json::Value;

use crate::{
    names::{
        CERTIFICATE_ANNOTATION, ENGINE_CONTAINER, INIT_CONTAINER, PROBE_PORT_NAME, PUBLIC_LABEL, PUBLIC_VALUE,
    },
    report::quoted,
};

/// Label with the revision of the template from which the StatefulSet's controller created the pod.
const REVISION_LABEL: &str = "controller-revision-hash";

/// Longest description of a failed restore, characters.
const RESTORE_CHARS_MAX: usize = 512;

/// The state of a pod and its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Name of the pod.
    pub name: String,
    /// Revision of the StatefulSet's template from which it was created.
    pub revision: Option<String>,
    /// Address of the pod on the pod network.
    pub ip: Option<String>,
    /// Whether Services send requests to the pod: the probes of all its containers pass, and its readiness gates are
    /// true.
    pub ready: bool,
    /// Whether the engine's own readiness probe passes.
    pub engine_ready: bool,
    /// Whether the engine's process is running.
    pub running: bool,
    /// Whether the engine was started with TLS.
    pub has_tls: bool,
    /// The certificate that the operator has told its kubelet to deliver.
    pub certificate: Option<String>,
    /// Uid of the pod.
    pub uid: Option<String>,
    /// Value of the label that decides whether clients outside of the cluster may reach it.
    pub public: Option<String>,
    /// Whether the pod is being deleted.
    pub deleting: bool,
    /// The scheduler's message, if it finds no node for the pod.
    pub unschedulable: Option<String>,
    /// Why the engine's container is not running: the kubelet's reason and message.
    pub waiting: Option<(String, String)>,
    /// How the last run of the engine's container ended: reason and exit code.
    pub last_end: Option<(String, i64)>,
    /// How often the engine's container was restarted.
    pub restarts: i64,
    /// Why the container that restores a log has failed.
    pub restore_failure: Option<String>,
    /// Containers of others that are not ready, so that the pod is not ready either.
    pub others: Vec<OtherContainer>,
    /// Readiness gates that are not true, so that the pod is not ready.
    pub gates: Vec<String>,
}

/// A container other than the engine's that is not ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherContainer {
    /// Name of the container.
    pub name: String,
    /// Why the container is not running: the kubelet's reason and message.
    pub waiting: Option<(String, String)>,
    /// How the last run of the container ended: reason and exit code.
    pub last_end: Option<(String, i64)>,
    /// How often the container was restarted.
    pub restarts: i64,
}

impl PodView {
    /// Whether the public Service selects the pod.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.public.as_deref() == Some(PUBLIC_VALUE)
    }

    /// Extracts the state from a pod.
    #[must_use]
    pub fn of(pod: &DynamicObject) -> Self {
        let engine = list(pod, "/status/containerStatuses").iter().find(|status| is_engine(status));
        let engine = engine.cloned().unwrap_or_default();
        let unschedulable = condition(pod, "PodScheduled")
            .filter(|scheduled| scheduled["status"] == "False")
            .map(|scheduled| text(scheduled.get("message")).unwrap_or_default());
        let annotations = pod.metadata.annotations.as_ref();
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone(),
            revision: pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)).cloned(),
            ip: text(pod.data.pointer("/status/podIP")),
            ready: is_true(pod, "Ready"),
            engine_ready: engine["ready"] == true,
            running: engine.pointer("/state/running").is_some(),
            has_tls: has_tls(pod),
            certificate: annotations.and_then(|all| all.get(CERTIFICATE_ANNOTATION)).cloned(),
            public: pod.metadata.labels.as_ref().and_then(|labels| labels.get(PUBLIC_LABEL)).cloned(),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            unschedulable,
            waiting: waiting(&engine),
            last_end: ended(&engine, "/lastState/terminated"),
            restarts: restarts(&engine),
            restore_failure: restore_failure(pod),
            others: others(pod),
            gates: gates(pod),
        }
    }
}

/// Only the pod shows how its engine was started: while the spec changes, it may still have the template before.
fn has_tls(pod: &DynamicObject) -> bool {
    let engine = list(pod, "/spec/containers").iter().find(|container| is_engine(container));
    let ports = engine.and_then(|engine| engine["ports"].as_array());
    ports.is_some_and(|ports| ports.iter().any(|port| port["name"] == PROBE_PORT_NAME))
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn list<'a>(pod: &'a DynamicObject, path: &str) -> &'a [Value] {
    pod.data.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_engine(status: &Value) -> bool {
    status["name"] == ENGINE_CONTAINER
}

fn waiting(status: &Value) -> Option<(String, String)> {
    let waiting = status.pointer("/state/waiting")?;
    Some((text(waiting.get("reason")).unwrap_or_default(), text(waiting.get("message")).unwrap_or_default()))
}

fn ended(status: &Value, path: &str) -> Option<(String, i64)> {
    let ended = status.pointer(path)?;
    Some((text(ended.get("reason")).unwrap_or_default(), ended["exitCode"].as_i64().unwrap_or_default()))
}

fn restarts(status: &Value) -> i64 {
    status["restartCount"].as_i64().unwrap_or_default()
}

/// Containers other than the engine's that are not ready. An init container counts as ready when it has finished or, if
/// it is a sidecar, has started. Ephemeral containers are for debugging and do not affect the readiness of the pod.
fn others(pod: &DynamicObject) -> Vec<OtherContainer> {
    let init = list(pod, "/status/initContainerStatuses").iter();
    let beside = list(pod, "/status/containerStatuses").iter().filter(|status| !is_engine(status));
    init.chain(beside)
        .filter(|status| status["ready"] != true)
        .map(|status| OtherContainer {
            name: text(status.get("name")).unwrap_or_default(),
            waiting: waiting(status),
            last_end: ended(status, "/lastState/terminated").or_else(|| ended(status, "/state/terminated")),
            restarts: restarts(status),
        })
        .collect()
}

/// How the container that restores a log has failed; `None` if it has not, or runs again.
fn restore_failure(pod: &DynamicObject) -> Option<String> {
    let own = list(pod, "/status/initContainerStatuses").iter().find(|one| one["name"] == INIT_CONTAINER)?;
    let ended = own.pointer("/state/terminated").or_else(|| own.pointer("/lastState/terminated"))?;
    if ended["exitCode"] == 0 || own["ready"] == true {
        return None;
    }
    let message = text(ended.get("message")).unwrap_or_default();
    let verdict: Option<Value> = serde_json::from_str(&message).ok();
    let error = verdict.as_ref().and_then(|verdict| verdict["error"].as_str());
    let plain =
        || format!("exit code {} ({})", ended["exitCode"], ended["reason"].as_str().unwrap_or_default());
    Some(error.map_or_else(plain, |error| quoted(error, RESTORE_CHARS_MAX)))
}

/// Readiness gates of the pod that are not true.
fn gates(pod: &DynamicObject) -> Vec<String> {
    let types = list(pod, "/spec/readinessGates").iter().filter_map(|gate| gate["conditionType"].as_str());
    types.filter(|name| !is_true(pod, name)).map(str::to_owned).collect()
}

fn is_true(pod: &DynamicObject, name: &str) -> bool {
    condition(pod, name).is_some_and(|condition| condition["status"] == "True")
}

fn condition<'a>(pod: &'a DynamicObject, name: &str) -> Option<&'a Value> {
    list(pod, "/status/conditions").iter().find(|condition| condition["type"] == name)
}
