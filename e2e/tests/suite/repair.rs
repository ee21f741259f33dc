//! The operator corrects drift in its objects, and does not touch the objects of others.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::wait::until;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::audit;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

/// Every child that the engine owns. The claim is not one of them.
pub(crate) const CHILDREN: [(&str, &str, &str, &str); 8] = [
    ("", "ServiceAccount", "serviceaccounts", "notes"),
    ("", "ConfigMap", "configmaps", "notes-config"),
    ("", "Service", "services", "notes"),
    ("", "Service", "services", "notes-headless"),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies", "notes"),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets", "notes"),
    ("apps", "StatefulSet", "statefulsets", "notes"),
    ("", "ConfigMap", "configmaps", "notes-anchor"),
];

pub(crate) fn api(world: &World, group: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

/// A deleted child is recreated, and no memory is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_child_is_made_again() {
    in_namespace("child-deleted", async |world| {
        world.engine("notes").await?;
        let saved = world.memories("notes").save("older than the objects around it", None).await?;
        for (group, kind, plural, name) in CHILDREN {
            let api = api(world, group, kind, plural);
            let uid = api.get(name).await?.metadata.uid;
            api.delete(name, &DeleteParams::background()).await?;
            until(&format!("{kind} {name} is back"), SOON, async || {
                let now = api.get_opt(name).await?;
                Ok(now.is_some_and(|object| object.metadata.uid != uid).then_some(()))
            })
            .await?;
        }
        // The status may still describe the pod that was deleted with its StatefulSet, so this reads the memory.
        let found = until("the memory is served again", READY_LIMIT, async || {
            Ok(Some(world.memories("notes").read(&saved.id).await?))
        })
        .await?;
        ensure!(found.hash == saved.hash, "the memory differs");
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}

/// Edits of children, each with the field to check. `kubectl edit` takes ownership of the field; the operator takes it
/// back.
fn edits() -> Vec<(usize, Value, &'static str)> {
    vec![
        (0, json!({"automountServiceAccountToken": true}), "/automountServiceAccountToken"),
        (1, json!({"data": {"config.yaml": "log: {level: trace}\n"}}), "/data/config.yaml"),
        (2, json!({"spec": {"selector": {"app.kubernetes.io/name": "elsewhere"}}}), "/spec/selector"),
        (3, json!({"metadata": {"labels": {"memoryengine.io/engine": "another"}}}), "/metadata/labels"),
        (4, json!({"spec": {"egress": [{}]}}), "/spec/egress"),
        (5, json!({"spec": {"maxUnavailable": 0}}), "/spec/maxUnavailable"),
        (6, json!({"spec": {"replicas": 0}}), "/spec/replicas"),
        (7, json!({"data": {"anchor.json": "{}"}}), "/data/anchor.json"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_child_is_put_right() {
    in_namespace("child-edited", async |world| {
        world.engine("notes").await?;
        for (child, edit, field) in edits() {
            let (group, kind, plural, name) = CHILDREN[child];
            let api = api(world, group, kind, plural);
            let right = field_of(&api.get(name).await?, field)?;
            let edited = api.patch(name, &PatchParams::default(), &Patch::Merge(&edit)).await?;
            ensure!(field_of(&edited, field)? != right, "the edit of {kind} {field} changed nothing");
            until(&format!("{kind} {name} {field} is {right}"), SOON, async || {
                Ok((field_of(&api.get(name).await?, field)? == right).then_some(()))
            })
            .await?;
        }
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}

fn field_of(object: &DynamicObject, field: &str) -> Result<Value> {
    Ok(serde_json::to_value(object)?.pointer(field).cloned().unwrap_or_default())
}

/// A child without its owner reference would outlive its engine. A child without labels would not be watched.
#[tokio::test(flavor = "multi_thread")]
async fn an_orphaned_child_is_taken_back() {
    in_namespace("orphaned", async |world| {
        world.engine("notes").await?;
        for (group, kind, plural, name) in CHILDREN {
            let api = api(world, group, kind, plural);
            let before = api.get(name).await?;
            let orphan = json!({"metadata": {"ownerReferences": null, "labels": null}});
            api.patch(name, &PatchParams::default(), &Patch::Merge(&orphan)).await?;
            until(&format!("{kind} {name} has its owner and labels back"), SOON, async || {
                let now = api.get(name).await?.metadata;
                let same = now.uid == before.metadata.uid;
                ensure!(same, "{kind} {name} is another object");
                let back = now.owner_references == before.metadata.owner_references
                    && now.labels == before.metadata.labels;
                Ok(back.then_some(()))
            })
            .await?;
        }
        Ok(())
    })
    .await;
}

/// If objects of others have names that the engine needs, a condition reports this. The objects are left alone, and no
/// part of the engine is created. Once the objects are removed, the engine starts.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_object_is_left_alone() {
    in_namespace("foreign", async |world| {
        let services = world.api::<Service>();
        let foreign: Service = serde_json::from_value(json!({
            "metadata": {"name": "notes", "labels": {"app": "somebody-elses"}},
            "spec": {"selector": {"app": "somebody-elses"}, "ports": [{"port": 80}]},
        }))?;
        let before = services.create(&Default::default(), &foreign).await?;
        world.apply("notes", small()).await?;
        let message = world.condition("notes", "Stalled", "True", "NameConflict").await?;
        ensure!(message.contains("Service/notes"), "the message does not name the object: {message}");
        let after = services.get("notes").await?;
        ensure!(
            after.metadata.resource_version == before.metadata.resource_version,
            "the foreign Service was written to"
        );
        for (group, kind, plural, name) in CHILDREN.into_iter().filter(|child| child.2 != "services") {
            ensure!(
                api(world, group, kind, plural).get_opt(name).await?.is_none(),
                "{kind} {name} was created nevertheless"
            );
        }
        let claims = world.api::<PersistentVolumeClaim>();
        ensure!(claims.get_opt("notes-data").await?.is_none(), "a claim was created nevertheless");

        services.delete("notes", &DeleteParams::default()).await?;
        world.ready("notes").await?;
        let ours = services.get("notes").await?.metadata.owner_references.context("an owner")?;
        ensure!(ours.iter().any(|owner| owner.kind == "MemoryEngine"), "{ours:?}");
        Ok(())
    })
    .await;
}

/// When something undoes every repair (a webhook, another controller), the operator repeats the repair at a bounded
/// rate, not as fast as it can. Other engines are not affected.
#[tokio::test(flavor = "multi_thread")]
async fn a_fight_over_an_object_is_bounded() {
    in_namespace("fight", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: no access to another cluster's audit log");
            return Ok(());
        }
        world.engine("notes").await?;
        world.engine("bystander").await?;
        let before = audit::mark()?;
        let budgets = api(world, "policy", "PodDisruptionBudget", "poddisruptionbudgets");
        let edit = Patch::Merge(json!({"spec": {"maxUnavailable": 0}}));
        for _ in 0..200 {
            budgets.patch("notes", &PatchParams::default(), &edit).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let repairs = audit::requests_of(audit::OPERATOR, before)?.into_iter().filter(|entry| {
            entry.object_ref.as_ref().is_some_and(|object| {
                object.resource == "poddisruptionbudgets"
                    && object.namespace.as_ref() == Some(&world.namespace)
                    && entry.is_write()
            })
        });
        let repairs = repairs.count();
        println!("200 edits in 10 s were answered by {repairs} repairs");
        ensure!((1..=8).contains(&repairs), "{repairs} repairs");
        let message = world.condition("notes", "Stalled", "True", "Contested").await?;
        ensure!(
            message.contains("PodDisruptionBudget/notes") && message.contains("maxUnavailable"),
            "{message}"
        );
        world.ready("notes").await?;
        let mut spec = small();
        spec["exposure"] = json!({"networkPolicy": "Disabled"});
        world.apply("bystander", spec).await?;
        world.ready("bystander").await?;
        Ok(())
    })
    .await;
}
