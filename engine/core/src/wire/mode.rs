//! The modes of an engine: its report, the requests that change them, and what refused reads are told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guard::{Cause, Dependency, Guard, Hold, Now};
use crate::mode::Mode;

/// The mode of an engine, and why it is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeHealth {
    /// What is wanted.
    pub wanted: Mode,
    /// Who said so last; absent if nobody has said anything yet, so that `wanted` is the default of a first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<Teller>,
    /// What is in effect: what is wanted, the guard and every hold allow.
    pub effective: Mode,
    /// Since when this mode is in effect. RFC 3339.
    pub since: Timestamp,
    /// Whether the file with the mode cannot be read, so that reads are off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
    /// Whether the volume does not accept the mode: it would be lost with a restart. Writing it is tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsaved: bool,
    /// The guard's own decision.
    pub guard: GuardHealth,
    /// A hold that was set at the engine itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<HoldView>,
    /// A hold that is declared in the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<HoldView>,
}

/// Who said which mode is wanted. A request of an older generation of the same resource is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teller {
    /// UID of the resource.
    pub uid: String,
    /// Generation of the resource.
    pub generation: i64,
}

/// The guard's own decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardHealth {
    /// `base`, `suspected`, `forced` or `probing`.
    pub state: String,
    /// Since when. RFC 3339.
    pub since: Timestamp,
    /// When it acts next, while reads are off. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why reads are off or suspected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// The widest mode that it allows.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub by: String,
    /// Whether the policy redacted the reason or the name, so that they differ from what was sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// When it was set. RFC 3339.
    pub since: Timestamp,
    /// When it ends. RFC 3339.
    pub until: Timestamp,
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> HoldView {
        let Hold { mode, reason, by, redacted, since, until, until_ms: _ } = hold.clone();
        HoldView { mode, reason, by, redacted, since, until }
    }
}

impl ModeHealth {
    /// The report of a guard.
    #[must_use]
    pub fn new(guard: &Guard, told_by: Option<Teller>, now: Now) -> ModeHealth {
        let view =
            |hold: &Option<Hold>| hold.as_ref().filter(|hold| hold.until_ms > now.ms).map(HoldView::from);
        ModeHealth {
            wanted: guard.wanted,
            told_by,
            effective: guard.effective(now.ms),
            since: guard.in_effect.since,
            unreadable: false,
            unsaved: false,
            guard: GuardHealth {
                state: guard.automatic.name().to_owned(),
                since: guard.automatic_since,
                until: guard.automatic.until(now),
                cause: guard.automatic.cause(),
            },
            direct: view(&guard.direct),
            declared: view(&guard.declared),
        }
    }
}

/// Answer of `GET /mode` and of every request that changes the mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeReport {
    /// The mode.
    #[serde(flatten)]
    pub mode: ModeHealth,
    /// Failures in a row of each dependency that was called.
    pub consecutive_failures: BTreeMap<Dependency, u32>,
    /// The last transitions, newest first.
    pub transitions: Vec<Transition>,
}

/// A change of the mode, of the guard's state or of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When. RFC 3339.
    pub at: Timestamp,
    /// The mode before.
    pub from: Mode,
    /// The mode after.
    pub to: Mode,
    /// The guard's state after it.
    pub state: String,
    /// Why, in a few words.
    pub because: String,
}

/// Body of `PUT /mode/wanted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantMode {
    /// The mode.
    pub mode: Mode,
    /// The resource that says so.
    pub told_by: Teller,
}

/// Body of `POST /mode/want`: the mode that a person wants at an engine without an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonWantsMode {
    /// The mode.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
}

/// Body of `PUT /mode/declared`: the hold that the resource declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclareHold {
    /// The hold; null for none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub hold: Option<DeclaredHold>,
}

/// A hold as the annotation `memoryengine.io/force-mode` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredHold {
    /// The widest mode that it allows.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When it ends. RFC 3339.
    pub until: Timestamp,
}

/// Body of `POST /mode/force`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForceMode {
    /// The widest mode to allow.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// How long, seconds; at most a day.
    pub ttl_seconds: u64,
    /// Whether to replace the hold of somebody else, if there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
}

/// Body of `POST /mode/invalidate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvalidateContexts {
    /// The session whose cached answers are removed.
    pub session: String,
}

/// Answer of `POST /mode/invalidate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidated {
    /// Number of cached answers that were removed.
    pub removed: u64,
}

/// What a read is told while reads are off. It is part of the error, so that a caller that builds a prompt can go on
/// without memories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadsOff {
    /// Always false: no memory was used.
    pub used: bool,
    /// The mode, with `_forced` if it is narrower than what is wanted: `write_only_forced`, `off_forced`, `write_only`
    /// or `off`.
    pub source: String,
    /// Why: a dependency and what is wrong with it (such as `embedding_authentication_failed`), `manual` for a hold
    /// that a person set, or `wanted` if the mode is the wanted one.
    pub reason: String,
    /// When reads may be possible again; absent if nothing is known. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl ReadsOff {
    /// What a read is told now; `None` while reads are on.
    #[must_use]
    pub fn of(guard: &Guard, now: Now) -> Option<ReadsOff> {
        let effective = guard.effective(now.ms);
        if effective.reads() {
            return None;
        }
        let holds = [&guard.direct, &guard.declared].into_iter().flatten();
        let hold = holds
            .filter(|hold| hold.until_ms > now.ms && !hold.mode.reads())
            .max_by_key(|hold| hold.until_ms);
        let cause = guard.automatic.cause().filter(|_| !guard.automatic.allowed().reads());
        let (reason, until) = match (cause, hold) {
            _ if !guard.wanted.reads() => ("wanted".to_owned(), None),
            (_, Some(hold)) => ("manual".to_owned(), Some(hold.until)),
            (Some(cause), None) => {
                let reason = format!("{}_{}", cause.dependency.as_str(), cause.reason.as_str());
                (reason, guard.automatic.until(now))
            }
            (None, None) => ("wanted".to_owned(), None),
        };
        let forced = if effective == guard.wanted { "" } else { "_forced" };
        Some(ReadsOff { used: false, source: format!("{effective}{forced}"), reason, until })
    }
}
