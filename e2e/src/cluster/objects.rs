//! Requests to the API server while the cluster starts.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use k8s_openapi::api::storage::v1::CSINode;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde::Deserialize as _;

use super::layout::NODE_NAME;

const BASE: &str = include_str!("manifests/base.yaml");
const FIELD_MANAGER: &str = "memoryengine-e2e";

/// A client for the given kubeconfig.
///
/// # Errors
/// The file cannot be read, or its certificates are not valid.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    Client::try_from(config(kubeconfig).await?).context("client for the cluster")
}

/// A client that does not retry: it returns every response. The usual client retries a 503 for several seconds.
///
/// # Errors
/// As [`client`].
pub(super) async fn plain_client(kubeconfig: &Path) -> Result<Client> {
    let mut config = config(kubeconfig).await?;
    config.default_retry = false;
    Client::try_from(config).context("client for the cluster")
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(config)
}

/// Applies the objects that everything else depends on.
///
/// # Errors
/// The API server refuses an object.
pub(super) async fn apply_base(client: &Client) -> Result<()> {
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    for object in base_objects()? {
        let types = object.types.as_ref().context("an object without a kind")?;
        let kind = GroupVersionKind::try_from(types)?;
        let name = object.metadata.name.clone().context("an object without a name")?;
        let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        api.patch(&name, &parameters, &Patch::Apply(&object))
            .await
            .with_context(|| format!("{} {name}", kind.kind))?;
    }
    Ok(())
}

fn base_objects() -> Result<Vec<DynamicObject>> {
    let documents = serde_yaml::Deserializer::from_str(BASE);
    documents.map(|document| DynamicObject::deserialize(document).context("base.yaml")).collect()
}

/// Waits until a pod with a volume can be scheduled: node ready and untainted, CSI driver registered, service account
/// created.
///
/// # Errors
/// A prerequisite is missing after `limit`; the message names it.
pub(super) async fn wait_usable(client: &Client, limit: Duration) -> Result<()> {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let missing = match missing(client).await {
            Ok(None) => return Ok(()),
            Ok(Some(missing)) => missing.to_owned(),
            Err(error) => error.to_string(),
        };
        if tokio::time::Instant::now() > deadline {
            bail!("after {} s: {missing}", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn missing(client: &Client) -> Result<Option<&'static str>, kube::Error> {
    let node = Api::<Node>::all(client.clone()).get_opt(NODE_NAME).await?;
    if !node.as_ref().is_some_and(is_ready) {
        return Ok(Some("the node is not Ready"));
    }
    if node.and_then(|node| node.spec?.taints).is_some_and(|taints| !taints.is_empty()) {
        return Ok(Some("the node is tainted"));
    }
    let drivers = Api::<CSINode>::all(client.clone()).get_opt(NODE_NAME).await?;
    if drivers.is_none_or(|node| node.spec.drivers.is_empty()) {
        return Ok(Some("the CSI driver is not registered"));
    }
    let account = Api::<ServiceAccount>::default_namespaced(client.clone()).get_opt("default").await?;
    Ok(account.is_none().then_some("the namespace default has no service account"))
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_objects_are_objects_without_namespace() {
        let objects = base_objects().unwrap();
        assert!(objects.len() > 5);
        for object in objects {
            assert!(object.types.is_some() && object.metadata.name.is_some());
            assert_eq!(object.metadata.namespace, None);
        }
    }
}
