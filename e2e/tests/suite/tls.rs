//! TLS on the cluster: certificates of the operator, their rotation under load, and what it may do with Secrets.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, TlsRotation};
use e2e::cluster::node_network;
use e2e::deploy::OPERATOR_NAMESPACE;
use e2e::wait::until;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::process::Command;

use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

/// A rotation waits twice for the kubelet, which takes up to a minute and a half, and then for old connections.
const ROTATION_LIMIT: Duration = Duration::from_secs(480);

/// From a certificate in the Secret to a handshake with it.
const SERVED_LIMIT: Duration = Duration::from_secs(10);

/// Allows the operator to use Secrets in the namespace.
pub(crate) async fn allow(world: &World) -> Result<()> {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "memory-operator-secrets"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "memory-operator-secrets",
        },
        "subjects": [
            {"kind": "ServiceAccount", "name": "memory-operator", "namespace": OPERATOR_NAMESPACE},
        ],
    });
    let params = PatchParams::apply("platform");
    world.api::<RoleBinding>().patch("memory-operator-secrets", &params, &Patch::Apply(&binding)).await?;
    Ok(())
}

async fn authorities(world: &World) -> Result<String> {
    let secret = world.api::<Secret>().get("notes-tls").await?;
    let data = secret.data.unwrap_or_default();
    Ok(String::from_utf8(data.get("ca.crt").context("authorities")?.0.clone())?)
}

/// One request of a client in the cluster that verifies the engine; returns the status, or what curl says.
async fn ask(world: &World, authorities: &str, url: &str) -> Result<String> {
    let script = format!(
        "printf '%s' '{authorities}' > /tmp/ca.crt; \
         curl -sS --max-time 5 --cacert /tmp/ca.crt -o /dev/null -w '%{{http_code}}' {url} 2>&1 || true"
    );
    world.shell("client", "shell", &script).await
}

fn rotation(engine: &MemoryEngine) -> Option<TlsRotation> {
    Some(engine.status.as_ref()?.tls.as_ref()?.rotation)
}

async fn delete_operator(world: &World) -> Result<()> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
    let selected = kube::api::ListParams::default().labels("app.kubernetes.io/name=memory-operator");
    for pod in pods.list(&selected).await? {
        let name = pod.metadata.name.context("a name")?;
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
    }
    Ok(())
}

/// Both ports have TLS, the administration port wants a certificate, and a renewed authority fails no request, also if
/// the operator is restarted in between.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_has_tls_and_a_new_authority_fails_no_request() {
    in_namespace("tls", async |world| {
        allow(world).await?;
        let mut spec = small();
        spec["tls"] = json!({});
        world.apply("notes", spec).await?;
        let engine = world.ready("notes").await?;
        world.condition("notes", "TLSReady", "True", "CertificateServed").await?;
        ensure!(rotation(&engine) == Some(TlsRotation::Done));
        let endpoint = engine.status.and_then(|status| status.endpoints).context("an endpoint")?.api;
        ensure!(endpoint == format!("https://notes.{}.svc:8080", world.namespace), "{endpoint}");

        world.shell_pod("client").await?;
        let head = format!("{endpoint}/v1/log/head");
        let first = authorities(world).await?;
        ensure!(ask(world, &first, &head).await? == "200", "a client with the authority");
        let stranger = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        ensure!(ask(world, stranger, &head).await?.contains("curl"), "a client without it");
        let plain = ask(world, &first, &head.replace("https", "http")).await?;
        ensure!(plain.contains("curl"), "a client without TLS: {plain}");
        let admin = head.replace("8080", "8081");
        let refused = ask(world, &first, &admin).await?;
        ensure!(refused.contains("curl"), "a client without a certificate: {refused}");

        let pod = world.pod_uid("notes").await?;
        let moment =
            json!({"metadata": {"annotations": {"memoryengine.io/rotate-authority": Timestamp::now()}}});
        world.api::<MemoryEngine>().patch("notes", &PatchParams::default(), &Patch::Merge(&moment)).await?;
        rotated(world, &head, &first).await?;
        ensure!(world.pod_uid("notes").await? == pod, "the pod was replaced");
        Ok(())
    })
    .await;
}

/// Follows a rotation to its end, while clients ask with the authorities of the Secret and with those of five seconds
/// ago.
async fn rotated(world: &World, head: &str, first: &str) -> Result<()> {
    let started = Instant::now();
    let (mut before, mut now) = (first.to_owned(), first.to_owned());
    let (mut requests, mut phases, mut is_restarted) = (0, Vec::new(), false);
    loop {
        ensure!(started.elapsed() < ROTATION_LIMIT, "the rotation does not end: {phases:?}");
        for known in [&before, &now] {
            let answer = ask(world, known, head).await?;
            ensure!(answer == "200", "after {requests} requests in {phases:?}: {answer}");
            requests += 1;
        }
        let phase = rotation(&world.api::<MemoryEngine>().get("notes").await?).context("a phase")?;
        if phases.last().map(|(last, _)| *last) != Some(phase) {
            phases.push((phase, started.elapsed()));
        }
        // The first phases may be over before somebody looks.
        if phase != TlsRotation::Done && !is_restarted {
            delete_operator(world).await?;
            is_restarted = true;
        }
        let is_new = !authorities(world).await?.contains(first.trim());
        if phase == TlsRotation::Done && is_new {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        before = std::mem::replace(&mut now, authorities(world).await?);
    }
    println!("requests {requests}, failed 0; phases {phases:?}");
    let order = [
        TlsRotation::Done,
        TlsRotation::Distribute,
        TlsRotation::Issue,
        TlsRotation::Retire,
        TlsRotation::Done,
    ];
    let mut rest = order.iter();
    let is_one = phases.iter().all(|(phase, _)| rest.any(|next| next == phase));
    ensure!(is_one && is_restarted, "one rotation was asked for: {phases:?}");
    ensure!(authorities(world).await?.matches("BEGIN CERTIFICATE").count() == 1, "one authority is left");
    Ok(())
}

/// One request on a new connection from the node; returns the status and the certificates that were served.
async fn handshake(authorities: &Path, host: &str, address: &str) -> Result<(String, String)> {
    let network = node_network()?;
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", network.namespace.display()));
    command.args([
        "curl",
        "--silent",
        "--show-error",
        "--max-time",
        "5",
        "--output",
        "/dev/null",
        "--cacert",
    ]);
    command.arg(authorities).args(["--write-out", "%{http_code}\n%{certs}"]);
    command.args([
        "--resolve",
        &format!("{host}:8080:{address}"),
        &format!("https://{host}:8080/v1/log/head"),
    ]);
    let output = tokio::time::timeout(SOON, command.output()).await.context("curl hangs")??;
    let said = String::from_utf8(output.stdout)?;
    let (status, served) = said.split_once('\n').unwrap_or((&said, ""));
    Ok((format!("{status} {}", String::from_utf8_lossy(&output.stderr)).trim().to_owned(), served.to_owned()))
}

/// The certificate of the Secret, if it has a key.
async fn issued(world: &World) -> Result<Option<String>> {
    let data = world.api::<Secret>().get("notes-tls").await?.data.unwrap_or_default();
    let has_key = data.get("tls.key").is_some_and(|key| key.0.starts_with(b"-----BEGIN"));
    let certificate = data.get("tls.crt").filter(|_| has_key).context("no certificate yet").ok();
    certificate.map(|certificate| Ok(String::from_utf8(certificate.0.clone())?)).transpose()
}

/// Certificates are replaced one after another while a client connects all the time. Each is served soon after it is in
/// the Secret, and no request fails. `E2E_ROTATIONS` sets their number.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_within_seconds_and_no_request_fails() {
    in_namespace("tls-served", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: the client is a process on the node of the local cluster");
            return Ok(());
        }
        let rotations: usize = std::env::var("E2E_ROTATIONS").map_or(Ok(3), |number| number.parse())?;
        allow(world).await?;
        let mut spec = small();
        spec["tls"] = json!({});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        let pod = world.api::<Pod>().get("notes-0").await?;
        let address = pod.status.and_then(|status| status.pod_ip).context("an address")?;
        let host = format!("notes.{}.svc", world.namespace);
        let files = tempfile::tempdir()?;
        let known = files.path().join("ca.crt");
        std::fs::write(&known, authorities(world).await?)?;
        let (mut served_after, mut requests) = (Vec::new(), 0);
        let mut last = issued(world).await?.context("a certificate")?;
        for rotation in 0..rotations {
            let damaged = json!({"data": {"tls.key": "bm90aGluZw=="}});
            let secrets = world.api::<Secret>();
            secrets.patch("notes-tls", &PatchParams::default(), &Patch::Merge(&damaged)).await?;
            let new = until("the certificate is issued again", READY_LIMIT, async || {
                Ok(issued(world).await?.filter(|certificate| *certificate != last))
            })
            .await?;
            let written = Instant::now();
            loop {
                let (status, served) = handshake(&known, &host, &address).await?;
                ensure!(status == "200", "request {requests} in rotation {rotation}: {status}");
                requests += 1;
                if served.contains(new.trim()) {
                    break;
                }
                ensure!(written.elapsed() < ROTATION_LIMIT, "rotation {rotation} is never served");
            }
            served_after.push(written.elapsed());
            last = new;
        }
        served_after.sort();
        let at = |share: f64| served_after[((served_after.len() - 1) as f64 * share).ceil() as usize];
        println!(
            "{rotations} rotations, {requests} requests, 0 failed; from the Secret to a handshake: median {:?}, \
             99th percentile {:?}",
            at(0.5),
            at(0.99)
        );
        ensure!(at(0.99) <= SERVED_LIMIT, "{served_after:?}");
        Ok(())
    })
    .await;
}

/// A certificate that is taken away or damaged is issued again; without spec.tls, the Secrets go.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_certificate_is_issued_again_and_the_secrets_go_with_the_spec() {
    in_namespace("tls-repair", async |world| {
        allow(world).await?;
        let mut spec = small();
        spec["tls"] = json!({});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        let secrets = world.api::<Secret>();
        let issued = secrets.get("notes-tls").await?;
        let damaged = json!({"data": {"tls.key": "bm90aGluZw=="}});
        secrets.patch("notes-tls", &PatchParams::default(), &Patch::Merge(&damaged)).await?;
        until("the certificate is issued again", READY_LIMIT, async || {
            let data = secrets.get("notes-tls").await?.data.unwrap_or_default();
            let is_new = data["tls.key"].0.starts_with(b"-----BEGIN") && issued.data.as_ref() != Some(&data);
            Ok(is_new.then_some(()))
        })
        .await?;
        world.apply("notes", small()).await?;
        until("the Secrets are gone", READY_LIMIT + SOON, async || {
            let left = [secrets.get_opt("notes-tls").await?, secrets.get_opt("notes-authority").await?];
            Ok(left.iter().all(Option::is_none).then_some(()))
        })
        .await?;
        world.ready("notes").await?;
        world.condition("notes", "TLSReady", "False", "TlsDisabled").await?;
        Ok(())
    })
    .await;
}

/// Without permission on Secrets, the engine is not started, the status says what to do, and doing it helps.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_on_secrets_is_said() {
    in_namespace(crate::audit::FORBIDDEN, async |world| {
        let mut spec = small();
        spec["tls"] = json!({});
        world.apply("notes", spec).await?;
        let message = world.condition("notes", "TLSReady", "False", "SecretsForbidden").await?;
        ensure!(message.contains("memory-operator-secrets"), "{message}");
        world.condition("notes", "Stalled", "True", "SecretsForbidden").await?;
        ensure!(world.pod_uid("notes").await?.is_none(), "a pod without its certificate");
        allow(world).await?;
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}
