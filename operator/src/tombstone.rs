//! Writes the tombstone of an engine that was deleted. Nothing waits for it: a few attempts, and then it is given up.

use std::{sync::Arc, time::Duration};

use kube::api::{Patch, PatchParams};
use operator_core::{
    children::CHILDREN,
    names::{FIELD_MANAGER, tombstone},
    plan::Failure,
    tombstone::Gone,
};
use serde_json::Value;

use crate::{
    cache::{api, api_resource},
    context::Context,
    error::{CallError, call},
};

/// Attempts to write a tombstone. More of them would outlast a namespace that is being deleted.
const ATTEMPTS: u32 = 3;
/// Wait before the second attempt; the wait before the third is twice as long.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// Writes the tombstone of an engine that no longer exists, if it has none, and forgets the engine. The caches say what
/// is left of it.
pub(crate) async fn bury(context: &Context, namespace: &str, name: &str) {
    let Some(object) = stone(context, namespace, name) else { return };
    for attempt in 1..=ATTEMPTS {
        if let Err(error) = context.may_write() {
            tracing::warn!(%namespace, %name, %error, "no tombstone is written");
            return;
        }
        match write(context, namespace, name, &object).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%namespace, %name, %error, attempt, "the tombstone of a deleted engine was not written");
                if is_final(&error) {
                    return;
                }
            }
        }
        tokio::time::sleep(RETRY_WAIT * attempt).await;
    }
}

/// The tombstone, if one has to be written.
fn stone(context: &Context, namespace: &str, name: &str) -> Option<Value> {
    let engine = format!("{namespace}/{name}");
    let last = context.take_last(&engine);
    context.forget(&engine);
    let claim = context.cache.child(namespace, &CHILDREN.claim.key(name));
    let before = context.cache.child(namespace, &tombstone(name));
    let gone =
        Gone { namespace, name, last: last.as_deref(), claim: claim.as_deref(), before: before.as_deref() };
    gone.tombstone(jiff::Timestamp::now())
}

async fn write(context: &Context, namespace: &str, name: &str, object: &Value) -> Result<(), CallError> {
    let key = tombstone(name);
    let resource = api_resource(key.kind);
    let mut object = object.clone();
    object["apiVersion"] = resource.api_version.clone().into();
    object["kind"] = resource.kind.clone().into();
    let maps = api(&context.client, &resource, Some(namespace));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = call(maps.patch(&key.name, &params, &Patch::Apply(&object))).await?;
    context.cache.remember(namespace, &key, Arc::new(written));
    context.metrics.writes.with_label_values(&[key.kind.kind(), "create"]).inc();
    tracing::info!(%namespace, %name, tombstone = %key, "an engine was deleted");
    Ok(())
}

/// Whether another attempt cannot help: the namespace ends, or a policy refuses the object.
fn is_final(error: &CallError) -> bool {
    let status = error.api().cloned().map(Box::new);
    let failure = Failure { status, text: String::new() };
    failure.namespace_is_ending() || error.api().is_some_and(|status| matches!(status.code, 403 | 404 | 422))
}

#[cfg(test)]
mod tests;
