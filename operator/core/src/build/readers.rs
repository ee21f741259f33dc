//! The objects of readers: pods that follow the writer's log and answer reads.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{
            Container, EnvVar, EphemeralVolumeSource, PersistentVolumeClaimSpec,
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
    TLS_PATH, access, backup, bootstrap,
    network_policy::readers_policy_spec,
    owned,
    service::{IP_FAMILY_POLICY, port},
    stateful_set::stateful_set,
};
use crate::{
    names::{self, ADMIN_PORT, API_PORT, TICKET_PORT_NAME},
    validate::Valid,
};

/// Volumes of the writer that a reader does not have: the record of an anchor is about the writer's volume. Its own
/// log is a copy, which begins empty.
const ANCHOR_VOLUME: &str = "anchor";
const DATA_VOLUME: &str = "data";

/// The StatefulSet of the readers: the pod of the writer, with a disk that ends with the pod, and without what only a
/// writer needs.
#[must_use]
pub fn readers(valid: &Valid) -> StatefulSet {
    let mut set = stateful_set(valid);
    set.metadata = owned(valid, names::readers(&valid.name));
    let Some(spec) = set.spec.as_mut() else { return set };
    spec.replicas = Some(if valid.is_stopped { 0 } else { valid.readers });
    spec.service_name = Some(names::readers(&valid.name));
    spec.selector = selector(valid);
    let metadata = spec.template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(names::reader_selector(&valid.name));
    if let Some(pod) = spec.template.spec.as_mut() {
        follow(valid, pod);
    }
    set
}

fn selector(valid: &Valid) -> LabelSelector {
    LabelSelector { match_labels: Some(names::reader_selector(&valid.name)), match_expressions: None }
}

/// Makes a reader of the pod of a writer.
fn follow(valid: &Valid, pod: &mut PodSpec) {
    pod.init_containers = None;
    let unneeded = unneeded(valid);
    let volumes = pod.volumes.take().unwrap_or_default();
    let kept = volumes.into_iter().filter(|volume| !unneeded.contains(&volume.name));
    pod.volumes = Some(
        kept.map(|volume| match volume.name == DATA_VOLUME {
            true => data_volume(valid),
            false => volume,
        })
        .collect(),
    );
    for container in &mut pod.containers {
        container.volume_mounts.get_or_insert_default().retain(|mount| !unneeded.contains(&mount.name));
        container.ports.get_or_insert_default().retain(|port| port.name.as_deref() != Some(TICKET_PORT_NAME));
        container.env = Some(variables(valid, container));
    }
    if valid.topology_spread.is_empty() {
        for rule in pod.topology_spread_constraints.iter_mut().flatten() {
            rule.label_selector = Some(selector(valid));
        }
    }
}

/// Names of the volumes that only a writer has: the anchor, and the credentials of archives.
fn unneeded(valid: &Valid) -> BTreeSet<String> {
    let stores = valid.backup.as_ref().map(|backup| backup::access(backup).volumes()).unwrap_or_default();
    let source = valid.bootstrap.as_ref().map(|from| bootstrap::access(from).volumes()).unwrap_or_default();
    let named = stores.into_iter().chain(source).map(|volume| volume.name);
    named.chain([ANCHOR_VOLUME.to_owned()]).collect()
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

/// The variables of the writer's container, and what makes a reader of it.
fn variables(valid: &Valid, container: &Container) -> Vec<EnvVar> {
    let variable = |name: &str, value| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let of_a_writer = ["MEMORY_ENGINE_ANCHOR", "MEMORY_ENGINE_PUBLIC_LISTEN"];
    let kept =
        container.env.iter().flatten().filter(|one| !of_a_writer.contains(&one.name.as_str())).cloned();
    let scheme = if valid.tls.is_some() { "https" } else { "http" };
    let headless = names::headless_service(&valid.name);
    let address = |service: &str, port| format!("{scheme}://{service}.{}.svc:{port}", valid.namespace);
    let follow = variable("MEMORY_ENGINE_FOLLOW", address(&headless, ADMIN_PORT));
    // Only a writer that is ready takes writes, so that the Service is asked, and not the pod. A reader verifies it
    // with the authorities of the administration port, which did not sign a given certificate: then it refuses writes.
    let forward = variable("MEMORY_ENGINE_FORWARD", address(&valid.name, API_PORT));
    let forward = valid.essentials.given_certificate.is_none().then_some(forward);
    let certificate = variable("MEMORY_ENGINE_FOLLOW_TLS_DIRECTORY", TLS_PATH.to_owned());
    let certificate = valid.tls.is_some().then_some(certificate);
    let has_token = valid.access.as_ref().is_some_and(|access| access.reader_token_secret_ref.is_some());
    let token = variable("MEMORY_ENGINE_FOLLOW_TOKEN_FILE", access::reader_token_path());
    let token = has_token.then_some(token);
    kept.chain([follow]).chain(forward).chain(certificate).chain(token).collect()
}

/// The Service under which readers answer.
#[must_use]
pub fn readers_service(valid: &Valid) -> Service {
    Service {
        metadata: owned(valid, names::readers(&valid.name)),
        spec: Some(ServiceSpec {
            selector: Some(names::reader_selector(&valid.name)),
            ports: Some(vec![port("http", API_PORT)]),
            type_: Some("ClusterIP".to_owned()),
            ip_family_policy: Some(IP_FAMILY_POLICY.to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// A NetworkPolicy for the readers: what the writer may, and connections to the writer.
#[must_use]
pub fn readers_policy(valid: &Valid) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owned(valid, names::readers(&valid.name)),
        spec: Some(readers_policy_spec(valid)),
    }
}
