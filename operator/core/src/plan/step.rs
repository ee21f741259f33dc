//! The steps of a plan: writes to the API server and calls of the engine, each with what is expected of it.

use engine_core::wire::GivenAnchor;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{names::ChildKey, retry::Bound};

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A write to the API server.
    Write(Write),
    /// A call of an engine.
    Call(Call),
}

impl Step {
    /// The write, if it is one.
    #[must_use]
    pub fn write(&self) -> Option<&Write> {
        match self {
            Self::Write(write) => Some(write),
            Self::Call(_) => None,
        }
    }

    /// Whether it is carried out although an earlier step failed. Recording the log's history waits for nothing.
    #[must_use]
    pub fn goes_on_after_a_problem(&self) -> bool {
        match self {
            Self::Write(write) => matches!(write, Write::Record { .. }),
            Self::Call(_) => true,
        }
    }
}

/// A call of the engine in the writer's pod. A call that fails is no problem of the plan: the next reconcile plans it
/// again for as long as the engine's report shows that it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Gives the engine the anchor that its log must extend. Success means that the engine compared its log with
    /// exactly this anchor; its answer replaces the integrity in the report of this reconcile, whether it found a fault
    /// or not.
    PushAnchor(GivenAnchor),
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply of an object that is not there. Without force: should somebody else make an object of this
    /// name in the meantime, theirs wins and nothing of it is changed.
    Create {
        /// Which.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
    },
    /// A patch that takes owners off an object that is ours, of exactly this one in exactly this state: engines that
    /// are gone, and any engine off a claim. Server-side apply cannot take away what others wrote.
    Release {
        /// Which.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
        /// The owners it keeps.
        owners: Vec<OwnerReference>,
    },
    /// Server-side apply, with force, of an object that is ours and of which something else is wanted than was applied
    /// last: the spec changed, or the operator did.
    Update {
        /// Which.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
        /// First field that differs, for people.
        because: String,
    },
    /// Server-side apply, with force, of an object that is ours and that somebody else changed: what is wanted is what
    /// was applied last.
    Repair {
        /// Which.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
        /// First field that differs, for people.
        because: String,
    },
    /// Server-side apply, with force, of an object that is ours and right, but for the anchor that has moved on.
    Record {
        /// Which.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
    },
    /// Deletion of an object that is ours and no longer wanted, of exactly this one in exactly this state.
    Delete {
        /// Which.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
    },
}

/// What the API server has to find for a write to take effect. Otherwise it answers with a conflict and changes
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation<'a> {
    /// No field of the object is owned by somebody else: server-side apply without force.
    NotOwnedByOthers,
    /// Exactly this object in exactly this state.
    Unchanged {
        /// Its uid.
        uid: &'a str,
        /// Its resourceVersion.
        resource_version: &'a str,
    },
    /// Nothing: the fields become the operator's, whoever owned them. Only for objects that are ours.
    Forced,
}

/// The request that a write consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// A server-side apply of this object, without its apiVersion and kind.
    Apply(&'a Value),
    /// A merge patch; the expectation is part of it.
    Merge(Value),
    /// A deletion, with the expectation as its precondition.
    Delete,
}

impl Write {
    /// The object it is about.
    #[must_use]
    pub fn key(&self) -> &ChildKey {
        match self {
            Self::Create { key, .. }
            | Self::Release { key, .. }
            | Self::Update { key, .. }
            | Self::Repair { key, .. }
            | Self::Record { key, .. }
            | Self::Delete { key, .. } => key,
        }
    }

    /// A word for metrics.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Release { .. } => "release",
            Self::Update { .. } => "update",
            Self::Repair { .. } => "repair",
            Self::Record { .. } => "record",
            Self::Delete { .. } => "delete",
        }
    }

    /// Why it is written, for the operator's log.
    #[must_use]
    pub fn because(&self) -> &str {
        match self {
            Self::Repair { because, .. } | Self::Update { because, .. } => because,
            Self::Release { .. } => "a stale owner reference",
            Self::Create { .. } => "missing",
            Self::Record { .. } => "the anchor moves on",
            Self::Delete { .. } => "not wanted",
        }
    }

    /// What the API server has to find.
    #[must_use]
    pub fn expectation(&self) -> Expectation<'_> {
        match self {
            Self::Create { .. } => Expectation::NotOwnedByOthers,
            Self::Update { .. } | Self::Repair { .. } | Self::Record { .. } => Expectation::Forced,
            Self::Release { uid, resource_version, .. } | Self::Delete { uid, resource_version, .. } => {
                Expectation::Unchanged { uid, resource_version }
            }
        }
    }

    /// The request to send.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        match self {
            Self::Create { object, .. }
            | Self::Update { object, .. }
            | Self::Repair { object, .. }
            | Self::Record { object, .. } => Request::Apply(object),
            Self::Release { uid, resource_version, owners, .. } => Request::Merge(json!({"metadata": {
                "uid": uid, "resourceVersion": resource_version, "ownerReferences": owners,
            }})),
            Self::Delete { .. } => Request::Delete,
        }
    }

    /// The bound on how often it may be repeated, and the field to name when it is exceeded. Only what somebody else
    /// can provoke again and again has one.
    #[must_use]
    pub fn bound(&self) -> Option<(Bound, &str)> {
        match self {
            Self::Repair { because, .. } => Some((Bound::Repairs, because)),
            Self::Record { .. } => Some((Bound::Records, "the anchor")),
            Self::Create { .. } | Self::Release { .. } | Self::Update { .. } | Self::Delete { .. } => None,
        }
    }
}
