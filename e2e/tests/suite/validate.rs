//! `memory-operator validate` judges manifests as the cluster does: the same ones are refused, and the same ones are
//! not exposed, for the same reason.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::wait::{condition, until};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::world::{SOON, World, in_namespace};

/// Longest run of the program.
const LIMIT: Duration = Duration::from_secs(20);

/// How a manifest is judged.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    /// The API server refuses it, or the operator reports `InvalidSpec`.
    Refused,
    /// It runs and is not exposed, for this reason.
    Withheld(String),
}

/// Specs that the cluster takes, each different from the default in one way.
fn good() -> Vec<Value> {
    let key = |projects: &[&str]| json!([{"name": "a", "secretRef": {"name": "a-key"}, "scopes": ["Read"], "projects": projects}]);
    let balancer = json!({"hosts": ["a.example"], "loadBalancer": {"class": "example.org/none"}});
    vec![
        json!({}),
        json!({"mode": "WriteOnly"}),
        json!({"mode": "Off"}),
        json!({"logging": {"level": "debug"}}),
        json!({"guard": {"enabled": false}}),
        json!({"guard": {"holdSeconds": 10, "holdMaxSeconds": 20}}),
        json!({"limits": {"requestsPerSecond": 5, "burst": 10}}),
        json!({"mcp": {"allowedHosts": ["a.example:8443", "[fd00::1]"]}}),
        json!({"mcp": {"serverMemoryTools": true, "serverMemoryProject": "p"}}),
        json!({"saving": {"sameText": "SaveOnce"}}),
        json!({"retention": {"maxAgeDays": 30}}),
        json!({"rotation": {"maxSegmentSize": "2Mi"}}),
        json!({"embedding": {"provider": "none"}}),
        json!({"policy": {"identifiers": "Keep"}}),
        json!({"service": {"labels": {"team": "a"}}}),
        json!({"writer": {"storage": {"size": "64Mi"}, "podLabels": {"team": "a"}}}),
        json!({"integrity": {"anchorIntervalSeconds": 30}}),
        json!({"exposure": {"networkPolicy": "Disabled"}}),
        json!({"exposure": {"allowFrom": [{"namespace": "ingress"}]}}),
        json!({"tls": {"certificateLifetimeSeconds": 600}}),
        json!({"access": {"keys": key(&["*"])}}),
        json!({"access": {"anonymous": "Denied", "keys": key(&["a", "b"])}}),
        json!({"access": {"rateLimit": {"requestsPerSecond": 5}}}),
        json!({"deploymentMode": "Production", "tls": {}, "access": {"issuers": [
            {"issuer": "https://id.example.org", "audiences": ["memory"]},
        ]}}),
        json!({"exposure": {"public": balancer}}),
        json!({"exposure": {"public": balancer}, "tls": {}}),
        json!({"exposure": {"public": balancer}, "access": {"anonymous": "Denied", "keys": key(&["*"])}}),
        json!({"exposure": {"public": {"hosts": ["a.example"], "ingress": {"tlsSecretName": "a"}}}}),
    ]
}

/// Specs that the cluster refuses.
fn bad() -> Vec<Value> {
    let key = json!({"name": "a", "secretRef": {"name": "a-key"}, "scopes": ["Read"], "projects": ["p"]});
    let with = |field: &str, value: Value| {
        let mut key = key.clone();
        key[field] = value;
        json!({"access": {"keys": [key]}})
    };
    vec![
        json!({"unknown": 1}),
        json!({"mode": "ReadOnce"}),
        json!({"mode": true}),
        json!({"image": ""}),
        json!({"image": "a b"}),
        json!({"imagePullSecrets": [{"name": "A"}]}),
        json!({"logging": {"level": "loud"}}),
        json!({"writer": {"storage": {"size": "1Mi"}}}),
        json!({"writer": {"storage": {"size": "many"}}}),
        json!({"writer": {"drainSeconds": -1}}),
        json!({"writer": {"drainSeconds": "ten"}}),
        json!({"writer": {"podLabels": {"app.kubernetes.io/name": "a"}}}),
        json!({"writer": {"podAnnotations": {"memoryengine.io/public": "true"}}}),
        json!({"writer": {"resources": {"limits": {"memory": "1Mi"}}}}),
        json!({"writer": {"securityContext": {"runAsUser": 0}}}),
        json!({"writer": {"tolerations": [{"operator": "Exists", "value": "a"}]}}),
        json!({"service": {"labels": {"memoryengine.io/engine": "other"}}}),
        json!({"guard": {"holdSeconds": 20, "holdMaxSeconds": 10}}),
        json!({"limits": {"burst": 10}}),
        json!({"limits": {"requestsPerSecond": 0}}),
        json!({"mcp": {"allowedHosts": ["https://a.example"]}}),
        json!({"mcp": {"serverMemoryProject": "p"}}),
        json!({"retention": {"maxAgeDays": 0}}),
        json!({"rotation": {"maxSegmentSize": "1Ki"}}),
        json!({"embedding": {"provider": "http"}}),
        json!({"embedding": {"provider": "none", "http": {"url": "https://a.example", "model": "m"}}}),
        json!({"rerank": {"url": "http://a.example", "model": "m", "keySecretRef": {"name": "a", "key": "b"}}}),
        json!({"rerank": {"url": "https://u:p@a.example", "model": "m"}}),
        json!({"policy": {"exceptions": [{"detector": "d", "reason": "r", "reviewer": "w"}]}}),
        json!({"monitoring": {"tracing": {"endpoint": "collector"}}}),
        json!({"integrity": {"anchorIntervalSeconds": 0}}),
        json!({"tls": {"certificateLifetimeSeconds": 10}}),
        json!({"deploymentMode": "Production"}),
        json!({"deploymentMode": "Production", "tls": {}}),
        json!({"deploymentMode": "Production", "tls": {}, "access": {"anonymous": "Allowed", "keys": [key]}}),
        json!({"deploymentMode": "Production", "tls": {}, "access": {"issuers": []}}),
        json!({"exposure": {"public": {
            "hosts": ["a.example"], "loadBalancer": {}, "ticket": {"failMode": "Close"},
        }}}),
        json!({"exposure": {"public": {"hosts": ["a.example"]}}}),
        json!({"exposure": {"public": {"hosts": [], "loadBalancer": {}}}}),
        json!({"exposure": {"public": {"hosts": ["A b"], "loadBalancer": {}}}}),
        json!({"exposure": {"public": {
            "hosts": ["a.example"], "loadBalancer": {}, "ingress": {"tlsSecretName": "a"},
        }}}),
        json!({"exposure": {"public": {"hosts": ["a.example"], "gateway": {"parentRef": {"name": "a"}}}}}),
        json!({"exposure": {"allowFrom": [{"namespace": "Not a name"}]}}),
        with("scopes", json!([])),
        with("scopes", json!(["Everything"])),
        with("projects", json!(["*", "p"])),
        with("expires", json!("tomorrow")),
        with("name", json!("A")),
        with("secretRef", json!({"name": "a-key", "namespace": "other"})),
        json!({"access": {"keys": [key, key]}}),
        json!({"access": {"rateLimit": {"burst": 5}}}),
    ]
}

/// A manifest whose pod never starts: only the verdicts are of interest.
fn manifest(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    for (field, value) in [("image", "localhost/none:1"), ("imagePullPolicy", "Never")] {
        if spec.get(field).is_none() {
            spec[field] = json!(value);
        }
    }
    if spec.pointer("/writer/storage").is_none() {
        spec["writer"]["storage"] = json!({"size": "32Mi"});
    }
    json!({
        "apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine", "metadata": {"name": name}, "spec": spec,
    })
}

/// The program that this build made.
fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(|deps| deps.parent()).context("a folder of programs")?;
    Ok(folder.join("memory-operator"))
}

/// What the program says without the cluster.
async fn offline(manifest: &Value) -> Result<Verdict> {
    let mut child = Command::new(program()?)
        .args(["validate", "-f", "-", "-o", "json"])
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().context("a standard input")?;
    input.write_all(manifest.to_string().as_bytes()).await?;
    drop(input);
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.context("it hangs")??;
    let printed: Value = serde_json::from_slice(&output.stdout)?;
    let first = &printed["engines"][0]["findings"][0];
    let verdict = match first["severity"].as_str() {
        None => Verdict::Accepted,
        Some("withheld") => Verdict::Withheld(first["rule"].as_str().unwrap_or_default().to_owned()),
        Some(_) => Verdict::Refused,
    };
    ensure!(output.status.success() == (verdict == Verdict::Accepted), "{:?}", output.status);
    Ok(verdict)
}

/// What the cluster does with it.
async fn online(world: &World, name: &str, manifest: &Value) -> Result<Verdict> {
    let engines = world.api::<MemoryEngine>();
    let params = PatchParams::apply("pipeline").validation_strict();
    if let Err(refusal) = engines.patch(name, &params, &Patch::Apply(manifest)).await {
        // For a field that is unknown or of another type, the API server answers an apply with 500.
        let is_refused = |status: &kube::core::Status| {
            status.code < 500 || status.message.starts_with("failed to create typed patch object")
        };
        ensure!(matches!(&refusal, kube::Error::Api(status) if is_refused(status)), "{refusal}");
        return Ok(Verdict::Refused);
    }
    let reason = |engine: &MemoryEngine, kind: &str| condition(engine, kind).map(|one| one.reason.clone());
    let engine = until("the operator has judged it", SOON, async || {
        let engine = engines.get(name).await?;
        Ok(reason(&engine, "Exposed").map(|_| engine))
    })
    .await?;
    engines.delete(name, &DeleteParams::background()).await?;
    let exposed = reason(&engine, "Exposed").unwrap_or_default();
    Ok(match reason(&engine, "Stalled").as_deref() {
        Some("InvalidSpec") => Verdict::Refused,
        _ if exposed == "NotPublic" => Verdict::Accepted,
        _ => Verdict::Withheld(exposed),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_judged_as_the_cluster_judges_them() {
    in_namespace("validate", async |world| {
        let (good, bad) = (good(), bad());
        ensure!(good.len() + bad.len() >= 60, "{} and {}", good.len(), bad.len());
        let mut differing = Vec::new();
        for (index, (spec, is_good)) in
            good.iter().map(|spec| (spec, true)).chain(bad.iter().map(|spec| (spec, false))).enumerate()
        {
            let name = format!("e{index}");
            let manifest = manifest(&name, spec);
            let (without, with) = (offline(&manifest).await?, online(world, &name, &manifest).await?);
            if without != with || (with == Verdict::Refused) == is_good {
                differing.push(format!("{spec}: {without:?} without the cluster, {with:?} on it"));
            }
        }
        println!("{} manifests, {} differ", good.len() + bad.len(), differing.len());
        ensure!(differing.is_empty(), "{differing:#?}");
        Ok(())
    })
    .await;
}
