//! The table of the children of an engine. Their names, the watched kinds, the order of the writes, the deletions and
//! the operator's rights are all derived from it. To add a child, add a row with its builder.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    build::{self, stamp, value},
    names::{self, ChildKey, ChildKind},
    upkeep::SCHEDULED,
    validate::Valid,
};

/// One row of the table: a child.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// Kind of the child.
    pub kind: ChildKind,
    /// Name of the child, computed from the name of the engine.
    pub name: fn(&str) -> String,
    /// How the wanted object is determined.
    pub plan: Planned,
}

/// How the wanted object of a child is determined.
#[derive(Clone, Copy, Debug)]
pub enum Planned {
    /// By rules in `plan`, because the object depends on more than the spec. Such a child is never deleted.
    PlannedSeparately,
    /// This builder; the child is always wanted.
    Always(fn(&Valid) -> Value),
    /// This builder, if it returns an object, while the checks of the exposure hold; otherwise the child is deleted.
    WhileExposed(fn(&Valid) -> Option<Value>),
    /// This builder, while the test of the spec is true; otherwise the child is deleted.
    When(fn(&Valid) -> bool, fn(&Valid) -> Value),
}

/// Every child that an engine can have.
#[derive(Clone, Copy, Debug)]
pub struct Children {
    /// The claim of the log's volume. It is written first, so that no other problem delays the expansion of a full
    /// volume.
    pub claim: Child,
    /// The ConfigMap with the history that the log must extend.
    pub anchor: Child,
    /// The ConfigMap with the certificates that clients verify the engine with.
    pub authorities: Child,
    /// The ServiceAccount of the pod.
    pub service_account: Child,
    /// The ConfigMap with the engine's configuration.
    pub config: Child,
    /// The Service of the memory API.
    pub service: Child,
    /// The Service that gives the pod its DNS name.
    pub headless_service: Child,
    /// The NetworkPolicy that restricts which clients can reach the pod.
    pub network_policy: Child,
    /// The PodDisruptionBudget, which allows a drain to evict the pod.
    pub disruption_budget: Child,
    /// The Service that clients outside of the cluster reach.
    pub public_service: Child,
    /// The way in through an ingress controller.
    pub ingress: Child,
    /// The StatefulSet of the writer. It comes after the objects that its pod needs.
    pub stateful_set: Child,
    /// The Service under which readers answer.
    pub readers_service: Child,
    /// The NetworkPolicy of the readers.
    pub readers_policy: Child,
    /// The ConfigMap with the configuration of readers that may run another revision than the writer.
    pub readers_config: Child,
    /// The StatefulSet of the readers. It comes after that of the writer, which a reader needs.
    pub readers: Child,
    /// The NetworkPolicy of the standby.
    pub standby_policy: Child,
    /// The StatefulSet of the standby, which restores the archive all the time.
    pub standby: Child,
    /// The Service that gives the canary its DNS name.
    pub canary_service: Child,
    /// The NetworkPolicy of the canary.
    pub canary_policy: Child,
    /// The ConfigMap with the configuration of the canary.
    pub canary_config: Child,
    /// The StatefulSet of the canary.
    pub canary: Child,
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
    authorities: Child {
        kind: ChildKind::ConfigMap,
        name: |engine| names::authorities_config_map(engine).name,
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
    public_service: Child {
        kind: ChildKind::Service,
        name: names::public_service,
        plan: Planned::WhileExposed(|valid| Some(value(&build::public_service(valid)))),
    },
    ingress: Child {
        kind: ChildKind::Ingress,
        name: str::to_owned,
        plan: Planned::WhileExposed(|valid| build::ingress(valid).as_ref().map(value)),
    },
    stateful_set: Child {
        kind: ChildKind::StatefulSet,
        name: str::to_owned,
        plan: Planned::Always(|valid| value(&build::stateful_set(valid))),
    },
    readers_service: Child {
        kind: ChildKind::Service,
        name: names::readers,
        plan: Planned::When(has_readers, |valid| value(&build::readers_service(valid))),
    },
    readers_policy: Child {
        kind: ChildKind::NetworkPolicy,
        name: names::readers,
        plan: Planned::When(
            |valid| valid.network_policy && has_readers(valid),
            |valid| value(&build::readers_policy(valid)),
        ),
    },
    readers_config: Child {
        kind: ChildKind::ConfigMap,
        name: names::readers,
        plan: Planned::When(
            |valid| has_readers(valid) && valid.rolled.is_some(),
            |valid| value(&build::readers_config(valid)),
        ),
    },
    readers: Child {
        kind: ChildKind::StatefulSet,
        name: names::readers,
        plan: Planned::When(has_readers, |valid| value(&build::readers(valid))),
    },
    standby_policy: Child {
        kind: ChildKind::NetworkPolicy,
        name: names::standby,
        plan: Planned::When(
            |valid| valid.network_policy && valid.has_standby(),
            |valid| value(&build::standby_policy(valid)),
        ),
    },
    standby: Child {
        kind: ChildKind::StatefulSet,
        name: names::standby,
        plan: Planned::When(Valid::has_standby, |valid| value(&build::standby(valid))),
    },
    canary_service: Child {
        kind: ChildKind::Service,
        name: names::canary,
        plan: Planned::When(has_canary, |valid| value(&build::canary_service(valid))),
    },
    canary_policy: Child {
        kind: ChildKind::NetworkPolicy,
        name: names::canary,
        plan: Planned::When(
            |valid| valid.network_policy && has_canary(valid),
            |valid| value(&build::canary_policy(valid)),
        ),
    },
    canary_config: Child {
        kind: ChildKind::ConfigMap,
        name: names::canary,
        plan: Planned::When(has_canary, |valid| value(&build::canary_config(valid))),
    },
    canary: Child {
        kind: ChildKind::StatefulSet,
        name: names::canary,
        plan: Planned::When(has_canary, |valid| value(&build::canary(valid))),
    },
};

/// Whether the spec wants readers.
fn has_readers(valid: &Valid) -> bool {
    valid.readers > 0
}

/// Whether a canary has to run.
fn has_canary(valid: &Valid) -> bool {
    valid.rolled.as_ref().is_some_and(|rolled| rolled.canary.is_some())
}

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

    /// The wanted object, annotated with the hash of everything that is applied. `None` if the spec does not want the
    /// child, or if `plan` decides about it.
    #[must_use]
    pub fn wanted(&self, valid: &Valid) -> Option<Value> {
        let mut object = match self.plan {
            Planned::PlannedSeparately | Planned::WhileExposed(_) => return None,
            Planned::When(wanted, _) if !wanted(valid) => return None,
            Planned::Always(build) | Planned::When(_, build) => build(valid),
        };
        stamp(&mut object);
        Some(object)
    }

    /// Whether the child is deleted when the spec does not want it.
    #[must_use]
    pub fn is_removable(&self) -> bool {
        matches!(self.plan, Planned::When(..) | Planned::WhileExposed(_))
    }
}

/// The objects of a scheduled rotation, in the order of the writes. They are read only for engines that want one, or
/// had one.
#[must_use]
pub fn rotation_keys(engine: &str) -> Vec<ChildKey> {
    use ChildKind::{ConfigMap, CronJob, Role, RoleBinding, ServiceAccount};
    let kinds = [ConfigMap, ServiceAccount, Role, RoleBinding, CronJob];
    kinds.map(|kind| ChildKey { kind, name: names::rotation(engine) }).to_vec()
}

/// The objects of backups, in the order of the writes. They are read only for engines that want backups, or had them.
#[must_use]
pub fn backup_keys(engine: &str) -> Vec<ChildKey> {
    use ChildKind::{ConfigMap, CronJob, Role, RoleBinding, ServiceAccount};
    let taking = [ConfigMap, ServiceAccount, Role, RoleBinding, CronJob];
    let taking = taking.map(|kind| ChildKey { kind, name: names::backup(engine) });
    let verifying = [ServiceAccount, CronJob];
    let verifying = verifying.map(|kind| ChildKey { kind, name: names::verification(engine) });
    taking.into_iter().chain(verifying).collect()
}

/// The objects of drills of a canary that stay, in the order of the writes. They are read only for engines with a
/// rollout, or that had one.
#[must_use]
pub fn drill_keys(engine: &str) -> [ChildKey; 2] {
    [ChildKind::ServiceAccount, ChildKind::CronJob].map(|kind| ChildKey { kind, name: names::drill(engine) })
}

/// The objects of a task that is done on a schedule, in the order of the writes. They are read only for engines that
/// want one, or had one.
#[must_use]
pub fn upkeep_keys(engine: &str, word: &str) -> Vec<ChildKey> {
    use ChildKind::{ConfigMap, CronJob, Role, RoleBinding, ServiceAccount};
    let kinds = [ConfigMap, ServiceAccount, Role, RoleBinding, CronJob];
    kinds.map(|kind| ChildKey { kind, name: names::upkeep(engine, word) }).to_vec()
}

/// Every object that the operator may have written for an engine without a row in the table: those of kinds that it
/// does not watch, and those of a rotation. Secrets are not among them, because nothing about their content is kept.
#[must_use]
pub fn unwatched_keys(engine: &str) -> Vec<ChildKey> {
    let order = names::certificate_order(engine);
    let route = [names::http_route(engine), names::backend_tls_policy(engine)];
    let upkeep = SCHEDULED.iter().flat_map(|row| upkeep_keys(engine, row.word));
    let scheduled = rotation_keys(engine).into_iter().chain(backup_keys(engine)).chain(upkeep);
    let scheduled = scheduled.chain(drill_keys(engine));
    scheduled.chain(route).chain([order]).collect()
}

impl Children {
    /// The rows in the order of the writes. If a row is missing here, this does not compile.
    #[must_use]
    pub fn rows(&self) -> [&Child; 22] {
        let Self {
            claim,
            anchor,
            authorities,
            service_account,
            config,
            service,
            headless_service,
            network_policy,
            disruption_budget,
            public_service,
            ingress,
            stateful_set,
            readers_service,
            readers_policy,
            readers_config,
            readers,
            standby_policy,
            standby,
            canary_service,
            canary_policy,
            canary_config,
            canary,
        } = self;
        [
            claim,
            anchor,
            authorities,
            service_account,
            config,
            service,
            headless_service,
            network_policy,
            disruption_budget,
            public_service,
            ingress,
            stateful_set,
            readers_service,
            readers_policy,
            readers_config,
            readers,
            standby_policy,
            standby,
            canary_service,
            canary_policy,
            canary_config,
            canary,
        ]
    }

    /// Every child that an engine of this name can have, whether wanted or not.
    #[must_use]
    pub fn keys(&self, engine: &str) -> Vec<ChildKey> {
        self.rows().map(|child| child.key(engine)).to_vec()
    }

    /// The wanted objects for this spec, except for children that `plan` decides about.
    #[must_use]
    pub fn wanted(&self, valid: &Valid) -> Vec<(ChildKey, Value)> {
        self.rows().iter().filter_map(|child| Some((child.key(&valid.name), child.wanted(valid)?))).collect()
    }

    /// The children that must be deleted under this spec, if they exist.
    #[must_use]
    pub fn unwanted(&self, valid: &Valid) -> Vec<ChildKey> {
        let rows = self.rows();
        let is_planned_here = |child: &&&Child| matches!(child.plan, Planned::When(..));
        let unwanted = rows.iter().filter(is_planned_here).filter(|child| child.wanted(valid).is_none());
        unwanted.map(|child| child.key(&valid.name)).collect()
    }

    /// The children that exist while the checks of the exposure hold, each with its object if the spec wants it.
    #[must_use]
    pub fn exposed(&self, valid: &Valid) -> Vec<(ChildKey, Option<Value>)> {
        let rows = self.rows();
        let exposed = rows.iter().filter_map(|child| match child.plan {
            Planned::WhileExposed(build) => {
                let mut object = build(valid);
                object.iter_mut().for_each(stamp);
                Some((child.key(&valid.name), object))
            }
            Planned::PlannedSeparately | Planned::Always(_) | Planned::When(..) => None,
        });
        exposed.collect()
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
