//! Which clients can reach the engine, inside of the cluster and from outside.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::{DNS_LABEL, DNS_SUBDOMAIN, NAME_LENGTH_MAX};

/// Maximum number of peers in `allowFrom`.
pub const PEERS_MAX: u32 = 16;
/// A CIDR block. The operator also refuses what only looks like an IPv6 address.
const SOURCE_RANGE: &str = r"^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$";
/// Maximum number of public hosts.
pub const PUBLIC_HOSTS_MAX: u32 = 8;

/// Which clients can reach the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// Whether the operator manages a NetworkPolicy for the engine.
    #[serde(default)]
    pub network_policy: NetworkPolicyMode,

    /// Pods of other namespaces that may reach the memory API, in addition to the pods in the namespace of the engine:
    /// for example those of an ingress controller. Only for `networkPolicy: Managed`. At most 16, one for each
    /// namespace. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = PEERS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"])
    )]
    pub allow_from: Vec<Peer>,

    /// How clients outside of the cluster reach the memory API. The objects for it exist only while the engine is safe
    /// to be reached: see the condition `Exposed`. Defaults to not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicExposure>,
}

/// Whether the operator manages a NetworkPolicy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// The operator manages one: pods in the namespace of the engine and the peers in `allowFrom` can reach the memory
    /// API, the operator can reach the administration port, and the engine can open no connections. If the spec names a
    /// service outside of the engine, the engine can also resolve names and connect to the port of that service.
    #[default]
    Managed,
    /// The operator manages none. Choose this to manage your own policies.
    Disabled,
}

/// Pods that may reach the memory API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Name of their namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: String,

    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::match_labels")]
    pub pod_labels: BTreeMap<String, String>,
}

/// How clients outside of the cluster reach the memory API: exactly one of `loadBalancer`, `ingress` and `gateway`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicExposure {
    /// Names under which clients reach the engine. The engine accepts them in `Host` and `Origin`, and its certificate
    /// contains them. 1 to 8.
    #[schemars(
        length(min = 1, max = PUBLIC_HOSTS_MAX),
        inner(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub hosts: Vec<String>,

    /// A Service of type LoadBalancer with port 443. Clients verify the certificate of the engine itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<PublicLoadBalancer>,

    /// An Ingress. Its controller ends the TLS of clients, and connects to the engine with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<PublicIngress>,

    /// An HTTPRoute of the Gateway API, with a BackendTLSPolicy: the gateway ends the TLS of clients, and connects to
    /// the engine with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<PublicGateway>,

    /// What happens when a check no longer holds.
    #[serde(default)]
    pub on_violation: OnViolation,

    /// Makes the engine itself refuse clients from outside while the operator does not vouch for it: they reach a port
    /// of their own, which answers only while the engine holds a ticket. The operator renews the ticket as long as
    /// every check holds, and takes it back when one does not; connections that are open then end within a minute.
    /// Needs `spec.tls`. Adding or removing it restarts the engine. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<ExposureTicket>,
}

/// The ticket without which an engine answers nobody outside of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExposureTicket {
    /// What the engine does when its ticket ends, five minutes after the last one came, because no operator renews it.
    #[serde(default)]
    pub fail_mode: TicketFailMode,
}

/// What an engine does when its ticket ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TicketFailMode {
    /// It refuses clients from outside until another ticket comes: safety before availability.
    #[default]
    Close,
    /// It goes on answering, as the last ticket said, until an operator takes it back: availability before safety.
    KeepLast,
}

/// A Service of type LoadBalancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicLoadBalancer {
    /// Class of the load balancer. Defaults to that of the cluster. It cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = crate::patterns::KEY))]
    pub class: Option<String>,

    /// Addresses that may connect, as CIDR blocks such as `203.0.113.0/24`. Not every load balancer applies them. At
    /// most 32. Defaults to every address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 49), regex(pattern = SOURCE_RANGE)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub source_ranges: Vec<String>,

    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicIngress {
    /// Name of the IngressClass. Defaults to that of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub class_name: Option<String>,

    /// Name of a Secret in the namespace of the engine with the certificate for the hosts, of type `kubernetes.io/tls`.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub tls_secret_name: String,

    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// Annotations of the Service behind the Ingress, with which some controllers are told to connect with TLS.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::annotations")]
    pub service_annotations: BTreeMap<String, String>,
}

/// A route of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicGateway {
    /// The Gateway. It may be in another namespace, if its `allowedRoutes` accept routes of this one.
    pub parent_ref: GatewayReference,
}

/// A Gateway, or one of its listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayReference {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,

    /// Namespace of the Gateway. Defaults to that of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: Option<String>,

    /// Name of its HTTPS listener. Required, because a route without it is also served by listeners without TLS.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub section_name: String,
}

/// What happens when a check no longer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnViolation {
    /// The engine can no longer be reached from outside within seconds.
    #[default]
    Withdraw,
    /// The condition `Exposed` says so, and nothing is withdrawn. Before the first exposure every check must hold.
    Warn,
}

/// For what an engine is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeploymentMode {
    /// For trying things out: nothing is required.
    #[default]
    Development,
    /// For memories that matter: TLS and access control are required, and the engine refuses secrets that other
    /// processes can read.
    Production,
}
