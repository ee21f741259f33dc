//! Names and paths of one cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::paths;

/// The node's address on its own bridge. Not reachable from other machines.
pub(crate) const NODE_IP: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);
/// The name under which the node registers.
pub(crate) const NODE_NAME: &str = "node0";
/// Port of the API server on [`NODE_IP`].
pub(crate) const API_PORT: u16 = 6443;
/// Range of service addresses; the first is the API server's.
pub(crate) const SERVICE_CIDR: &str = "10.96.0.0/16";
pub(crate) const SERVICE_IP_OF_API: &str = "10.96.0.1";
pub(crate) const POD_CIDR: &str = "10.244.0.0/16";
pub(crate) const NODE_POD_CIDR: &str = "10.244.0.0/24";

/// Linux limits socket paths to this length.
const SOCKET_PATH_MAX: usize = 107;
/// The longest socket path that a component creates below the state folder.
const LONGEST_SOCKET: &str = "kubelet/plugins/loop.csi.local/csi.sock";

/// Paths of a cluster's files, all derived from its name.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
}

impl Layout {
    /// The cluster named by `MEMORYENGINE_CLUSTER`, else `memoryengine`.
    ///
    /// # Errors
    /// The name is not valid for a network namespace and a cgroup, or the state folder's path is too long.
    pub(crate) fn from_env() -> Result<Self> {
        let name = std::env::var("MEMORYENGINE_CLUSTER").unwrap_or_default();
        Self::named(if name.is_empty() { "memoryengine" } else { &name })
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !plain || !(1..=32).contains(&name.len()) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            bail!(
                "cluster name {name:?}: 1 to 32 lower-case letters, digits and dashes, starting with a letter"
            );
        }
        let root = paths::state_dir().join("clusters").join(name);
        let longest = root.join(LONGEST_SOCKET);
        if longest.as_os_str().len() > SOCKET_PATH_MAX {
            bail!(
                "{}: too long for a socket path; set XDG_STATE_HOME to a shorter folder",
                longest.display()
            );
        }
        Ok(Self { name: name.to_owned(), root })
    }

    pub(crate) fn at(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Like [`Layout::at`], as text for configuration files and arguments.
    pub(crate) fn text(&self, below: &str) -> String {
        self.at(below).display().to_string()
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.at("kubeconfig")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.at("log/audit.jsonl")
    }

    pub(crate) fn component_log(&self, component: &str) -> PathBuf {
        self.at("log").join(format!("{component}.log"))
    }

    /// The supervisor's report, rewritten at every change.
    pub(crate) fn report(&self) -> PathBuf {
        self.at("run/report.json")
    }

    /// The record `up` wrote when it started the node.
    pub(crate) fn launch(&self) -> PathBuf {
        self.at("run/launch.json")
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.at("run/control.sock")
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.at("run/containerd.sock")
    }

    /// The lock file. It lies outside the folder that `down` empties.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.with_extension("lock")
    }

    pub(crate) fn network_namespace(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    pub(crate) fn api_address() -> SocketAddr {
        (NODE_IP, API_PORT).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for name in ["", "../x", "a/b", "A", "1a", "-a", "a b", &"a".repeat(33)] {
            assert!(Layout::named(name).is_err(), "{name:?}");
        }
        assert_eq!(Layout::named("two-2").unwrap().network_namespace(), PathBuf::from("/run/netns/two-2"));
    }
}
