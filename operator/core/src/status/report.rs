//! The rules for conditions that come from the engine's report, for the time without a report on the present spec.

use super::facts::Facts;
use crate::conditions::{ConditionType, Reason, Truth, Verdict};

/// The verdict while the pod belongs to an earlier spec. The report of its engine says nothing about the present spec.
pub(super) fn of_an_old_pod(facts: &Facts<'_>) -> Option<Verdict> {
    facts.evidence.is_of_earlier_spec(facts.observed).then(|| {
        Verdict::new(
            Truth::Unknown,
            Reason::PodStarting,
            "the pod still has the previous spec and is being replaced",
        )
    })
}

/// The verdict while there is no report: the last verdict on the condition `kind` if it describes the present
/// generation, otherwise unknown.
pub(super) fn missing(facts: &Facts<'_>, kind: ConditionType) -> Option<Verdict> {
    if facts.health().is_some() {
        return None;
    }
    let generation = facts.observed.engine.metadata.generation;
    let last = facts.before(kind);
    let last = last.filter(|last| last.observed_generation == generation).and_then(Verdict::of);
    let unknown = || Verdict::new(Truth::Unknown, Reason::EngineStarting, "the engine has not reported yet");
    Some(last.unwrap_or_else(unknown))
}
