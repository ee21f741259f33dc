//! `RolledOut`, and the part of the status about the rollout.

use crds::{RolloutPhase, RolloutStatus};

use super::{facts::Facts, outcome::Outcome};
use crate::{
    conditions::{Reason, Truth, Verdict},
    observed::Observed,
};

/// The rollout for the status. With a spec that is not valid, it stays where it is.
pub(super) fn rollout_status(observed: &Observed, outcome: &Outcome<'_>) -> Option<RolloutStatus> {
    match outcome {
        Outcome::Applied { valid, .. } if valid.rollout.is_none() => None,
        Outcome::Applied { valid, .. } if valid.rolled.is_some() => {
            valid.rolled.as_ref().map(|rolled| rolled.status.clone())
        }
        Outcome::Applied { .. } | Outcome::Invalid { .. } => {
            observed.engine.status.as_ref().and_then(|status| status.rollout.clone())
        }
    }
}

/// Every reason of an engine with a rollout.
pub(super) const REASONS: &[Reason] =
    &[Reason::RevisionServing, Reason::RolloutProgressing, Reason::RolledBack, Reason::RolloutStateMissing];

pub(super) fn none(facts: &Facts<'_>) -> Option<Verdict> {
    let has_rollout = facts.outcome.essentials().rollout;
    let message = "spec.rollout is absent: a new revision takes effect at once";
    (!has_rollout).then(|| Verdict::new(Truth::True, Reason::NoRollout, message))
}

pub(super) fn reported(facts: &Facts<'_>) -> Option<Verdict> {
    let Some(rollout) = rollout_status(facts.observed, facts.outcome) else {
        let message = "nothing was decided about the revision yet";
        return Some(Verdict::new(Truth::Unknown, Reason::RolloutProgressing, message));
    };
    let (truth, reason) = match rollout.phase {
        RolloutPhase::Stable => (Truth::True, Reason::RevisionServing),
        RolloutPhase::RolledBack => (Truth::False, Reason::RolledBack),
        RolloutPhase::Unknown => (Truth::False, Reason::RolloutStateMissing),
        RolloutPhase::DarkLaunch
        | RolloutPhase::Shadow
        | RolloutPhase::Canary
        | RolloutPhase::Promoting
        | RolloutPhase::Soaking => (Truth::False, Reason::RolloutProgressing),
    };
    Some(Verdict::new(truth, reason, rollout.message))
}
