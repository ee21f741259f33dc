//! Certificates of a real cert-manager.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::cert_manager::CertManager;
use e2e::deploy;
use e2e::steps::Steps;
use e2e::wait::until;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::exposure::make_key;
use crate::tls::allow;
use crate::world::{READY_LIMIT, World, in_namespace, small};

/// Renewals to see: cert-manager renews every 30 seconds here, and a kubelet delivers within a minute and a half.
const RENEWALS: usize = 2;
const RENEWAL_LIMIT: Duration = Duration::from_secs(300);

/// An authority of the namespace, and an issuer that signs with it.
fn issuers() -> String {
    let group = "apiVersion: cert-manager.io/v1";
    format!(
        "{group}\nkind: Issuer\nmetadata: {{name: self}}\nspec: {{selfSigned: {{}}}}\n---\n\
         {group}\nkind: Certificate\nmetadata: {{name: company-ca}}\nspec:\n  isCA: true\n  commonName: company\n  \
         secretName: company-ca\n  privateKey: {{algorithm: ECDSA, size: 256}}\n  issuerRef: {{name: self, kind: Issuer, \
         group: cert-manager.io}}\n---\n\
         {group}\nkind: Issuer\nmetadata: {{name: company}}\nspec: {{ca: {{secretName: company-ca}}}}\n"
    )
}

/// An engine in production whose certificate lives an hour, and is renewed half a minute after it was issued.
fn served() -> Value {
    let mut spec = small();
    spec["deploymentMode"] = json!("Production");
    spec["tls"] = json!({
        "certificateLifetimeSeconds": 3600,
        "certManager": {"issuerRef": {"name": "company"}, "renewBeforeSeconds": 3570},
    });
    spec["access"] = json!({"anonymous": "Denied", "keys": [{
        "name": "agent", "secretRef": {"name": "agent-key"}, "scopes": ["Read"], "projects": ["notes"],
    }]});
    spec
}

/// One request of a client that trusts the company: the begin of the certificate in the handshake, and the status.
async fn handshake(world: &World, authority: &str, key: &str) -> Result<(String, String)> {
    let url = format!("https://notes.{}.svc:8080/v1/search?q=a&project=notes", world.namespace);
    let script = format!(
        "printf '%s' '{authority}' > /tmp/ca.crt; curl -sSv --max-time 5 --cacert /tmp/ca.crt -o /dev/null \
         -H 'authorization: Bearer {key}' -w 'status %{{http_code}}' '{url}' 2>&1 || true"
    );
    let said = world.shell("client", "shell", &script).await?;
    let line = said.lines().find(|line| line.contains("start date:")).unwrap_or_default();
    let status = said.rsplit("status ").next().unwrap_or_default();
    Ok((line.trim().to_owned(), status.trim().to_owned()))
}

/// An engine in production is served by a certificate of cert-manager, which renews it by itself: no request fails.
#[tokio::test(flavor = "multi_thread")]
async fn cert_manager_renews_the_certificate_of_an_engine_and_no_request_fails() {
    in_namespace("tls-cert-manager", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: cert-manager runs on the node of the local cluster");
            return Ok(());
        }
        let _running = CertManager::start(&world.cluster, &Steps::start()).await?;
        allow(world).await?;
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), issuers())?;
        let path = file.path().display().to_string();
        deploy::kubectl(&world.cluster, &["-n", &world.namespace, "apply", "--server-side", "-f", &path])
            .await?;
        let key = make_key(world).await?;
        world.apply("notes", served()).await?;
        world.ready("notes").await?;
        let data = world.api::<Secret>().get("company-ca").await?.data.unwrap_or_default();
        let authority = String::from_utf8(data.get("tls.crt").context("an authority")?.0.clone())?;
        world.shell_pod("client").await?;
        let (started, mut begins, mut requests) = (Instant::now(), BTreeSet::new(), 0);
        while begins.len() <= RENEWALS {
            ensure!(started.elapsed() < RENEWAL_LIMIT, "{requests} requests, certificates {begins:?}");
            let (begin, status) = handshake(world, &authority, &key).await?;
            ensure!(status == "200" && !begin.is_empty(), "after {requests} requests: {status} {begin}");
            requests += 1;
            begins.insert(begin);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        println!("requests {requests}, failed 0, certificates {} in {:?}", begins.len(), started.elapsed());
        a_foreign_secret_is_not_filled(world).await
    })
    .await;
}

/// No certificate is ordered over a Secret of somebody else, and the condition names it.
async fn a_foreign_secret_is_not_filled(world: &World) -> Result<()> {
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other-api"}, "stringData": {"mine": "kept"},
    });
    let secrets = world.api::<Secret>();
    secrets.patch("other-api", &PatchParams::apply("platform"), &Patch::Apply(&foreign)).await?;
    let before = secrets.get("other-api").await?;
    world.apply("other", served()).await?;
    let message = world.condition("other", "Stalled", "True", "NameConflict").await?;
    ensure!(message.contains("Secret/other-api"), "{message}");
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
    let resource = ApiResource::from_gvk_with_plural(&kind, "certificates");
    let orders: kube::Api<DynamicObject> =
        kube::Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    ensure!(orders.get_opt("other-api").await?.is_none(), "a certificate was ordered");
    ensure!(secrets.get("other-api").await?.data == before.data, "the Secret was changed");
    secrets.delete("other-api", &Default::default()).await?;
    until("the certificate is ordered without it", READY_LIMIT, async || {
        Ok(orders.get_opt("other-api").await?.map(drop))
    })
    .await
}
