//! Configuration of the pod network, service addresses and DNS.

use serde_json::json;

use super::pretty::pretty;
use crate::cluster::layout::{Layout, NODE_IP, NODE_NAME, NODE_POD_CIDR, POD_CIDR};

pub(super) fn proxy(layout: &Layout) -> String {
    pretty(&json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": layout.text("config/proxy.kubeconfig")},
        "mode": "nftables",
        "nftables": {"syncPeriod": "10s", "minSyncPeriod": "100ms"},
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE_NAME,
        // 0 leaves the machine's connection tracking limits unchanged.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }))
}

/// CNI configuration without masquerading: there is no route out of the cluster, so pods and node see each other's real
/// addresses.
pub(super) fn cni(layout: &Layout) -> String {
    pretty(&json!({
        "cniVersion": "1.0.0",
        "name": "node",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": layout.text("run/ipam"),
                "ranges": [[{"subnet": NODE_POD_CIDR}]],
                "routes": [{"dst": "0.0.0.0/0"}]},
        }],
    }))
}

/// CoreDNS configuration. Names outside the cluster are refused at once instead of being forwarded to an unreachable
/// server.
pub(super) fn corefile(layout: &Layout) -> String {
    let kubeconfig = layout.text("config/coredns.kubeconfig");
    format!(
        "cluster.local:53 in-addr.arpa:53 {{
  bind {NODE_IP}
  errors
  ready {NODE_IP}:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    ttl 5
  }}
  cache 5
}}
.:53 {{
  bind {NODE_IP}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"
    )
}

pub(super) fn resolv_conf() -> String {
    format!("nameserver {NODE_IP}\n")
}
