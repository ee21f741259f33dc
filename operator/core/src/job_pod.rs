//! How the pod of a Job ended.

use kube_core::DynamicObject;
use serde_json::Value;

use crate::names::JOB_LABEL;

/// The pod of a Job that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedPod<'a> {
    /// Name of the pod.
    pub(crate) name: &'a str,
    /// Uid of the Job that made it.
    pub(crate) job: &'a str,
    /// The state `terminated` of the container that did the work.
    ended: &'a Value,
}

impl<'a> EndedPod<'a> {
    /// The pod as that of a Job of this task; `None` if it is another pod, or has not ended.
    pub(crate) fn of(pod: &'a DynamicObject, task: &str) -> Option<Self> {
        let label = pod.metadata.labels.as_ref()?.get(JOB_LABEL)?;
        if label != task {
            return None;
        }
        let statuses = pod.data.pointer("/status/containerStatuses")?.as_array()?;
        let own = statuses.iter().find(|status| status["name"] == task)?;
        let ended = own.pointer("/state/terminated")?;
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let job = owners.find(|owner| owner.controller == Some(true) && owner.kind == "Job")?;
        Some(Self { name: pod.metadata.name.as_deref()?, job: &job.uid, ended })
    }

    /// A text field of the state; empty if it is absent.
    pub(crate) fn text(&self, field: &str) -> &'a str {
        self.ended[field].as_str().unwrap_or_default()
    }

    /// Why there is no verdict, if the message has none.
    pub(crate) fn without_verdict(&self) -> String {
        let (code, reason) = (&self.ended["exitCode"], self.text("reason"));
        format!("its pod ended without a verdict: {reason}, exit code {code}")
    }
}
