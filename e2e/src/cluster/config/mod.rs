//! Configuration files of the components. They are written as JSON, which is valid YAML.

mod control_plane;
mod network;
mod pretty;
mod runtime;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::certificates::CLIENTS;
use super::layout::Layout;
use pretty::pretty;

/// Writes every configuration file, and the user's kubeconfig, which reaches the API server at `port` of 127.0.0.1.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(layout: &Layout, port: u16) -> Result<()> {
    for client in CLIENTS {
        put(&layout.at(&format!("config/{client}.kubeconfig")), &kubeconfig(layout, client, &inside()))?;
    }
    // For controllers that run as processes of the node.
    put(&layout.at("config/admin.kubeconfig"), &kubeconfig(layout, "admin", &inside()))?;
    put(&layout.kubeconfig(), &kubeconfig(layout, "admin", &format!("https://127.0.0.1:{port}")))?;
    put(&layout.at("config/audit-policy.yaml"), &control_plane::audit_policy())?;
    put(&layout.at("config/scheduler.yaml"), &control_plane::scheduler(layout))?;
    put(&layout.at("config/kubelet.yaml"), &runtime::kubelet(layout))?;
    put(&layout.at("config/containerd.toml"), &runtime::containerd(layout))?;
    put(&layout.at("config/proxy.yaml"), &network::proxy(layout))?;
    put(&layout.at("config/cni/10-node.conflist"), &network::cni(layout))?;
    put(&layout.at("config/Corefile"), &network::corefile(layout))?;
    put(&layout.at("config/resolv.conf"), &network::resolv_conf())
}

/// The API server's address in the node's network.
fn inside() -> String {
    format!("https://{}", Layout::api_address())
}

fn kubeconfig(layout: &Layout, client: &str, server: &str) -> String {
    pretty(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": layout.name, "cluster": {
            "server": server, "certificate-authority": layout.text("pki/ca.crt")}}],
        "users": [{"name": client, "user": {
            "client-certificate": layout.text(&format!("pki/{client}.crt")),
            "client-key": layout.text(&format!("pki/{client}.key"))}}],
        "contexts": [{"name": layout.name, "context": {"cluster": layout.name, "user": client}}],
        "current-context": layout.name,
    }))
}

fn put(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubeconfig_for_people_is_one_that_clients_read() {
        let layout = Layout::named("test").unwrap();
        let text = kubeconfig(&layout, "admin", "https://127.0.0.1:6443");
        let parsed = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(parsed.current_context.as_deref(), Some("test"));
    }
}
