//! The objects of pods that follow the writer's log: the readers, the standby, and the canary of a rollout.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{
            ConfigMap, Container, EnvVar, EphemeralVolumeSource, PersistentVolumeClaimSpec,
            PersistentVolumeClaimTemplate, PodSpec, Service, ServiceSpec, Volume, VolumeResourceRequirements,
        },
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
    },
};

use super::{
    TLS_PATH, access,
    backup::{self, PART},
    bootstrap, config_map,
    network_policy::{canary_policy_spec, readers_policy_spec, standby_policy_spec},
    owned,
    service::{IP_FAMILY_POLICY, port},
    stateful_set::{stateful_set, with_revision},
    store::archive_volume,
};
use crate::{
    names::{self, ADMIN_PORT, API_PORT, TICKET_PORT_NAME},
    rollout::Running,
    validate::Valid,
};

/// Volumes of the writer that a reader does not have: the record of an anchor is about the writer's volume. Its own
/// log is a copy, which begins empty.
const ANCHOR_VOLUME: &str = "anchor";
const DATA_VOLUME: &str = "data";
/// Volume with the configuration.
const CONFIG_VOLUME: &str = "config";

/// Pods that follow the writer's log.
struct Followers {
    /// Name of their objects.
    name: String,
    /// Labels that select them.
    labels: BTreeMap<String, String>,
    replicas: i32,
    /// The ConfigMap with their configuration.
    config: String,
    /// Whether drills may make calls of their services fail.
    may_fail: bool,
    /// Whether the lines come from the archive, and not from the writer.
    restores: bool,
    /// What they run, if a rollout decides about it.
    running: Option<Running>,
    /// Their spec.
    valid: Valid,
}

impl Followers {
    fn readers(valid: &Valid) -> Self {
        let running = valid.rolled.as_ref().map(|rolled| rolled.readers.clone());
        Self {
            name: names::readers(&valid.name),
            labels: names::reader_selector(&valid.name),
            replicas: valid.readers,
            may_fail: false,
            restores: false,
            // Readers of a rollout may run another revision than the writer, and need a configuration of their own.
            config: running
                .as_ref()
                .map_or_else(|| names::config_map(&valid.name), |_| names::readers(&valid.name)),
            valid: running
                .as_ref()
                .map_or_else(|| valid.clone(), |running| valid.with_revision(&running.runs)),
            running,
        }
    }

    /// The standby runs what the writer runs, with the same configuration.
    fn standby(valid: &Valid) -> Self {
        Self {
            name: names::standby(&valid.name),
            labels: names::standby_selector(&valid.name),
            replicas: 1,
            may_fail: false,
            restores: true,
            config: names::config_map(&valid.name),
            running: None,
            valid: valid.clone(),
        }
    }

    fn canary(valid: &Valid) -> Self {
        let running = valid.rolled.as_ref().and_then(|rolled| rolled.canary.clone());
        let mut of_canary =
            running.as_ref().map_or_else(|| valid.clone(), |running| valid.with_revision(&running.runs));
        // No client reaches it but the engine's other pods, which know the operator's authority.
        of_canary.essentials.given_certificate = None;
        // Those pods have recorded the questions that it is asked.
        if let Some(rollout) = &mut of_canary.rollout {
            rollout.rehearsal = None;
        }
        Self {
            name: names::canary(&valid.name),
            labels: names::canary_selector(&valid.name),
            replicas: 1,
            restores: false,
            may_fail: valid.rollout.as_ref().is_some_and(|rollout| rollout.drills.is_some()),
            config: names::canary(&valid.name),
            running,
            valid: of_canary,
        }
    }

    fn stateful_set(&self) -> StatefulSet {
        let valid = &self.valid;
        let mut set = stateful_set(valid);
        set.metadata = with_revision(owned(valid, self.name.clone()), self.running.as_ref());
        let Some(spec) = set.spec.as_mut() else { return set };
        spec.replicas = Some(if valid.is_stopped { 0 } else { self.replicas });
        spec.service_name = Some(self.name.clone());
        spec.selector = self.selector();
        let metadata = spec.template.metadata.get_or_insert_default();
        metadata.labels.get_or_insert_default().extend(self.labels.clone());
        if let Some(pod) = spec.template.spec.as_mut() {
            self.follow(pod);
        }
        set
    }

    fn selector(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(self.labels.clone()), match_expressions: None }
    }

    /// Makes a reader of the pod of a writer.
    fn follow(&self, pod: &mut PodSpec) {
        pod.init_containers = None;
        let unneeded = self.unneeded();
        let volumes = pod.volumes.take().unwrap_or_default();
        let kept = volumes.into_iter().filter(|volume| !unneeded.contains(&volume.name));
        pod.volumes = Some(kept.map(|volume| self.volume(volume)).collect());
        for container in &mut pod.containers {
            let mounts = container.volume_mounts.get_or_insert_default();
            mounts.retain(|mount| !unneeded.contains(&mount.name));
            // What follows an archive writes nothing to it.
            for mount in mounts.iter_mut().filter(|mount| mount.name == archive_volume(PART)) {
                mount.read_only = Some(true);
            }
            let ports = container.ports.get_or_insert_default();
            ports.retain(|port| port.name.as_deref() != Some(TICKET_PORT_NAME));
            container.env = Some(self.variables(container));
            if self.may_fail {
                let allowed = variable("MEMORY_ENGINE_ALLOW_DRILL_FAULTS", "true".to_owned());
                container.env.get_or_insert_default().push(allowed);
            }
        }
        if self.valid.topology_spread.is_empty() {
            for rule in pod.topology_spread_constraints.iter_mut().flatten() {
                rule.label_selector = Some(self.selector());
            }
        }
    }

    /// The volume of a follower that stands for one of the writer.
    fn volume(&self, mut volume: Volume) -> Volume {
        if volume.name == DATA_VOLUME {
            return data_volume(&self.valid);
        }
        if let Some(config) = volume.config_map.as_mut().filter(|_| volume.name == CONFIG_VOLUME) {
            config.name.clone_from(&self.config);
        }
        volume
    }

    /// Names of the volumes that only a writer has: the anchor, and the credentials of archives.
    fn unneeded(&self) -> BTreeSet<String> {
        let valid = &self.valid;
        let archive = valid.backup.as_ref().filter(|_| !self.restores);
        let archive = archive.map(|backup| backup::access(backup).volumes()).unwrap_or_default();
        let source = valid.bootstrap.as_ref().map(|from| bootstrap::access(from).volumes());
        let named = archive.into_iter().chain(source.unwrap_or_default()).map(|volume| volume.name);
        named.chain([ANCHOR_VOLUME.to_owned()]).collect()
    }

    /// The variables of the writer's container, and what makes a follower of it.
    fn variables(&self, container: &Container) -> Vec<EnvVar> {
        let valid = &self.valid;
        let of_a_writer = ["MEMORY_ENGINE_ANCHOR", "MEMORY_ENGINE_PUBLIC_LISTEN"];
        let kept =
            container.env.iter().flatten().filter(|one| !of_a_writer.contains(&one.name.as_str())).cloned();
        let scheme = if valid.tls.is_some() { "https" } else { "http" };
        let address = |service: &str, port| format!("{scheme}://{service}.{}.svc:{port}", valid.namespace);
        let headless = names::headless_service(&valid.name);
        let follow = variable("MEMORY_ENGINE_FOLLOW", address(&headless, ADMIN_PORT));
        let restores = self.restores.then(|| variable("MEMORY_ENGINE_FOLLOW_ARCHIVE", "true".to_owned()));
        // Only a writer that is ready takes writes, so that the Service is asked, and not the pod. A reader verifies
        // it with the authorities of the administration port, which did not sign a given certificate: then it refuses
        // writes. No client reaches a standby.
        let forwards = valid.essentials.given_certificate.is_none() && !self.restores;
        let forward = forwards.then(|| variable("MEMORY_ENGINE_FORWARD", address(&valid.name, API_PORT)));
        let certificate = variable("MEMORY_ENGINE_FOLLOW_TLS_DIRECTORY", TLS_PATH.to_owned());
        let certificate = valid.tls.is_some().then_some(certificate);
        let has_token = valid.access.as_ref().is_some_and(|access| access.reader_token_secret_ref.is_some());
        let token = variable("MEMORY_ENGINE_FOLLOW_TOKEN_FILE", access::reader_token_path());
        let token = has_token.then_some(token);
        kept.chain([follow]).chain(restores).chain(forward).chain(certificate).chain(token).collect()
    }

    fn config_map(&self) -> ConfigMap {
        ConfigMap { metadata: owned(&self.valid, self.config.clone()), ..config_map(&self.valid) }
    }

    fn service(&self) -> Service {
        Service {
            metadata: owned(&self.valid, self.name.clone()),
            spec: Some(ServiceSpec {
                selector: Some(self.labels.clone()),
                ports: Some(vec![port("http", API_PORT)]),
                type_: Some("ClusterIP".to_owned()),
                ip_family_policy: Some(IP_FAMILY_POLICY.to_owned()),
                ..ServiceSpec::default()
            }),
            status: None,
        }
    }
}

/// The StatefulSet of the readers: the pod of the writer, with a disk that ends with the pod, and without what only a
/// writer needs.
#[must_use]
pub fn readers(valid: &Valid) -> StatefulSet {
    Followers::readers(valid).stateful_set()
}

/// The configuration of readers that may run another revision than the writer.
#[must_use]
pub fn readers_config(valid: &Valid) -> ConfigMap {
    Followers::readers(valid).config_map()
}

/// The StatefulSet of the standby: a pod that restores the archive all the time.
#[must_use]
pub fn standby(valid: &Valid) -> StatefulSet {
    Followers::standby(valid).stateful_set()
}

/// A NetworkPolicy for the standby: no client may connect to it.
#[must_use]
pub fn standby_policy(valid: &Valid) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owned(valid, names::standby(&valid.name)),
        spec: Some(standby_policy_spec(valid)),
    }
}

/// The StatefulSet of the canary: a reader of another revision.
#[must_use]
pub fn canary(valid: &Valid) -> StatefulSet {
    Followers::canary(valid).stateful_set()
}

/// The configuration of the canary.
#[must_use]
pub fn canary_config(valid: &Valid) -> ConfigMap {
    Followers::canary(valid).config_map()
}

/// The Service that gives the canary its DNS name. It leads to the pod before it is ready: those that ask it measure
/// that themselves.
#[must_use]
pub fn canary_service(valid: &Valid) -> Service {
    let mut service = Followers::canary(valid).service();
    if let Some(spec) = &mut service.spec {
        spec.cluster_ip = Some("None".to_owned());
        spec.publish_not_ready_addresses = Some(true);
    }
    service
}

/// A NetworkPolicy for the canary: only the engine's other pods ask it.
#[must_use]
pub fn canary_policy(valid: &Valid) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owned(valid, names::canary(&valid.name)),
        spec: Some(canary_policy_spec(&Followers::canary(valid).valid)),
    }
}

fn variable(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

/// A volume that Kubernetes makes with the pod and removes with it.
fn data_volume(valid: &Valid) -> Volume {
    let size = Quantity(valid.essentials.size.0.clone());
    let template = PersistentVolumeClaimTemplate {
        metadata: Some(ObjectMeta { labels: Some(names::labels(&valid.name)), ..ObjectMeta::default() }),
        spec: PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: valid.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size)].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        },
    };
    Volume {
        name: DATA_VOLUME.to_owned(),
        ephemeral: Some(EphemeralVolumeSource { volume_claim_template: Some(template) }),
        ..Volume::default()
    }
}

/// The Service under which readers answer.
#[must_use]
pub fn readers_service(valid: &Valid) -> Service {
    Followers::readers(valid).service()
}

/// A NetworkPolicy for the readers: what the writer may, and connections to the writer.
#[must_use]
pub fn readers_policy(valid: &Valid) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owned(valid, names::readers(&valid.name)),
        spec: Some(readers_policy_spec(&Followers::readers(valid).valid)),
    }
}
