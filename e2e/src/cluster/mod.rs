//! The cluster for the demo and the tests: a local one, or the one that `KUBECONFIG` names.
//!
//! The local cluster is a single node with its own network, mount, process and host-name namespaces. A supervisor
//! starts the components; ending the supervisor ends everything. Nothing inside can reach the network outside; the API
//! server is reached through a port of 127.0.0.1.

mod certificates;
mod cgroups;
mod components;
mod config;
pub(crate) mod containerd;
mod control;
mod crypto;
mod down;
mod external;
mod forwarder;
pub(crate) mod given;
mod layout;
mod network;
mod node;
mod objects;
mod probes;
mod program;
mod report;
mod status;
mod supervise;
mod supervisor;
mod up;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::crypto::install_crypto;
use self::program::e2e_program;
use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};

pub use given::{is_local, kubeconfig_path};
pub(crate) use layout::{Layout, NODE_IP};

use crate::images::archive::built;
use crate::lock::Lock;
use crate::steps::Steps;
use crate::tools;

/// Longest wait for a build that another `up` runs.
const LOCK_LIMIT: Duration = Duration::from_secs(3600);

/// A cluster that answers requests.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    plain_client: Client,
    kubeconfig: PathBuf,
    local: bool,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("kubeconfig", &self.kubeconfig).field("local", &self.local).finish()
    }
}

impl Cluster {
    /// A client with administrator rights.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client without retries, for requests to pods and services through the API server. A 503 there means that no
    /// pod is ready at the moment, and the caller must see it.
    #[must_use]
    pub fn plain_client(&self) -> Client {
        self.plain_client.clone()
    }

    /// Path of the kubeconfig, for `kubectl` and `helm`.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// True for the local cluster. Images, host processes and the audit log are accessible only there.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }
}

/// Starts the local cluster if it is not up, or checks that the cluster named by `KUBECONFIG` answers.
///
/// # Errors
/// As [`up()`], and when the cluster does not answer.
pub async fn ensure_up() -> Result<Cluster> {
    install_crypto();
    if is_local() && up::running_well(&Layout::from_env()?).await.is_none() {
        // In a separate process: a test binary cannot be the supervisor.
        let mut command = tokio::process::Command::new(e2e_program()?);
        let status = command.args(["cluster", "up"]).kill_on_drop(true).status().await?;
        if !status.success() {
            bail!("`cluster up`: {status}");
        }
    }
    let kubeconfig = kubeconfig_path()?;
    let plain_client = objects::plain_client(&kubeconfig).await?;
    Ok(Cluster { client: client().await?, plain_client, kubeconfig, local: is_local() })
}

/// Starts the local cluster, or checks the one that `KUBECONFIG` names and prints how to load images.
///
/// # Errors
/// This machine cannot run a cluster, a build fails, a component does not start, or the given cluster does not answer.
pub async fn up(steps: &Steps) -> Result<()> {
    if !is_local() {
        return external::check(&kubeconfig_path()?, steps).await;
    }
    require_machine()?;
    up::up(&Layout::from_env()?, steps).await
}

/// Stops the local cluster and removes everything except its logs. Returns true when there was one.
///
/// # Errors
/// Something cannot be removed.
pub async fn down() -> Result<bool> {
    require_machine()?;
    let layout = Layout::from_env()?;
    let _lock = Lock::acquire(&layout.lock(), LOCK_LIMIT, "another `cluster up` or `down`").await?;
    down::remove(&layout).await
}

/// A readable status text, and whether everything is healthy.
///
/// # Errors
/// The cluster's name is not valid.
pub fn status() -> Result<(String, bool)> {
    Ok(status::describe(&Layout::from_env()?))
}

/// A client with administrator rights.
///
/// # Errors
/// There is no kubeconfig yet, or it is not usable.
pub async fn client() -> Result<Client> {
    install_crypto();
    objects::client(&kubeconfig_path()?).await
}

/// The API server's audit log: one JSON object (`audit.k8s.io/v1` Event, level Metadata) per line, written before the
/// request is answered. Local cluster only.
///
/// # Errors
/// The cluster's name is not valid.
pub fn audit_log_path() -> Result<PathBuf> {
    Ok(Layout::from_env()?.audit_log())
}

/// The node's network, in which a test can run a server that pods reach. Local cluster only.
#[derive(Debug, Clone)]
pub struct NodeNetwork {
    /// File of the network namespace.
    pub namespace: PathBuf,
    /// Address of the node in it.
    pub address: Ipv4Addr,
}

/// The node's network.
///
/// # Errors
/// The cluster's name is not valid.
pub fn node_network() -> Result<NodeNetwork> {
    let namespace = Layout::from_env()?.network_namespace();
    Ok(NodeNetwork { namespace, address: NODE_IP })
}

/// Host process ids of a pod's container (all containers if `None`), so that a test can kill a process without
/// involving the kubelet. Local cluster only.
///
/// # Errors
/// The pod has no such container running, or no cgroup.
pub fn host_pids(pod: &Pod, container: Option<&str>) -> Result<Vec<i32>> {
    let uid = pod.uid().context("the pod was not read from a cluster")?;
    let id = container.map(|name| container_id(pod, name)).transpose()?;
    cgroups::pod_pids(&Layout::from_env()?.name, &uid, id.as_deref())
}

fn container_id(pod: &Pod, name: &str) -> Result<String> {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let mut ids =
        statuses.filter(|status| status.name == name).filter_map(|status| status.container_id.as_deref());
    let id = ids.next().with_context(|| format!("container {name} of {} does not run", pod.name_any()))?;
    Ok(id.strip_prefix("containerd://").unwrap_or(id).to_owned())
}

/// Restarts a component (such as `kubelet`); returns when it is ready. Local cluster only.
///
/// # Errors
/// There is no such component, or it did not become ready in time.
pub async fn restart_component(name: &str) -> Result<()> {
    control::restart(&Layout::from_env()?.control_socket(), name).await
}

/// The path of a tool such as `helm` or `kubectl`, built by `cargo run -p e2e -- tools`.
///
/// # Errors
/// The name is not a known tool, or the tool is not built.
pub fn tool_path(name: &str) -> Result<PathBuf> {
    tools::program(name)
}

/// Loads an image archive (OCI) into the local cluster.
///
/// # Errors
/// The cluster is not up, or the file is not an image archive.
pub async fn load_image(archive: &Path) -> Result<()> {
    containerd::import(&Layout::from_env()?, archive).await
}

/// Runs as the first process of the node. Only `up` calls this, in new namespaces.
///
/// # Errors
/// The node cannot be prepared.
pub fn node_init() -> Result<()> {
    node::init(&Layout::from_env()?)
}

/// Runs as the supervisor. Only [`node_init`] starts it.
///
/// # Errors
/// The supervisor's own set-up failed. Components that end are reported, not returned as errors.
pub async fn supervise() -> Result<()> {
    install_crypto();
    supervise::supervise(Layout::from_env()?).await
}

fn require_machine() -> Result<()> {
    let other_way = "The other way: make a cluster with `kind create cluster` or `k3d cluster create`, set KUBECONFIG \
                     to its kubeconfig, and run the same command; it says how the images get there.";
    if !cfg!(target_os = "linux") {
        bail!("The local cluster needs Linux.\n{other_way}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("The local cluster needs root: it creates namespaces, mounts and cgroups.\n{other_way}");
    }
    Ok(())
}

/// Loads an image by archive path, or by the name of one that `images` built.
///
/// # Errors
/// There is no such image, or the cluster is not up.
pub async fn load(image: &str) -> Result<()> {
    if !is_local() {
        bail!(
            "KUBECONFIG points to a cluster that this tool did not create.\n{}",
            external::image_hint(&kubeconfig_path()?)
        );
    }
    let path = Path::new(image);
    let archive = if path.exists() { path.to_owned() } else { built(image)? };
    load_image(&archive).await
}
