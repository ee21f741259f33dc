use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use engine_core::configuration::address_port;

use super::owned;
use crate::{
    names::{self, ADMIN_PORT, API_PORT},
    validate::Valid,
};

/// Port of name servers.
const DNS_PORT: u16 = 53;

/// A NetworkPolicy for the pod: pods in the engine's namespace can reach the memory API, and the operator can reach the
/// administration port. The engine cannot open connections, because it needs none, except to a collector of traces.
#[must_use]
pub fn network_policy(valid: &Valid) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owned(valid, valid.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labelled(names::selector(&valid.name))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![
                rule(
                    API_PORT,
                    NetworkPolicyPeer {
                        pod_selector: Some(LabelSelector::default()),
                        ..NetworkPolicyPeer::default()
                    },
                ),
                rule(ADMIN_PORT, operator_pods(&valid.operator_namespace)),
            ]),
            // An empty list instead of none: the operator then owns the field, and a rule that someone adds counts as
            // drift.
            egress: Some(valid.tracing.as_ref().map(collector).unwrap_or_default()),
        }),
    }
}

/// Connections to the port of the collector and to name servers. The addresses behind the name of the collector are not
/// known here, and they change.
fn collector(tracing: &crds::Tracing) -> Vec<NetworkPolicyEgressRule> {
    let to = |ports| NetworkPolicyEgressRule { ports: Some(ports), to: None };
    let sending = address_port(&tracing.endpoint).map(|number| to(vec![port(number, "TCP")]));
    sending.into_iter().chain([to(vec![port(DNS_PORT, "UDP"), port(DNS_PORT, "TCP")])]).collect()
}

fn port(number: u16, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(number))),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}

fn operator_pods(namespace: &str) -> NetworkPolicyPeer {
    let label = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    NetworkPolicyPeer {
        namespace_selector: Some(labelled(label("kubernetes.io/metadata.name", namespace))),
        pod_selector: Some(labelled(label("app.kubernetes.io/name", "memory-operator"))),
        ip_block: None,
    }
}

fn labelled(match_labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(match_labels), match_expressions: None }
}

fn rule(number: u16, from: NetworkPolicyPeer) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(vec![from]), ports: Some(vec![port(number, "TCP")]) }
}
