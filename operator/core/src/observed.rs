//! What was observed at the start of a reconcile.

use std::{collections::BTreeMap, sync::Arc};

use crds::MemoryEngine;
use engine_core::wire::{CheckpointAnswer, Health};
use jiff::{SignedDuration, Timestamp};
use kube_core::DynamicObject;

use crate::{
    anchor::record::Record,
    applied::Applied,
    names::{ChildKey, ChildKind},
    pod::PodView,
    role::Role,
};

/// Everything that one reconcile observed.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource.
    pub engine: Arc<MemoryEngine>,
    /// Every object with a child's name, whoever created it.
    pub children: BTreeMap<ChildKey, Arc<DynamicObject>>,
    /// What this operator last wrote to them.
    pub applied: BTreeMap<ChildKey, Applied>,
    /// Objects that could not be read, and why. Whether they exist is unknown.
    pub unread: BTreeMap<ChildKey, String>,
    /// The pod of each role, and its state. A role that is missing has no pod.
    pub instances: BTreeMap<Role, Instance>,
    /// The class of the claim, read only while a decision depends on it.
    pub storage_class: StorageClassView,
    /// The engine's answers about its newest checkpoint.
    pub checkpoints: CheckpointReport,
    /// Whether the engine has acknowledged the anchor that was pushed to it in this reconcile.
    pub anchor_acknowledged: bool,
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

/// Why Kubernetes does not create the pod, in its own words. Read only while there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PodRefusal {
    /// There is a pod, or it is too early to check.
    #[default]
    NotQueried,
    /// No reason was given, or it could not be read.
    Unknown,
    /// A reason was given.
    Reported {
        /// The newest message of the StatefulSet's controller.
        message: String,
        /// LimitRanges of the namespace, if the message is about limits.
        limit_ranges: Vec<String>,
    },
}

/// The part of a StorageClass that decisions depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StorageClassView {
    /// No decision depends on it now.
    #[default]
    NotQueried,
    /// The API server did not answer.
    Unread(String),
    /// The API server has no class of this name.
    Missing(String),
    /// The class exists.
    Found {
        /// Name of the class.
        name: String,
        /// Whether its volumes can grow.
        expandable: bool,
    },
}

/// Report of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineReport {
    /// There is no pod that could answer.
    #[default]
    NotQueried,
    /// The pod did not answer; the text describes the failure.
    Unreachable(String),
    /// The engine answered.
    Answered(Box<Health>),
}

/// Result of querying the engine for its newest checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CheckpointReport {
    /// There was no query.
    #[default]
    NotQueried,
    /// The budget delayed the query for this time.
    Delayed(SignedDuration),
    /// No answer; the text describes the failure.
    NoAnswer(String),
    /// Answers by the queried size; `None` is the checkpoint alone.
    Answered(Vec<(Option<u64>, CheckpointAnswer)>),
}

impl Observed {
    /// A world that contains only the resource.
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

    /// The writer's report once it has opened its log; earlier reports say nothing about the log.
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

    /// The claim could not be read, and the status has no anchor: the claim may record the history that the log must
    /// extend.
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
