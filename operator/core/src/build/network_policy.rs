use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use engine_core::configuration::Address;

use super::{
    backup, bootstrap,
    external_service::{ExternalService, external_services},
    owned,
};
use crate::{
    names::{self, ADMIN_PORT, API_PORT, PROBE_PORT, TICKET_PORT},
    validate::Valid,
};

/// A NetworkPolicy for the pod: pods in the engine's namespace can reach the memory API, and the operator can reach the
/// administration port. The engine can open connections only to the services that the spec names, and to the collector
/// of its traces.
#[must_use]
pub fn network_policy(valid: &Valid) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owned(valid, valid.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labelled(names::selector(&valid.name))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress(valid)),
            // An empty list instead of none: the operator then owns the field, and a rule that someone adds counts as
            // drift.
            egress: Some(writer_egress(valid)),
        }),
    }
}

/// Who may connect to which port. With a ticket, clients from outside come through a port of their own.
fn ingress(valid: &Valid) -> Vec<NetworkPolicyIngressRule> {
    let readers = (valid.readers > 0).then(|| pods(names::reader_selector(&valid.name)));
    let canary = has_canary(valid).then(|| pods(names::canary_selector(&valid.name)));
    let standby = valid.has_standby().then(|| pods(names::standby_selector(&valid.name)));
    let followers = readers.into_iter().chain(standby).chain(canary);
    let admins = [operator_pods(&valid.operator_namespace)].into_iter().chain(followers).collect();
    let admin = rule(ADMIN_PORT, admins);
    match valid.essentials.ticket {
        None => vec![rule(API_PORT, clients(valid)), admin],
        Some(_) => vec![rule(API_PORT, inside(valid)), admin, rule(TICKET_PORT, clients(valid))],
    }
}

fn has_canary(valid: &Valid) -> bool {
    valid.rolled.as_ref().is_some_and(|rolled| rolled.canary.is_some())
}

/// The port of the pods that says whether they are ready.
fn probed_port(valid: &Valid) -> u16 {
    if valid.tls.is_some() { PROBE_PORT } else { ADMIN_PORT }
}

/// The way from a pod that answers clients to the canary, while there is one.
fn to_canary(valid: &Valid) -> Option<NetworkPolicyEgressRule> {
    has_canary(valid).then(|| NetworkPolicyEgressRule {
        to: Some(vec![pods(names::canary_selector(&valid.name))]),
        ports: Some(vec![port_of(API_PORT, "TCP"), port_of(probed_port(valid), "TCP")]),
    })
}

/// Who may connect to the canary, and to what it may: what a reader may, but no client may connect to it.
pub(super) fn canary_policy_spec(valid: &Valid) -> NetworkPolicySpec {
    let serving = [names::selector(&valid.name), names::reader_selector(&valid.name)].map(pods).to_vec();
    let has_drills = valid.rollout.as_ref().is_some_and(|rollout| rollout.drills.is_some());
    let drills: Vec<_> = has_drills.then(|| pods(names::drill_selector(&valid.name))).into_iter().collect();
    let asking = [serving.clone(), drills.clone()].concat();
    let administering = [vec![operator_pods(&valid.operator_namespace)], drills].concat();
    let ingress = match probed_port(valid) {
        ADMIN_PORT => vec![rule(API_PORT, asking), rule(ADMIN_PORT, [administering, serving].concat())],
        probed => vec![rule(API_PORT, asking), rule(probed, serving), rule(ADMIN_PORT, administering)],
    };
    NetworkPolicySpec {
        pod_selector: Some(labelled(names::canary_selector(&valid.name))),
        ingress: Some(ingress),
        ..readers_policy_spec(valid)
    }
}

/// Who may connect to readers, and to what they may: clients of the namespace and those that the spec names, the
/// operator, and of the writer its log and its API.
pub(super) fn readers_policy_spec(valid: &Valid) -> NetworkPolicySpec {
    let writer = [port_of(ADMIN_PORT, "TCP"), port_of(API_PORT, "TCP")];
    let writer = NetworkPolicyEgressRule {
        to: Some(vec![pods(names::selector(&valid.name))]),
        ports: Some(writer.to_vec()),
    };
    let mut services = egress(valid);
    if services.is_empty() {
        services.push(dns());
    }
    services.push(writer);
    services.extend(to_canary(valid));
    NetworkPolicySpec {
        pod_selector: Some(labelled(names::reader_selector(&valid.name))),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ingress: Some(vec![
            rule(API_PORT, inside(valid)),
            rule(ADMIN_PORT, vec![operator_pods(&valid.operator_namespace)]),
        ]),
        egress: Some(services),
    }
}

/// Who may connect to the standby, and to what it may: the operator, and of the writer its log.
pub(super) fn standby_policy_spec(valid: &Valid) -> NetworkPolicySpec {
    let mut services = egress(valid);
    if services.is_empty() {
        services.push(dns());
    }
    services.push(NetworkPolicyEgressRule {
        to: Some(vec![pods(names::selector(&valid.name))]),
        ports: Some(vec![port_of(ADMIN_PORT, "TCP")]),
    });
    NetworkPolicySpec {
        pod_selector: Some(labelled(names::standby_selector(&valid.name))),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ingress: Some(vec![rule(ADMIN_PORT, vec![operator_pods(&valid.operator_namespace)])]),
        egress: Some(services),
    }
}

/// Label that Kubernetes gives each namespace with its name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// Every address.
const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];
/// Ports of DNS servers. Policies apply to the port of a pod, not to that of its Service, and the DNS pods of some
/// distributions listen on 5353.
const DNS_PORTS: [u16; 2] = [53, 5353];

/// Port that API servers listen on.
const API_SERVER_PORT: u16 = 6443;

/// What the engine may connect to: nothing, or DNS and the ports of the services and of the collector that the spec
/// names, of the issuers whose keys it fetches, and of archives. A policy cannot name a host, and the address behind a
/// name changes, so the ports are open to every address.
fn egress(valid: &Valid) -> Vec<NetworkPolicyEgressRule> {
    let collector = valid.tracing.as_ref().and_then(|tracing| Address::of(&tracing.endpoint));
    let services = external_services(valid);
    let ports = services.iter().filter_map(ExternalService::port);
    let ports = ports.chain(collector.map(|address| address.port));
    let archive = valid.backup.as_ref().and_then(|one| backup::access(one).port());
    let source = valid.bootstrap.as_ref().and_then(|from| bootstrap::access(from).port());
    let ports: BTreeSet<u16> = ports.chain(issuer_ports(valid)).chain(archive).chain(source).collect();
    if ports.is_empty() {
        return Vec::new();
    }
    let services = ports.into_iter().map(|port| port_of(port, "TCP"));
    vec![dns(), NetworkPolicyEgressRule { to: None, ports: Some(services.collect()) }]
}

/// What the writer may connect to: the services, and the canary while there is one.
fn writer_egress(valid: &Valid) -> Vec<NetworkPolicyEgressRule> {
    let mut allowed = egress(valid);
    if has_canary(valid) && allowed.is_empty() {
        allowed.push(dns());
    }
    allowed.extend(to_canary(valid));
    allowed
}

fn dns() -> NetworkPolicyEgressRule {
    let ports = ["UDP", "TCP"].into_iter().flat_map(|protocol| DNS_PORTS.map(|port| port_of(port, protocol)));
    NetworkPolicyEgressRule { to: None, ports: Some(ports.collect()) }
}

/// Ports of the servers with the keys of issuers. Policies apply to the port of an endpoint, not to that of its
/// Service, and the Service of the API server has another one than the API server itself.
fn issuer_ports(valid: &Valid) -> impl Iterator<Item = u16> {
    let issuers = valid.access.iter().flat_map(|access| &access.issuers);
    issuers.filter(|issuer| issuer.keys_config_map_ref.is_none()).flat_map(|issuer| {
        let url = issuer.jwks_url.as_ref().unwrap_or(&issuer.issuer);
        let of_api_server = issuer.service_account_token.then_some(API_SERVER_PORT);
        Address::of(url).map(|address| address.port).into_iter().chain(of_api_server)
    })
}

/// Who may reach the memory API: the pods in the namespace of the engine, and those that the spec names. Behind a load
/// balancer everybody may, while the engine is exposed: the addresses that arrive are those of clients or of nodes.
fn clients(valid: &Valid) -> Vec<NetworkPolicyPeer> {
    let balancer = valid.public.as_ref().and_then(|public| public.load_balancer.as_ref());
    if let Some(balancer) = balancer.filter(|_| valid.is_published) {
        let ranges = balancer.source_ranges.clone();
        let ranges = if ranges.is_empty() { EVERYBODY.map(str::to_owned).to_vec() } else { ranges };
        // The operator asks through the load balancer whether clients are served. In many clusters such a request never
        // leaves the cluster, so that it arrives from the pod of the operator.
        let operator = operator_pods(&valid.operator_namespace);
        let block = |cidr| IPBlock { cidr, except: None };
        let outside = ranges
            .into_iter()
            .map(|cidr| NetworkPolicyPeer { ip_block: Some(block(cidr)), ..NetworkPolicyPeer::default() });
        return inside(valid).into_iter().chain([operator]).chain(outside).collect();
    }
    inside(valid)
}

fn inside(valid: &Valid) -> Vec<NetworkPolicyPeer> {
    let own =
        NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let others = valid.allow_from.iter().map(|peer| NetworkPolicyPeer {
        namespace_selector: Some(labelled(BTreeMap::from([(
            NAMESPACE_LABEL.to_owned(),
            peer.namespace.clone(),
        )]))),
        pod_selector: Some(labelled(peer.pod_labels.clone())),
        ip_block: None,
    });
    std::iter::once(own).chain(others).collect()
}

fn pods(labels: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(labelled(labels)), ..NetworkPolicyPeer::default() }
}

fn operator_pods(namespace: &str) -> NetworkPolicyPeer {
    let label = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    NetworkPolicyPeer {
        namespace_selector: Some(labelled(label(NAMESPACE_LABEL, namespace))),
        pod_selector: Some(labelled(label("app.kubernetes.io/name", "memory-operator"))),
        ip_block: None,
    }
}

fn labelled(match_labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(match_labels), match_expressions: None }
}

fn rule(port: u16, from: Vec<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(from), ports: Some(vec![port_of(port, "TCP")]) }
}

fn port_of(port: u16, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}
