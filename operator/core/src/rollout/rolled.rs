//! What a turn has decided about an engine, for those that build and apply its objects.

use crds::RolloutStatus;
use engine_core::wire::CanaryGrant;

use super::revision::Running;
use crate::names::ChildKey;

/// What a pod is granted; `None` ends what it was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodGrant {
    /// Name of the pod.
    pub pod: String,
    /// What it is granted.
    pub grant: Option<CanaryGrant>,
}

/// What a turn has decided about an engine that introduces revisions step by step.
#[derive(Clone, Debug, PartialEq)]
pub struct Rolled {
    /// The revision of the writer.
    pub writer: Running,
    /// The revision of the readers.
    pub readers: Running,
    /// The revision of the canary; `None` without a canary.
    pub canary: Option<Running>,
    /// The Job of drills that has to be created now.
    pub drill: Option<ChildKey>,
    /// What the pods that answer are granted, after the state was written.
    pub grants: Vec<PodGrant>,
    /// What the status says, with the state, which is written under the version that was read.
    pub status: RolloutStatus,
}
