//! The steps of a plan: writes to the API server and calls to the engine, each with its precondition.

use engine_core::wire::{
    DeclaredHold, DeliverTicket, GivenAnchor, OnExpiry, StartUpkeep, TakeBackup, Teller, WantMode,
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{
    backup::RecordBackup,
    names::{ChildKey, ChildKind},
    retry::Bound,
    rollout::PodGrant,
    rotation::Change,
    tls::Issuance,
};

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A write to the API server.
    Write(Write),
    /// A call to an engine.
    Call(Call),
    /// A change of a Secret with a certificate.
    Issue(Issue),
    /// A change of an annotation of a pod, which makes its kubelet deliver a changed Secret.
    Deliver(Deliver),
    /// A change of the label of a pod that decides whether clients outside of the cluster reach it.
    Publish(Publish),
    /// A copy of a given certificate.
    Copy(Copy),
    /// A change of the Secret with the operator's token.
    Rotate(Rotate),
    /// A change of the Secret with the ages of values. If it fails, the next reconcile plans it again.
    Remember(Remember),
    /// A change of the record of a backup. If it fails, the next reconcile plans it again.
    Record(RecordBackup),
    /// A change of whether the resource waits for a last backup before it goes.
    Hold(bool),
}

/// A change of the label that the public Service selects. If it fails, the next reconcile plans it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Name of the pod.
    pub pod: String,
    /// Its uid: another pod of this name was not judged.
    pub uid: Option<String>,
    /// Whether the pod gets the label, or loses it.
    pub is_public: bool,
}

/// A copy of a given certificate into the Secret that the pod mounts. A plan can be printed, so it has no key: whoever
/// carries it out takes the content from what was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// The Secret with the certificate.
    pub from: ChildKey,
    /// The Secret that the pod mounts.
    pub key: ChildKey,
    /// That Secret without its data.
    pub object: Value,
}

/// A change of the Secret with the operator's token. A plan can be printed, so it has no token: whoever carries it out
/// makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotate {
    /// The Secret.
    pub key: ChildKey,
    /// That Secret without its data.
    pub object: Value,
    /// What is changed.
    pub change: Change,
}

/// A change of the Secret with the ages of values. A plan can be printed, so it has no code of a value: whoever carries
/// it out takes them from what was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Remember {
    /// The Secret.
    pub key: ChildKey,
    /// The Secret without its data.
    pub object: Value,
}

/// A change of an annotation of a pod. If it fails, the kubelet delivers the Secret later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// Name of the pod.
    pub pod: String,
    /// Value of the annotation.
    pub certificate: String,
}

/// A change of a Secret with a certificate. A plan can be printed, so it has no key: whoever carries it out makes the
/// certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// What is issued.
    pub issuance: Issuance,
    /// The Secret.
    pub key: ChildKey,
    /// The Secret without its data.
    pub object: Value,
    /// DNS names of the certificate.
    pub names: Vec<String>,
    /// Lifetime of the certificate or of the authority.
    pub lifetime: SignedDuration,
    /// Why it is issued, for logs.
    pub because: &'static str,
}

impl Step {
    /// The write; `None` if the step is a call.
    #[must_use]
    pub fn write(&self) -> Option<&Write> {
        match self {
            Self::Write(write) => Some(write),
            Self::Call(_)
            | Self::Issue(_)
            | Self::Deliver(_)
            | Self::Copy(_)
            | Self::Rotate(_)
            | Self::Publish(_)
            | Self::Remember(_)
            | Self::Record(_)
            | Self::Hold(_) => None,
        }
    }

    /// Whether the step is carried out even if an earlier step failed. Recording the anchor must not wait for other
    /// problems.
    #[must_use]
    pub fn runs_after_failure(&self) -> bool {
        match self {
            Self::Write(write) => matches!(write, Write::Record { .. }) || write.is_withdrawal(),
            // A backup is worth more the more else fails.
            Self::Call(_) | Self::Record(_) | Self::Hold(_) => true,
            Self::Issue(_) | Self::Deliver(_) | Self::Copy(_) | Self::Rotate(_) | Self::Remember(_) => false,
            // Whatever failed, a withdrawal does not wait for it.
            Self::Publish(publish) => !publish.is_public,
        }
    }
}

/// A call to the engine in the writer's pod. If it fails, the plan has no problem: the next reconcile plans the call
/// again while the engine's report shows that it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Sends the engine the anchor that its log must extend. The call succeeds when the engine has compared its log
    /// with exactly this anchor. The response replaces the integrity in the report of this reconcile, whether or not
    /// the engine found a fault.
    PushAnchor(GivenAnchor),
    /// Sends the engine the wanted mode. The response replaces the mode in the report of this reconcile.
    PushMode(WantMode),
    /// Sends the engine the hold that the resource declares; `None` ends it. The response replaces the mode in the
    /// report of this reconcile.
    PushHold(Option<DeclaredHold>),
    /// Asks the engine for a backup. The engine reports the backup when it is taken.
    TakeBackup(TakeBackup),
    /// Has the engine carry out upkeep. The engine goes on with it when this no longer waits, and the same request
    /// again shows how it ended.
    Upkeep(StartUpkeep),
    /// Delivers the ticket for clients outside of the cluster, or takes it back. The response replaces the ticket in
    /// the report of this reconcile.
    DeliverTicket(Ticket),
    /// Tells a pod that answers clients about the canary, or that there is none.
    GrantCanary(PodGrant),
}

/// A verdict for the engine. Its lifetime is an option of the operator, and is added when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The challenge of the report that was judged.
    pub challenge: String,
    /// The resource.
    pub told_by: Teller,
    /// Id of the log that was judged.
    pub log_id: String,
    /// Whether clients outside of the cluster may reach the engine.
    pub is_open: bool,
    /// What the engine does when no other ticket comes.
    pub on_expiry: OnExpiry,
    /// Names of the checks that hold.
    pub checks: Vec<String>,
}

impl Ticket {
    /// The request.
    #[must_use]
    pub fn with_lifetime(&self, ttl_seconds: u32) -> DeliverTicket {
        let Self { challenge, told_by, log_id, is_open, on_expiry, checks } = self.clone();
        DeliverTicket { challenge, told_by, log_id, is_open, ttl_seconds, on_expiry, checks }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply without force, for an object that does not exist. If someone else creates an object of this
    /// name in the meantime, that object is left unchanged.
    Create {
        /// The object.
        key: ChildKey,
        /// The fields that the operator owns.
        object: Value,
    },
    /// A patch that removes owner references from an object of this engine if the object has not changed. It removes
    /// references to engines that no longer exist, and from a claim the reference to any engine. Server-side apply
    /// cannot remove references that others wrote.
    Release {
        /// The object.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
        /// The owner references to keep.
        owners: Vec<OwnerReference>,
    },
    /// Server-side apply with force, for an object of this engine whose wanted state has changed since it was last
    /// applied, because the spec or the operator changed.
    Update {
        /// The object.
        key: ChildKey,
        /// The fields that the operator owns.
        object: Value,
        /// The first field that differs, for logs.
        because: String,
    },
    /// Server-side apply with force, for an object of this engine that someone else changed since the operator applied
    /// the same state.
    Repair {
        /// The object.
        key: ChildKey,
        /// The fields that the operator owns.
        object: Value,
        /// The first field that differs, for logs and messages.
        because: String,
    },
    /// Server-side apply with force, for an object of this engine in which only the anchor is outdated.
    Record {
        /// The object.
        key: ChildKey,
        /// The fields that the operator owns.
        object: Value,
    },
    /// A patch that replaces the ports of a Service of this engine, if the Service has not changed. Server-side apply
    /// cannot remove a port that somebody else has added, and clients would reach the pod through it.
    Prune {
        /// The Service.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
        /// The ports to keep.
        ports: Vec<Value>,
    },
    /// Deletion of an object of this engine that is no longer wanted, if the object has not changed.
    Delete {
        /// The object.
        key: ChildKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
    },
}

/// Precondition of a write. If it does not hold, the API server responds with a conflict and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation<'a> {
    /// No other field manager owns a field that is written. The API server checks this in a server-side apply without
    /// force.
    NotOwnedByOthers,
    /// The object has this uid and this resourceVersion.
    Unchanged {
        /// Its uid.
        uid: &'a str,
        /// Its resourceVersion.
        resource_version: &'a str,
    },
    /// No precondition: the operator takes over the fields from any other field manager. Used only for objects of this
    /// engine.
    Forced,
}

/// The kind of request that carries out a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// A server-side apply of this object. The sender adds apiVersion and kind.
    Apply(&'a Value),
    /// A merge patch, which includes the precondition.
    Merge(Value),
    /// A deletion with a precondition.
    Delete,
}

impl Write {
    /// Whether this deletes an object of an exposure. Of these kinds nothing else is ever deleted.
    fn is_withdrawal(&self) -> bool {
        use ChildKind::{BackendTlsPolicy, HttpRoute, Ingress, Service};
        let Self::Delete { key, .. } = self else { return false };
        matches!(key.kind, Ingress | HttpRoute | BackendTlsPolicy | Service)
    }

    /// The object to write.
    #[must_use]
    pub fn key(&self) -> &ChildKey {
        match self {
            Self::Create { key, .. }
            | Self::Release { key, .. }
            | Self::Update { key, .. }
            | Self::Repair { key, .. }
            | Self::Record { key, .. }
            | Self::Prune { key, .. }
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
            Self::Prune { .. } => "prune",
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
            Self::Prune { .. } => "a port of somebody else",
            Self::Delete { .. } => "not wanted",
        }
    }

    /// The precondition of this write.
    #[must_use]
    pub fn expectation(&self) -> Expectation<'_> {
        match self {
            Self::Create { .. } => Expectation::NotOwnedByOthers,
            Self::Update { .. } | Self::Repair { .. } | Self::Record { .. } => Expectation::Forced,
            Self::Release { uid, resource_version, .. }
            | Self::Prune { uid, resource_version, .. }
            | Self::Delete { uid, resource_version, .. } => Expectation::Unchanged { uid, resource_version },
        }
    }

    /// The request that carries out this write.
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
            Self::Prune { uid, resource_version, ports, .. } => Request::Merge(json!({
                "metadata": {"uid": uid, "resourceVersion": resource_version}, "spec": {"ports": ports},
            })),
            Self::Delete { .. } => Request::Delete,
        }
    }

    /// The bound on repetitions of this write, and the field to report when the bound is exceeded. `None` if someone
    /// else cannot provoke the write repeatedly.
    #[must_use]
    pub fn bound(&self) -> Option<(Bound, &str)> {
        match self {
            Self::Repair { because, .. } => Some((Bound::Repairs, because)),
            Self::Record { .. } => Some((Bound::Records, "the anchor")),
            Self::Prune { .. } => Some((Bound::Repairs, ".spec.ports")),
            Self::Create { .. } | Self::Release { .. } | Self::Update { .. } | Self::Delete { .. } => None,
        }
    }
}
