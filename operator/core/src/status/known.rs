//! Ready, Reconciling and Stalled: what tools wait by. Made of the other verdicts, of what became of the writes, and
//! of the pod, as far as it is of the spec that the status speaks of.

use engine_core::wire::ProjectionState;

use super::{
    Outcome, age, before, conflict_message,
    evidence::Evidence,
    health, is_storage_obstacle, name,
    pod::{no_pod, not_up, pod_obstacle},
    rolled_out,
    volume::growth_verdict,
};
use crate::{
    applied,
    conditions::{ConditionType, Reason, Truth, Verdict},
    observed::{EngineReport, Observed, StorageClassView},
    plan::Problem,
    refusal, storage,
};

/// Seconds for which what was seen under an earlier generation is no verdict, because the engine may say otherwise at
/// once.
const OLD_EVIDENCE_SECONDS: i64 = 120;

/// Everything that the three conditions of kstatus are made of.
pub(super) struct Known<'a> {
    pub(super) observed: &'a Observed,
    pub(super) outcome: &'a Outcome<'a>,
    pub(super) evidence: Evidence,
    pub(super) storage: &'a Verdict,
    pub(super) log: &'a Verdict,
}

impl Known<'_> {
    pub(super) fn stalled(&self) -> Verdict {
        self.not_carried_out()
            .or_else(|| is_storage_obstacle(self.storage.reason).then(|| stalled_by(self.storage)))
            .or_else(|| self.is_log_known_bad().then(|| stalled_by(self.log)))
            .or_else(|| match &self.observed.writer().pod {
                Some(pod) if self.evidence.pod => pod_obstacle(pod),
                Some(_) => None,
                None => no_pod(self.observed, self.evidence),
            })
            .unwrap_or_else(|| Verdict::new(Truth::False, Reason::NoObstacle, "nothing is in the way"))
    }

    fn not_carried_out(&self) -> Option<Verdict> {
        let stalled = |reason, message: String| Some(Verdict::new(Truth::True, reason, message));
        match self.outcome {
            Outcome::Invalid { faults, .. } => {
                let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
                stalled(Reason::InvalidSpec, texts.join("; "))
            }
            Outcome::Applied { plan, .. } if !plan.conflicts.is_empty() => {
                stalled(Reason::NameConflict, conflict_message(self.observed, &plan.conflicts))
            }
            Outcome::Applied { done, .. } => match &done.problem {
                Some(problem @ Problem::Refused { .. }) => {
                    let said = problem.to_string();
                    let what_to_do = refusal::explained(&said, &[]).map(|text| format!(". {text}"));
                    stalled(Reason::ApplyRefused, said + &what_to_do.unwrap_or_default())
                }
                Some(problem @ Problem::Contested { .. }) => stalled(Reason::Contested, problem.to_string()),
                Some(Problem::Failed { .. }) | None => None,
            },
        }
    }

    /// The log is not what it was, and the engine of this spec has been asked about it, or could have been for long.
    fn is_log_known_bad(&self) -> bool {
        if self.log.truth != Truth::False || self.evidence.is_old(self.observed) {
            return false;
        }
        let generation = self.observed.engine.metadata.generation;
        let so_far = |kind| {
            before(self.observed, kind).filter(|c| c.status == "True" && c.observed_generation == generation)
        };
        let said = so_far(ConditionType::Stalled).is_some_and(|c| c.reason == self.log.reason.as_str());
        let overdue =
            so_far(ConditionType::Reconciling).is_some_and(|c| age(self.observed, c) >= OLD_EVIDENCE_SECONDS);
        self.log.seen_under.is_none_or(|seen| Some(seen) == generation) || said || overdue
    }

    pub(super) fn reconciling(&self, stalled: &Verdict) -> Verdict {
        let busy = |reason, message: &str| Verdict::new(Truth::True, reason, message);
        if self.observed.engine.metadata.deletion_timestamp.is_some() {
            return busy(Reason::Deleting, "the resource is being deleted; the volume claim is kept");
        }
        // kstatus knows one of two: at work, or stuck.
        if stalled.truth == Truth::True {
            return Verdict::new(
                Truth::False,
                Reason::Blocked,
                "waiting for the obstacle that Stalled names",
            );
        }
        if let Some(applying) = self.applying() {
            return applying;
        }
        if self.log.reason == Reason::RollbackAccepted {
            return busy(self.log.reason, &self.log.message);
        }
        if self.storage.reason == Reason::Resizing {
            return busy(Reason::Resizing, &self.storage.message);
        }
        if let Some(growing) = storage::claim_of(self.observed, name(self.observed))
            .and_then(|claim| growth_verdict(self.observed, claim))
        {
            return Verdict::new(Truth::True, growing.reason, growing.message);
        }
        if !rolled_out(self.observed, self.evidence) {
            return busy(Reason::PodStarting, "the pod is being made, moved or replaced");
        }
        if self.log.truth == Truth::False {
            return busy(Reason::EngineStarting, "the engine is being asked what its log is under this spec");
        }
        Verdict::new(Truth::False, Reason::Settled, settled_message(self.observed))
    }

    fn applying(&self) -> Option<Verdict> {
        let busy = |message: String| Some(Verdict::new(Truth::True, Reason::Applying, message));
        if let Some((key, why)) = self.observed.unread.first_key_value() {
            return busy(format!("{key} could not be read: {why}. It is tried again"));
        }
        if let StorageClassView::Unread(why) = &self.observed.storage_class {
            return busy(format!("the StorageClass could not be read: {why}. It is tried again"));
        }
        let Outcome::Applied { done, .. } = self.outcome else { return None };
        match &done.problem {
            Some(problem) => busy(format!("objects are being made or changed; {problem}")),
            None if done.changed => busy("objects are being made or changed".to_owned()),
            None => None,
        }
    }

    pub(super) fn ready(&self, stalled: &Verdict, reconciling: &Verdict) -> Verdict {
        let not_ready = |reason, message: String| Verdict::new(Truth::False, reason, message);
        let serving = self.evidence.pod
            && self.observed.writer().pod.as_ref().is_some_and(|pod| pod.ready && !pod.deleting);
        if !serving {
            return self.not_serving(stalled, reconciling);
        }
        match &self.observed.writer().report {
            EngineReport::Answered(_)
                if self.log.truth == Truth::False || self.log.reason == Reason::RollbackAccepted =>
            {
                not_ready(self.log.reason, self.log.message.clone())
            }
            EngineReport::Answered(health) if !health.storage.writable => {
                not_ready(self.storage.reason, self.storage.message.clone())
            }
            EngineReport::Answered(health) if health.projection.state == ProjectionState::Failed => {
                not_ready(
                    Reason::EngineDegraded,
                    "searches fail: the projection cannot be built; read the engine's log".into(),
                )
            }
            EngineReport::Answered(_) if stalled.truth == Truth::True => {
                not_ready(stalled.reason, stalled.message.clone())
            }
            EngineReport::Answered(_)
                if reconciling.truth == Truth::True && reconciling.reason != Reason::Resizing =>
            {
                not_ready(reconciling.reason, reconciling.message.clone())
            }
            EngineReport::Answered(_) => Verdict::new(Truth::True, Reason::Serving, "reads and writes work"),
            EngineReport::Unreachable(how) => Verdict::new(
                Truth::Unknown,
                Reason::EngineUnreachable,
                format!(
                    "the pod is up but its administration port does not answer the operator: {how}. Look at network policies"
                ),
            ),
            EngineReport::NotAsked => not_ready(Reason::EngineStarting, "the pod has no address yet".into()),
        }
    }

    fn not_serving(&self, stalled: &Verdict, reconciling: &Verdict) -> Verdict {
        let pod = self.observed.writer().pod.as_ref().filter(|_| self.evidence.pod);
        if pod.is_some() && health(self.observed).is_some() && self.log.truth == Truth::False {
            return Verdict::new(Truth::False, self.log.reason, self.log.message.clone());
        }
        if stalled.truth == Truth::True {
            return Verdict::new(Truth::False, stalled.reason, stalled.message.clone());
        }
        if let Some(verdict) = pod.and_then(not_up) {
            return verdict;
        }
        match reconciling.truth {
            Truth::True => Verdict::new(Truth::False, reconciling.reason, reconciling.message.clone()),
            Truth::False | Truth::Unknown => {
                Verdict::new(Truth::False, Reason::PodStarting, "the pod is not ready")
            }
        }
    }
}

fn stalled_by(verdict: &Verdict) -> Verdict {
    Verdict::new(Truth::True, verdict.reason, verdict.message.clone())
}

fn settled_message(observed: &Observed) -> String {
    let altered = applied::altered(observed);
    match altered.as_slice() {
        [] => "everything is as the spec wants it".to_owned(),
        altered => format!(
            "everything is as the spec wants it, but for what the cluster's admission makes of {}, which is accepted: \
             applying again changes nothing",
            altered.join(", ")
        ),
    }
}
