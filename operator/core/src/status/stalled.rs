//! `Stalled`: nothing will change until someone acts.

use super::{
    facts::Facts,
    lookup::{age, conflict_message},
    outcome::Outcome,
    pod::{no_pod, pod_obstacle},
};
use crate::{
    conditions::{ConditionType, Reason, Truth, Verdict},
    mode::declared,
    plan::Problem,
    refusal,
};

/// How many seconds evidence of an earlier generation gives no verdict: during this time, the engine may still send a
/// new report.
const OLD_EVIDENCE_SECONDS: i64 = 120;

fn stalled(reason: Reason, message: String) -> Option<Verdict> {
    Some(Verdict::new(Truth::True, reason, message))
}

pub(super) fn invalid(facts: &Facts<'_>) -> Option<Verdict> {
    let Outcome::Invalid { faults, .. } = facts.outcome else { return None };
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    stalled(Reason::InvalidSpec, texts.join("; "))
}

pub(super) fn name_conflict(facts: &Facts<'_>) -> Option<Verdict> {
    let Outcome::Applied { plan, .. } = facts.outcome else { return None };
    if plan.conflicts.is_empty() {
        return None;
    }
    stalled(Reason::NameConflict, conflict_message(facts.observed, &plan.conflicts))
}

/// The verdict if the API server permanently refuses an object, or an object is contested. Temporary failures do not
/// count.
pub(super) fn not_applied(facts: &Facts<'_>) -> Option<Verdict> {
    let Outcome::Applied { done, .. } = facts.outcome else { return None };
    match done.problem.as_ref()? {
        problem @ Problem::Refused { .. } => {
            let said = problem.to_string();
            let what_to_do = refusal::explained(&said, &[]).map(|text| format!(". {text}"));
            stalled(Reason::ApplyRefused, said + &what_to_do.unwrap_or_default())
        }
        problem @ Problem::Contested { .. } => stalled(Reason::Contested, problem.to_string()),
        Problem::Failed { .. } => None,
    }
}

/// Whether the log does not match the record, and this is certain for the present spec: the engine has reported it
/// under this spec, or has had enough time to report something else.
pub(super) fn is_log_known_bad(facts: &Facts<'_>) -> bool {
    let (observed, log) = (facts.observed, facts.verdict(ConditionType::LogIntegrity));
    if log.truth != Truth::False || facts.evidence.is_of_earlier_spec(observed) {
        return false;
    }
    let generation = observed.engine.metadata.generation;
    let so_far =
        |kind| facts.before(kind).filter(|c| c.status == "True" && c.observed_generation == generation);
    let said = so_far(ConditionType::Stalled).is_some_and(|c| c.reason == log.reason.as_str());
    let overdue =
        so_far(ConditionType::Reconciling).is_some_and(|c| age(observed, c) >= OLD_EVIDENCE_SECONDS);
    log.seen_under.is_none_or(|seen| Some(seen) == generation) || said || overdue
}

/// The verdict on an annotation that does not say how to hold the mode: somebody believes that reads are held off.
pub(super) fn bad_annotation(facts: &Facts<'_>) -> Option<Verdict> {
    let fault = declared(&facts.observed.engine, facts.observed.now).err()?;
    stalled(
        Reason::ForceModeInvalid,
        format!("{fault}. The mode is left as it is: correct or remove the annotation"),
    )
}

pub(super) fn pod_does_not_run(facts: &Facts<'_>) -> Option<Verdict> {
    pod_obstacle(facts.current_pod()?)
}

pub(super) fn no_pod_is_made(facts: &Facts<'_>) -> Option<Verdict> {
    no_pod(facts.observed, facts.evidence)
}

pub(super) fn no_obstacle(_: &Facts<'_>) -> Option<Verdict> {
    Some(Verdict::new(Truth::False, Reason::NoObstacle, "nothing is in the way"))
}
