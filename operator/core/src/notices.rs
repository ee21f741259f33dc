//! Derives Kubernetes events from the changes between two statuses.

use crds::{MemoryEngineStatus, RolloutPhase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::conditions::{ConditionType, Reason};

/// One event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether the event needs attention.
    pub warning: bool,
    /// The reason of the condition that changed.
    pub reason: String,
    /// Message of that condition.
    pub message: String,
}

/// Conditions whose changes cause an event, each with the status that it normally has.
const WATCHED: [(ConditionType, &str); 19] = [
    (ConditionType::AccessReady, "True"),
    (ConditionType::BackupHealthy, "True"),
    (ConditionType::ConfigurationApplied, "True"),
    (ConditionType::Exposed, "True"),
    (ConditionType::Fenced, EACH_IS_SAID),
    (ConditionType::LogIntegrity, "True"),
    (ConditionType::ReadersReady, "True"),
    (ConditionType::ReadsEnabled, "True"),
    (ConditionType::Ready, "True"),
    (ConditionType::Restored, "True"),
    (ConditionType::RetentionHealthy, "True"),
    (ConditionType::SecretsValid, "True"),
    (ConditionType::Stalled, "False"),
    (ConditionType::StandbyVerified, "True"),
    (ConditionType::StorageReady, "True"),
    (ConditionType::Suspended, EACH_IS_SAID),
    (ConditionType::TLSReady, "True"),
    (ConditionType::UpdatePending, EACH_IS_SAID),
    (ConditionType::UpkeepHealthy, "True"),
];

/// No condition has this status normally: each change is said, in both directions.
const EACH_IS_SAID: &str = "";

/// Reasons that say that the spec wants nothing of this kind.
const WANTS_NONE: [Reason; 9] = [
    Reason::NoReaders,
    Reason::NoStandby,
    Reason::TlsDisabled,
    Reason::NotPublic,
    Reason::NotFenced,
    Reason::NotSuspended,
    Reason::UpToDate,
    Reason::NoBackups,
    Reason::NotRestored,
];

/// The events for the change from `before` to `after`. Conditions that changed with the same reason cause only one
/// event.
#[must_use]
pub fn notices(before: Option<&MemoryEngineStatus>, after: &MemoryEngineStatus) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for (kind, good) in WATCHED {
        let find = |status: &MemoryEngineStatus| {
            status.conditions.iter().find(|c| c.type_ == kind.as_str()).cloned()
        };
        let (old, Some(new)) = (before.and_then(find), find(after)) else { continue };
        let notice = Notice {
            warning: is_warning(kind, &new),
            reason: new.reason.clone(),
            message: new.message.clone(),
        };
        // A change to the normal status or to `Unknown` causes no event, except for Ready and for reads that return.
        let returned = kind == ConditionType::ReadsEnabled && is_end_of_force(old.as_ref(), &new);
        let wants_none = WANTS_NONE.map(Reason::as_str).contains(&new.reason);
        let silent = wants_none
            || kind != ConditionType::Ready && !returned && (new.status == good || new.status == "Unknown");
        let changed = old.is_none_or(|old| (old.status, old.reason) != (new.status, new.reason));
        if changed && !silent && notices.iter().all(|said| said.reason != notice.reason) {
            notices.push(notice);
        }
    }
    notices.extend(accepted(before, after));
    notices.extend(decided(before, after));
    notices
}

/// Whether reads that were forced off are on again.
fn is_end_of_force(old: Option<&Condition>, new: &Condition) -> bool {
    const FORCED: [Reason; 4] = [
        Reason::ForcedByHold,
        Reason::DependencyAuthenticationFailed,
        Reason::DependencyFailing,
        Reason::DependencySlow,
    ];
    new.status == "True" && old.is_some_and(|old| FORCED.iter().any(|reason| old.reason == reason.as_str()))
}

/// The events for the decisions about a rollout, with their evidence.
fn decided(before: Option<&MemoryEngineStatus>, after: &MemoryEngineStatus) -> Vec<Notice> {
    let decisions = |status: &MemoryEngineStatus| {
        status.rollout.as_ref().map(|rollout| rollout.decisions.clone()).unwrap_or_default()
    };
    let known = before.map(decisions).unwrap_or_default();
    let new = decisions(after).into_iter().filter(|decision| !known.contains(decision));
    new.map(|decision| Notice {
        warning: decision.to == RolloutPhase::RolledBack,
        reason: format!("Rollout{:?}", decision.to),
        message: format!("revision {}: {}", decision.revision, decision.because),
    })
    .collect()
}

/// The event for an accepted rollback. It is independent of the conditions.
fn accepted(before: Option<&MemoryEngineStatus>, after: &MemoryEngineStatus) -> Option<Notice> {
    let count =
        |status: &MemoryEngineStatus| status.log.as_ref().map_or(0, |log| log.accepted_rollbacks.len());
    let newest = after.log.as_ref()?.accepted_rollbacks.last()?;
    // When a resource is created again, its first status also gets the rollbacks accepted earlier: these cause no
    // event.
    let grew = before.is_some_and(|before| before.log.is_some() && count(before) + 1 == count(after));
    grew.then(|| Notice {
        warning: true,
        reason: Reason::RollbackAccepted.as_str(),
        message: format!(
            "rollback {} was accepted: the log goes on from {} events with root {} instead of {} events: {}",
            newest.number, newest.to_size, newest.to_root, newest.from_size, newest.reason
        ),
    })
}

/// Whether a changed condition needs attention. An engine that is not ready because it is starting does not.
fn is_warning(kind: ConditionType, condition: &Condition) -> bool {
    const EXPECTED: [&str; 24] = [
        "Applying",
        "CertificatePending",
        "ModePending",
        "ModeWithoutReads",
        "PodStarting",
        "SidecarNotReady",
        "EngineStarting",
        "ClaimPending",
        "Deleting",
        "Hibernated",
        "Hibernating",
        "NotPublic",
        "AddressPending",
        "NoBackups",
        "ArchiveNotReported",
        "BackupNotVerified",
        "NotRestored",
        "PlanAwaitsApproval",
        "StandbyStarting",
        // A reader starts, or is replaced.
        "ReadersNotReady",
        "RolloutProgressing",
        "RestorePending",
        "Resizing",
        // The function `accepted` returns the event for this reason.
        "RollbackAccepted",
    ];
    let bad = match kind {
        ConditionType::Stalled => condition.status == "True",
        // Somebody wants each of these.
        ConditionType::Suspended | ConditionType::Fenced | ConditionType::UpdatePending => false,
        ConditionType::Ready
        | ConditionType::StorageReady
        | ConditionType::LogIntegrity
        | ConditionType::ProjectionReady
        | ConditionType::ReadsEnabled
        | ConditionType::ConfigurationApplied
        | ConditionType::TLSReady
        | ConditionType::Exposed
        | ConditionType::Reconciling
        | ConditionType::BackupHealthy
        | ConditionType::StandbyVerified
        | ConditionType::Restored
        | ConditionType::RetentionHealthy
        | ConditionType::UpkeepHealthy
        | ConditionType::ReadersReady
        | ConditionType::RolledOut
        | ConditionType::AccessReady
        | ConditionType::SecretsValid => condition.status != "True",
    };
    bad && !EXPECTED.contains(&condition.reason.as_str())
}
