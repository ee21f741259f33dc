//! No value of a Secret, and no hash by which a guess could be tested, is in what the operator and an engine show.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::deploy::{self, OPERATOR_NAMESPACE};
use e2e::secure_demo::new_key;
use e2e::wait::condition;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::alone::operator_pods;
use crate::tls::allow;
use crate::world::{SOON, World, in_namespace, small};

/// The greatest number of keys that a resource can name.
const KEYS: usize = 64;
/// Values of Secrets change this often: with the last ones, more than a hundred values are looked for.
const ROUNDS: usize = 2;
/// Time in which the operator looks at the last values.
const SETTLE: Duration = Duration::from_secs(3);

/// A value that nobody can guess, and that has one of the faults that are looked for.
fn value(number: usize) -> Result<String> {
    let key = new_key()?;
    Ok(match number % 6 {
        // Not a key: too short, several lines, a wrong checksum, a header, binary.
        0 => key[14..30].to_owned(),
        1 => format!("{key}\n{key}\n"),
        2 => format!("{}x", &key[..key.len() - 1]),
        3 => format!("Bearer {key}"),
        4 => format!("\u{1}{key}\u{7f}"),
        _ => key,
    })
}

/// The forms in which a value could be shown.
fn forms(value: &str) -> Result<Vec<String>> {
    let encoded = serde_json::to_string(&ByteString(value.as_bytes().to_vec()))?;
    let long = value.split_whitespace().filter(|word| word.len() >= 16).map(str::to_owned);
    let hash: String = Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(long.chain([encoded.trim_matches('"').to_owned(), hash]).collect())
}

/// One Secret with an entry for each key.
async fn write(world: &World, values: &[String]) -> Result<()> {
    let data: BTreeMap<String, ByteString> = values
        .iter()
        .enumerate()
        .map(|(number, value)| (format!("k{number}"), ByteString(value.as_bytes().to_vec())))
        .collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": data});
    world.api::<Secret>().patch("keys", &PatchParams::apply("platform"), &Patch::Apply(&secret)).await?;
    Ok(())
}

/// Everything that somebody who may not read Secrets can see, and what the operator stores itself.
async fn shown(world: &World) -> Result<Vec<(&'static str, String)>> {
    let here = |more: &[&str]| [&["-n", world.namespace.as_str()], more].concat().join(" ");
    let mut all = Vec::new();
    for (what, arguments) in [
        ("objects", here(&["get", "meng,all,cm,pvc,netpol,pdb,controllerrevisions,events", "-o", "json"])),
        ("what is described", here(&["describe", "meng,pods,sts"])),
        ("ages", here(&["get", "secret", "notes-secret-ages", "-o", "json"])),
        ("the log of the engine", here(&["logs", "notes-0"])),
        ("the log of the operator", format!("-n {OPERATOR_NAMESPACE} logs deploy/memory-operator")),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        all.push((what, deploy::kubectl(&world.cluster, &arguments).await.context(what)?));
    }
    let operator = operator_pods(&world.cluster).await?.into_iter().next().context("an operator")?;
    let name = operator.metadata.name.context("a name")?;
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{name}:8080/proxy/metrics");
    all.push(("metrics", deploy::kubectl(&world.cluster, &["get", "--raw", &path]).await?));
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_a_secret_is_shown() {
    in_namespace("tls-leaks", async |world| {
        allow(world).await?;
        let keys: Vec<Value> = (0..KEYS)
            .map(|number| {
                json!({
                    "name": format!("agent-{number}"), "scopes": ["Read"], "projects": ["p"],
                    "secretRef": {"name": "keys", "key": format!("k{number}")},
                })
            })
            .collect();
        let mut planted = Vec::new();
        let mut spec = small();
        spec["access"] = json!({"anonymous": "Denied", "keys": keys});
        for round in 0..ROUNDS {
            let bad = (0..KEYS).map(value).collect::<Result<Vec<_>>>()?;
            write(world, &bad).await?;
            planted.extend(bad);
            if round == 0 {
                world.apply("notes", spec.clone()).await?;
            }
            let is_false = |engine: &MemoryEngine| {
                condition(engine, "SecretsValid").is_some_and(|found| found.status == "False")
            };
            world.until_engine("notes", "SecretsValid is False", SOON, is_false).await?;
        }
        let good = (0..KEYS).map(|_| new_key()).collect::<Result<Vec<_>>>()?;
        write(world, &good).await?;
        planted.extend(good);
        world.ready("notes").await?;
        world.condition("notes", "SecretsValid", "True", "SecretsUsable").await?;
        tokio::time::sleep(SETTLE).await;
        let forms = planted.iter().map(|value| forms(value)).collect::<Result<Vec<_>>>()?.concat();
        let shown = shown(world).await?;
        let size: usize = shown.iter().map(|(_, text)| text.len()).sum();
        for (what, text) in &shown {
            let found = forms.iter().filter(|form| text.contains(form.as_str())).count();
            ensure!(found == 0, "{found} values or hashes are in {what}");
            ensure!(text.len() > 200, "{what} is empty: {text}");
        }
        println!("{} values, {} forms, {size} bytes searched, 0 found", planted.len(), forms.len());
        Ok(())
    })
    .await;
}
