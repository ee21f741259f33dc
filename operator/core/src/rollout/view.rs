//! What is observed of a rollout: the pods that answer, the canary, and what they report.

use engine_core::wire::CanaryReport;

use super::drills::DrillEnd;
use crate::{pod::PodView, tls::Unread};

/// What is observed of a rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RolloutView {
    /// Pods that answer clients.
    pub serving: Vec<Reporting>,
    /// The pod of the canary.
    pub canary: Option<Reporting>,
    /// Why the objects of drills could not be read. Nothing is decided about drills then.
    pub unread: Option<Unread>,
    /// Drills that have ended.
    pub drills: Vec<DrillEnd>,
}

/// A pod with its report about the canary.
#[derive(Clone, Debug, PartialEq)]
pub struct Reporting {
    /// The pod.
    pub pod: PodView,
    /// Its report; otherwise why there is none.
    pub report: Result<Box<CanaryReport>, String>,
}
