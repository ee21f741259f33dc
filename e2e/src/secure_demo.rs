//! An engine in production, printed as it happens: it is exposed through a real ingress controller, an agent with a key
//! gets in and one without does not, the certificates are rotated while it talks, and the exposure is withdrawn while a
//! check does not hold.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use crds::{MemoryEngine, TlsRotation};
use engine_core::access::{ApiKey, KEY_RANDOM_BYTES};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::{self, Cluster, node_network};
use crate::deploy::{OPERATOR_NAMESPACE, apply, install, kubectl, restricted_namespace};
use crate::images;
use crate::ingress_controller::{ADDRESS, CLASS, IngressController};
use crate::steps::Steps;
use crate::wait::{condition, until};

const NAMESPACE: &str = "demo-secure";
const ENGINE: &str = "notes";
const HOST: &str = "memory.example.org";
/// Secret with the certificate of the host.
const CERTIFICATE: &str = "memory-example-org";
const READY_LIMIT: Duration = Duration::from_secs(120);
/// A rotation ends after connections of before have ended.
const ROTATION_LIMIT: Duration = Duration::from_secs(240);
/// Time between two requests of the agent.
const PACE: Duration = Duration::from_millis(200);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What the demo has measured.
#[derive(Debug)]
pub struct Measured {
    /// From the applied resource to a client that gets in.
    pub exposed: Duration,
    /// Requests of the agent during a rotation of the certificates, none of which failed.
    pub requests: u32,
    /// From the change that breaks a check to a client that is refused.
    pub withdrawn: Duration,
    /// From the change that mends it to a client that gets in.
    pub back: Duration,
}

/// Runs the demo on the local cluster.
///
/// # Errors
/// A step did not do what its printed line says.
pub async fn run(steps: &Steps) -> Result<()> {
    steps.say("1/7  a cluster, and the images on it (seconds, unless they have to be built)");
    images::build_all(steps).await?;
    cluster::up(steps).await?;
    let cluster = cluster::ensure_up().await?;
    steps.say("2/7  the operator, installed with its Helm chart");
    install(&cluster).await?;
    let measured = show(&cluster, NAMESPACE, steps).await?;
    let Measured { exposed, requests, withdrawn, back } = measured;
    steps.say("     done");
    println!(
        "exposed {:.1} s after it was applied; {requests} requests while certificates were rotated, 0 failed; \
         withdrawn {:.2} s after a check was broken, back {:.1} s after it was mended",
        exposed.as_secs_f64(),
        withdrawn.as_secs_f64(),
        back.as_secs_f64()
    );
    Ok(())
}

/// The part after the installation, in a namespace of its own.
///
/// # Errors
/// A step did not do what its printed line says.
pub async fn show(cluster: &Cluster, namespace: &str, steps: &Steps) -> Result<Measured> {
    steps.say("3/7  an ingress controller: Contour and Envoy, on the node");
    let _controller = IngressController::start(cluster, steps).await?;
    let demo = Demo::prepare(cluster, namespace).await?;
    steps.say("4/7  a MemoryEngine in production mode, exposed through an Ingress");
    let started = Instant::now();
    demo.apply().await?;
    demo.until_answer("200", READY_LIMIT).await?;
    let exposed = started.elapsed();
    demo.exposed("True").await?;
    steps.say(&format!(
        "     an agent with its key is served {:.1} s after it was applied",
        exposed.as_secs_f64()
    ));
    steps.say("5/7  an agent with a key, and one without");
    demo.talk(steps).await?;
    steps.say("6/7  the authority and the certificate of the engine are rotated while the agent talks");
    let requests = demo.rotate().await?;
    steps.say(&format!("     {requests} requests, 0 failed"));
    steps.say("7/7  a check is broken, and mended");
    let (withdrawn, back) = demo.withdraw(steps).await?;
    Ok(Measured { exposed, requests, withdrawn, back })
}

/// The objects of the demo.
struct Demo<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    engines: Api<MemoryEngine>,
    key: String,
    files: tempfile::TempDir,
}

impl<'a> Demo<'a> {
    /// What a platform team has before it applies an engine: the permission, a key, and a certificate of its host.
    async fn prepare(cluster: &'a Cluster, namespace: &'a str) -> Result<Self> {
        let client = cluster.client();
        let engines = Api::namespaced(client.clone(), namespace);
        let files = tempfile::tempdir()?;
        apply(cluster, &restricted_namespace(namespace)).await?;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "memory-operator-secrets", "namespace": namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "memory-operator-secrets",
            },
            "subjects": [{
                "kind": "ServiceAccount", "name": "memory-operator", "namespace": OPERATOR_NAMESPACE,
            }],
        });
        apply(cluster, &binding.to_string()).await?;
        let key = new_key()?;
        let pair = KeyPair::generate()?;
        let certificate = CertificateParams::new([HOST.to_owned()])?.self_signed(&pair)?.pem();
        std::fs::write(files.path().join("ca.crt"), &certificate)?;
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        for (name, kind, data) in [
            ("agent-key", "Opaque", json!({"token": key})),
            (
                CERTIFICATE,
                "kubernetes.io/tls",
                json!({"tls.crt": certificate, "tls.key": pair.serialize_pem()}),
            ),
        ] {
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data,
            });
            secrets.patch(name, &PatchParams::apply("platform-team"), &Patch::Apply(&secret)).await?;
        }
        Ok(Self { cluster, namespace, engines, key, files })
    }

    async fn apply(&self) -> Result<()> {
        let engine = json!({
            "apiVersion": "memoryengine.io/v1alpha1",
            "kind": "MemoryEngine",
            "metadata": {"name": ENGINE, "namespace": self.namespace},
            "spec": {
                "deploymentMode": "Production",
                "writer": {
                    "storage": {"size": "64Mi"},
                    "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                },
                "tls": {},
                "access": {
                    "anonymous": "Denied",
                    "keys": [{
                        "name": "agent",
                        "secretRef": {"name": "agent-key"},
                        "scopes": ["Read", "Write"],
                        "projects": ["demo"],
                    }],
                },
                "exposure": {"public": {
                    "hosts": [HOST],
                    "ingress": {
                        "className": CLASS,
                        "tlsSecretName": CERTIFICATE,
                        "serviceAnnotations": {"projectcontour.io/upstream-protocol.tls": "8080"},
                    },
                }},
            },
        });
        apply(self.cluster, &engine.to_string()).await?;
        Ok(())
    }

    /// A call of an MCP tool through the front door; returns the status and the body, or what curl says.
    async fn call(&self, key: Option<&str>, tool: &str, arguments: Value) -> Result<(String, String)> {
        let network = node_network()?;
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments},
        });
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", network.namespace.display()));
        command.args(["curl", "--silent", "--show-error", "--max-time", "5", "--cacert"]);
        command.arg(self.files.path().join("ca.crt"));
        command.args(["--resolve", &format!("{HOST}:443:{ADDRESS}"), "--write-out", "\n%{http_code}"]);
        command.args([
            "-H",
            "content-type: application/json",
            "-H",
            "accept: application/json, text/event-stream",
        ]);
        command.args(["-H", "mcp-protocol-version: 2025-11-25"]);
        if let Some(key) = key {
            command.arg("--config").arg(self.header(key)?);
        }
        command.args(["--data", &body.to_string(), &format!("https://{HOST}/mcp")]);
        let output = tokio::time::timeout(REQUEST_LIMIT, command.output()).await.context("curl hangs")??;
        let said = String::from_utf8(output.stdout)?;
        let (body, status) = said.rsplit_once('\n').unwrap_or(("", said.as_str()));
        let fault = String::from_utf8_lossy(&output.stderr);
        Ok((status.to_owned(), format!("{body}{fault}")))
    }

    /// A file with the header of a key, because arguments of processes can be read by others.
    fn header(&self, key: &str) -> Result<PathBuf> {
        let path = self.files.path().join("header");
        std::fs::write(&path, format!("header = \"authorization: Bearer {key}\"\n"))?;
        Ok(path)
    }

    async fn search(&self) -> Result<(String, String)> {
        self.call(Some(&self.key), "memory_search", json!({"query": "database", "project": "demo"})).await
    }

    /// Waits until a search of the agent has this status.
    async fn until_answer(&self, wanted: &str, limit: Duration) -> Result<()> {
        until(&format!("the agent is answered {wanted}"), limit, async || {
            let (status, body) = self.search().await?;
            if status == wanted { Ok(Some(())) } else { bail!("{status} {body}") }
        })
        .await
    }

    async fn exposed(&self, truth: &str) -> Result<()> {
        until(&format!("Exposed is {truth}"), READY_LIMIT, async || {
            let engine = self.engines.get(ENGINE).await?;
            let found = condition(&engine, "Exposed").context("no condition yet")?;
            if found.status == truth { Ok(Some(())) } else { bail!("{}: {}", found.reason, found.message) }
        })
        .await
    }

    async fn talk(&self, steps: &Steps) -> Result<()> {
        let memory = json!({"content": "The staging database moves on Thursday", "project": "demo"});
        let (status, body) = self.call(Some(&self.key), "memory_save", memory).await?;
        ensure!(status == "200" && !body.contains("\"isError\":true"), "{status} {body}");
        let (status, body) = self.search().await?;
        ensure!(status == "200" && body.contains("Thursday"), "{status} {body}");
        steps.say("     with its key: saved, and found again");
        let search = || json!({"query": "database", "project": "demo"});
        let (status, said) = self.call(None, "memory_search", search()).await?;
        ensure!(status == "401", "without a key: {status} {said}");
        let (status, said) = self.call(Some(&new_key()?), "memory_search", search()).await?;
        ensure!(status == "401", "with a key of somebody else: {status} {said}");
        steps.say("     without a key, and with a key that nobody declared: 401");
        Ok(())
    }

    async fn annotate(&self, patch: &Value) -> Result<()> {
        self.engines.patch(ENGINE, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Follows a rotation to its end; returns the number of requests.
    async fn rotate(&self) -> Result<u32> {
        let serial = |engine: &MemoryEngine| {
            let status = engine.status.as_ref()?.tls.as_ref()?;
            Some((status.serial.clone(), status.rotation))
        };
        let before = serial(&self.engines.get(ENGINE).await?).context("a certificate")?.0;
        let moment =
            json!({"metadata": {"annotations": {"memoryengine.io/rotate-authority": Timestamp::now()}}});
        self.annotate(&moment).await?;
        let (started, mut requests) = (Instant::now(), 0);
        loop {
            ensure!(started.elapsed() < ROTATION_LIMIT, "the rotation does not end");
            let (status, body) = self.search().await?;
            ensure!(status == "200", "request {requests}: {status} {body}");
            requests += 1;
            let (now, phase) = serial(&self.engines.get(ENGINE).await?).context("a certificate")?;
            if phase == TlsRotation::Done && now != before {
                return Ok(requests);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Breaks a check and mends it; returns how long clients were served on, and how long it took until they were
    /// served again.
    async fn withdraw(&self, steps: &Steps) -> Result<(Duration, Duration)> {
        let started = Instant::now();
        self.annotate(&json!({"spec": {"deploymentMode": "Development"}})).await?;
        until("the agent is not served", READY_LIMIT, async || {
            let (status, _) = self.search().await?;
            Ok((status != "200").then_some(()))
        })
        .await?;
        let withdrawn = started.elapsed();
        steps.say(&format!("     withdrawn {:.2} s after the change", withdrawn.as_secs_f64()));
        self.exposed("False").await?;
        let shown = ["-n", self.namespace, "get", "meng", ENGINE, "-o"];
        let path = "jsonpath={.status.conditions[?(@.type==\"Exposed\")].message}";
        let message = kubectl(self.cluster, &[&shown[..], &[path]].concat()).await?;
        steps.say(&format!("     Exposed: {}", message.trim_end()));
        let started = Instant::now();
        self.annotate(&json!({"spec": {"deploymentMode": "Production"}})).await?;
        self.until_answer("200", READY_LIMIT).await?;
        let back = started.elapsed();
        steps.say(&format!("     served again {:.1} s after it was mended", back.as_secs_f64()));
        Ok((withdrawn, back))
    }
}

/// A new key of a client.
///
/// # Errors
/// The system has no random numbers.
pub fn new_key() -> Result<String> {
    let mut random = [0; KEY_RANDOM_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(ApiKey::of_random(&random).secret_text().to_owned())
}
