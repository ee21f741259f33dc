//! The closed lists of condition types and reasons. Text is made where it is shown.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The engine serves reads and writes as the spec wants it.
    Ready,
    /// The operator is at work, or waits for Kubernetes to finish what it asked for.
    Reconciling,
    /// Nothing will change until somebody acts.
    Stalled,
    /// The volume is there, large enough and writable.
    StorageReady,
    /// The log is what it was: it extends what was recorded of it outside of its volume.
    LogIntegrity,
    /// Searches are answered.
    ProjectionReady,
    /// The engine knows and applies every part of its configuration.
    ConfigurationApplied,
}

impl ConditionType {
    /// All of them, in the order in which the status has them.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::StorageReady,
        Self::LogIntegrity,
        Self::ProjectionReady,
        Self::ConfigurationApplied,
    ];

    /// As it stands in the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::StorageReady => "StorageReady",
            Self::LogIntegrity => "LogIntegrity",
            Self::ProjectionReady => "ProjectionReady",
            Self::ConfigurationApplied => "ConfigurationApplied",
        }
    }
}

/// Why a condition is as it is. Closed: a new one needs a line in `docs/guide/conditions.md`, and a test checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Reads and writes work.
    Serving,
    /// Objects are being made or changed.
    Applying,
    /// The pod is being made, moved or replaced.
    PodStarting,
    /// The pod runs and opens its log.
    EngineStarting,
    /// The volume is being made.
    ClaimPending,
    /// The volume is growing.
    Resizing,
    /// The volume is there and writable.
    VolumeReady,
    /// No node takes the pod.
    Unschedulable,
    /// The resource is being deleted.
    Deleting,
    /// Nothing is under way.
    Settled,
    /// Nothing is in the way.
    NoObstacle,
    /// Nothing can be done before an obstacle is out of the way.
    Blocked,
    /// The spec cannot be carried out.
    InvalidSpec,
    /// An object of somebody else has a name this engine needs.
    NameConflict,
    /// The API server refuses an object.
    ApplyRefused,
    /// Somebody undoes every repair of an object.
    Contested,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The container cannot be made.
    ContainerRefused,
    /// Kubernetes does not make the pod.
    PodRefused,
    /// A container of somebody else in the pod does not run.
    SidecarFailed,
    /// The engine is ready, its pod waits for something of somebody else.
    SidecarNotReady,
    /// The engine ends again and again.
    CrashLooping,
    /// The pod answers its probe but not the operator.
    EngineUnreachable,
    /// The engine reports that it cannot serve.
    EngineDegraded,
    /// The log does not verify.
    LogCorrupt,
    /// The class named does not exist.
    StorageClassMissing,
    /// No class is named and the cluster has no default.
    NoDefaultStorageClass,
    /// The class does not let volumes grow.
    ExpansionUnsupported,
    /// Growing failed.
    ResizeFailed,
    /// The volume has no room left.
    VolumeFull,
    /// Writing to the volume fails.
    VolumeFailing,
    /// The volume of this engine's log is gone.
    VolumeLost,
    /// Somebody deleted the claim.
    ClaimBeingDeleted,
    /// The log extends its anchor.
    Anchored,
    /// Nothing of the log was recorded outside of its volume yet.
    NotYetAnchored,
    /// A rollback was accepted, and the engine is being told.
    RollbackAccepted,
    /// The log ends before its anchor.
    LogTruncated,
    /// The log and its anchor are two histories, both signed by the log's key.
    LogForked,
    /// The volume holds the log of another engine.
    ForeignLog,
    /// The log is not what was anchored, and its key did not sign it.
    LogRewritten,
    /// The volume holds events, and what it held before is recorded nowhere.
    AnchorMissing,
    /// What was recorded of the log contradicts itself.
    AnchorInconsistent,
    /// The log is signed by a key that its old key does not vouch for.
    KeyChanged,
    /// The engine's checkpoint is not signed, or says something else than its report.
    CheckpointInvalid,
    /// Searches are answered from the projection there is.
    ProjectionServing,
    /// The projection is being built from the log.
    ProjectionRebuilding,
    /// The projection cannot be opened or built.
    ProjectionFailed,
    /// Every part of the configuration is applied.
    ConfigurationInEffect,
    /// The engine is of a version that does not know a part of its configuration.
    EngineTooOld,
}

impl Reason {
    /// All of them, for the test that holds the documentation against the code.
    pub const ALL: [Self; 49] = [
        Self::Serving,
        Self::Applying,
        Self::PodStarting,
        Self::EngineStarting,
        Self::ClaimPending,
        Self::Resizing,
        Self::VolumeReady,
        Self::Unschedulable,
        Self::Deleting,
        Self::Settled,
        Self::NoObstacle,
        Self::Blocked,
        Self::InvalidSpec,
        Self::NameConflict,
        Self::ApplyRefused,
        Self::Contested,
        Self::ImagePullFailed,
        Self::ContainerRefused,
        Self::PodRefused,
        Self::SidecarFailed,
        Self::SidecarNotReady,
        Self::CrashLooping,
        Self::EngineUnreachable,
        Self::EngineDegraded,
        Self::LogCorrupt,
        Self::StorageClassMissing,
        Self::NoDefaultStorageClass,
        Self::ExpansionUnsupported,
        Self::ResizeFailed,
        Self::VolumeFull,
        Self::VolumeFailing,
        Self::VolumeLost,
        Self::ClaimBeingDeleted,
        Self::Anchored,
        Self::NotYetAnchored,
        Self::RollbackAccepted,
        Self::LogTruncated,
        Self::LogForked,
        Self::ForeignLog,
        Self::LogRewritten,
        Self::AnchorMissing,
        Self::AnchorInconsistent,
        Self::KeyChanged,
        Self::CheckpointInvalid,
        Self::ProjectionServing,
        Self::ProjectionRebuilding,
        Self::ProjectionFailed,
        Self::ConfigurationInEffect,
        Self::EngineTooOld,
    ];

    /// The reason that is spelled like this.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// As it stands in the status: the variant's name.
    #[must_use]
    pub fn as_str(self) -> String {
        format!("{self:?}")
    }
}

/// True, False or Unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It cannot be told.
    Unknown,
}

/// One verdict about one concern, before it becomes a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is so.
    pub truth: Truth,
    /// Why.
    pub reason: Reason,
    /// What is the case and what to do about it.
    pub message: String,
    /// The generation of the spec under which it was seen, when that is not the present one.
    pub seen_under: Option<i64>,
}

impl Verdict {
    /// A verdict.
    #[must_use]
    pub fn new(truth: Truth, reason: Reason, message: impl Into<String>) -> Self {
        Self { truth, reason, message: message.into(), seen_under: None }
    }

    /// What a condition says, of the generation that it speaks of; none when its reason is not of this version.
    #[must_use]
    pub fn of(condition: &Condition) -> Option<Self> {
        let truth = match condition.status.as_str() {
            "True" => Truth::True,
            "False" => Truth::False,
            _ => Truth::Unknown,
        };
        let verdict = Self::new(truth, Reason::named(&condition.reason)?, condition.message.clone());
        Some(Self { seen_under: condition.observed_generation, ..verdict })
    }
}

/// Longest message the schema accepts, bytes.
const MESSAGE_LENGTH_MAX: usize = 4096;

/// A verdict as a condition. One that was seen under an earlier generation says so. The time of the last transition is
/// carried over while the truth stays the same.
#[must_use]
pub fn condition(
    kind: ConditionType,
    verdict: &Verdict,
    before: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Condition {
    let status = format!("{:?}", verdict.truth);
    let unchanged = before.iter().find(|old| old.type_ == kind.as_str() && old.status == status);
    Condition {
        type_: kind.as_str().to_owned(),
        last_transition_time: unchanged
            .map_or_else(|| Time(whole_seconds(now)), |old| old.last_transition_time.clone()),
        status,
        reason: verdict.reason.as_str(),
        message: shortened(&verdict.message),
        observed_generation: Some(verdict.seen_under.unwrap_or(generation)),
    }
}

/// The API server keeps whole seconds: finer ones would make every status look changed.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn shortened(message: &str) -> String {
    let mut end = MESSAGE_LENGTH_MAX.min(message.len());
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}
