//! The closed lists of condition types and reasons. The messages are in the functions that decide the conditions.

mod all;
mod verdict;

pub use verdict::{Truth, Verdict, condition};

/// Type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The engine serves reads and writes as the spec requires.
    Ready,
    /// The operator is working, or waits for Kubernetes to finish what was requested.
    Reconciling,
    /// Nothing will change until someone acts.
    Stalled,
    /// The volume exists, is large enough and writable.
    StorageReady,
    /// The log extends what was recorded about it outside of its volume.
    LogIntegrity,
    /// Searches are answered.
    ProjectionReady,
    /// The engine answers reads.
    ReadsEnabled,
    /// The engine knows and applies every part of its configuration.
    ConfigurationApplied,
    /// The ports serve the certificate that they should.
    TLSReady,
    /// Clients outside of the cluster can reach the engine.
    Exposed,
    /// Every Secret that the spec refers to can be used.
    SecretsValid,
    /// The engine can verify the tokens of every issuer that it accepts.
    AccessReady,
    /// The operator changes nothing, because the spec says so.
    Suspended,
    /// Writes are stopped, and it is recorded where the log ended.
    Fenced,
    /// A change of the pod that comes from the operator waits.
    UpdatePending,
    /// There is a backup that was verified by restoring it.
    BackupHealthy,
    /// What the standby restores from the archive is the log.
    StandbyVerified,
    /// The log was restored from a backup.
    Restored,
    /// Memories are kept as long as the rules of retention say, and no longer.
    RetentionHealthy,
    /// What is done on a schedule is done, and in time.
    UpkeepHealthy,
    /// The readers follow the log and answer.
    ReadersReady,
    /// Everything runs the revision that the spec asks for.
    RolledOut,
}

impl ConditionType {
    /// All types, in the order of the status.
    pub const ALL: [Self; 22] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::StorageReady,
        Self::LogIntegrity,
        Self::ProjectionReady,
        Self::ReadsEnabled,
        Self::ConfigurationApplied,
        Self::TLSReady,
        Self::Exposed,
        Self::SecretsValid,
        Self::AccessReady,
        Self::Suspended,
        Self::Fenced,
        Self::UpdatePending,
        Self::BackupHealthy,
        Self::StandbyVerified,
        Self::Restored,
        Self::RetentionHealthy,
        Self::UpkeepHealthy,
        Self::ReadersReady,
        Self::RolledOut,
    ];

    /// Spelling in the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::StorageReady => "StorageReady",
            Self::LogIntegrity => "LogIntegrity",
            Self::ProjectionReady => "ProjectionReady",
            Self::ReadsEnabled => "ReadsEnabled",
            Self::ConfigurationApplied => "ConfigurationApplied",
            Self::TLSReady => "TLSReady",
            Self::Exposed => "Exposed",
            Self::SecretsValid => "SecretsValid",
            Self::AccessReady => "AccessReady",
            Self::Suspended => "Suspended",
            Self::Fenced => "Fenced",
            Self::UpdatePending => "UpdatePending",
            Self::BackupHealthy => "BackupHealthy",
            Self::StandbyVerified => "StandbyVerified",
            Self::Restored => "Restored",
            Self::RetentionHealthy => "RetentionHealthy",
            Self::UpkeepHealthy => "UpkeepHealthy",
            Self::ReadersReady => "ReadersReady",
            Self::RolledOut => "RolledOut",
        }
    }
}

/// Reason of a condition. The list is closed: a new reason needs a row in `docs/guide/conditions.md`, which a test
/// checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Reads and writes work.
    Serving,
    /// Objects are being created or changed.
    Applying,
    /// The pod is being created, moved or replaced.
    PodStarting,
    /// The pod runs and opens its log.
    EngineStarting,
    /// The volume is being provisioned.
    ClaimPending,
    /// The volume is being expanded.
    Resizing,
    /// The volume exists and is writable.
    VolumeReady,
    /// No node accepts the pod.
    Unschedulable,
    /// The resource is being deleted.
    Deleting,
    /// Nothing is in progress.
    Settled,
    /// There is no obstacle.
    NoObstacle,
    /// Nothing can be done until an obstacle is removed.
    Blocked,
    /// The spec cannot be carried out.
    InvalidSpec,
    /// An object that belongs to someone else has a name that this engine needs.
    NameConflict,
    /// The API server refuses an object.
    ApplyRefused,
    /// Someone reverts every repair of an object.
    Contested,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The container cannot be created.
    ContainerRefused,
    /// Kubernetes does not create the pod.
    PodRefused,
    /// A container that someone else added to the pod does not run.
    SidecarFailed,
    /// The engine is ready, but its pod is not, because of something that someone else added to it.
    SidecarNotReady,
    /// The engine exits repeatedly.
    CrashLooping,
    /// The pod responds to the kubelet's probe, but not to the operator.
    EngineUnreachable,
    /// The engine reports that it cannot serve.
    EngineDegraded,
    /// The log does not verify.
    LogCorrupt,
    /// The named class does not exist.
    StorageClassMissing,
    /// No class is named, and the cluster has no default class.
    NoDefaultStorageClass,
    /// The class does not allow volumes to be expanded.
    ExpansionUnsupported,
    /// Expanding the volume failed.
    ResizeFailed,
    /// The volume has no free space.
    VolumeFull,
    /// Writing to the volume fails.
    VolumeFailing,
    /// The volume of this engine's log is gone.
    VolumeLost,
    /// Someone deleted the claim.
    ClaimBeingDeleted,
    /// The log extends its anchor.
    Anchored,
    /// Nothing about the log has been recorded outside of its volume yet.
    NotYetAnchored,
    /// A rollback was accepted, and the engine is being notified.
    RollbackAccepted,
    /// The log ends before its anchor.
    LogTruncated,
    /// The log and its anchor belong to different histories, both signed by the log's key.
    LogForked,
    /// The volume holds the log of another engine.
    ForeignLog,
    /// The log does not match the anchor, and was not signed by the key of the anchor.
    LogRewritten,
    /// The volume holds events, and its earlier content is not recorded anywhere.
    AnchorMissing,
    /// The records of the log contradict each other.
    AnchorInconsistent,
    /// The log is signed by a new key that the old key did not sign.
    KeyChanged,
    /// The engine's checkpoint is not signed, or does not match its report.
    CheckpointInvalid,
    /// Searches are answered from the existing projection.
    ProjectionServing,
    /// The projection is being built from the log.
    ProjectionRebuilding,
    /// The projection cannot be opened or built.
    ProjectionFailed,
    /// Every part of the configuration is applied.
    ConfigurationInEffect,
    /// The engine runs with an earlier configuration.
    ConfigurationOutdated,
    /// The engine's version is too old to know a part of its configuration.
    EngineTooOld,
    /// The mode allows reads, and they are answered.
    ReadsOn,
    /// The engine has not taken over the mode or the hold that the resource says.
    ModePending,
    /// The wanted mode has no reads.
    ModeWithoutReads,
    /// A person holds reads off.
    ForcedByHold,
    /// A dependency of reads refuses the engine's credentials.
    DependencyAuthenticationFailed,
    /// A dependency of reads fails.
    DependencyFailing,
    /// A dependency of reads is slow.
    DependencySlow,
    /// The annotation that forces the mode is not valid.
    ForceModeInvalid,
    /// The spec wants no TLS.
    TlsDisabled,
    /// The operator has no permission on Secrets in the namespace.
    SecretsForbidden,
    /// The Secrets with the certificates could not be read.
    SecretsUnreadable,
    /// There is no certificate yet.
    CertificatePending,
    /// A port does not serve the certificate that it should.
    CertificateNotServed,
    /// A renewed certificate is on its way to the pod.
    CertificateRenewing,
    /// The ports serve the certificate.
    CertificateServed,
    /// The spec wants no exposure outside of the cluster.
    NotPublic,
    /// The objects of an earlier exposure are being removed.
    ExposureEnding,
    /// The engine is not in production mode.
    NotInProduction,
    /// Requests without credentials are served.
    AnonymousAccess,
    /// A Secret that the spec refers to cannot be used.
    SecretsNotValid,
    /// The ports have no valid certificate.
    TlsNotReady,
    /// The engine does not run with the configuration that was checked.
    ConfigurationNotApplied,
    /// The log is not known to extend its anchor.
    LogNotProven,
    /// Searches are not answered.
    ProjectionNotServing,
    /// The cluster has no Gateway API, or the gateway does not exist.
    GatewayMissing,
    /// The engine holds no ticket, and refuses clients outside of the cluster.
    TicketNotDelivered,
    /// Nobody has given the front door an address yet.
    AddressPending,
    /// A request through the front door is not answered.
    FrontDoorUnreachable,
    /// The answer to a request through the front door shows that the engine must not be reached in this way.
    FrontDoorUnsafe,
    /// Clients outside of the cluster reach the engine.
    Public,
    /// Clients outside of the cluster reach the engine although a check does not hold.
    PublicDespiteFindings,
    /// The spec refers to no Secret with a key.
    NoSecretReferences,
    /// Every Secret that the spec refers to can be used.
    SecretsUsable,
    /// A Secret does not exist.
    SecretMissing,
    /// A Secret lacks the entry.
    SecretKeyMissing,
    /// An entry is empty.
    SecretEmpty,
    /// An entry is not one line of visible ASCII.
    SecretMalformed,
    /// A key has too few characters.
    SecretTooShort,
    /// A key consists of words that everybody tries first.
    SecretWellKnown,
    /// A key is regular.
    SecretGuessable,
    /// The token of the administration port is another key too.
    AdminTokenShared,
    /// Two references have the same value.
    SecretShared,
    /// A key has expired.
    SecretExpired,
    /// A key is older than the spec allows.
    SecretTooOld,
    /// The engine accepts tokens of no issuer.
    NoIssuers,
    /// The engine has the keys of every issuer.
    IssuersKnown,
    /// The keys of an issuer are being fetched for the first time.
    IssuerPending,
    /// New keys of an issuer cannot be fetched, and the last ones are still used.
    IssuerNotAnswering,
    /// The engine has no key of an issuer.
    IssuerWithoutKeys,
    /// The Secret of a given certificate, or an entry of it, does not exist.
    CertificateMissing,
    /// A given certificate or its key is not PEM.
    CertificateNotPem,
    /// The key of a given certificate is encrypted.
    CertificateKeyEncrypted,
    /// The key belongs to another certificate than the given one.
    CertificateKeyMismatch,
    /// The given certificate is that of an authority.
    CertificateIsAuthority,
    /// The key or a signature of a given certificate is weak.
    CertificateWeak,
    /// The given certificate is not for servers.
    CertificateUsageWrong,
    /// The given certificate is not valid yet.
    CertificateNotYetValid,
    /// The given certificate has ended.
    CertificateExpired,
    /// The given certificate does not name the Service.
    CertificateNameMissing,
    /// The chain of a given certificate does not verify.
    CertificateChainInvalid,
    /// The given certificate ends soon.
    CertificateEndsSoon,
    /// The cluster has no cert-manager, and the spec wants a certificate of it.
    CertManagerMissing,
    /// The spec suspends the engine.
    SuspendedBySpec,
    /// The spec does not suspend the engine.
    NotSuspended,
    /// A change waits because the spec suspends the engine.
    ChangeSuspended,
    /// Writes are stopped.
    WritesFenced,
    /// The fence is not complete yet.
    FencePending,
    /// The last fence was lifted.
    FenceLifted,
    /// There is no fence, and was none.
    NotFenced,
    /// The engine is about to stop.
    Hibernating,
    /// The engine is stopped because the spec wants it so.
    Hibernated,
    /// An update of the pod waits for an approval.
    UpdateAwaitsApproval,
    /// An update of the pod waits for its window.
    UpdateAwaitsWindow,
    /// The last update of the pod was applied.
    UpdateApplied,
    /// No update of the pod waits.
    UpToDate,
    /// No backups are wanted.
    NoBackups,
    /// An object of backups could not be read.
    BackupsUnreadable,
    /// The engine reports no archive.
    ArchiveNotReported,
    /// The log is not archived.
    ArchiveFailing,
    /// The archive has more events than the log.
    ArchiveAhead,
    /// The newest backup that was tried does not restore.
    BackupNotRestorable,
    /// No backup was taken when it was due.
    BackupOverdue,
    /// No backup was verified yet.
    BackupNotVerified,
    /// The last verdict no longer counts.
    VerificationTooOld,
    /// A backup was restored and verified.
    BackupVerified,
    /// A backup was verified, and the store keeps older versions of the keys.
    KeysAreVersioned,
    /// A backup was verified, and the store does not honour conditional creates.
    ConditionalPutUnsupported,
    /// The log was not restored.
    NotRestored,
    /// The restore has not ended.
    RestorePending,
    /// The restore failed.
    RestoreFailed,
    /// The log was restored and compared with what the spec says of it.
    RestoredAnchored,
    /// The log was restored, and nothing outside of the archive vouches for it.
    RestoredUnanchored,
    /// Nothing is removed on a schedule.
    RetentionDisabled,
    /// An object of a schedule could not be read.
    UpkeepUnreadable,
    /// Nothing is done on a schedule.
    NothingScheduled,
    /// The last run of a scheduled task failed.
    UpkeepFailed,
    /// A scheduled task was due and has not ended.
    UpkeepOverdue,
    /// No scheduled task is late or has failed.
    UpkeepOnSchedule,
    /// No retention plan was made yet.
    NoPlan,
    /// The engine could not make a retention plan.
    PlanFailed,
    /// No memory breaks a rule.
    NothingToRemove,
    /// The last retention plan was carried out.
    RetentionApplied,
    /// The last retention plan can no longer be carried out.
    PlanStale,
    /// A retention plan waits because it is not known that the log is as it was recorded.
    IntegrityInDoubt,
    /// A retention plan waits because the time at which it was made has not come yet.
    PlanFromFuture,
    /// A retention plan waits because the spec suspends retention.
    RetentionSuspended,
    /// A retention plan waits because no backup was verified recently enough.
    BackupTooOld,
    /// A retention plan waits because it removes unusually much.
    SpikeGuardHolds,
    /// A retention plan waits for an approval.
    PlanAwaitsApproval,
    /// The engine has not carried out a retention plan that may be.
    ApplyFailed,
    /// A retention plan is being carried out.
    ApplyPending,
    /// The spec wants no standby, or the engine hibernates.
    NoStandby,
    /// The standby had the root of the engine's log at the last comparison.
    StandbyRestores,
    /// The standby starts, restores, or has not been compared yet.
    StandbyStarting,
    /// The last comparison of the standby is too old.
    StandbyOutdated,
    /// The standby has restored another log than that of the engine.
    StandbyDiffers,
    /// The archive, or the copy of the standby, cannot be used.
    StandbyDamaged,
    /// The spec wants no readers, or the engine hibernates.
    NoReaders,
    /// Every reader follows the log and answers.
    ReadersServing,
    /// A reader starts, catches up, or has stopped answering.
    ReadersNotReady,
    /// The spec has no rollout: a new revision takes effect at once.
    NoRollout,
    /// Everything runs the revision that the spec asks for.
    RevisionServing,
    /// A new revision is being introduced.
    RolloutProgressing,
    /// The revision that the spec asks for has failed, and everything runs the stable one.
    RolledBack,
    /// It is not known how far the rollout is.
    RolloutStateMissing,
}

impl Reason {
    /// The reason with this spelling.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// Spelling in the status: the name of the variant.
    #[must_use]
    pub fn as_str(self) -> String {
        format!("{self:?}")
    }
}
