//! `Ready`: the engine serves reads and writes as the spec requires.

use engine_core::mode::Mode;

use super::{facts::Facts, pod};
use crate::{
    conditions::{ConditionType, Reason, Truth, Verdict},
    observed::EngineReport,
};

/// Whether the engine reports a fault of its log while its pod receives no requests.
pub(super) fn is_bad_log_reported_without_serving(facts: &Facts<'_>) -> bool {
    let reported = facts.current_pod().is_some() && facts.health().is_some();
    !facts.is_serving() && reported && is_log_bad(facts)
}

pub(super) fn is_stalled_without_serving(facts: &Facts<'_>) -> bool {
    !facts.is_serving() && is_stalled(facts)
}

/// An engine that was rolled back serves as the stable revision does.
pub(super) fn is_stalled(facts: &Facts<'_>) -> bool {
    let stalled = facts.verdict(ConditionType::Stalled);
    let of_rollout = [Reason::RolledBack, Reason::RolloutStateMissing];
    stalled.truth == Truth::True && !of_rollout.contains(&stalled.reason)
}

pub(super) fn not_ready(facts: &Facts<'_>) -> Option<Verdict> {
    facts.current_pod().filter(|_| !facts.is_serving()).and_then(pod::not_ready)
}

pub(super) fn is_reconciling_without_serving(facts: &Facts<'_>) -> bool {
    !facts.is_serving() && is_reconciling(facts)
}

pub(super) fn not_serving(facts: &Facts<'_>) -> Option<Verdict> {
    (!facts.is_serving()).then(|| Verdict::new(Truth::False, Reason::PodStarting, "the pod is not ready"))
}

pub(super) fn not_reported(facts: &Facts<'_>) -> Option<Verdict> {
    match &facts.observed.writer().report {
        EngineReport::Answered(_) => None,
        EngineReport::Unreachable(how) => Some(Verdict::new(
            Truth::Unknown,
            Reason::EngineUnreachable,
            format!(
                "the pod is up but its administration port gives the operator no report: {how}. Check the network \
                 policies, and whether something else answers in its place"
            ),
        )),
        EngineReport::NotQueried => {
            Some(Verdict::new(Truth::False, Reason::EngineStarting, "the pod has no address yet"))
        }
    }
}

pub(super) fn is_log_bad(facts: &Facts<'_>) -> bool {
    facts.is(ConditionType::LogIntegrity, Truth::False)
}

pub(super) fn is_not_writable(facts: &Facts<'_>) -> bool {
    facts.health().is_some_and(|health| !health.storage.writable)
}

pub(super) fn is_reconciling(facts: &Facts<'_>) -> bool {
    facts.is(ConditionType::Reconciling, Truth::True)
}

/// Whether reads are wanted and not answered.
pub(super) fn are_reads_missing(facts: &Facts<'_>) -> bool {
    !facts.is(ConditionType::ReadsEnabled, Truth::True)
}

pub(super) fn serving(facts: &Facts<'_>) -> Option<Verdict> {
    let mode = facts.health().and_then(|health| health.mode.as_ref()).map(|mode| mode.effective);
    let message = match mode {
        None | Some(Mode::ReadWrite) => "reads and writes work",
        Some(Mode::WriteOnly) => "writes work; the mode has no reads",
        Some(Mode::ReadOnly) => "reads work; the mode has no writes",
        Some(Mode::Off) => "the mode allows neither reads nor writes",
    };
    Some(Verdict::new(Truth::True, Reason::Serving, message))
}
