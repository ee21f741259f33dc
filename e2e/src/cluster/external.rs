//! An existing cluster, named by `KUBECONFIG`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::config::Kubeconfig;

use super::crypto::install_crypto;
use super::objects;
use crate::images::archive::{NAMES, built};
use crate::steps::Steps;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Queries the cluster's version and prints how to load images. Creates nothing.
pub(super) async fn check(kubeconfig: &Path, steps: &Steps) -> Result<()> {
    install_crypto();
    let context = || format!("the cluster of KUBECONFIG={}", kubeconfig.display());
    if !kubeconfig.exists() {
        bail!("KUBECONFIG={} does not exist; unset it to use the local cluster", kubeconfig.display());
    }
    let client = objects::client(kubeconfig).await.with_context(context)?;
    let version = tokio::time::timeout(ANSWER_LIMIT, client.apiserver_version()).await;
    let version = version.with_context(context)?.with_context(context)?;
    steps.say(&format!("using {}: Kubernetes {}", context(), version.git_version));
    println!("{}", image_hint(kubeconfig));
    Ok(())
}

/// Instructions for building the images of this checkout and loading them into the cluster that `kubeconfig` names.
pub(super) fn image_hint(kubeconfig: &Path) -> String {
    let current = Kubeconfig::read_from(kubeconfig).ok().and_then(|config| config.current_context);
    let commands = NAMES.map(|image| {
        let archive = built(image).map_or_else(|_| "ARCHIVE".to_owned(), |path| path.display().to_string());
        way(current.as_deref().unwrap_or_default(), image, &archive)
    });
    format!(
        "Images: build them with `cargo run -p e2e -- images`, and load them with\n{}",
        commands.join("\n")
    )
}

fn way(context: &str, image: &str, archive: &str) -> String {
    if let Some(name) = context.strip_prefix("kind-") {
        return format!("  kind load image-archive --name {name} {archive}");
    }
    if let Some(name) = context.strip_prefix("k3d-") {
        return format!("  k3d image import --cluster {name} {archive}");
    }
    let image = image.trim_start_matches("localhost/");
    format!("  skopeo copy oci-archive:{archive} docker://REGISTRY/{image}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_follows_the_context() {
        let check = |context, expected: &str| {
            let way = way(context, "localhost/memory-engine:dev", "a.tar");
            assert!(way.contains(expected), "{way}");
        };
        check("kind-dev", "kind load image-archive --name dev a.tar");
        check("k3d-dev", "k3d image import --cluster dev a.tar");
        check("company", "docker://REGISTRY/memory-engine:dev");
    }
}
