//! Secrets that a spec refers to: keys of clients, and certificates that the operator does not issue.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::secure_demo::new_key;
use e2e::wait::until;
use e2e::{cert_manager, deploy};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::tls::allow;
use crate::world::{SOON, World, in_namespace, small};

/// The kubelet delivers a changed Secret within a minute and a half.
const DELIVERY_LIMIT: Duration = Duration::from_secs(150);

async fn write(world: &World, name: &str, kind: &str, data: &Value) -> Result<()> {
    // Not as stringData: an entry that is left out of it stays.
    let texts: BTreeMap<String, String> = serde_json::from_value(data.clone())?;
    let data: BTreeMap<String, ByteString> =
        texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))).collect();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data,
    });
    world.api::<Secret>().patch(name, &PatchParams::apply("platform"), &Patch::Apply(&secret)).await?;
    Ok(())
}

/// The status of a search with this key.
async fn search(world: &World, key: &str) -> Result<String> {
    let script = format!(
        "curl -sS --max-time 5 -H 'authorization: Bearer {key}' -o /dev/null -w '%{{http_code}}' \
         'http://notes:8080/v1/search?q=a&project=p' 2>&1 || true"
    );
    world.shell("client", "shell", &script).await
}

/// A bad key is named and holds a new engine back. A rotation has two valid keys, then one, and restarts nothing.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_checked_and_rotated_without_a_restart() {
    in_namespace("tls-secrets", async |world| {
        allow(world).await?;
        let mut spec = small();
        spec["access"] = json!({"anonymous": "Denied", "keys": [{
            "name": "agent", "secretRef": {"name": "agent-key"}, "scopes": ["Read"], "projects": ["p"],
        }]});
        world.apply("notes", spec).await?;
        world.condition("notes", "SecretsValid", "False", "SecretMissing").await?;
        write(world, "agent-key", "Opaque", &json!({"token": "changeme"})).await?;
        world.condition("notes", "SecretsValid", "False", "SecretWellKnown").await?;
        ensure!(world.pod_uid("notes").await?.is_none(), "a pod with a bad key");
        let (old, new) = (new_key()?, new_key()?);
        write(world, "agent-key", "Opaque", &json!({"token": old})).await?;
        world.ready("notes").await?;
        world.condition("notes", "SecretsValid", "True", "SecretsUsable").await?;
        world.shell_pod("client").await?;
        ensure!(search(world, &old).await? == "200" && search(world, &new).await? == "401");
        let pod = world.pod_uid("notes").await?;
        write(world, "agent-key", "Opaque", &json!({"token": new, "token.previous": old})).await?;
        until("the new key is accepted", DELIVERY_LIMIT, async || {
            Ok((search(world, &new).await? == "200").then_some(()))
        })
        .await?;
        ensure!(search(world, &old).await? == "200", "the previous key is valid too");
        write(world, "agent-key", "Opaque", &json!({"token": new})).await?;
        until("the old key is refused", DELIVERY_LIMIT, async || {
            Ok((search(world, &old).await? == "401").then_some(()))
        })
        .await?;
        ensure!(search(world, &new).await? == "200" && world.pod_uid("notes").await? == pod, "a restart");
        let shown = serde_json::to_string(&world.api::<MemoryEngine>().get("notes").await?)?;
        let events =
            deploy::kubectl(&world.cluster, &["-n", &world.namespace, "get", "events", "-o", "json"]).await?;
        for key in [&old, &new] {
            ensure!(!shown.contains(key.as_str()) && !events.contains(key.as_str()), "a key is shown");
        }
        Ok(())
    })
    .await;
}

/// A certificate for these names, its key, and the authority that has signed it.
fn issued(names: &[String]) -> Result<[String; 3]> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    // A certificate with the subject of its issuer is taken for a self-signed one.
    authority.distinguished_name.push(DnType::CommonName, "company authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(names.to_vec())?.signed_by(&key, &issuer)?;
    Ok([leaf.pem(), key.serialize_pem(), certificate])
}

/// A certificate is ordered from cert-manager, served when it is issued, and clients learn its authority. A bad
/// successor is named, and the good one is served on.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_and_a_bad_one_is_not_delivered() {
    in_namespace("tls-ordered", async |world| {
        allow(world).await?;
        let mut spec = small();
        spec["tls"] = json!({"certManager": {"issuerRef": {"name": "company-ca"}}});
        cert_manager::install_definitions(&world.cluster).await?;
        world.apply("notes", spec).await?;
        let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
        let resource = ApiResource::from_gvk_with_plural(&kind, "certificates");
        let orders: kube::Api<DynamicObject> =
            kube::Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
        let order = until("a certificate is ordered", SOON, async || {
            Ok(orders.list(&Default::default()).await?.items.into_iter().next())
        })
        .await?;
        let place = order.data["spec"]["secretName"].as_str().context("a Secret")?.to_owned();
        let names: Vec<String> = serde_json::from_value(order.data["spec"]["dnsNames"].clone())?;
        let [certificate, key, authority] = issued(&names)?;
        let good = json!({"tls.crt": certificate, "tls.key": key, "ca.crt": authority});
        write(world, &place, "kubernetes.io/tls", &good).await?;
        world.ready("notes").await?;
        world.condition("notes", "TLSReady", "True", "CertificateServed").await?;
        let shown = world.api::<ConfigMap>().get("notes-ca").await?.data.context("authorities")?;
        ensure!(shown["ca.crt"].trim() == authority.trim(), "clients get another authority");
        let [_, other, _] = issued(&names)?;
        let bad = json!({"tls.crt": certificate, "tls.key": other, "ca.crt": authority});
        write(world, &place, "kubernetes.io/tls", &bad).await?;
        world.condition("notes", "TLSReady", "False", "CertificateKeyMismatch").await?;
        world.shell_pod("client").await?;
        let script = format!(
            "printf '%s' '{authority}' > /tmp/ca.crt; curl -sS --max-time 5 --cacert /tmp/ca.crt -o /dev/null \
             -w '%{{http_code}}' https://notes.{}.svc:8080/v1/log/head 2>&1 || true",
            world.namespace
        );
        let served = world.shell("client", "shell", &script).await?;
        ensure!(served == "200", "the good certificate is served on: {served}");
        Ok(())
    })
    .await;
}
