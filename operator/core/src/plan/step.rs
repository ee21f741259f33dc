//! The steps of a plan: writes to the API server and calls to the engine, each with its precondition.

use engine_core::wire::GivenAnchor;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{names::ChildKey, retry::Bound};

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A write to the API server.
    Write(Write),
    /// A call to an engine.
    Call(Call),
}

impl Step {
    /// The write, if the step is one.
    #[must_use]
    pub fn write(&self) -> Option<&Write> {
        match self {
            Self::Write(write) => Some(write),
            Self::Call(_) => None,
        }
    }

    /// Whether the step is carried out although an earlier step failed. Recording the log's history must not wait.
    #[must_use]
    pub fn runs_after_failure(&self) -> bool {
        match self {
            Self::Write(write) => matches!(write, Write::Record { .. }),
            Self::Call(_) => true,
        }
    }
}

/// A call to the engine in the writer's pod. A failed call is no problem of the plan: the next reconcile plans it again
/// while the engine's report shows that it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Sends the engine the anchor that its log must extend. Success means that the engine compared its log with
    /// exactly this anchor; its answer replaces the integrity in the report of this reconcile, whether or not it found
    /// a fault.
    PushAnchor(GivenAnchor),
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply of an object that does not exist, without force. If someone else creates an object of this
    /// name in the meantime, it is left unchanged.
    Create {
        /// The object.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
    },
    /// A patch that removes owners from an object of this engine, in exactly this state: engines that no longer exist,
    /// and any engine on a claim. Server-side apply cannot remove what others wrote.
    Release {
        /// The object.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
        /// The owners it keeps.
        owners: Vec<OwnerReference>,
    },
    /// Server-side apply with force of an object of this engine whose wanted state differs from the last applied one:
    /// the spec or the operator changed.
    Update {
        /// The object.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
        /// First field that differs, for people.
        because: String,
    },
    /// Server-side apply with force of an object of this engine that someone else changed: the wanted state is the last
    /// applied one.
    Repair {
        /// The object.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
        /// First field that differs, for people.
        because: String,
    },
    /// Server-side apply with force of an object of this engine in which only the anchor is outdated.
    Record {
        /// The object.
        key: ChildKey,
        /// Every field that the operator owns in it.
        object: Value,
    },
    /// Deletion of an object of this engine that is no longer wanted, in exactly this state.
    Delete {
        /// The object.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
    },
}

/// Precondition of a write. If it does not hold, the API server answers with a conflict and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation<'a> {
    /// No field of the object belongs to another field manager: server-side apply without force.
    NotOwnedByOthers,
    /// Exactly this object in exactly this state.
    Unchanged {
        /// Its uid.
        uid: &'a str,
        /// Its resourceVersion.
        resource_version: &'a str,
    },
    /// None: the fields become the operator's, whatever their field manager. Only for objects of this engine.
    Forced,
}

/// The request of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// A server-side apply of this object, without its apiVersion and kind.
    Apply(&'a Value),
    /// A merge patch that includes the precondition.
    Merge(Value),
    /// A deletion with a precondition.
    Delete,
}

impl Write {
    /// The object to write.
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

    /// A label value for metrics.
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

    /// Why the object is written, for the operator's log.
    #[must_use]
    pub fn because(&self) -> &str {
        match self {
            Self::Repair { because, .. } | Self::Update { because, .. } => because,
            Self::Release { .. } => "a stale owner reference",
            Self::Create { .. } => "missing",
            Self::Record { .. } => "a newer anchor",
            Self::Delete { .. } => "not wanted",
        }
    }

    /// The precondition.
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

    /// The limit on repetitions of this write, and the field to report when it is exceeded. Only writes that someone
    /// else can provoke repeatedly have a limit.
    #[must_use]
    pub fn bound(&self) -> Option<(Bound, &str)> {
        match self {
            Self::Repair { because, .. } => Some((Bound::Repairs, because)),
            Self::Record { .. } => Some((Bound::Records, "the anchor")),
            Self::Create { .. } | Self::Release { .. } | Self::Update { .. } | Self::Delete { .. } => None,
        }
    }
}
