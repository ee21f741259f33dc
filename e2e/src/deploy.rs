//! Installs the operator with its chart, as a platform team does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::cluster::{self, Cluster};
use crate::command;
use crate::images;
use crate::lock::Lock;
use crate::paths;
use crate::steps::Steps;

/// Namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "memory-system";
/// Name of the Helm release and of the objects it creates.
pub const RELEASE: &str = "memory-operator";
/// Longest run of Helm. Pulling images, where needed, is the slow part.
const HELM_LIMIT: Duration = Duration::from_secs(180);
const KUBECTL_LIMIT: Duration = Duration::from_secs(60);

/// Path of the chart.
#[must_use]
pub fn chart() -> std::path::PathBuf {
    paths::checkout_dir().join("charts/memory-operator")
}

/// Longest wait for an installation that another process runs.
const INSTALL_LIMIT: Duration = Duration::from_secs(1200);

/// Ensures that the operator of this build runs on the cluster. Returns at once if it already runs. If several
/// processes call this at the same time, the first one installs and the others wait for it.
///
/// # Errors
/// The images do not build, or Helm fails.
pub async fn ensure_installed(cluster: &Cluster) -> Result<()> {
    let layout = cluster::Layout::from_env()?;
    let _lock =
        Lock::acquire(&paths::state_dir().join("install.lock"), INSTALL_LIMIT, "another installation")
            .await?;
    let mark = if cluster.is_local() {
        layout.at("run/installed")
    } else {
        paths::state_dir().join("installed-elsewhere")
    };
    let build = images::NAMES.iter().map(|name| images::built(name)).collect::<Result<Vec<_>>>();
    let build = build.map(|archives| {
        archives.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n")
    });
    if let (Ok(build), Ok(installed)) = (&build, std::fs::read_to_string(&mark))
        && *build == installed
    {
        return Ok(());
    }
    if build.is_err() {
        images::build_all(&Steps::start()).await?;
    } else if cluster.is_local() {
        // The images may have been built for another cluster and not be loaded into this one.
        images::load_built(&layout, &Steps::start()).await?;
    }
    install(cluster).await?;
    std::fs::write(mark, build.unwrap_or_default()).context("writing the installation mark")
}

/// Installs or upgrades the operator and waits until it is ready. The namespace enforces the *restricted* Pod Security
/// level.
///
/// # Errors
/// Helm fails; the message carries its output.
pub async fn install(cluster: &Cluster) -> Result<()> {
    install_with(cluster, &[]).await
}

/// Like [`install`], with further `--set` values.
///
/// # Errors
/// As [`install`].
pub async fn install_with(cluster: &Cluster, values: &[&str]) -> Result<()> {
    apply(cluster, &restricted_namespace(OPERATOR_NAMESPACE)).await?;
    let chart = chart();
    let mut args =
        vec!["upgrade", "--install", RELEASE, chart.to_str().context("the path is not valid UTF-8")?];
    args.extend(["--namespace", OPERATOR_NAMESPACE, "--wait", "--timeout", "150s"]);
    args.extend(["--set", "image.tag=dev", "--set", "engineImage.tag=dev", "--reset-values"]);
    let build = build_annotation();
    if let Some(build) = &build {
        args.extend(["--set-string", build]);
    }
    for value in values {
        args.extend(["--set", value]);
    }
    helm(cluster, &args).await.map(|_| ())
}

/// Pod annotation with the build's digest. The image tag does not change, so without the annotation a new build would
/// not start new pods.
fn build_annotation() -> Option<String> {
    let archive = images::built(images::OPERATOR_IMAGE).ok()?;
    Some(format!("podAnnotations.build={}", archive.file_stem()?.to_str()?))
}

/// Manifest of a namespace that enforces the *restricted* Pod Security level, as YAML.
#[must_use]
pub fn restricted_namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n"
    )
}

/// Runs Helm against the cluster.
///
/// # Errors
/// Helm fails.
pub async fn helm(cluster: &Cluster, args: &[&str]) -> Result<String> {
    tool(cluster, "helm", args, HELM_LIMIT).await
}

/// Runs kubectl against the cluster.
///
/// # Errors
/// kubectl fails.
pub async fn kubectl(cluster: &Cluster, args: &[&str]) -> Result<String> {
    tool(cluster, "kubectl", args, KUBECTL_LIMIT).await
}

/// Applies a manifest like `kubectl apply --server-side`.
///
/// # Errors
/// The API server refuses the manifest.
pub async fn apply(cluster: &Cluster, manifest: &str) -> Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), manifest)?;
    kubectl(cluster, &["apply", "--server-side", "--field-manager=platform-team", "-f", text(file.path())?])
        .await
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is not valid UTF-8")
}

async fn tool(cluster: &Cluster, name: &str, args: &[&str], limit: Duration) -> Result<String> {
    let mut command = Command::new(cluster::tool_path(name)?);
    command.args(args).env("KUBECONFIG", cluster.kubeconfig());
    command::output(command, limit).await
}
