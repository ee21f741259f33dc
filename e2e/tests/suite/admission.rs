//! Cluster admission policies that change what the operator applies: the operator accepts the changes and names them in
//! a condition, and does not fight them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::wait::{condition, until};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::audit;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, is_current};

const GROUP: &str = "admissionregistration.k8s.io";
/// How long a settled engine is watched for writes that change nothing.
const WATCHED: Duration = Duration::from_secs(30);
/// Longest time from the first event to its anchor: log heads are anchored every ten seconds.
const ANCHOR_LIMIT: Duration = Duration::from_secs(15);

/// One policy: the resource it matches, the operations, and the mutation.
struct Policy {
    name: &'static str,
    group: &'static str,
    resource: &'static str,
    when: &'static str,
    patch: &'static str,
}

/// An added field, a changed list, a changed field and a removed field, for the kinds that matter most.
fn policies() -> Vec<Policy> {
    let label = "has(object.metadata.labels) && 'app.kubernetes.io/name' in object.metadata.labels";
    let policy = |name, group, resource, when, patch| Policy { name, group, resource, when, patch };
    vec![
        policy(
            "set-toleration",
            "apps",
            "statefulsets",
            "!object.spec.template.spec.tolerations.exists(t, has(t.key) && t.key == 'pool')",
            "[JSONPatch{op: 'add', path: '/spec/template/spec/tolerations/-', \
             value: Object.spec.template.spec.tolerations{key: 'pool', operator: 'Exists'}}]",
        ),
        policy(
            "set-pull-policy",
            "apps",
            "statefulsets",
            "true",
            "[JSONPatch{op: 'replace', path: '/spec/template/spec/containers/0/imagePullPolicy', value: 'Never'}]",
        ),
        policy(
            "service-label",
            "",
            "services",
            label,
            "[JSONPatch{op: 'remove', path: '/metadata/labels/app.kubernetes.io~1name'}]",
        ),
        policy(
            "config-label",
            "",
            "configmaps",
            label,
            "[JSONPatch{op: 'replace', path: '/metadata/labels/app.kubernetes.io~1name', value: 'changed'}]",
        ),
        policy(
            "claim-label",
            "",
            "persistentvolumeclaims",
            label,
            "[JSONPatch{op: 'replace', path: '/metadata/labels/app.kubernetes.io~1name', value: 'changed'}, \
             JSONPatch{op: 'add', path: '/metadata/labels/cost-centre', value: 'seven'}]",
        ),
    ]
}

/// Returns the API version in which this cluster serves mutating admission policies; `None` if it does not serve them.
async fn version(client: &Client) -> Result<Option<String>> {
    for version in ["v1", "v1beta1"] {
        let path = format!("/apis/{GROUP}/{version}");
        let list = client.request::<Value>(http::Request::get(path).body(Vec::new())?).await;
        let names = |list: &Value| list["resources"].as_array().cloned().unwrap_or_default();
        if list.is_ok_and(|list| names(&list).iter().any(|r| r["name"] == "mutatingadmissionpolicies")) {
            return Ok(Some(version.to_owned()));
        }
    }
    Ok(None)
}

fn api(world: &World, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, version, kind), plural);
    Api::all_with(world.client.clone(), &resource)
}

/// Creates the policies and their bindings. They are cluster-scoped, so their names contain the namespace.
async fn install(world: &World, version: &str) -> Result<()> {
    let policies_api = api(world, version, "MutatingAdmissionPolicy", "mutatingadmissionpolicies");
    let bindings = api(world, version, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings");
    for policy in policies() {
        let name = format!("{}-{}", world.namespace, policy.name);
        let object = json!({
            "apiVersion": format!("{GROUP}/{version}"), "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
                    "resourceRules": [{
                        "apiGroups": [policy.group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                        "resources": [policy.resource],
                    }],
                },
                "matchConditions": [{"name": "when", "expression": policy.when}],
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": policy.patch}}],
            },
        });
        let binding = json!({
            "apiVersion": format!("{GROUP}/{version}"), "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name}, "spec": {"policyName": name},
        });
        policies_api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    }
    Ok(())
}

async fn uninstall(world: &World, version: &str) -> Result<()> {
    for (kind, plural) in [
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ] {
        for policy in policies() {
            let name = format!("{}-{}", world.namespace, policy.name);
            match api(world, version, kind, plural).delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => other.map(|_| ())?,
            }
        }
    }
    Ok(())
}

/// Waits until all policies are in effect. They take effect some moments after they are created.
async fn in_force(world: &World) -> Result<()> {
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = world.api();
    until("the policies are in force", SOON, async || {
        let probe = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "probe", "labels": {"app.kubernetes.io/name": "probe"}}});
        let params = PatchParams::apply("test").dry_run();
        let made = maps.patch("probe", &params, &Patch::Apply(&probe)).await?;
        let label = made.metadata.labels.unwrap_or_default().remove("app.kubernetes.io/name");
        Ok((label.as_deref() == Some("changed")).then_some(()))
    })
    .await?;
    // The probe shows one policy only, and each policy is compiled separately: wait for the others.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// The operator accepts the changes that policies make to its objects: the engine becomes and stays Ready, no write is
/// repeated, the first event is anchored in time, and the condition names the fields that differ from what was applied.
#[tokio::test(flavor = "multi_thread")]
async fn what_admission_makes_of_objects_is_accepted_and_named() {
    in_namespace("admission", async |world| {
        let Some(version) = version(&world.client).await? else {
            println!("skipped: this cluster has no MutatingAdmissionPolicy");
            return Ok(());
        };
        uninstall(world, &version).await?;
        install(world, &version).await?;
        in_force(world).await?;
        let result = served_under_policies(world).await;
        uninstall(world, &version).await?;
        result
    })
    .await;
}

async fn served_under_policies(world: &World) -> Result<()> {
    world
        .apply(
            "notes",
            json!({"writer": {
                "storage": {"size": "64Mi"}, "tolerations": [{"key": "gpu", "operator": "Exists"}],
            }}),
        )
        .await?;
    world.ready("notes").await?;
    let pod = serde_json::to_value(world.api::<Pod>().get("notes-0").await?)?;
    let tolerations = pod["spec"]["tolerations"].to_string();
    ensure!(
        tolerations.contains("pool") && tolerations.contains("gpu"),
        "the policy did nothing: {tolerations}"
    );
    ensure!(pod["spec"]["containers"][0]["imagePullPolicy"] == "Never", "the policy did nothing");

    let since = std::time::Instant::now();
    world.memories("notes").save("anchored although a policy changes the objects", None).await?;
    world
        .until_engine("notes", "the first event is anchored", ANCHOR_LIMIT, |engine| {
            engine
                .status
                .as_ref()
                .and_then(|status| status.log.as_ref())
                .is_some_and(|log| log.size >= Some(1))
        })
        .await?;
    println!("the first event was anchored after {:.1?}", since.elapsed());
    // Once a second the engine verifies what it wrote. The status shows this at most once in ten seconds. If the anchor
    // was written before the verification, one more write of the status follows: wait for it.
    world
        .until_engine("notes", "the first event is verified", Duration::from_secs(30), |engine| {
            engine
                .status
                .as_ref()
                .and_then(|status| status.log.as_ref())
                .is_some_and(|log| log.verified_through >= Some(1))
        })
        .await?;
    // Leave time for the anchor to reach the claim and the ConfigMap.
    tokio::time::sleep(Duration::from_secs(3)).await;
    quiet(world).await?;
    let engine = world.api::<MemoryEngine>().get("notes").await?;
    let message = condition(&engine, "Reconciling").context("a condition")?.message.clone();
    for part in ["StatefulSet/notes", "admission"] {
        ensure!(message.contains(part), "the message does not contain {part}: {message}");
    }
    Ok(())
}

/// Watches an engine that has settled: it stays Ready, and none of its objects is written.
async fn quiet(world: &World) -> Result<()> {
    let mark = if world.cluster.is_local() { Some(audit::mark()?) } else { None };
    let end = tokio::time::Instant::now() + WATCHED;
    while tokio::time::Instant::now() < end {
        let engine = world.api::<MemoryEngine>().get("notes").await?;
        ensure!(is_current(&engine), "not Ready while it serves: {:?}", engine.status);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let Some(mark) = mark else { return Ok(()) };
    let writes: Vec<String> = audit::requests_of(audit::OPERATOR, mark)?
        .into_iter()
        .filter(|entry| {
            let here = |object: &audit::Object| object.namespace.as_ref() == Some(&world.namespace);
            entry.is_write() && entry.object_ref.as_ref().is_some_and(here)
        })
        .map(|entry| entry.to_string())
        .collect();
    ensure!(writes.is_empty(), "unnecessary writes in {WATCHED:?}: {writes:?}");
    Ok(())
}

/// A policy created while an engine runs: the operator does not fight it, and the engine continues to serve.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_comes_later_is_accepted_too() {
    in_namespace("admission-later", async |world| {
        let Some(version) = version(&world.client).await? else {
            println!("skipped: this cluster has no MutatingAdmissionPolicy");
            return Ok(());
        };
        uninstall(world, &version).await?;
        let spec = |level: &str| {
            json!({"logging": {"level": level}, "writer": {
                "storage": {"size": "64Mi"}, "tolerations": [{"key": "gpu", "operator": "Exists"}],
            }})
        };
        world.apply("notes", spec("info")).await?;
        world.ready("notes").await?;
        let saved = world.memories("notes").save("from before the policy", None).await?;
        install(world, &version).await?;
        in_force(world).await?;
        world.apply("notes", spec("debug")).await?;
        let result = async {
            world.until_engine("notes", "it is Ready", READY_LIMIT, is_current).await?;
            world.memories("notes").read(&saved.id).await?;
            tokio::time::sleep(Duration::from_secs(12)).await;
            quiet(world).await
        }
        .await;
        uninstall(world, &version).await?;
        result
    })
    .await;
}
