//! The verdicts about the pod: first about the engine's container, then about containers that others added.

use super::{
    evidence::Evidence,
    lookup::{is_pod_overdue, name},
};
use crate::{
    conditions::{Reason, Truth, Verdict},
    names::ENGINE_CONTAINER,
    observed::{Observed, PodRefusal},
    pod::{OtherContainer, PodView},
    refusal,
};

/// Number of restarts after which a container that does not start is reported as crash-looping.
const CRASHES_MIN: i64 = 3;

/// The verdict if Kubernetes does not create the pod.
pub(super) fn no_pod(observed: &Observed, evidence: Evidence) -> Option<Verdict> {
    if !evidence.stateful_set_is_current || !is_pod_overdue(observed) {
        return None;
    }
    let set = name(observed);
    let message = match &observed.writer().pod_refusal {
        PodRefusal::Reported { message, limit_ranges } => {
            let what_to_do = refusal::explained(message, limit_ranges)
                .unwrap_or_else(|| format!("`kubectl describe statefulset {set}` shows more"));
            format!(
                "Kubernetes creates no pod for StatefulSet {set}: {what_to_do}. It retries automatically, at growing intervals; \
                 `kubectl annotate statefulset {set} try-again=\"$(date +%s)\" --overwrite` makes it retry at once. Its message: {message}"
            )
        }
        PodRefusal::NotQueried | PodRefusal::Unknown => format!(
            "Kubernetes creates no pod for StatefulSet {set}: a quota, a policy or a missing PriorityClass prevents it. \
             `kubectl describe statefulset {set}` shows which"
        ),
    };
    Some(Verdict::new(Truth::True, Reason::PodRefused, message))
}

/// The verdict if the pod cannot run until someone acts.
pub(super) fn pod_obstacle(pod: &PodView) -> Option<Verdict> {
    engine_obstacle(pod).or_else(|| pod.others.iter().find_map(|other| other_obstacle(pod, other)))
}

/// Why a container does not run.
enum ContainerProblem {
    /// The image cannot be pulled.
    Image,
    /// The kubelet cannot create or start the container.
    Refused,
}

impl ContainerProblem {
    fn of(reason: &str) -> Option<Self> {
        match reason {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => Some(Self::Image),
            "CreateContainerConfigError"
            | "CreateContainerError"
            | "PreCreateHookError"
            | "PreStartHookError"
            | "PostStartHookError"
            | "RunContainerError" => Some(Self::Refused),
            _ => None,
        }
    }
}

fn engine_obstacle(pod: &PodView) -> Option<Verdict> {
    let stalled = |reason, message: String| Some(Verdict::new(Truth::True, reason, message));
    let (reason, message) = words(pod.waiting.as_ref());
    match ContainerProblem::of(reason) {
        Some(ContainerProblem::Image) => stalled(
            Reason::ImagePullFailed,
            format!(
                "the image cannot be pulled ({reason}): {message}. Correct spec.image or spec.imagePullSecrets"
            ),
        ),
        Some(ContainerProblem::Refused) => stalled(
            Reason::ContainerRefused,
            format!("the container cannot be started ({reason}): {message}"),
        ),
        None if !pod.engine_ready && !pod.ready && pod.restarts >= CRASHES_MIN => {
            let (word, code) = pod.last_end.clone().unwrap_or_default();
            stalled(
                Reason::CrashLooping,
                format!(
                    "the engine ended {} times, last with exit code {code} ({word}). Read `kubectl logs --previous {} -c \
                     {ENGINE_CONTAINER}`",
                    pod.restarts, pod.name
                ),
            )
        }
        None => None,
    }
}

/// The verdict on a container that someone else added. If it does not run, the pod is not ready, and the engine gets no
/// requests.
fn other_obstacle(pod: &PodView, other: &OtherContainer) -> Option<Verdict> {
    if pod.ready {
        return None;
    }
    let (name, pod) = (&other.name, &pod.name);
    let (reason, message) = words(other.waiting.as_ref());
    let what = match ContainerProblem::of(reason) {
        Some(ContainerProblem::Image) => format!("cannot pull its image ({reason}): {message}"),
        Some(ContainerProblem::Refused) => format!("cannot be started ({reason}): {message}"),
        None if other.restarts >= CRASHES_MIN => {
            let (word, code) = other.last_end.clone().unwrap_or_default();
            format!(
                "ended {} times, last with exit code {code} ({word}); read `kubectl logs --previous {pod} -c {name}`",
                other.restarts
            )
        }
        None => return None,
    };
    Some(Verdict::new(
        Truth::True,
        Reason::SidecarFailed,
        format!(
            "container {name}, which is not the engine's, {what}. Until it runs, pod {pod} takes no requests. Correct it where \
             it comes from (a mesh, an injector, an edit of the StatefulSet), or keep it out of this pod"
        ),
    ))
}

fn words(waiting: Option<&(String, String)>) -> (&str, &str) {
    waiting.map_or(("", ""), |(reason, message)| (reason.as_str(), message.as_str()))
}

/// Why a pod without obstacles is not ready yet.
pub(super) fn not_ready(pod: &PodView) -> Option<Verdict> {
    let verdict = |reason, message: String| Some(Verdict::new(Truth::False, reason, message));
    if let Some(why) = &pod.unschedulable {
        return verdict(
            Reason::Unschedulable,
            format!("no node takes the pod: {why}. Add capacity, or change spec.writer"),
        );
    }
    if pod.deleting {
        return None;
    }
    let waits_for = waits_for(pod);
    if pod.engine_ready && !waits_for.is_empty() {
        return verdict(
            Reason::SidecarNotReady,
            format!(
                "the engine is ready, but its pod waits for {waits_for}, which is not part of the engine. If it takes \
                 minutes, see `kubectl describe pod {}`",
                pod.name
            ),
        );
    }
    if pod.running {
        return verdict(Reason::EngineStarting, "the engine is opening its log".into());
    }
    let (reason, _) = words(pod.waiting.as_ref());
    if reason == "PodInitializing" && !pod.others.is_empty() {
        return verdict(
            Reason::SidecarNotReady,
            format!(
                "the engine starts after {waits_for}, which someone else added to its pod. If it takes minutes, see `kubectl describe pod {}`",
                pod.name
            ),
        );
    }
    None
}

fn waits_for(pod: &PodView) -> String {
    let containers = pod.others.iter().map(|other| format!("container {}", other.name));
    let gates = pod.gates.iter().map(|gate| format!("condition {gate}"));
    containers.chain(gates).collect::<Vec<_>>().join(" and ")
}
