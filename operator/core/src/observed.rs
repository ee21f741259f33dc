//! What was seen, once, at the start of a reconcile.

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

/// The world as one reconcile sees it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource.
    pub engine: Arc<MemoryEngine>,
    /// Every object under a child's name, whoever made it.
    pub children: BTreeMap<ChildKey, Arc<DynamicObject>>,
    /// What this operator wrote of them last.
    pub applied: BTreeMap<ChildKey, Applied>,
    /// What could not be read, and why: whether it is there, nobody knows.
    pub unread: BTreeMap<ChildKey, String>,
    /// The pod of each role, and what is known of it. A role that is not here has none.
    pub instances: BTreeMap<Role, Instance>,
    /// The class of the claim, looked up only while something depends on it.
    pub storage_class: StorageClassView,
    /// What the engine in the writer's pod answered about its newest checkpoint.
    pub checkpoints: CheckpointReport,
    /// Whether the engine has acknowledged the anchor that was pushed to it in this reconcile.
    pub anchor_acknowledged: bool,
    /// When all this was seen.
    pub now: Timestamp,
}

/// The pod of one role, and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// The pod.
    pub pod: Option<PodView>,
    /// Why Kubernetes makes none.
    pub pod_refusal: PodRefusal,
    /// What the engine in it reports about itself.
    pub report: EngineReport,
}

/// What is known of a role without a pod.
static NONE: Instance =
    Instance { pod: None, pod_refusal: PodRefusal::NotAsked, report: EngineReport::NotAsked };

/// Why Kubernetes makes no pod, in its own words. Looked up only while it makes none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PodRefusal {
    /// There is a pod, or it is too early to ask.
    #[default]
    NotAsked,
    /// Nothing was said, or it could not be read.
    Unknown,
    /// It was said.
    Said {
        /// The newest words of the StatefulSet's controller.
        message: String,
        /// LimitRanges of the namespace, when the words are about limits.
        limit_ranges: Vec<String>,
    },
}

/// A StorageClass, as far as decisions depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StorageClassView {
    /// Nothing depends on it now.
    #[default]
    NotAsked,
    /// The API server did not answer.
    Unread(String),
    /// The API server has no class of this name.
    Missing(String),
    /// It exists.
    Found {
        /// Name of the class.
        name: String,
        /// Whether its volumes can grow.
        expandable: bool,
    },
}

/// The engine's own report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineReport {
    /// There is no pod that could answer.
    #[default]
    NotAsked,
    /// The pod did not answer; the text says how that showed.
    Unreachable(String),
    /// It answered.
    Answered(Box<Health>),
}

/// What became of the question to the engine about its newest checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CheckpointReport {
    /// There was nothing to ask.
    #[default]
    NotAsked,
    /// The budget put it off for so long.
    PutOff(SignedDuration),
    /// No answer; the text says how that showed.
    Unanswered(String),
    /// Answers by the size that was asked about; `None` is the checkpoint alone.
    Answered(Vec<(Option<u64>, CheckpointAnswer)>),
}

impl Observed {
    /// A world with nothing but the resource in it.
    #[must_use]
    pub fn only(engine: Arc<MemoryEngine>, now: Timestamp) -> Self {
        Self {
            engine,
            children: BTreeMap::new(),
            applied: BTreeMap::new(),
            unread: BTreeMap::new(),
            instances: BTreeMap::new(),
            storage_class: StorageClassView::NotAsked,
            checkpoints: CheckpointReport::NotAsked,
            anchor_acknowledged: false,
            now,
        }
    }

    /// What is known of a role.
    #[must_use]
    pub fn instance(&self, role: Role) -> &Instance {
        self.instances.get(&role).unwrap_or(&NONE)
    }

    /// What is known of the writer.
    #[must_use]
    pub fn writer(&self) -> &Instance {
        self.instance(Role::Writer)
    }

    /// What is known of the writer, to be changed.
    pub fn writer_mut(&mut self) -> &mut Instance {
        self.instances.entry(Role::Writer).or_default()
    }

    /// The writer's report, once it has opened its log: before that, what it says of the log means nothing.
    #[must_use]
    pub fn report_on_log(&self) -> Option<&Health> {
        if self.is_anchor_unread() {
            return None;
        }
        match &self.writer().report {
            EngineReport::Answered(health) if !health.log.id.is_empty() => Some(health),
            EngineReport::Answered(_) | EngineReport::Unreachable(_) | EngineReport::NotAsked => None,
        }
    }

    /// The claim could not be read, and the status has no anchor: what the log has to extend may stand on the claim.
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
