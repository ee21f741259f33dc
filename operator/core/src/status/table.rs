//! The conditions as a table of precedence: for each the rules, of which the first that applies decides. A new
//! condition is a new row; where it makes Stalled true or Ready false, a rule in their rows says so, and at which
//! place.

use super::{
    configuration,
    facts::Facts,
    integrity,
    projection::{self, is_failed},
    ready, reconciling, stalled, volume,
};
use crate::conditions::{
    ConditionType::{
        self, ConfigurationApplied, LogIntegrity, ProjectionReady, Ready, Reconciling, Stalled, StorageReady,
    },
    Reason::{self, *},
    Truth, Verdict,
};

/// One condition.
pub(super) struct Row {
    /// Which.
    pub(super) kind: ConditionType,
    /// In order of precedence. The last one always applies.
    pub(super) rules: &'static [Rule],
}

/// One rule of a row.
pub(super) enum Rule {
    /// Decides by itself, with one of these reasons.
    Decides(&'static [Reason], fn(&Facts<'_>) -> Option<Verdict>),
    /// Takes reason and message over from a condition of an earlier row, with this truth, when that has one of these
    /// reasons and the test holds.
    Follows(Truth, ConditionType, Reasons, fn(&Facts<'_>) -> bool),
}

/// Reasons of the condition that is followed.
pub(super) enum Reasons {
    /// All that it can have.
    Any,
    /// These.
    These(&'static [Reason]),
    /// All but this one.
    AllBut(Reason),
}

impl Reasons {
    fn contains(&self, reason: Reason) -> bool {
        match self {
            Self::Any => true,
            Self::These(these) => these.contains(&reason),
            Self::AllBut(one) => *one != reason,
        }
    }
}

use Rule::{Decides, Follows};

/// Reasons of `StorageReady` that somebody has to do something about.
const STORAGE_OBSTACLES: &[Reason] = &[
    StorageClassMissing,
    NoDefaultStorageClass,
    ExpansionUnsupported,
    VolumeLost,
    ClaimBeingDeleted,
    VolumeFull,
];

fn always(_: &Facts<'_>) -> bool {
    true
}

/// Every condition. A row stands below those that its rules read.
pub(super) const TABLE: [Row; 7] = [
    Row {
        kind: StorageReady,
        rules: &[
            Decides(&[ClaimPending], volume::unread),
            Decides(&[ExpansionUnsupported, VolumeLost, ClaimBeingDeleted], volume::held),
            Decides(&[ClaimPending], volume::missing),
            Decides(&[NameConflict], volume::foreign),
            Decides(&[VolumeFull, VolumeFailing, Resizing, PodStarting], volume::reported),
            Decides(&[VolumeLost, StorageClassMissing, NoDefaultStorageClass, ClaimPending], volume::pending),
            Decides(&[Resizing, ResizeFailed], volume::growing),
            Decides(&[VolumeReady], volume::ready),
        ],
    },
    Row {
        kind: LogIntegrity,
        rules: &[Decides(
            &[
                Anchored,
                NotYetAnchored,
                RollbackAccepted,
                LogCorrupt,
                LogTruncated,
                LogForked,
                ForeignLog,
                LogRewritten,
                AnchorMissing,
                AnchorInconsistent,
                KeyChanged,
                CheckpointInvalid,
            ],
            integrity::judged,
        )],
    },
    Row {
        kind: ProjectionReady,
        rules: &[
            Decides(&[PodStarting], projection::of_an_old_pod),
            Decides(
                &[ProjectionServing, ProjectionRebuilding, ProjectionFailed, EngineStarting, PodStarting],
                projection::not_reported,
            ),
            Decides(&[ProjectionServing, ProjectionRebuilding, ProjectionFailed], projection::reported),
        ],
    },
    Row {
        kind: ConfigurationApplied,
        rules: &[
            Decides(&[PodStarting], configuration::of_an_old_pod),
            Decides(
                &[ConfigurationInEffect, EngineTooOld, EngineStarting, PodStarting],
                configuration::not_reported,
            ),
            Decides(&[ConfigurationInEffect, EngineTooOld], configuration::reported),
        ],
    },
    Row {
        kind: Stalled,
        rules: &[
            Decides(&[InvalidSpec], stalled::invalid),
            Decides(&[NameConflict], stalled::name_conflict),
            Decides(&[ApplyRefused, Contested], stalled::not_applied),
            Follows(Truth::True, StorageReady, Reasons::These(STORAGE_OBSTACLES), always),
            Follows(Truth::True, LogIntegrity, Reasons::Any, stalled::is_log_known_bad),
            Decides(
                &[ImagePullFailed, ContainerRefused, CrashLooping, SidecarFailed],
                stalled::pod_does_not_run,
            ),
            Decides(&[PodRefused], stalled::no_pod_is_made),
            Decides(&[NoObstacle], stalled::no_obstacle),
        ],
    },
    Row {
        kind: Reconciling,
        rules: &[
            Decides(&[Deleting], reconciling::deleting),
            Decides(&[Blocked], reconciling::blocked),
            Decides(&[Applying], reconciling::applying),
            Follows(Truth::True, LogIntegrity, Reasons::These(&[RollbackAccepted]), always),
            Follows(Truth::True, StorageReady, Reasons::These(&[Resizing]), always),
            Decides(&[Resizing, ResizeFailed], reconciling::growing),
            Decides(&[PodStarting], reconciling::not_rolled_out),
            Decides(&[EngineStarting], reconciling::log_not_judged),
            Decides(&[Settled], reconciling::settled),
        ],
    },
    Row {
        kind: Ready,
        rules: &[
            // Without a pod that takes requests. The last of these always applies then.
            Follows(Truth::False, LogIntegrity, Reasons::Any, ready::is_bad_log_reported_without_serving),
            Follows(Truth::False, Stalled, Reasons::Any, ready::is_stalled_without_serving),
            Decides(&[Unschedulable, SidecarNotReady, EngineStarting], ready::not_up),
            Follows(Truth::False, Reconciling, Reasons::Any, ready::is_reconciling_without_serving),
            Decides(&[PodStarting], ready::not_serving),
            // With one.
            Decides(&[EngineUnreachable, EngineStarting], ready::not_reported),
            Follows(Truth::False, LogIntegrity, Reasons::Any, ready::is_log_bad),
            Follows(Truth::False, LogIntegrity, Reasons::These(&[RollbackAccepted]), always),
            Follows(Truth::False, StorageReady, Reasons::Any, ready::is_not_writable),
            Decides(&[EngineDegraded], is_failed),
            Follows(Truth::False, Stalled, Reasons::Any, ready::is_stalled),
            Follows(Truth::False, Reconciling, Reasons::AllBut(Resizing), ready::is_reconciling),
            Decides(&[Serving], ready::serving),
        ],
    },
];

impl Rule {
    /// What the rule says, if it applies.
    fn apply(&self, facts: &Facts<'_>) -> Option<Verdict> {
        match self {
            Self::Decides(reasons, decide) => {
                let verdict = decide(facts)?;
                debug_assert!(reasons.contains(&verdict.reason), "{:?} is not listed", verdict.reason);
                Some(verdict)
            }
            Self::Follows(truth, kind, reasons, holds) => {
                let followed = facts.verdict(*kind);
                (reasons.contains(followed.reason) && holds(facts))
                    .then(|| Verdict::new(*truth, followed.reason, followed.message.clone()))
            }
        }
    }
}

/// Decides every condition.
pub(super) fn decide(facts: &mut Facts<'_>) {
    for row in &TABLE {
        let verdict = row.rules.iter().find_map(|rule| rule.apply(facts));
        facts.decided.push((row.kind, verdict.expect("the last rule of a row always applies")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_one_row_below_those_that_it_follows() {
        let kinds = TABLE.map(|row| row.kind);
        for kind in ConditionType::ALL {
            assert_eq!(kinds.iter().filter(|one| **one == kind).count(), 1, "{kind:?}");
        }
        for (index, row) in TABLE.iter().enumerate() {
            for rule in row.rules {
                let Follows(_, followed, ..) = rule else { continue };
                assert!(kinds[..index].contains(followed), "{:?} follows {followed:?}", row.kind);
            }
        }
    }

    /// A reason that no rule gives, or that a rule waits for in vain, is a slip.
    #[test]
    fn every_reason_is_given_by_a_rule() {
        let given = |kind: Option<ConditionType>| -> Vec<Reason> {
            let rows = TABLE.iter().filter(|row| kind.is_none_or(|kind| row.kind == kind));
            let rules = rows.flat_map(|row| row.rules);
            let reasons = rules.map(|rule| match rule {
                Decides(reasons, _) => *reasons,
                Follows(..) => &[],
            });
            reasons.flatten().copied().collect()
        };
        for reason in Reason::ALL {
            assert!(given(None).contains(&reason), "{reason:?} is given by no rule");
        }
        for row in &TABLE {
            for rule in row.rules {
                let Follows(_, followed, reasons, _) = rule else { continue };
                let named: &[Reason] = match reasons {
                    Reasons::Any => &[],
                    Reasons::These(these) => these,
                    Reasons::AllBut(one) => std::slice::from_ref(one),
                };
                for reason in named {
                    assert!(given(Some(*followed)).contains(reason), "{followed:?} never has {reason:?}");
                }
            }
        }
    }
}
