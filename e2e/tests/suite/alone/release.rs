//! The operator's Helm release is installed, upgraded and removed; engines and volumes stay.

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::deploy::{self, OPERATOR_NAMESPACE, RELEASE, helm, kubectl};
use e2e::wait::until;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use std::time::Duration;

use super::{LEADER_LIMIT, leader_other_than, operator_pods};
use crate::world::{READY_LIMIT, World, in_namespace, small};

/// `helm upgrade` starts a new operator and does not touch the pods of engines.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_restarts_no_engine() {
    in_namespace("upgrade", async |world| {
        world.engine("notes").await?;
        let before = world.api::<Pod>().get("notes-0").await?.metadata.uid;
        let operator = names_of_operators(world).await?;
        let upgraded = deploy::install_with(&world.cluster, &["log.level=debug"]).await;
        let judged = match upgraded {
            Ok(()) => undisturbed(world, &operator, before.as_deref()).await,
            Err(error) => Err(error),
        };
        deploy::install(&world.cluster).await?;
        judged
    })
    .await;
}

async fn undisturbed(world: &World, operator: &str, pod: Option<&str>) -> Result<()> {
    leader_other_than(&world.cluster, operator).await?;
    // Enough time for the new operator to reconcile every engine.
    tokio::time::sleep(Duration::from_secs(12)).await;
    world.ready("notes").await?;
    let now = world.api::<Pod>().get("notes-0").await?.metadata.uid;
    ensure!(now.as_deref() == pod, "the engine's pod was replaced");
    Ok(())
}

async fn names_of_operators(world: &World) -> Result<String> {
    let pods = operator_pods(&world.cluster).await?;
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect::<Vec<_>>().concat())
}

/// `helm uninstall` leaves the CRD, the engines, their claims and their pods, which continue to serve. After a new
/// installation the operator manages them again.
#[tokio::test(flavor = "multi_thread")]
async fn engines_outlive_the_release() {
    in_namespace("uninstall", async |world| {
        world.engine("notes").await?;
        let saved = world.memories("notes").save("older than the release", None).await?;
        let before = uids(world).await?;
        uninstall(world).await?;
        let judged = outlived(world, &before, &saved.id).await;
        deploy::install(&world.cluster).await?;
        judged?;

        let mut spec = small();
        spec["logging"] = json!({"level": "debug"});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        let pod = world.api::<Pod>().get("notes-0").await?;
        ensure!(pod.metadata.uid != before[2], "the edit did not reach the pod");
        world.memories("notes").read(&saved.id).await.map(|_| ())
    })
    .await;
}

/// Uninstalls the release after scaling the operator to zero. Otherwise Helm would delete the release's role bindings
/// before the operator's pod, and an operator without permissions cannot release its Lease.
async fn uninstall(world: &World) -> Result<()> {
    let deployment = format!("deployment/{RELEASE}");
    kubectl(&world.cluster, &["-n", OPERATOR_NAMESPACE, "scale", &deployment, "--replicas=0"]).await?;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
    until("the operator has stopped", LEADER_LIMIT, async || {
        let left = pods.list(&Default::default()).await?.items;
        Ok(left.is_empty().then_some(()))
    })
    .await?;
    helm(&world.cluster, &["uninstall", RELEASE, "-n", OPERATOR_NAMESPACE, "--wait"]).await.map(|_| ())
}

async fn uids(world: &World) -> Result<Vec<Option<String>>> {
    Ok(vec![
        world.api::<MemoryEngine>().get("notes").await?.metadata.uid,
        world.api::<PersistentVolumeClaim>().get("notes-data").await?.metadata.uid,
        world.api::<Pod>().get("notes-0").await?.metadata.uid,
    ])
}

async fn outlived(world: &World, before: &[Option<String>], memory: &str) -> Result<()> {
    ensure!(operator_pods(&world.cluster).await?.is_empty(), "the operator still runs");
    // Leave the garbage collector enough time to delete the objects, which it must not do.
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(uids(world).await? == before, "engine, claim or pod were replaced");
    let memories = world.memories("notes");
    memories.save("saved without an operator", None).await?;
    ensure!(memories.read(memory).await?.content == "older than the release", "the memory differs");
    Ok(())
}

/// In namespaced scope, the operator works in its own namespace, has no permissions in any other, and ignores engines
/// there.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespaced_release_stays_in_its_namespace() {
    in_namespace("scoped", async |world| {
        let elsewhere = "t-scoped-elsewhere";
        deploy::apply(&world.cluster, &deploy::restricted_namespace(elsewhere)).await?;
        uninstall(world).await?;
        let scope = format!("watchNamespace={}", world.namespace);
        let installed = deploy::install_with(&world.cluster, &["scope=namespaced", &scope]).await;
        let judged = match installed {
            Ok(()) => scoped(world, elsewhere).await,
            Err(error) => Err(error),
        };
        uninstall(world).await?;
        deploy::install(&world.cluster).await?;
        judged?;
        // The cluster-scoped operator manages the other engine as well.
        let engines: Api<MemoryEngine> = Api::namespaced(world.client.clone(), elsewhere);
        until("the engine in the other namespace is reconciled", READY_LIMIT, async || {
            Ok(engines.get("notes").await?.status.and_then(|status| status.phase).map(|_| ()))
        })
        .await?;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(world.client.clone());
        namespaces.delete(elsewhere, &DeleteParams::background()).await?;
        Ok(())
    })
    .await;
}

async fn scoped(world: &World, elsewhere: &str) -> Result<()> {
    let engine = json!({
        "apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine",
        "metadata": {"name": "notes", "namespace": elsewhere}, "spec": small(),
    });
    deploy::apply(&world.cluster, &engine.to_string()).await?;
    world.engine("notes").await?;
    let sets: Api<StatefulSet> = Api::namespaced(world.client.clone(), elsewhere);
    ensure!(sets.get_opt("notes").await?.is_none(), "the engine in the other namespace has a StatefulSet");
    for (verb, resource) in [
        ("list", "memoryengines.memoryengine.io"),
        ("patch", "memoryengines.memoryengine.io/status"),
        ("create", "statefulsets.apps"),
        ("list", "pods"),
        ("get", "configmaps"),
    ] {
        ensure!(
            may(world, verb, resource, &world.namespace).await?,
            "no permission to {verb} {resource} in its own namespace"
        );
        ensure!(
            !may(world, verb, resource, elsewhere).await?,
            "has permission to {verb} {resource} in another namespace"
        );
    }
    Ok(())
}

/// Returns whether the operator has a permission, according to an access review by the API server.
async fn may(world: &World, verb: &str, resource: &str, namespace: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": crate::audit::OPERATOR, "resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace,
        }},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(&review)?)?;
    let answer: serde_json::Value = world.client.request(request).await?;
    answer
        .pointer("/status/allowed")
        .and_then(serde_json::Value::as_bool)
        .context("no answer to the access review")
}
