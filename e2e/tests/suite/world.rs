//! The part of the cluster that belongs to a test: a separate namespace, which is dumped when the test fails and
//! deleted afterwards.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use crds::MemoryEngine;
use e2e::cluster::{self, Cluster};
use e2e::deploy;
use e2e::memories::Memories;
use e2e::wait::{condition, until};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{AttachParams, DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

/// Longest wait until an engine is ready. Several tests share two cores.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(90);
/// Longest wait for a change that needs no new pod.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Image with a shell and curl.
pub(crate) const TOOLS_IMAGE: &str = "localhost/e2e-tools:dev";

/// The cluster, and a namespace on it.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// Runs a test in a namespace named after it.
pub(crate) async fn in_namespace<T>(name: &str, test: impl AsyncFnOnce(&World) -> Result<T>) -> T {
    let world = World::make(name).await.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let result = test(&world).await;
    match result {
        Ok(value) => {
            world.remove().await;
            value
        }
        Err(error) => {
            eprintln!("{}", world.dump().await);
            panic!("{name}: {error:#}");
        }
    }
}

impl World {
    async fn make(name: &str) -> Result<Self> {
        let cluster = super::installed::cluster().await?;
        let client = cluster.client();
        let namespace = format!("t-{name}");
        let world = Self { cluster, client, namespace };
        world.remove_leftovers().await?;
        deploy::apply(&world.cluster, &deploy::restricted_namespace(&world.namespace)).await?;
        Ok(world)
    }

    async fn remove_leftovers(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if namespaces.get_opt(&self.namespace).await?.is_some() {
            self.remove().await;
            until("the namespace of an earlier run is gone", READY_LIMIT, async || {
                Ok(namespaces.get_opt(&self.namespace).await?.is_none().then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    async fn remove(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let _ = namespaces.delete(&self.namespace, &DeleteParams::background()).await;
    }

    /// Returns information for the analysis of a failure.
    async fn dump(&self) -> String {
        let mut text = format!("---- {} ----\n", self.namespace);
        let show: [&[&str]; 4] = [
            &["get", "meng,all,pvc,cm,netpol", "-o", "wide"],
            &["get", "meng", "-o", "yaml"],
            &["get", "events", "--sort-by=.metadata.creationTimestamp"],
            &["logs", "-l", "app.kubernetes.io/name=memory-engine", "--tail=40", "--prefix"],
        ];
        for args in show {
            let mut all = vec!["-n", &self.namespace];
            all.extend(args);
            let output = deploy::kubectl(&self.cluster, &all).await;
            text += &format!(
                "$ kubectl {}\n{}\n",
                args.join(" "),
                output.unwrap_or_else(|error| format!("{error:#}"))
            );
        }
        let logs = ["-n", deploy::OPERATOR_NAMESPACE, "logs", "deploy/memory-operator", "--tail=60"];
        text + &deploy::kubectl(&self.cluster, &logs).await.unwrap_or_else(|error| format!("{error:#}"))
    }

    /// The API of a kind in this namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The memory API of an engine.
    pub(crate) fn memories(&self, engine: &str) -> Memories {
        Memories::of(&self.cluster.plain_client(), &self.namespace, engine)
    }

    /// Applies an engine with the field manager of a pipeline, which thereby gives up the fields that `spec` leaves
    /// out.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> Result<MemoryEngine> {
        let engine = json!({
            "apiVersion": "memoryengine.io/v1alpha1",
            "kind": "MemoryEngine",
            "metadata": {"name": name},
            "spec": spec,
        });
        let params = PatchParams::apply("pipeline");
        Ok(self.api::<MemoryEngine>().patch(name, &params, &Patch::Apply(&engine)).await?)
    }

    /// Applies an engine with a small volume and waits until it is ready.
    pub(crate) async fn engine(&self, name: &str) -> Result<MemoryEngine> {
        self.apply(name, small()).await?;
        self.ready(name).await
    }

    /// Waits until an engine is ready for its current spec.
    pub(crate) async fn ready(&self, name: &str) -> Result<MemoryEngine> {
        self.until_engine(name, "it is Ready", READY_LIMIT, is_current).await
    }

    /// Waits until an engine satisfies the predicate; returns the engine.
    pub(crate) async fn until_engine(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&MemoryEngine) -> bool,
    ) -> Result<MemoryEngine> {
        let engines = self.api::<MemoryEngine>();
        let result = until(&format!("{name}: {what}"), limit, async || {
            let engine = engines.get(name).await?;
            Ok(is_so(&engine).then_some(engine))
        })
        .await;
        match result {
            Ok(engine) => Ok(engine),
            Err(error) => {
                let status = engines.get(name).await.ok().and_then(|engine| engine.status);
                Err(error).with_context(|| format!("its status: {}", json!(status)))
            }
        }
    }

    /// Waits until a condition has this status and reason.
    pub(crate) async fn condition(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let engine = self
            .until_engine(name, &format!("{kind}={status}/{reason}"), READY_LIMIT, |engine| {
                condition(engine, kind).is_some_and(|c| c.status == status && c.reason == reason)
            })
            .await?;
        Ok(condition(&engine, kind).map(|c| c.message.clone()).unwrap_or_default())
    }

    /// Runs a shell command in a pod of this namespace; returns its output.
    pub(crate) async fn shell(&self, pod: &str, container: &str, command: &str) -> Result<String> {
        self.exec(pod, container, &["sh", "-c", command]).await
    }

    /// Runs a program in a pod of this namespace; returns its output.
    pub(crate) async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String> {
        let params = AttachParams::default().container(container).stderr(true);
        let mut process = self.api::<Pod>().exec(pod, command.iter().copied(), &params).await?;
        let mut output = String::new();
        let mut stdout = process.stdout().context("standard output is not attached")?;
        let mut stderr = process.stderr().context("standard error is not attached")?;
        let reading = async {
            stdout.read_to_string(&mut output).await?;
            let mut errors = String::new();
            stderr.read_to_string(&mut errors).await?;
            anyhow::Ok(errors)
        };
        let errors = tokio::time::timeout(SOON, reading).await.context("the command did not end")??;
        let status = process.take_status().context("a status")?.await.unwrap_or_default();
        ensure!(status.status.as_deref() == Some("Success"), "{command:?}: {output}{errors} {status:?}");
        Ok(output)
    }

    /// Starts a pod with a shell and curl, and waits until it runs.
    pub(crate) async fn shell_pod(&self, name: &str) -> Result<()> {
        self.restricted_pod(name, json!(["sleep", "600"]), json!([])).await
    }

    /// Starts a pod of the tools image. Mounts one claim's volume under `/data`, or several under `/data/CLAIM`.
    pub(crate) async fn restricted_pod(&self, name: &str, command: Value, claims: Value) -> Result<()> {
        let claims: Vec<String> = serde_json::from_value(claims)?;
        let volumes: Vec<Value> = claims
            .iter()
            .map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}}))
            .collect();
        let place = |claim: &str| match claims.as_slice() {
            [_] => "/data".to_owned(),
            _ => format!("/data/{claim}"),
        };
        let mounts: Vec<Value> =
            claims.iter().map(|claim| json!({"name": claim, "mountPath": place(claim)})).collect();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "shell", "image": TOOLS_IMAGE, "imagePullPolicy": "IfNotPresent", "command": command,
                    "volumeMounts": mounts,
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
                "volumes": volumes,
            },
        }))?;
        let pods = self.api::<Pod>();
        pods.create(&Default::default(), &pod).await?;
        until("the pod runs", READY_LIMIT, async || {
            let phase = pods.get(name).await?.status.and_then(|status| status.phase);
            Ok((phase.as_deref() == Some("Running")).then_some(()))
        })
        .await
    }

    /// Returns the host process ids of an engine, without the pause process.
    pub(crate) async fn engine_pids(&self, engine: &str) -> Result<Vec<i32>> {
        let pod = self.api::<Pod>().get(&format!("{engine}-0")).await?;
        cluster::host_pids(&pod, Some("engine"))
    }

    /// Returns the uid of the writer's pod; `None` without a pod, or while the pod is being deleted.
    pub(crate) async fn pod_uid(&self, engine: &str) -> Result<Option<String>> {
        let pod = self.api::<Pod>().get_opt(&format!("{engine}-0")).await?;
        Ok(pod
            .map(|pod| pod.metadata)
            .filter(|meta| meta.deletion_timestamp.is_none())
            .and_then(|meta| meta.uid))
    }
}

/// A spec for tests: a small volume, defaults for everything else.
pub(crate) fn small() -> Value {
    json!({"writer": {"storage": {"size": "64Mi"}}})
}

/// The status of a resource by the rules of kstatus, with which GitOps tools wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kstatus {
    InProgress,
    Failed,
    Current,
}

/// Computes the kstatus result of a custom resource: first from the generation, then from Reconciling and Stalled, then
/// from Ready.
pub(crate) fn kstatus(engine: &MemoryEngine) -> Kstatus {
    let status = engine.status.clone().unwrap_or_default();
    let is = |kind: &str, value: &str| condition(engine, kind).is_some_and(|c| c.status == value);
    match () {
        () if status.observed_generation.is_some_and(|seen| Some(seen) != engine.metadata.generation) => {
            Kstatus::InProgress
        }
        () if is("Stalled", "True") => Kstatus::Failed,
        () if is("Reconciling", "True") => Kstatus::InProgress,
        () if is("Ready", "False") || is("Ready", "Unknown") => Kstatus::InProgress,
        () => Kstatus::Current,
    }
}

/// Returns true if the engine is ready for its current spec and no change is in progress.
pub(crate) fn is_current(engine: &MemoryEngine) -> bool {
    kstatus(engine) == Kstatus::Current && condition(engine, "Ready").is_some()
}

/// Returns the API server's message for a request that must be refused.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T>) -> Result<String> {
    match result {
        Ok(accepted) => bail!("accepted: {accepted:?}"),
        Err(error) => match error.downcast::<kube::Error>()? {
            kube::Error::Api(status) if status.code == 422 || status.code == 400 => {
                Ok(status.message.clone())
            }
            other => bail!("not a refusal: {other}"),
        },
    }
}
