//! The table of the children of an engine. Their names, the watched kinds, the order of the writes, the removals and
//! the rights of the operator are read from it. A new child is a new row with its builder.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    build::{self, stamp, value},
    names::{self, ChildKey, ChildKind},
    validate::Valid,
};

/// One child.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// Kind of the child.
    pub kind: ChildKind,
    /// Name of the child, computed from the name of the engine.
    pub name: fn(&str) -> String,
    /// How the wanted object is computed.
    pub plan: Planned,
}

/// How the wanted object of a child is computed.
#[derive(Clone, Copy, Debug)]
pub enum Planned {
    /// By rules of its own in `plan`, because it depends on more than the spec. Such a child is never removed.
    PlannedSeparately,
    /// Always, with this builder.
    Always(fn(&Valid) -> Value),
    /// With the builder while the spec wants the child; otherwise the child is removed.
    When(fn(&Valid) -> bool, fn(&Valid) -> Value),
}

/// Every child that an engine can have.
#[derive(Clone, Copy, Debug)]
pub struct Children {
    /// The claim of the log's volume. It comes first, so that no other problem delays the expansion of a full volume.
    pub claim: Child,
    /// The history that the log must extend.
    pub anchor: Child,
    /// Identity of the pods.
    pub service_account: Child,
    /// The engine's configuration.
    pub config: Child,
    /// Address of the API.
    pub service: Child,
    /// DNS names of the pods.
    pub headless_service: Child,
    /// Which clients can reach the pods.
    pub network_policy: Child,
    /// What a drain may evict.
    pub disruption_budget: Child,
    /// The writer. It comes last, so that everything that the pod needs exists before it.
    pub stateful_set: Child,
}

/// The table, in the order of the writes.
pub static CHILDREN: Children = Children {
    claim: Child {
        kind: ChildKind::PersistentVolumeClaim,
        name: names::claim,
        plan: Planned::PlannedSeparately,
    },
    anchor: Child {
        kind: ChildKind::ConfigMap,
        name: names::anchor_config_map,
        plan: Planned::PlannedSeparately,
    },
    service_account: Child {
        kind: ChildKind::ServiceAccount,
        name: str::to_owned,
        plan: Planned::Always(|valid| value(&build::service_account(valid))),
    },
    config: Child {
        kind: ChildKind::ConfigMap,
        name: names::config_map,
        plan: Planned::Always(|valid| value(&build::config_map(valid))),
    },
    service: Child {
        kind: ChildKind::Service,
        name: str::to_owned,
        plan: Planned::Always(|valid| value(&build::service(valid))),
    },
    headless_service: Child {
        kind: ChildKind::Service,
        name: names::headless_service,
        plan: Planned::Always(|valid| value(&build::headless_service(valid))),
    },
    network_policy: Child {
        kind: ChildKind::NetworkPolicy,
        name: str::to_owned,
        plan: Planned::When(|valid| valid.network_policy, |valid| value(&build::network_policy(valid))),
    },
    disruption_budget: Child {
        kind: ChildKind::PodDisruptionBudget,
        name: str::to_owned,
        plan: Planned::Always(|valid| value(&build::disruption_budget(valid))),
    },
    stateful_set: Child {
        kind: ChildKind::StatefulSet,
        name: str::to_owned,
        plan: Planned::Always(|valid| value(&build::stateful_set(valid))),
    },
};

/// The rights that the operator needs on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural name of the resource.
    pub resource: &'static str,
    /// Verbs, in the order of the manifests.
    pub verbs: Vec<&'static str>,
}

impl Child {
    /// Kind and name of this child of an engine.
    #[must_use]
    pub fn key(&self, engine: &str) -> ChildKey {
        ChildKey { kind: self.kind, name: (self.name)(engine) }
    }

    /// The wanted object, annotated with the hash of everything that is applied; `None` when the spec does not want it,
    /// or when `plan` decides by rules of its own.
    #[must_use]
    pub fn wanted(&self, valid: &Valid) -> Option<Value> {
        let mut object = match self.plan {
            Planned::PlannedSeparately => return None,
            Planned::When(wanted, _) if !wanted(valid) => return None,
            Planned::Always(build) | Planned::When(_, build) => build(valid),
        };
        stamp(&mut object);
        Some(object)
    }

    /// Whether the child is removed while the spec does not want it.
    #[must_use]
    pub fn is_removable(&self) -> bool {
        matches!(self.plan, Planned::When(..))
    }
}

impl Children {
    /// The rows, in the order of the writes. A missing field does not compile.
    #[must_use]
    pub fn rows(&self) -> [&Child; 9] {
        let Self {
            claim,
            anchor,
            service_account,
            config,
            service,
            headless_service,
            network_policy,
            disruption_budget,
            stateful_set,
        } = self;
        [
            claim,
            anchor,
            service_account,
            config,
            service,
            headless_service,
            network_policy,
            disruption_budget,
            stateful_set,
        ]
    }

    /// Every child that an engine of this name can have, whether wanted or not.
    #[must_use]
    pub fn keys(&self, engine: &str) -> Vec<ChildKey> {
        self.rows().map(|child| child.key(engine)).to_vec()
    }

    /// The wanted objects of this spec, except for children with rules of their own.
    #[must_use]
    pub fn wanted(&self, valid: &Valid) -> Vec<(ChildKey, Value)> {
        self.rows().iter().filter_map(|child| Some((child.key(&valid.name), child.wanted(valid)?))).collect()
    }

    /// The children that must be removed under this spec, if they exist.
    #[must_use]
    pub fn unwanted(&self, valid: &Valid) -> Vec<ChildKey> {
        let rows = self.rows();
        let unwanted = rows.iter().filter(|child| child.is_removable() && child.wanted(valid).is_none());
        unwanted.map(|child| child.key(&valid.name)).collect()
    }

    /// The watched kinds.
    #[must_use]
    pub fn kinds(&self) -> Vec<ChildKind> {
        let mut kinds: Vec<ChildKind> = self.rows().map(|child| child.kind).to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The rights that the operator needs on its children, by kind.
    #[must_use]
    pub fn access(&self) -> Vec<Access> {
        let mut removable: BTreeMap<ChildKind, bool> = BTreeMap::new();
        for child in self.rows() {
            *removable.entry(child.kind).or_default() |= child.is_removable();
        }
        let access = removable.into_iter().map(|(kind, removable)| {
            let (group, _, _, resource) = kind.resource();
            let mut verbs = vec!["get", "list", "watch", "create", "patch"];
            verbs.extend(removable.then_some("delete"));
            Access { group, resource, verbs }
        });
        access.collect()
    }
}
