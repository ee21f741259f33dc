//! What was observed at the start of a reconcile.

use std::{collections::BTreeMap, sync::Arc};

use crds::MemoryEngine;
use engine_core::wire::{CheckpointAnswer, FollowingHealth, Health};
use jiff::{SignedDuration, Timestamp};
use kube_core::DynamicObject;

use crate::{
    anchor::record::Record,
    applied::Applied,
    backup::BackupView,
    exposure::{FrontDoor, GatewayView},
    names::{ChildKey, ChildKind},
    pod::PodView,
    role::Role,
    rollout::RolloutView,
    rotation::RotationView,
    secrets::SecretsView,
    tls::{GivenView, TlsView},
    upkeep::UpkeepView,
};

/// Everything that one reconcile observed.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource.
    pub engine: Arc<MemoryEngine>,
    /// Every existing object with the kind and name of a child, whoever created it.
    pub children: BTreeMap<ChildKey, Arc<DynamicObject>>,
    /// The operator's last write of each of these objects.
    pub applied: BTreeMap<ChildKey, Applied>,
    /// Objects that could not be read, each with the error. It is unknown whether they exist.
    pub unread: BTreeMap<ChildKey, String>,
    /// The pod of each role, and its state. A role that is missing has no pod.
    pub instances: BTreeMap<Role, Instance>,
    /// The StorageClass of the claim. It is read only while a decision depends on it.
    pub storage_class: StorageClassView,
    /// The engine's responses to the query for its newest checkpoint.
    pub checkpoints: CheckpointReport,
    /// Whether the engine has acknowledged the anchor that was pushed to it in this reconcile.
    pub anchor_acknowledged: bool,
    /// Why the engine has not taken over the anchor that was pushed to it in this reconcile.
    pub anchor_refusal: Option<String>,
    /// The Secrets of the certificates; `None` if the engine has none and wants none.
    pub tls: Option<TlsView>,
    /// The certificate that the operator does not issue; `None` if there is none, and was none before.
    pub given: Option<GivenView>,
    /// The Secrets that the spec refers to; `None` if it refers to none, and did not before.
    pub secrets: Option<SecretsView>,
    /// The token that the operator makes; `None` if the spec wants none, and did not before.
    pub rotation: Option<RotationView>,
    /// Backups; `None` if the spec wants none, and did not before.
    pub backup: Option<BackupView>,
    /// What the standby reports; `None` if there is none, or if it does not answer.
    pub standby: Option<Box<FollowingHealth>>,
    /// Scheduled work; `None` if the spec wants none, and did not before.
    pub upkeep: Option<UpkeepView>,
    /// Why the engine refused a mode or a hold in this reconcile, or did not answer.
    pub mode_refusal: Option<String>,
    /// Why the label of the pod could not be changed in this reconcile.
    pub publish_refusal: Option<String>,
    /// Why a ticket, or its withdrawal, did not reach the engine in this reconcile.
    pub ticket_refusal: Option<String>,
    /// The rollout; `None` without one.
    pub rollout: Option<RolloutView>,
    /// What a request through the front door has shown.
    pub front_door: FrontDoor,
    /// The gateway that the spec names.
    pub gateway: GatewayView,
    /// When this was observed.
    pub now: Timestamp,
}

/// The pod of one role, and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// The pod.
    pub pod: Option<PodView>,
    /// Why Kubernetes does not create the pod.
    pub pod_refusal: PodRefusal,
    /// Report of the engine in the pod.
    pub report: EngineReport,
}

/// State of a role without a pod.
static NONE: Instance =
    Instance { pod: None, pod_refusal: PodRefusal::NotQueried, report: EngineReport::NotQueried };

/// Why Kubernetes does not create the pod, in the words of Kubernetes. It is read only while the pod is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PodRefusal {
    /// The pod exists, or it is too early to check.
    #[default]
    NotQueried,
    /// No reason was found, or it could not be read.
    Unknown,
    /// A reason was found.
    Reported {
        /// The newest message of the StatefulSet's controller.
        message: String,
        /// Names of the LimitRanges in the namespace, if the message is about limits.
        limit_ranges: Vec<String>,
    },
}

/// The part of a StorageClass that decisions depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StorageClassView {
    /// No decision depends on the class now.
    #[default]
    NotQueried,
    /// The class could not be read; the text describes the failure.
    Unread(String),
    /// The API server has no class of this name.
    Missing(String),
    /// The class exists.
    Found {
        /// Name of the class.
        name: String,
        /// Whether volumes of the class can be expanded.
        expandable: bool,
    },
}

/// Report of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineReport {
    /// The engine was not queried, because no pod can respond.
    #[default]
    NotQueried,
    /// The engine did not respond; the text describes the failure.
    Unreachable(String),
    /// The engine responded with this report.
    Answered(Box<Health>),
}

/// Result of querying the engine for its newest checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CheckpointReport {
    /// The engine was not queried.
    #[default]
    NotQueried,
    /// The budget of anchors delays the query by this time.
    Delayed(SignedDuration),
    /// The engine did not respond; the text describes the failure.
    NoAnswer(String),
    /// The responses, each with the queried tree size. The size is `None` if only the checkpoint was requested.
    Answered(Vec<(Option<u64>, CheckpointAnswer)>),
}

impl Observed {
    /// Creates an observation that contains only the resource.
    #[must_use]
    pub fn only(engine: Arc<MemoryEngine>, now: Timestamp) -> Self {
        Self {
            engine,
            children: BTreeMap::new(),
            applied: BTreeMap::new(),
            unread: BTreeMap::new(),
            instances: BTreeMap::new(),
            storage_class: StorageClassView::NotQueried,
            checkpoints: CheckpointReport::NotQueried,
            anchor_acknowledged: false,
            anchor_refusal: None,
            tls: None,
            given: None,
            secrets: None,
            rotation: None,
            backup: None,
            standby: None,
            upkeep: None,
            mode_refusal: None,
            publish_refusal: None,
            ticket_refusal: None,
            rollout: None,
            front_door: FrontDoor::NotAsked,
            gateway: GatewayView::NotQueried,
            now,
        }
    }

    /// State of a role.
    #[must_use]
    pub fn instance(&self, role: Role) -> &Instance {
        self.instances.get(&role).unwrap_or(&NONE)
    }

    /// State of the writer.
    #[must_use]
    pub fn writer(&self) -> &Instance {
        self.instance(Role::Writer)
    }

    /// State of the writer, mutable.
    pub fn writer_mut(&mut self) -> &mut Instance {
        self.instances.entry(Role::Writer).or_default()
    }

    /// The writer's report, if the engine has opened its log; earlier reports do not describe the log. `None` also
    /// while it is unknown which history the claim records.
    #[must_use]
    pub fn report_on_log(&self) -> Option<&Health> {
        if self.is_anchor_unread() {
            return None;
        }
        match &self.writer().report {
            EngineReport::Answered(health) if !health.log.id.is_empty() => Some(health),
            EngineReport::Answered(_) | EngineReport::Unreachable(_) | EngineReport::NotQueried => None,
        }
    }

    /// Whether an anchor may exist that could not be read: the claim was not read, and the status has no anchor.
    fn is_anchor_unread(&self) -> bool {
        self.unread.keys().any(|key| key.kind == ChildKind::PersistentVolumeClaim)
            && self
                .engine
                .status
                .as_ref()
                .and_then(|status| Record::of_status(status.log.as_ref()?))
                .is_none()
    }
}
