//! Events: what changed between two statuses, said once.

use crds::MemoryEngineStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::conditions::ConditionType;

/// One event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should look.
    pub warning: bool,
    /// The reason of the condition that changed.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// Conditions whose changes are worth an event, and the status that is good news.
const WATCHED: [(ConditionType, &str); 3] = [
    (ConditionType::Ready, "True"),
    (ConditionType::Stalled, "False"),
    (ConditionType::StorageReady, "True"),
];

/// What to say after `before` became `after`: one notice per reason, however many conditions share it.
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
        let silent = new.status == good && kind != ConditionType::Ready;
        let changed = old.is_none_or(|old| (old.status, old.reason) != (new.status, new.reason));
        if changed && !silent && notices.iter().all(|said| said.reason != notice.reason) {
            notices.push(notice);
        }
    }
    notices
}

/// An engine that is not ready because it is starting is no reason to wake anybody.
fn is_warning(kind: ConditionType, condition: &Condition) -> bool {
    const EXPECTED: [&str; 6] =
        ["Applying", "PodStarting", "EngineStarting", "ClaimPending", "Deleting", "Resizing"];
    let bad = match kind {
        ConditionType::Stalled => condition.status == "True",
        ConditionType::Ready | ConditionType::StorageReady | ConditionType::Reconciling => {
            condition.status != "True"
        }
    };
    bad && !EXPECTED.contains(&condition.reason.as_str())
}
