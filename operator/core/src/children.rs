//! The children of an engine, as one table. Their names, the kinds that are watched, the order of the writes, what is
//! removed and the rights that the operator needs are read from it: a new child is a row here and its builder.

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
    /// What it is.
    pub kind: ChildKind,
    /// What it is called, by the name of the engine.
    pub name: fn(&str) -> String,
    /// How the wanted object comes about.
    pub plan: Planned,
}

/// How the wanted object of a child comes about.
#[derive(Clone, Copy, Debug)]
pub enum Planned {
    /// By rules of its own, in `plan`: it depends on more than the spec. Such a child is never removed.
    ByItsOwnRules,
    /// Always, as this builder makes it.
    Always(fn(&Valid) -> Value),
    /// As the builder makes it while the spec wants it; otherwise it is removed.
    When(fn(&Valid) -> bool, fn(&Valid) -> Value),
}

/// Every child that an engine can have.
#[derive(Clone, Copy, Debug)]
pub struct Children {
    /// The claim of the log's volume. It comes first: no other trouble stands between a full volume and more capacity.
    pub claim: Child,
    /// What the log must extend.
    pub anchor: Child,
    /// Identity of the pods.
    pub service_account: Child,
    /// The engine's configuration.
    pub config: Child,
    /// The address of the API.
    pub service: Child,
    /// The names of the pods.
    pub headless_service: Child,
    /// Who may reach the pods.
    pub network_policy: Child,
    /// What a drain may do.
    pub disruption_budget: Child,
    /// The writer. It comes last: what a pod needs is there before the pod.
    pub stateful_set: Child,
}

/// The table, in the order in which the children are written.
pub static CHILDREN: Children = Children {
    claim: Child { kind: ChildKind::PersistentVolumeClaim, name: names::claim, plan: Planned::ByItsOwnRules },
    anchor: Child {
        kind: ChildKind::ConfigMap,
        name: names::anchor_config_map,
        plan: Planned::ByItsOwnRules,
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

/// What the operator needs to be allowed to do with one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Plural name of the resource.
    pub resource: &'static str,
    /// Verbs, in the order in which the manifests have them.
    pub verbs: Vec<&'static str>,
}

impl Child {
    /// Kind and name of this child of an engine.
    #[must_use]
    pub fn key(&self, engine: &str) -> ChildKey {
        ChildKey { kind: self.kind, name: (self.name)(engine) }
    }

    /// The object that is wanted, marked with the hash of all that is applied; `None` when the spec wants none, or when
    /// `plan` decides by rules of its own.
    #[must_use]
    pub fn wanted(&self, valid: &Valid) -> Option<Value> {
        let mut object = match self.plan {
            Planned::ByItsOwnRules => return None,
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
    /// The rows, in the order in which they are written. A field that is missing here does not compile.
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

    /// Every child that an engine of this name can have, wanted now or not.
    #[must_use]
    pub fn keys(&self, engine: &str) -> Vec<ChildKey> {
        self.rows().map(|child| child.key(engine)).to_vec()
    }

    /// What is wanted of this spec, but for children with rules of their own.
    #[must_use]
    pub fn wanted(&self, valid: &Valid) -> Vec<(ChildKey, Value)> {
        self.rows().iter().filter_map(|child| Some((child.key(&valid.name), child.wanted(valid)?))).collect()
    }

    /// What has to be removed under this spec, if it is there.
    #[must_use]
    pub fn unwanted(&self, valid: &Valid) -> Vec<ChildKey> {
        let rows = self.rows();
        let unwanted = rows.iter().filter(|child| child.is_removable() && child.wanted(valid).is_none());
        unwanted.map(|child| child.key(&valid.name)).collect()
    }

    /// The kinds that are watched.
    #[must_use]
    pub fn kinds(&self) -> Vec<ChildKind> {
        let mut kinds: Vec<ChildKind> = self.rows().map(|child| child.kind).to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// What the operator needs to be allowed to do with its children, by kind.
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
