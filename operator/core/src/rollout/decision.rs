//! What one step of the ladder decides.

use engine_core::rollout::metric::Metric;
use serde::{Deserialize, Serialize};

use super::{
    gate::NoData,
    input::{Command, Verb},
    ladder::Step,
};

/// Longest name of who asked, characters.
const BY_CHARS_MAX: usize = 64;
/// Longest reason, characters.
const WHY_CHARS_MAX: usize = 256;

/// Why a step was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The spec asks for another revision.
    Respecified,
    /// There was no state, and everything runs what the spec asks for.
    Found,
    /// The step has lasted long enough, and every gate has passed.
    Passed,
    /// Everything runs the new revision.
    Updated,
    /// A gate failed.
    Failed(Metric),
    /// A drill failed, and the step begins anew.
    Drills(String),
    /// The canary, or the pods that took the new revision, were not ready in time.
    Late,
    /// A person asked for something that was not carried out.
    Refused {
        /// What was asked for.
        verb: Verb,
        /// Who asked.
        by: String,
        /// Why it was not carried out.
        why: Refusal,
    },
    /// A person asked for it.
    Asked {
        /// What was asked for.
        verb: Verb,
        /// Who asked.
        by: String,
        /// Why.
        why: String,
    },
}

impl Cause {
    pub(super) fn refused(command: &Command, why: Refusal) -> Self {
        Self::Refused { verb: command.verb, by: command.by.chars().take(BY_CHARS_MAX).collect(), why }
    }

    pub(super) fn drills(what: &str) -> Self {
        Self::Drills(what.chars().take(WHY_CHARS_MAX).collect())
    }

    pub(super) fn asked(command: &Command) -> Self {
        Self::Asked {
            verb: command.verb,
            by: command.by.chars().take(BY_CHARS_MAX).collect(),
            why: command.why.chars().take(WHY_CHARS_MAX).collect(),
        }
    }
}

/// What starts the soak of a step anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A pod of the new revision is missing, has another revision or is not ready.
    PodNotReady,
    /// No pod of the stable revision answers: there is nothing to compare with.
    StableDown,
    /// A drill failed.
    DrillFailed,
    /// A gate cannot be judged, for another reason than too few pairs.
    NotJudged(Metric, NoData),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: everything runs what the spec asks for.
    Nothing,
    /// A person: the spec still asks for a revision that failed.
    OtherRevision,
    /// A person: the state is missing, and not everything runs what the spec asks for.
    MissingState,
    /// A person who lifts the hold.
    Held,
    /// The end of the soak, in so many seconds.
    Soak(u64),
    /// A gate.
    Gate(Metric),
    /// The drills before the next step.
    Drills,
    /// A person: drills have failed too often.
    FailedDrills,
    /// The pods that take the new revision.
    Pods,
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// It needs a reason.
    NoReason,
    /// There is no rollout that it could be about.
    NoRollout,
    /// The revision has failed: `retry` first.
    HasFailed,
    /// Pods of an earlier rollout still return to the stable revision.
    PodsReturn,
    /// The pods are being changed already.
    IsPromoting,
    /// The revision has not failed, and nothing is held.
    NothingToRetry,
    /// The state is missing: `abort` or `retry` first.
    MissingState,
}

/// What has happened in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was decided: another operator may lead.
    NotLeading,
    /// The step stays, and this is waited for.
    Waits(Wait),
    /// The step stays, and its soak begins anew.
    Breached(Breach),
    /// Another step began.
    Entered(Step, Cause),
    /// A person holds the step.
    Held,
    /// A hold ended.
    Released,
    /// A command was not carried out.
    Refused(Refusal),
}

/// What the canary does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// It follows the log.
    Off,
    /// It is asked what the stable revision has answered.
    Shadow,
    /// It answers this share of the sessions, percent.
    Weight(u8),
}

/// What has to be so from now on. It follows from the state alone, so that whoever comes next decides the same.
///
/// The order of carrying it out matters: a lower weight at once; then the state, under the version that was read; then,
/// only if that was accepted, a higher or the same weight, and the pods. So an operator with an old state, or one that
/// no longer leads, can only take weight away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What has happened.
    pub outcome: Outcome,
    /// The canary that has to run, with its revision and its reads. `None`: no canary.
    pub canary: Option<(String, Reads)>,
    /// Whether the drills have to run.
    pub run_drills: bool,
    /// The one pod whose revision has to change now, and to which.
    pub update: Option<(String, String)>,
}

impl Decision {
    /// Nothing is changed, and no weight is renewed.
    pub(super) fn nothing(outcome: Outcome) -> Self {
        Self { outcome, canary: None, run_drills: false, update: None }
    }

    /// The share of the sessions that the canary answers, percent.
    #[must_use]
    pub fn weight(&self) -> u8 {
        match self.canary {
            Some((_, Reads::Weight(weight))) => weight,
            Some((_, Reads::Off | Reads::Shadow)) | None => 0,
        }
    }
}
