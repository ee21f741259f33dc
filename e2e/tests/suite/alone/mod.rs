//! Tests that stop or measure the operator or the node. They run while no other test runs.

mod jobs;
mod network;
mod node;
mod operator;
mod release;
mod rollout;
mod steady;
mod ticket;

use std::time::Duration;

use anyhow::Result;
use e2e::cluster::Cluster;
use e2e::deploy::OPERATOR_NAMESPACE;
use e2e::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

/// Longest wait for a leader: the Lease of a killed operator must expire, and a start takes time on a busy machine.
pub(crate) const LEADER_LIMIT: Duration = Duration::from_secs(60);

/// The operator's pods that are not being deleted.
pub(crate) async fn operator_pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), OPERATOR_NAMESPACE);
    let named = ListParams::default().labels("app.kubernetes.io/name=memory-operator");
    let all = pods.list(&named).await?.items;
    Ok(all.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
}

/// Returns the value of one metric of an operator pod; `None` while the pod does not respond.
pub(crate) async fn metric(cluster: &Cluster, pod: &str, name: &str) -> Option<f64> {
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8080/proxy/metrics");
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    let client = cluster.plain_client();
    let answer = tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await;
    let text = answer.ok()?.ok()?;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Returns the names of the operator pods that report that they lead.
pub(crate) async fn leaders(cluster: &Cluster) -> Result<Vec<String>> {
    let mut leaders = Vec::new();
    for pod in operator_pods(cluster).await? {
        let name = pod.metadata.name.unwrap_or_default();
        if metric(cluster, &name, "memory_operator_leading").await == Some(1.0) {
            leaders.push(name);
        }
    }
    Ok(leaders)
}

/// Waits until a pod other than `than` leads; returns its name.
pub(crate) async fn leader_other_than(cluster: &Cluster, than: &str) -> Result<String> {
    until("another operator leads", LEADER_LIMIT, async || {
        Ok(leaders(cluster).await?.into_iter().find(|leader| leader != than))
    })
    .await
}
