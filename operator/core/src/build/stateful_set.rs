use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy},
        core::v1::{
            Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, HTTPGetAction,
            LocalObjectReference, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Probe,
            ResourceRequirements, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use sha2::{Digest, Sha256};

use super::{
    API_TLS_PATH, TLS_PATH, access, backup, bootstrap, engine_config,
    external_service::external_services,
    hex, owned,
    pod_settings::{affinity, security_context, toleration, topology_spread},
    value,
};
use crate::{
    names::{
        self, ADMIN_PORT, ANCHOR_FILE, API_PORT, CONFIG_HASH_ANNOTATION, ENGINE_CONTAINER, PROBE_PORT,
        PROBE_PORT_NAME, REVISION_ANNOTATION, TICKET_PORT, TICKET_PORT_NAME,
    },
    rollout::Running,
    validate::Valid,
};

/// Seconds between the end of the drain and the moment when the kubelet kills the container.
const KILL_AFTER_DRAIN_SECONDS: i64 = 10;
/// Maximum duration of a start in seconds. The engine reads the whole log if there is no checkpoint to start from.
const START_SECONDS_MAX: i32 = 600;
/// Directory of the anchor file.
const ANCHOR_PATH: &str = "/etc/memory-engine/anchor";
/// Number of old pod templates kept for `kubectl rollout history`.
const REVISIONS_KEPT: i32 = 3;

/// The StatefulSet of the writer: one pod with exclusive use of its volume.
///
/// The pod management policy is `Parallel`. With the default policy, the controller waits for a broken pod to become
/// ready before it replaces the pod, so that a wrong image could never be corrected.
#[must_use]
pub fn stateful_set(valid: &Valid) -> StatefulSet {
    let running = valid.rolled.as_ref().map(|rolled| &rolled.writer);
    StatefulSet {
        metadata: with_revision(owned(valid, valid.name.clone()), running),
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::from(!valid.is_stopped)),
            service_name: Some(names::headless_service(&valid.name)),
            selector: LabelSelector {
                match_labels: Some(names::selector(&valid.name)),
                match_expressions: None,
            },
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: None,
            }),
            revision_history_limit: Some(REVISIONS_KEPT),
            template: pod_template(valid),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// Adds what a workload runs to its metadata.
pub(super) fn with_revision(mut metadata: ObjectMeta, running: Option<&Running>) -> ObjectMeta {
    if let Some(running) = running {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(REVISION_ANNOTATION.to_owned(), running.text());
    }
    metadata
}

fn pod_template(valid: &Valid) -> PodTemplateSpec {
    let config_hash = hex(&Sha256::digest(engine_config(valid)));
    // The operator's labels are inserted last: labels from the spec must not override the labels by which the operator
    // finds its pods.
    let mut labels = valid.pod_labels.clone();
    labels.extend(names::labels(&valid.name));
    let mut annotations = valid.pod_annotations.clone();
    annotations.extend([
        (CONFIG_HASH_ANNOTATION.to_owned(), config_hash),
        ("kubectl.kubernetes.io/default-container".to_owned(), ENGINE_CONTAINER.to_owned()),
    ]);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(valid)),
    }
}

/// Time from the signal to stop until the kubelet kills the container. The engine's default delay is within
/// [`KILL_AFTER_DRAIN_SECONDS`], so that a spec without a delay has the same pod as before there was one.
fn grace_seconds(valid: &Valid) -> i64 {
    valid.stop_delay_seconds.unwrap_or_default() + valid.drain_seconds + KILL_AFTER_DRAIN_SECONDS
}

fn pod_spec(valid: &Valid) -> PodSpec {
    PodSpec {
        service_account_name: Some(valid.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security_context(valid)),
        init_containers: bootstrap::container(valid, &container(valid), mount("data", "/data", None))
            .map(|restore| vec![restore]),
        containers: vec![container(valid)],
        volumes: Some(volumes(valid)),
        image_pull_secrets: some_list(
            valid.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect(),
        ),
        termination_grace_period_seconds: Some(grace_seconds(valid)),
        priority_class_name: valid.priority_class_name.clone(),
        node_selector: (!valid.node_selector.is_empty()).then(|| valid.node_selector.clone()),
        tolerations: some_list(valid.tolerations.iter().map(toleration).collect()),
        affinity: affinity(valid),
        topology_spread_constraints: Some(topology_spread(valid)),
        ..PodSpec::default()
    }
}

fn container(valid: &Valid) -> Container {
    let args = [
        "serve",
        "--data=/data",
        "--config=/etc/memory-engine/config.yaml",
        // All addresses of both address families; on a node without IPv6, only those of IPv4.
        "--listen=[::]:8080",
        "--admin-listen=[::]:8081",
    ];
    // A kubelet presents no certificate.
    let probe_listen = valid.tls.is_some().then_some("--probe-listen=[::]:8082");
    let ports = [port("http", API_PORT), port("admin", ADMIN_PORT)];
    let probe_port = valid.tls.is_some().then(|| port(PROBE_PORT_NAME, PROBE_PORT));
    let ticket_port = valid.essentials.ticket.map(|_| port(TICKET_PORT_NAME, TICKET_PORT));
    let probed = if valid.tls.is_some() { PROBE_PORT_NAME } else { "admin" };
    Container {
        name: ENGINE_CONTAINER.to_owned(),
        image: Some(valid.image.clone()),
        image_pull_policy: value(&valid.image_pull_policy).as_str().map(str::to_owned),
        args: Some(args.into_iter().chain(probe_listen).map(str::to_owned).collect()),
        ports: Some(ports.into_iter().chain(probe_port).chain(ticket_port).collect()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        resources: Some(ResourceRequirements {
            requests: amounts(&valid.resources.requests),
            limits: amounts(&valid.resources.limits),
            claims: None,
        }),
        volume_mounts: Some(volume_mounts(valid)),
        env: Some(variables(valid)),
        // A start may take long. Once the engine has started, a process that does not respond is restarted soon.
        startup_probe: Some(probe(probed, "/livez", 1, START_SECONDS_MAX)),
        liveness_probe: Some(probe(probed, "/livez", 10, 6)),
        readiness_probe: Some(probe(probed, "/readyz", 2, 2)),
        ..Container::default()
    }
}

/// Variables instead of arguments: an engine that is older than the operator ignores an unknown variable.
fn variables(valid: &Valid) -> Vec<EnvVar> {
    let variable = |name: &str, value| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let anchor = variable("MEMORY_ENGINE_ANCHOR", format!("{ANCHOR_PATH}/{ANCHOR_FILE}"));
    let public = valid.essentials.ticket;
    let public = public.map(|_| variable("MEMORY_ENGINE_PUBLIC_LISTEN", format!("[::]:{TICKET_PORT}")));
    [anchor].into_iter().chain(public).collect()
}

fn probe(port: &str, path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        success_threshold: Some(1),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn mount(name: &str, path: &str, read_only: Option<bool>) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), read_only, ..VolumeMount::default() }
}

fn volume_mounts(valid: &Valid) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount("data", "/data", None),
        mount("config", "/etc/memory-engine", Some(true)),
        mount("anchor", ANCHOR_PATH, Some(true)),
    ];
    mounts.extend(valid.tls.as_ref().map(|_| mount("tls", TLS_PATH, Some(true))));
    let given = valid.essentials.given_certificate.as_ref();
    mounts.extend(given.map(|_| mount("api-tls", API_TLS_PATH, Some(true))));
    mounts.extend(access::mount(valid));
    mounts.extend(external_services(valid).iter().filter_map(|service| service.key_mount()));
    mounts.extend(valid.backup.as_ref().map(|backup| backup::access(backup).mounts()).unwrap_or_default());
    mounts
}

fn volumes(valid: &Valid) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "data".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::claim(&valid.name),
                read_only: None,
            }),
            ..Volume::default()
        },
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::config_map(&valid.name),
                default_mode: Some(0o444),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        // The ConfigMap is not optional: an engine must not start without the history that its log must extend.
        Volume {
            name: "anchor".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::anchor_config_map(&valid.name),
                default_mode: Some(0o444),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    volumes.extend(
        valid.tls.as_ref().map(|_| certificate_volume("tls", names::certificate_secret(&valid.name).name)),
    );
    let given = valid.essentials.given_certificate.as_ref();
    volumes.extend(
        given.map(|_| certificate_volume("api-tls", names::api_certificate_secret(&valid.name).name)),
    );
    volumes.extend(access::volume(valid));
    volumes.extend(external_services(valid).iter().filter_map(|service| service.key_volume()));
    volumes.extend(valid.backup.as_ref().map(|backup| backup::access(backup).volumes()).unwrap_or_default());
    volumes
        .extend(valid.bootstrap.as_ref().map(|from| bootstrap::access(from).volumes()).unwrap_or_default());
    volumes
}

pub(super) fn certificate_volume(name: &str, secret: String) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            // Readable for the group of the volume, which is the engine's.
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn amounts(list: &crds::ResourceList) -> Option<BTreeMap<String, Quantity>> {
    let amounts: BTreeMap<_, _> = [("cpu", &list.cpu), ("memory", &list.memory)]
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount.as_ref()?.0.clone()))))
        .collect();
    (!amounts.is_empty()).then_some(amounts)
}

fn some_list<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
