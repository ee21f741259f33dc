//! The validation rules that guard the anchor, tested on a real API server. The CRD is installed a second time under
//! another name, so that no operator writes to the tested objects.

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{SOON, World, in_namespace, refusal};

const GROUP: &str = "rules.example.com";
const PLURAL: &str = "guardedengines";
const KIND: &str = "GuardedEngine";

/// The CRD of MemoryEngine under another name.
fn definition() -> Value {
    let mut crd = crds::memory_engine_crd();
    crd["metadata"] = json!({"name": format!("{PLURAL}.{GROUP}")});
    crd["spec"]["group"] = json!(GROUP);
    crd["spec"]["names"] =
        json!({"kind": KIND, "plural": PLURAL, "singular": "guardedengine", "listKind": "GuardedEngineList"});
    crd
}

fn api(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(GROUP, "v1alpha1", KIND);
    Api::namespaced_with(
        world.client.clone(),
        &world.namespace,
        &ApiResource::from_gvk_with_plural(&kind, PLURAL),
    )
}

fn root(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The status of a log with an anchor of 100 events and one rollback that was accepted before.
fn anchored() -> Value {
    json!({
        "logId": "one", "headSeq": 120, "headHash": root('a'), "observedAt": "2026-01-01T00:00:00Z",
        "origin": "memory-engine/one", "size": 100, "root": root('b'), "key": "memory-engine/one+01234567+AAAA",
        "anchoredAt": "2026-01-01T00:00:00Z", "acceptedRollbacks": [rollback(1, 80, 'b')],
    })
}

fn rollback(number: u32, to_size: u32, to_root: char) -> Value {
    json!({
        "number": number, "fromSize": 100, "fromRoot": root('b'), "toSize": to_size, "toRoot": root(to_root),
        "reason": "the volume was restored", "at": "2026-01-01T00:00:00Z",
    })
}

/// The anchored log with some fields changed; null removes a field.
#[expect(clippy::needless_pass_by_value, reason = "made for each call")]
fn with(changes: Value) -> Value {
    let mut log = anchored();
    for (field, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(log.as_object_mut().map(|log| log.remove(field))),
            _ => log[field] = value.clone(),
        }
    }
    json!({"observedGeneration": 1, "log": log})
}

/// The anchored log with a field that is explicitly null, which YAML permits.
fn nulled(field: &str) -> Value {
    let mut status = with(json!({}));
    status["log"][field] = Value::Null;
    status
}

/// Permitted changes of an anchored status.
fn accepted() -> Vec<Value> {
    let second = json!([rollback(1, 80, 'b'), rollback(2, 90, 'c')]);
    let same_size = json!([rollback(1, 80, 'b'), rollback(2, 100, 'c')]);
    vec![
        with(json!({})),
        with(json!({"size": 101, "root": root('c')})),
        with(json!({"headSeq": 3, "logId": "two", "headHash": root('f')})),
        with(json!({"key": "memory-engine/one+89abcdef+BBBB"})),
        with(json!({"size": 90, "root": root('c'), "acceptedRollbacks": second})),
        with(json!({"root": root('c'), "acceptedRollbacks": same_size})),
    ]
}

/// Refused changes of an anchored status, each with a part of the message.
fn refused() -> Vec<(Value, &'static str)> {
    let gap = json!([rollback(1, 80, 'b'), rollback(3, 90, 'c')]);
    let elsewhere = json!([rollback(1, 80, 'b'), rollback(2, 95, 'c')]);
    let other_root = json!([rollback(1, 80, 'b'), rollback(2, 90, 'd')]);
    let mut rewritten = rollback(1, 80, 'b');
    rewritten["reason"] = json!("something else");
    let many: Vec<Value> = (1..=17).map(|number| rollback(number, 90, 'c')).collect();
    vec![
        (with(json!({"size": 99})), "size cannot shrink"),
        (with(json!({"size": 0, "root": root('e')})), "size cannot shrink"),
        (with(json!({"root": root('c')})), "root cannot change at the same size"),
        (with(json!({"origin": "memory-engine/two"})), "origin cannot change"),
        (with(json!({"origin": null})), "origin cannot change"),
        (with(json!({"size": null})), "cannot be removed"),
        (with(json!({"root": null})), "cannot be removed"),
        (with(json!({"key": null})), "cannot be removed"),
        (with(json!({"anchoredAt": null})), "cannot be removed"),
        (with(json!({"acceptedRollbacks": []})), "acceptedRollbacks only grows"),
        (with(json!({"acceptedRollbacks": [rewritten]})), "cannot be changed"),
        (with(json!({"size": 90, "root": root('c'), "acceptedRollbacks": gap})), "without gaps"),
        (
            with(json!({"size": 90, "root": root('c'), "acceptedRollbacks": elsewhere})),
            "must lead to the anchor",
        ),
        (
            with(json!({"size": 90, "root": root('c'), "acceptedRollbacks": other_root})),
            "must lead to the anchor",
        ),
        (with(json!({"size": 90, "root": root('c'), "acceptedRollbacks": many})), "acceptedRollbacks"),
        (nulled("size"), "cannot be removed"),
        (nulled("origin"), "origin cannot change"),
        (nulled("acceptedRollbacks"), "acceptedRollbacks"),
        (json!({"observedGeneration": 1}), "status.log cannot be removed"),
        (json!({"observedGeneration": 1, "log": null}), "status.log"),
        (json!({}), "status.log cannot be removed"),
        (Value::Null, "status.log cannot be removed"),
    ]
}

/// Replaces the complete status, like `kubectl replace --subresource=status`. Dry run: nothing is stored.
async fn replaced(world: &World, status: &Value) -> Result<DynamicObject> {
    let mut engine = api(world).get("notes").await?;
    engine.data["status"] = status.clone();
    if status.is_null() {
        engine.data.as_object_mut().context("an object")?.remove("status");
    }
    let path =
        format!("/apis/{GROUP}/v1alpha1/namespaces/{}/{PLURAL}/notes/status?dryRun=All", world.namespace);
    let request = http::Request::put(path)
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(&engine)?)?;
    Ok(world.client.request(request).await?)
}

/// Patches the status, like `kubectl patch --subresource=status`. Dry run: nothing is stored.
async fn patched(world: &World, status: Value) -> Result<DynamicObject> {
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    Ok(api(world).patch_status("notes", &params, &Patch::Merge(json!({"status": status}))).await?)
}

/// A user who may write the status still cannot shrink, change or remove the anchor, or undo an accepted rollback.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_guards_the_anchor() {
    in_namespace("rules", async |world| {
        e2e::deploy::apply(&world.cluster, &definition().to_string()).await?;
        let engine = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": KIND, "metadata": {"name": "notes"}, "spec": {},
        });
        let made: DynamicObject = serde_json::from_value(engine)?;
        e2e::wait::until("the CRD is served", SOON, async || {
            Ok(Some(api(world).create(&Default::default(), &made).await?))
        })
        .await?;
        let status = json!({"status": {"log": anchored()}});
        api(world).patch_status("notes", &PatchParams::default(), &Patch::Merge(status)).await?;
        let judged = guarded(world).await;
        let name = format!("{PLURAL}.{GROUP}");
        e2e::deploy::kubectl(&world.cluster, &["delete", "crd", &name, "--wait=false"]).await?;
        judged
    })
    .await;
}

async fn guarded(world: &World) -> Result<()> {
    for status in accepted() {
        replaced(world, &status).await.with_context(|| format!("a control: {status}"))?;
    }
    for (status, says) in refused() {
        let message = refusal(replaced(world, &status).await).with_context(|| status.to_string())?;
        ensure!(message.contains(says), "{status}: the refusal does not contain `{says}`: {message}");
    }
    for wipe in
        [Value::Null, json!({"log": null}), json!({"log": {"size": null}}), json!({"log": {"size": 1}})]
    {
        refusal(patched(world, wipe.clone()).await).with_context(|| format!("patched with {wipe}"))?;
    }
    patched(world, json!({"log": {"size": 101}})).await.context("a control: a patch that grows")?;
    Ok(())
}
