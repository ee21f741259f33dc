//! `Reconciling`: the operator is working, or waits for Kubernetes or the engine to finish what was requested.

use super::{evidence::rolled_out, facts::Facts, lookup::name, outcome::Outcome, volume::growth_verdict};
use crate::{
    applied_drift,
    conditions::{ConditionType, Reason, Truth, Verdict},
    deletion::{self, Farewell},
    observed::{Observed, StorageClassView},
    storage,
};

fn busy(reason: Reason, message: impl Into<String>) -> Option<Verdict> {
    Some(Verdict::new(Truth::True, reason, message))
}

pub(super) fn deleting(facts: &Facts<'_>) -> Option<Verdict> {
    facts.observed.engine.metadata.deletion_timestamp.as_ref()?;
    let next = deletion::decide(
        facts.observed,
        facts.outcome.essentials(),
        matches!(facts.outcome, Outcome::Applied { .. }),
    );
    let message = match next {
        None => "the resource is being deleted; the volume claim is kept",
        Some(Farewell::TakeBackup(_)) => "the resource is being deleted; a last backup is taken first",
        Some(Farewell::Verify | Farewell::Wait) => {
            "the resource is being deleted; a last backup is taken and verified first, for at most 30 minutes"
        }
        Some(Farewell::DeleteClaim) => "the resource is being deleted, and its volume claim with it",
        Some(Farewell::Say(_) | Farewell::Release) => {
            "the resource is being deleted; the last backup has ended"
        }
    };
    busy(Reason::Deleting, message)
}

/// The verdict while Stalled is true: in kstatus, a resource is either in progress or stalled, not both.
pub(super) fn blocked(facts: &Facts<'_>) -> Option<Verdict> {
    facts
        .is(ConditionType::Stalled, Truth::True)
        .then(|| Verdict::new(Truth::False, Reason::Blocked, "waiting for the obstacle named in Stalled"))
}

pub(super) fn applying(facts: &Facts<'_>) -> Option<Verdict> {
    let busy = |message: String| busy(Reason::Applying, message);
    if let Some((key, why)) = facts.observed.unread.first_key_value() {
        return busy(format!("{key} could not be read: {why}. The operator retries"));
    }
    if let StorageClassView::Unread(why) = &facts.observed.storage_class {
        return busy(format!("the StorageClass could not be read: {why}. The operator retries"));
    }
    let Outcome::Applied { done, .. } = facts.outcome else { return None };
    match &done.problem {
        Some(problem) => busy(format!("objects are being created or changed; {problem}")),
        None if done.changed => busy("objects are being created or changed".to_owned()),
        None => None,
    }
}

/// The verdict while the volume is smaller than requested. It has precedence over other verdicts, whatever other
/// problems exist.
pub(super) fn growing(facts: &Facts<'_>) -> Option<Verdict> {
    let claim = storage::claim_of(facts.observed, name(facts.observed))?;
    let growing = growth_verdict(facts.observed, claim)?;
    busy(growing.reason, growing.message)
}

pub(super) fn not_rolled_out(facts: &Facts<'_>) -> Option<Verdict> {
    if rolled_out(facts.observed, facts.evidence) {
        return None;
    }
    busy(Reason::PodStarting, "the pod is being created, moved or replaced")
}

pub(super) fn log_not_judged(facts: &Facts<'_>) -> Option<Verdict> {
    if !facts.is(ConditionType::LogIntegrity, Truth::False) {
        return None;
    }
    busy(Reason::EngineStarting, "the engine is being queried for its log under this spec")
}

pub(super) fn settled(facts: &Facts<'_>) -> Option<Verdict> {
    Some(Verdict::new(Truth::False, Reason::Settled, settled_message(facts.observed)))
}

fn settled_message(observed: &Observed) -> String {
    let altered = applied_drift::altered(observed);
    match altered.as_slice() {
        [] => "everything is as the spec requires".to_owned(),
        altered => format!(
            "everything is as the spec requires, except for changes by the cluster's admission to {}, which are accepted: \
             applying again has no effect",
            altered.join(", ")
        ),
    }
}
