//! The facts from which the conditions are decided.

use engine_core::wire::Health;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{evidence::Evidence, log_finding::Integrity, outcome::Outcome};
use crate::{
    conditions::{ConditionType, Truth, Verdict},
    observed::{EngineReport, Observed},
    pod::PodView,
};

/// Everything that is known at the end of a reconcile, including the conditions decided so far.
pub(super) struct Facts<'a> {
    pub(super) observed: &'a Observed,
    pub(super) outcome: &'a Outcome<'a>,
    pub(super) evidence: Evidence,
    pub(super) integrity: &'a Integrity,
    /// Decided conditions, in the order of the table.
    pub(super) decided: Vec<(ConditionType, Verdict)>,
}

impl Facts<'_> {
    /// The verdict on a condition that an earlier row of the table has decided.
    pub(super) fn verdict(&self, kind: ConditionType) -> &Verdict {
        let found = self.decided.iter().find(|(decided, _)| *decided == kind);
        found.map(|(_, verdict)| verdict).expect("a row is below the rows that it reads")
    }

    /// Whether a condition that an earlier row has decided has the status `truth`.
    pub(super) fn is(&self, kind: ConditionType, truth: Truth) -> bool {
        self.verdict(kind).truth == truth
    }

    /// A condition as it was at the start of the reconcile.
    pub(super) fn before(&self, kind: ConditionType) -> Option<&Condition> {
        super::lookup::before(self.observed, kind)
    }

    /// The report of the writer's engine.
    pub(super) fn health(&self) -> Option<&Health> {
        match &self.observed.writer().report {
            EngineReport::Answered(health) => Some(health),
            EngineReport::Unreachable(_) | EngineReport::NotQueried => None,
        }
    }

    /// The writer's pod, if it belongs to the spec that the status describes.
    pub(super) fn current_pod(&self) -> Option<&PodView> {
        self.observed.writer().pod.as_ref().filter(|_| self.evidence.pod_is_current)
    }

    /// Whether the current pod is ready to receive requests.
    pub(super) fn is_serving(&self) -> bool {
        self.current_pod().is_some_and(|pod| pod.ready && !pod.deleting)
    }
}
