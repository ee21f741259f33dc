//! Checkov finds nothing in what a platform team deploys, nor in what the operator makes of it, and nothing is switched
//! off.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use e2e::checkov::{Findings, check};
use e2e::cluster::{self, Cluster};
use e2e::deploy::{OPERATOR_NAMESPACE, RELEASE, chart, helm, kubectl};
use e2e::paths::checkout_dir;

/// Values that a platform team sets: images by digest, as its registry names them.
const DIGEST: &str = "sha256:5555555555555555555555555555555555555555555555555555555555555555";
/// The chart in other shapes.
const SHAPES: [&[&str]; 3] = [
    &[],
    &["scope=namespaced", "watchNamespace=team", "replicas=2"],
    &["secrets.namespaces={team}", "rbac.aggregateToUserRoles=false", "networkPolicy.enabled=false"],
];
/// Fewer checks would mean that manifests were not read.
const CHECKS_MIN: u64 = 700;

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is not valid UTF-8")
}

/// A folder for manifests. Checkov passes over those whose names begin with a dot.
fn folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("checkov-").tempdir()?)
}

async fn render_chart(cluster: &Cluster, folder: &Path) -> Result<()> {
    for (number, shape) in SHAPES.iter().enumerate() {
        let chart = chart();
        let mut arguments = vec!["template", RELEASE, text(&chart)?, "--namespace", OPERATOR_NAMESPACE];
        let digests = format!("image.digest={DIGEST},engineImage.digest={DIGEST},image.pullPolicy=Always");
        arguments.extend(["--set", &digests]);
        arguments.extend(shape.iter().flat_map(|value| ["--set", *value]));
        fs::write(folder.join(format!("chart{number}.yaml")), helm(cluster, &arguments).await?)?;
    }
    Ok(())
}

/// Renders `config/default` from a folder as in the guide.
async fn render_kustomization(cluster: &Cluster, folder: &Path) -> Result<()> {
    let overlay = tempfile::tempdir()?;
    // kustomize follows relative paths only.
    let path = overlay.path().canonicalize()?;
    let up = "../".repeat(path.components().count() - 1);
    let base = format!("{up}{}", text(&checkout_dir().join("config/default"))?.trim_start_matches('/'));
    let kustomization = format!(
        "resources: [{base}]\nimages: [{{name: localhost/memory-operator, digest: '{DIGEST}'}}]\npatches:\n\
         - target: {{kind: Deployment, name: memory-operator}}\n  patch: |-\n    - op: replace\n      \
         path: /spec/template/spec/containers/0/imagePullPolicy\n      value: Always\n"
    );
    fs::write(path.join("kustomization.yaml"), kustomization)?;
    let rendered = kubectl(cluster, &["kustomize", text(&path)?]).await?;
    ensure!(rendered.contains(DIGEST), "the overlay is not applied");
    fs::write(folder.join("kustomization.yaml"), rendered)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn checkov_finds_nothing_and_nothing_is_switched_off() -> Result<()> {
    let cluster = cluster::ensure_up().await?;
    let started = Instant::now();
    let folder = folder()?;
    render_chart(&cluster, folder.path()).await?;
    render_kustomization(&cluster, folder.path()).await?;
    let objects = checkout_dir().join("operator/core/tests/decisions/strict_objects.yaml");
    fs::copy(objects, folder.path().join("objects.yaml"))?;
    let Findings { passed, failed, skipped, objects } = check(folder.path()).await?;
    println!(
        "{objects} objects: {passed} checks passed, {} failed, {skipped} skipped; {:.1} s",
        failed.len(),
        started.elapsed().as_secs_f64()
    );
    ensure!(failed.is_empty() && skipped == 0, "{skipped} skipped, failed: {failed:#?}");
    ensure!(passed >= CHECKS_MIN, "only {passed} checks of {objects} objects");
    Ok(())
}

/// Without this, a run that reads nothing, or that overlooks what is switched off, would pass for a clean one.
#[tokio::test(flavor = "multi_thread")]
async fn checkov_finds_a_privileged_pod_and_a_check_that_is_switched_off() -> Result<()> {
    let folder = folder()?;
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\n  namespace: team\n  annotations:\n    \
               checkov.io/skip1: CKV_K8S_14=because\nspec:\n  containers:\n  - name: bad\n    image: bad\n    \
               securityContext: {privileged: true}\n";
    fs::write(folder.path().join("pod.yaml"), pod)?;
    let found = check(folder.path()).await?;
    ensure!(found.failed.iter().any(|one| one.starts_with("CKV_K8S_16 ")), "{found:?}");
    ensure!(found.skipped == 1, "{found:?}");
    Ok(())
}
