//! cert-manager's controllers on the local cluster: a process in the network namespace of the node. It ends with the
//! value that owns it.

use std::fs::File;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

use crate::cluster::{Cluster, Layout};
use crate::deploy::{apply, kubectl};
use crate::steps::Steps;
use crate::tools;

/// Module of cert-manager, which also has the definitions of its resources.
const MODULE: &str = "github.com/cert-manager/cert-manager";
/// Namespace in which the controllers look for what belongs to no namespace.
const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: cert-manager}\n";

/// The running controllers.
#[derive(Debug)]
pub struct CertManager {
    _controllers: Child,
}

/// Applies the definitions of its resources, and waits until they are served.
///
/// # Errors
/// The definitions cannot be downloaded or applied.
pub async fn install_definitions(cluster: &Cluster) -> Result<()> {
    let folder = tools::source_of("certmanager", MODULE).await?.join("deploy/crds");
    let folder = folder.display().to_string();
    kubectl(cluster, &["apply", "--server-side", "--force-conflicts", "-f", &folder]).await?;
    kubectl(cluster, &["wait", "--for=condition=Established", "--timeout=60s", "-f", &folder]).await?;
    Ok(())
}

impl CertManager {
    /// Builds the controllers if they are not built yet, and starts them.
    ///
    /// # Errors
    /// The cluster is not the local one, or the program does not start.
    pub async fn start(cluster: &Cluster, steps: &Steps) -> Result<Self> {
        if !cluster.is_local() {
            bail!("cert-manager runs on the local cluster only");
        }
        tools::ensure_module("certmanager", steps).await?;
        let program = tools::program("certmanager")?;
        apply(cluster, NAMESPACE).await?;
        // A controller ends if a kind that it watches is not served yet.
        install_definitions(cluster).await?;
        let layout = Layout::from_env()?;
        let log = File::create(layout.component_log("certmanager"))?;
        // nsenter becomes the program, so that ending the child ends the program.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", layout.network_namespace().display())).arg(program);
        command.arg(format!("-kubeconfig={}", layout.at("config/admin.kubeconfig").display()));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        Ok(Self { _controllers: command.spawn().context("cert-manager cannot be started")? })
    }
}
