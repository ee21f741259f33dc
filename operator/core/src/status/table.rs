//! The conditions as a table. Each row has the rules of one condition; the first rule that applies decides. To add a
//! condition, add a row. If the new condition can make Stalled true or Ready false, also add a rule at the right place
//! of their rows.

use super::{
    access, backup, configuration, exposed,
    facts::Facts,
    given, integrity, lifecycle,
    projection::{self, is_failed},
    readers, reads, ready, reconciling, report, rolled_out, secrets, stalled, standby, tls, upkeep,
    upkeep_health, volume,
};
use crate::conditions::{
    ConditionType::{
        self, AccessReady, BackupHealthy, ConfigurationApplied, Exposed, Fenced, LogIntegrity,
        ProjectionReady, ReadersReady, ReadsEnabled, Ready, Reconciling, Restored, RetentionHealthy,
        RolledOut, SecretsValid, Stalled, StandbyVerified, StorageReady, Suspended, TLSReady, UpdatePending,
        UpkeepHealthy,
    },
    Reason::{self, *},
    Truth, Verdict,
};
use crate::tls::GIVEN_FAULTS;

/// The rules of one condition.
pub(super) struct Row {
    /// The type of the condition.
    pub(super) kind: ConditionType,
    /// The rules in order of precedence. The last one always applies.
    pub(super) rules: &'static [Rule],
}

/// One rule of a row.
pub(super) enum Rule {
    /// Decides with a function, which returns a verdict with one of the listed reasons, or `None` if the rule does not
    /// apply.
    Decides(&'static [Reason], fn(&Facts<'_>) -> Option<Verdict>),
    /// Copies the reason and the message from a condition of an earlier row and sets the given status. Applies if that
    /// condition has one of the given reasons and the function returns true.
    Follows(Truth, ConditionType, Reasons, fn(&Facts<'_>) -> bool),
}

/// Which reasons of the other condition a rule copies.
pub(super) enum Reasons {
    /// Every reason.
    Any,
    /// Only these reasons.
    These(&'static [Reason]),
    /// Every reason except this one.
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

/// What can be wrong with a Secret.
const SECRET_FAULTS: &[Reason] = &[
    SecretMissing,
    SecretKeyMissing,
    SecretEmpty,
    SecretMalformed,
    SecretTooShort,
    SecretWellKnown,
    SecretGuessable,
    AdminTokenShared,
    SecretShared,
    SecretExpired,
    SecretTooOld,
];

fn always(_: &Facts<'_>) -> bool {
    true
}

/// The rows of all conditions. A row may only read the conditions of rows above it.
pub(super) const TABLE: [Row; 22] = [
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
            Decides(&[PodStarting], report::of_an_old_pod),
            Decides(&[Hibernated], lifecycle::unreported),
            Decides(
                &[ProjectionServing, ProjectionRebuilding, ProjectionFailed, EngineStarting, PodStarting],
                |facts| report::missing(facts, ProjectionReady),
            ),
            Decides(&[ProjectionServing, ProjectionRebuilding, ProjectionFailed], projection::reported),
        ],
    },
    Row {
        kind: ReadsEnabled,
        rules: &[
            Decides(&[PodStarting], report::of_an_old_pod),
            Decides(&[Hibernated], lifecycle::unreported),
            Decides(
                &[
                    ReadsOn,
                    ModePending,
                    ModeWithoutReads,
                    ForcedByHold,
                    DependencyAuthenticationFailed,
                    DependencyFailing,
                    DependencySlow,
                    ProjectionRebuilding,
                    ProjectionFailed,
                    EngineTooOld,
                    EngineStarting,
                    PodStarting,
                ],
                |facts| report::missing(facts, ReadsEnabled),
            ),
            Decides(&[ReadsOn, EngineTooOld], reads::of_an_engine_without_modes),
            Decides(&[ModePending], reads::not_taken_over),
            Decides(&[ModeWithoutReads], reads::not_wanted),
            Decides(&[ForcedByHold], reads::held),
            Decides(&[DependencyAuthenticationFailed, DependencyFailing, DependencySlow], reads::forced),
            Follows(Truth::False, ProjectionReady, Reasons::Any, reads::is_projection_missing),
            Decides(&[ReadsOn], reads::on),
        ],
    },
    Row {
        kind: ConfigurationApplied,
        rules: &[
            Decides(&[PodStarting], report::of_an_old_pod),
            Decides(&[Hibernated], lifecycle::unreported),
            Decides(
                &[ConfigurationInEffect, ConfigurationOutdated, EngineTooOld, EngineStarting, PodStarting],
                |facts| report::missing(facts, ConfigurationApplied),
            ),
            Decides(&[ConfigurationOutdated], configuration::outdated),
            Decides(&[ConfigurationInEffect, EngineTooOld], configuration::reported),
        ],
    },
    Row {
        kind: TLSReady,
        rules: &[
            Decides(&[TlsDisabled], tls::disabled),
            Decides(&[SecretsForbidden, SecretsUnreadable], tls::unread),
            Decides(&[CertificatePending], tls::pending),
            Decides(GIVEN_FAULTS, given::faulty),
            Decides(&[CertificatePending], given::pending),
            Decides(&[PodStarting], report::of_an_old_pod),
            Decides(&[Hibernated], lifecycle::unreported),
            Decides(
                &[
                    TlsDisabled,
                    SecretsForbidden,
                    SecretsUnreadable,
                    CertificatePending,
                    CertificateNotServed,
                    CertificateRenewing,
                    CertificateServed,
                    EngineStarting,
                    PodStarting,
                ],
                |facts| report::missing(facts, TLSReady),
            ),
            Decides(&[CertificateNotServed, CertificateRenewing], tls::not_served),
            Decides(&[CertificateEndsSoon], given::ends_soon),
            Decides(&[CertificateServed], tls::served),
        ],
    },
    Row {
        kind: SecretsValid,
        rules: &[
            Decides(&[NoSecretReferences], secrets::unused),
            Decides(SECRET_FAULTS, secrets::faulty),
            Decides(&[SecretsForbidden, SecretsUnreadable], secrets::unread),
            Decides(&[SecretsUsable], secrets::usable),
        ],
    },
    Row {
        kind: AccessReady,
        rules: &[
            Decides(&[PodStarting], report::of_an_old_pod),
            Decides(&[Hibernated], lifecycle::unreported),
            Decides(
                &[
                    NoIssuers,
                    IssuersKnown,
                    IssuerPending,
                    IssuerNotAnswering,
                    IssuerWithoutKeys,
                    ConfigurationOutdated,
                    EngineStarting,
                    PodStarting,
                ],
                |facts| report::missing(facts, AccessReady),
            ),
            Decides(&[IssuerWithoutKeys], access::without_keys),
            // The issuers of the spec are not those of the report.
            Follows(Truth::Unknown, ConfigurationApplied, Reasons::These(&[ConfigurationOutdated]), always),
            Decides(&[IssuerPending], access::pending),
            Decides(&[IssuerNotAnswering], access::not_answering),
            Decides(&[NoIssuers, IssuersKnown], access::established),
        ],
    },
    Row {
        kind: Exposed,
        rules: &[
            Decides(&[InvalidSpec], exposed::undecided),
            Decides(&[NotPublic, ExposureEnding], exposed::not_wanted),
            Decides(&[Hibernated], lifecycle::unexposed),
            Decides(&[TicketNotDelivered], exposed::without_ticket),
            Decides(
                &[
                    NotInProduction,
                    AnonymousAccess,
                    SecretsNotValid,
                    TlsNotReady,
                    ConfigurationNotApplied,
                    LogNotProven,
                    ProjectionNotServing,
                    PublicDespiteFindings,
                ],
                exposed::not_proven,
            ),
            Decides(&[GatewayMissing], exposed::without_gateway),
            Decides(&[AddressPending, FrontDoorUnreachable, FrontDoorUnsafe, Public], exposed::front_door),
        ],
    },
    Row {
        kind: Suspended,
        rules: &[
            Decides(&[SuspendedBySpec], lifecycle::suspended),
            Decides(&[NotSuspended], lifecycle::not_suspended),
        ],
    },
    Row {
        kind: Fenced,
        rules: &[
            Decides(&[NotFenced, FenceLifted], lifecycle::not_fenced),
            Decides(&[FencePending], lifecycle::fence_pending),
            Decides(&[WritesFenced], lifecycle::fenced),
        ],
    },
    Row {
        kind: UpdatePending,
        rules: &[
            Decides(
                &[InvalidSpec, UpdateAwaitsApproval, UpdateAwaitsWindow, UpdateApplied, UpToDate],
                lifecycle::update_undecided,
            ),
            Decides(&[UpdateAwaitsApproval, UpdateAwaitsWindow], lifecycle::update_waits),
            Decides(&[UpdateApplied, UpToDate], lifecycle::up_to_date),
        ],
    },
    Row {
        kind: BackupHealthy,
        rules: &[
            Decides(&[NoBackups], backup::not_wanted),
            Decides(&[SecretsForbidden, BackupsUnreadable], backup::unread),
            Decides(&[ArchiveNotReported], backup::not_reported),
            Decides(&[ArchiveFailing, ArchiveAhead], backup::not_archived),
            Decides(&[BackupNotRestorable], backup::not_restorable),
            Decides(&[BackupOverdue], backup::overdue),
            Decides(&[BackupNotVerified, VerificationTooOld], backup::unproven),
            Decides(&[BackupVerified, KeysAreVersioned, ConditionalPutUnsupported], backup::verified),
            Decides(&[BackupNotVerified], backup::unknown),
        ],
    },
    Row {
        kind: Restored,
        rules: &[
            Decides(&[NotRestored], backup::not_restored),
            Decides(&[RestoreFailed], backup::restore_fails),
            Decides(&[RestorePending], backup::restore_pending),
            Decides(&[RestoredAnchored, RestoredUnanchored], backup::restored),
        ],
    },
    Row {
        kind: RetentionHealthy,
        rules: &[
            Decides(&[SecretsForbidden, UpkeepUnreadable], upkeep::unread),
            Decides(&[RetentionDisabled], upkeep::disabled),
            Decides(
                &[
                    NoPlan,
                    PlanFailed,
                    NothingToRemove,
                    RetentionApplied,
                    PlanStale,
                    IntegrityInDoubt,
                    ConfigurationOutdated,
                    PlanFromFuture,
                    BackupTooOld,
                    RetentionSuspended,
                    SpikeGuardHolds,
                    PlanAwaitsApproval,
                    ApplyFailed,
                    ApplyPending,
                ],
                upkeep::stands,
            ),
        ],
    },
    Row {
        kind: UpkeepHealthy,
        rules: &[
            Decides(&[NothingScheduled], upkeep_health::nothing),
            Decides(&[SecretsForbidden, UpkeepUnreadable], upkeep::unread),
            Decides(&[UpkeepFailed], upkeep_health::failed),
            Decides(&[UpkeepOverdue], upkeep_health::overdue),
            Decides(&[UpkeepOnSchedule], upkeep_health::on_schedule),
        ],
    },
    Row { kind: StandbyVerified, rules: &[Decides(standby::REASONS, standby::verdict)] },
    Row {
        kind: ReadersReady,
        rules: &[
            Decides(&[NoReaders], readers::none),
            Decides(&[ReadersServing, ReadersNotReady], readers::reported),
        ],
    },
    Row {
        kind: RolledOut,
        rules: &[Decides(&[NoRollout], rolled_out::none), Decides(rolled_out::REASONS, rolled_out::reported)],
    },
    Row {
        kind: Stalled,
        rules: &[
            Decides(&[InvalidSpec], stalled::invalid),
            Decides(&[NameConflict], stalled::name_conflict),
            Decides(&[ApplyRefused, Contested], stalled::not_applied),
            Follows(Truth::True, StorageReady, Reasons::These(volume::OBSTACLES), always),
            Follows(Truth::True, TLSReady, Reasons::These(&[SecretsForbidden]), always),
            Follows(Truth::True, TLSReady, Reasons::These(GIVEN_FAULTS), given::hold_changes),
            Follows(Truth::True, SecretsValid, Reasons::Any, secrets::hold_changes),
            Decides(&[ForceModeInvalid], stalled::bad_annotation),
            Follows(Truth::True, LogIntegrity, Reasons::Any, stalled::is_log_known_bad),
            Follows(Truth::True, Restored, Reasons::These(&[RestoreFailed]), always),
            Decides(
                &[ImagePullFailed, ContainerRefused, CrashLooping, SidecarFailed],
                stalled::pod_does_not_run,
            ),
            Decides(&[PodRefused], stalled::no_pod_is_made),
            Decides(&[ChangeSuspended], lifecycle::change_suspended),
            Follows(Truth::True, RolledOut, Reasons::These(&[RolledBack, RolloutStateMissing]), always),
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
            Decides(&[Hibernating, Settled], lifecycle::stopping),
            Decides(&[PodStarting], reconciling::not_rolled_out),
            Decides(&[EngineStarting], reconciling::log_not_judged),
            Decides(&[Settled], reconciling::settled),
        ],
    },
    Row {
        kind: Ready,
        rules: &[
            // Rules for a pod that receives no requests. One of them always applies to such a pod.
            Follows(Truth::False, LogIntegrity, Reasons::Any, ready::is_bad_log_reported_without_serving),
            Follows(Truth::False, Stalled, Reasons::Any, ready::is_stalled_without_serving),
            Decides(&[Hibernating, Hibernated], lifecycle::not_ready),
            Decides(&[Unschedulable, SidecarNotReady, EngineStarting], ready::not_ready),
            Follows(Truth::False, Reconciling, Reasons::Any, ready::is_reconciling_without_serving),
            Decides(&[PodStarting], ready::not_serving),
            // Rules for a pod that receives requests.
            Decides(&[EngineUnreachable, EngineStarting], ready::not_reported),
            Follows(Truth::False, LogIntegrity, Reasons::Any, ready::is_log_bad),
            Follows(Truth::False, LogIntegrity, Reasons::These(&[RollbackAccepted]), always),
            Follows(Truth::False, StorageReady, Reasons::Any, ready::is_not_writable),
            Decides(&[EngineDegraded], is_failed),
            Follows(Truth::False, ReadsEnabled, Reasons::AllBut(ModeWithoutReads), ready::are_reads_missing),
            Follows(Truth::False, Stalled, Reasons::Any, ready::is_stalled),
            Follows(Truth::False, Reconciling, Reasons::AllBut(Resizing), ready::is_reconciling),
            Decides(&[Serving], ready::serving),
        ],
    },
];

impl Rule {
    /// The verdict of the rule; `None` if the rule does not apply.
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

/// Decides every condition, in the order of the table.
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

    /// Finds mistakes in the table: a reason that no rule gives, and a rule that copies a reason which the other
    /// condition never has.
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
