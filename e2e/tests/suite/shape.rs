//! What shapes the pod from outside: sidecars, quotas, labels, volumes created by hand.

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::deploy::{self, kubectl};
use e2e::wait::{condition, until};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::world::{READY_LIMIT, SOON, TOOLS_IMAGE, World, in_namespace, small};

/// An image that no node and no registry has.
const NO_IMAGE: &str = "localhost/no-such-image:1";

/// A cluster policy that injects a container `daprd` into every pod of a namespace.
fn injector(namespace: &str, image: &str) -> String {
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  matchConstraints:
    resourceRules:
    - {{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        [JSONPatch{{op: "add", path: "/spec/containers/0", value: Object.spec.containers{{
          name: "daprd", image: "{image}", imagePullPolicy: "IfNotPresent", command: ["sleep", "600"],
          securityContext: Object.spec.containers.securityContext{{
            allowPrivilegeEscalation: false,
            capabilities: Object.spec.containers.securityContext.capabilities{{drop: ["ALL"]}}
          }}
        }}}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec:
  policyName: {namespace}
  matchResources:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
"#
    )
}

async fn remove_injector(world: &World) {
    for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
        let args = ["delete", kind, &world.namespace, "--ignore-not-found"];
        let _ = kubectl(&world.cluster, &args).await;
    }
}

/// Waits until a new pod gets the injected container: the API server applies a policy with a delay.
async fn until_injected(world: &World, image: &str) -> Result<()> {
    let probe: Pod = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "probe", "image": TOOLS_IMAGE,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }))?;
    let params = PostParams { dry_run: true, ..PostParams::default() };
    until("the policy is in force", SOON, async || {
        let made = world.api::<Pod>().create(&params, &probe).await?;
        let mut containers = made.spec.into_iter().flat_map(|spec| spec.containers);
        let injected = containers.any(|it| it.name == "daprd" && it.image.as_deref() == Some(image));
        Ok(injected.then_some(()))
    })
    .await
}

/// A sidecar has a name that sorts before the name of the engine's container. The condition names the container with
/// the fault.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_sidecar_and_with_the_engine_is_told_apart() {
    in_namespace("sidecar", async |world| {
        let judged = with_sidecar(world).await;
        remove_injector(world).await;
        judged
    })
    .await;
}

async fn with_sidecar(world: &World) -> Result<()> {
    deploy::apply(&world.cluster, &injector(&world.namespace, TOOLS_IMAGE)).await?;
    until_injected(world, TOOLS_IMAGE).await?;
    world.engine("notes").await?;
    let pod = world.api::<Pod>().get("notes-0").await?;
    let names: Vec<&str> =
        pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str()).collect();
    ensure!(names.contains(&"daprd") && names.contains(&"engine"), "{names:?}");

    let mut spec = small();
    spec["image"] = NO_IMAGE.into();
    world.apply("notes", spec).await?;
    let message = world.condition("notes", "Ready", "False", "ImagePullFailed").await?;
    ensure!(message.contains("Correct spec.image"), "{message}");
    world.apply("notes", small()).await?;
    world.ready("notes").await?;

    deploy::apply(&world.cluster, &injector(&world.namespace, NO_IMAGE)).await?;
    until_injected(world, NO_IMAGE).await?;
    world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
    let message = world.condition("notes", "Stalled", "True", "SidecarFailed").await?;
    ensure!(message.contains("container daprd") && !message.contains("spec.image"), "{message}");

    // The policy is corrected. Kubernetes recreates the pod once the broken pod is gone.
    deploy::apply(&world.cluster, &injector(&world.namespace, TOOLS_IMAGE)).await?;
    until_injected(world, TOOLS_IMAGE).await?;
    world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
    world.ready("notes").await?;
    world.memories("notes").save("beside a sidecar", None).await.map(|_| ())
}

/// A quota or a limit range of the namespace permits too little for the pod. The condition names this object and the
/// remedy.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_or_a_limit_range_on_pods_is_named() {
    in_namespace("quota", async |world| {
        let quota = |cpu: &str| {
            format!(
                "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: team-compute, namespace: {}}}\nspec: {{hard: \
                 {{requests.cpu: {cpu}}}}}\n",
                world.namespace
            )
        };
        deploy::apply(&world.cluster, &quota("10m")).await?;
        world.apply("notes", small()).await?;
        let message = world.condition("notes", "Stalled", "True", "PodRefused").await?;
        // The first message appears before the operator can read the event that names the quota.
        let named = said(world, "ResourceQuota team-compute").await.with_context(|| message)?;
        ensure!(named.contains("spec.writer") && named.contains("requests.cpu=50m"), "{named}");

        // The quota now has capacity. The next obstacle is a limit on single containers.
        deploy::apply(&world.cluster, &quota("1")).await?;
        let range = format!(
            "apiVersion: v1\nkind: LimitRange\nmetadata: {{name: small-pods, namespace: {}}}\nspec: {{limits: [{{type: \
             Container, max: {{memory: 128Mi}}, default: {{memory: 64Mi}}}}]}}\n",
            world.namespace
        );
        deploy::apply(&world.cluster, &range).await?;
        try_again(world, "1").await?;
        let named = said(world, "LimitRange small-pods").await?;
        ensure!(named.contains("spec.writer.resources") && named.contains("128Mi"), "{named}");

        let mut spec = small();
        spec["writer"]["resources"] = json!({"limits": {"memory": "128Mi"}});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}

async fn said(world: &World, words: &str) -> Result<String> {
    let is_so =
        |engine: &MemoryEngine| condition(engine, "Stalled").is_some_and(|c| c.message.contains(words));
    let engine = world.until_engine("notes", words, READY_LIMIT, is_so).await?;
    Ok(condition(&engine, "Stalled").map(|c| c.message.clone()).unwrap_or_default())
}

/// Triggers another attempt to create the pod, as the condition's message describes.
async fn try_again(world: &World, value: &str) -> Result<()> {
    let word = format!("try-again={value}");
    let args = ["-n", &world.namespace, "annotate", "--overwrite", "statefulset", "notes", &word];
    kubectl(&world.cluster, &args).await.map(|_| ())
}

fn shaped() -> Value {
    let mut spec = small();
    spec["service"] = json!({
        "labels": {"team": "search"},
        "annotations": {"external-dns.alpha.kubernetes.io/hostname": "memory.example.org"},
    });
    let writer = &mut spec["writer"];
    writer["podLabels"] = json!({"team": "search"});
    writer["podAnnotations"] = json!({"sidecar.istio.io/inject": "false"});
    writer["affinity"] = json!({
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]},
        ]}},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}},
            {"weight": 2, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"c": "d"}}}},
        ]},
    });
    writer["topologySpreadConstraints"] = json!([
        {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1},
        {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 5},
    ]);
    writer["tolerations"] = json!([{"operator": "Exists"}]);
    writer["securityContext"] = json!({
        "runAsUser": 70001, "runAsGroup": 70001, "fsGroup": 70001, "supplementalGroups": [5000],
        "fsGroupChangePolicy": "Always", "seccompProfile": {"type": "RuntimeDefault"},
    });
    spec
}

/// Settings of a spec for its pod and its Service are applied, cause no further writes, and are removed once the spec
/// no longer contains them.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_and_a_service_are_shaped_by_the_spec() {
    in_namespace("shape", async |world| {
        world.apply("notes", shaped()).await?;
        world.ready("notes").await?;
        let saved = world.memories("notes").save("as somebody else", None).await?;
        let pod = serde_json::to_value(world.api::<Pod>().get("notes-0").await?)?;
        ensure!(pod["metadata"]["labels"]["team"] == "search", "{}", pod["metadata"]);
        ensure!(pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false", "{}", pod["metadata"]);
        ensure!(pod["spec"]["securityContext"]["runAsUser"] == 70001, "{}", pod["spec"]["securityContext"]);
        ensure!(pod["spec"]["affinity"].is_object(), "{}", pod["spec"]["affinity"]);
        let service = world.api::<Service>().get("notes").await?;
        let hostname = "external-dns.alpha.kubernetes.io/hostname";
        ensure!(service.annotations().contains_key(hostname), "{:?}", service.annotations());
        ensure!(service.labels().get("team").is_some_and(|team| team == "search"), "{:?}", service.labels());
        steady(world).await?;

        // Return to the operator's own user. Its group gets access to the files that the other user wrote.
        let mut spec = small();
        spec["writer"]["securityContext"] = json!({"fsGroupChangePolicy": "Always"});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        world.memories("notes").read(&saved.id).await?;
        world.memories("notes").save("as the user of the image", None).await?;
        let service = world.api::<Service>().get("notes").await?;
        ensure!(!service.annotations().contains_key(hostname), "{:?}", service.annotations());
        ensure!(!service.labels().contains_key("team"), "{:?}", service.labels());
        steady(world).await
    })
    .await;
}

/// Checks that an up-to-date engine causes no writes.
async fn steady(world: &World) -> Result<()> {
    let version = async || {
        let set = world.api::<StatefulSet>().get("notes").await?.metadata;
        let service = world.api::<Service>().get("notes").await?.resource_version();
        anyhow::Ok((set.generation, service))
    };
    let before = version().await?;
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    let after = version().await?;
    ensure!(before == after, "unnecessary write: {before:?}, {after:?}");
    Ok(())
}

/// A volume created by hand without a class: `className: ""`.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_made_by_hand_is_used() {
    in_namespace("static", async |world| {
        let volumes: Api<PersistentVolume> = Api::all(world.client.clone());
        let name = "t-static-notes";
        let _ = volumes.delete(name, &DeleteParams::default()).await;
        world.apply("notes", without_class("64Mi")).await?;
        let message = world.condition("notes", "StorageReady", "False", "ClaimPending").await?;
        for part in ["PersistentVolume without a class", "64Mi", "ReadWriteOncePod"] {
            ensure!(message.contains(part), "the message does not contain `{part}`: {message}");
        }
        let by_hand = volume(world, name).await?;
        until("the volume of the earlier test is gone", SOON, async || {
            Ok(volumes.get_opt(name).await?.is_none().then_some(()))
        })
        .await?;
        volumes.create(&PostParams::default(), &by_hand).await?;
        world.ready("notes").await?;
        world.memories("notes").save("on a volume made by hand", None).await?;

        world.apply("notes", without_class("128Mi")).await?;
        let message = world.condition("notes", "Stalled", "True", "ExpansionUnsupported").await?;
        ensure!(message.contains("no StorageClass") && message.contains("back to 64Mi"), "{message}");
        world.memories("notes").save("it goes on serving", None).await?;
        world.apply("notes", without_class("64Mi")).await?;
        world.ready("notes").await?;
        world.api::<MemoryEngine>().delete("notes", &DeleteParams::default()).await?;
        world.api::<PersistentVolumeClaim>().delete("notes-data", &DeleteParams::default()).await?;
        volumes.delete(name, &DeleteParams::default()).await.map(|_| ()).map_err(Into::into)
    })
    .await;
}

fn without_class(size: &str) -> Value {
    json!({"writer": {"storage": {"size": size, "className": ""}}})
}

/// Returns a volume as an administrator creates it elsewhere: a volume of the cluster's driver whose class was removed.
async fn volume(world: &World, name: &str) -> Result<PersistentVolume> {
    let claims = world.api::<PersistentVolumeClaim>();
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "seed"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}},
    }))?;
    claims.create(&PostParams::default(), &claim).await?;
    world.restricted_pod("seed", json!(["sleep", "600"]), json!(["seed"])).await?;
    let bound = claims.get("seed").await?.spec.and_then(|spec| spec.volume_name).context("a volume")?;
    let volumes: Api<PersistentVolume> = Api::all(world.client.clone());
    let keep = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    let made = volumes.patch(&bound, &PatchParams::default(), &Patch::Merge(&keep)).await?;
    world.api::<Pod>().delete("seed", &DeleteParams::default()).await?;
    until("the pod is gone", READY_LIMIT, async || {
        Ok(world.api::<Pod>().get_opt("seed").await?.is_none().then_some(()))
    })
    .await?;
    claims.delete("seed", &DeleteParams::default()).await?;
    until("the claim is gone", READY_LIMIT, async || {
        Ok(claims.get_opt("seed").await?.is_none().then_some(()))
    })
    .await?;
    volumes.delete(&bound, &DeleteParams::default()).await?;
    let spec = serde_json::to_value(made.spec)?;
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "64Mi"}, "accessModes": ["ReadWriteOncePod"],
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "",
            "csi": spec["csi"], "nodeAffinity": spec["nodeAffinity"],
            "claimRef": {"namespace": world.namespace, "name": "notes-data"},
        },
    }))?)
}
