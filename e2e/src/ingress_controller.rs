//! A real ingress controller on the local cluster: Contour steers Envoy. Both are processes in the network namespace of
//! the node, where pods can be reached. They end with the value that owns them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

use crate::cluster::{Cluster, Layout};
use crate::deploy::kubectl;
use crate::steps::Steps;
use crate::{command, paths, tools};

/// Address of the node, where Envoy listens.
pub const ADDRESS: std::net::Ipv4Addr = crate::cluster::NODE_IP;
/// Name of its IngressClass.
pub const CLASS: &str = "contour";
/// Module of the controller, which also has the definitions of its resources.
const MODULE: &str = "github.com/projectcontour/contour";
/// Where Envoy asks Contour for its configuration: a port of the node's loopback.
const CONFIGURATION_PORT: &str = "8101";
const LIMIT: Duration = Duration::from_secs(60);

/// The running controller.
#[derive(Debug)]
pub struct IngressController {
    _contour: Child,
    _envoy: Child,
    _files: tempfile::TempDir,
}

impl IngressController {
    /// Builds the controller if it is not built yet, and starts it.
    ///
    /// # Errors
    /// The cluster is not the local one, or a program does not start.
    pub async fn start(cluster: &Cluster, steps: &Steps) -> Result<Self> {
        if !cluster.is_local() {
            bail!("the ingress controller runs on the local cluster only");
        }
        tools::ensure_module("contour", steps).await?;
        let (contour, envoy) = (tools::program("contour")?, envoy()?);
        definitions(cluster).await?;
        let layout = Layout::from_env()?;
        let files = tempfile::tempdir()?;
        let bootstrap = files.path().join("envoy.json");
        let admin = files.path().join("admin.sock");
        command::run(
            &contour.display().to_string(),
            &[
                "bootstrap",
                "--xds-address=127.0.0.1",
                &format!("--xds-port={CONFIGURATION_PORT}"),
                &format!("--admin-address={}", admin.display()),
                &bootstrap.display().to_string(),
            ],
            LIMIT,
        )
        .await
        .context("the configuration of Envoy")?;
        let kubeconfig = layout.at("config/admin.kubeconfig");
        let contour = spawn(
            &layout,
            "contour",
            &contour,
            &[
                "serve",
                "--insecure",
                "--xds-address=127.0.0.1",
                &format!("--xds-port={CONFIGURATION_PORT}"),
                "--http-address=127.0.0.1",
                "--http-port=8100",
                "--health-address=127.0.0.1",
                "--health-port=8102",
                "--disable-leader-election",
                &format!("--kubeconfig={}", kubeconfig.display()),
                "--envoy-service-http-address=0.0.0.0",
                "--envoy-service-http-port=80",
                "--envoy-service-https-address=0.0.0.0",
                "--envoy-service-https-port=443",
                &format!("--ingress-status-address={ADDRESS}"),
                &format!("--ingress-class-name={CLASS}"),
            ],
        )?;
        let envoy = spawn(
            &layout,
            "envoy",
            &envoy,
            &[
                "-c",
                &bootstrap.display().to_string(),
                "--concurrency",
                "1",
                "--service-cluster",
                "contour",
                "--service-node",
                "node",
            ],
        )?;
        Ok(Self { _contour: contour, _envoy: envoy, _files: files })
    }
}

/// Starts a program in the network namespace of the node.
fn spawn(layout: &Layout, name: &str, program: &Path, arguments: &[&str]) -> Result<Child> {
    let log = File::create(layout.component_log(name))?;
    // nsenter becomes the program, so that ending the child ends the program.
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", layout.network_namespace().display())).arg(program).args(arguments);
    // Contour takes the namespace of its own objects from there.
    command.env("CONTOUR_NAMESPACE", "projectcontour");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn().with_context(|| format!("{name} cannot be started"))
}

/// Envoy is installed as a Python package, whose folder has the program.
fn envoy() -> Result<PathBuf> {
    let libraries = paths::cache_dir().join("envoy-venv/lib");
    let versions = std::fs::read_dir(&libraries)
        .with_context(|| format!("{} is missing: run .ci/setup demo-secure", libraries.display()))?;
    let programs = versions.filter_map(|version| {
        Some(version.ok()?.path().join("site-packages/envoy/_bin/envoy")).filter(|path| path.is_file())
    });
    programs.into_iter().next().context("Envoy is not installed: run .ci/setup demo-secure")
}

/// Applies the definitions of the resources that Contour reads.
async fn definitions(cluster: &Cluster) -> Result<()> {
    let folder = tools::source_of("contour", MODULE).await?;
    let file = folder.join("examples/contour/01-crds.yaml").display().to_string();
    kubectl(cluster, &["apply", "--server-side", "--force-conflicts", "-f", &file]).await?;
    // Contour ends if a kind that it watches is not served yet.
    let served = ["wait", "--for=condition=Established", "--timeout=60s", "-f", &file];
    kubectl(cluster, &served).await?;
    Ok(())
}
