//! Lets a resource wait for a last backup before it is deleted, and lets it go.

use crds::MemoryEngine;
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams},
};
use operator_core::{
    names::{FIELD_MANAGER, FINALIZER},
    observed::Observed,
};
use serde_json::json;

use crate::{context::Context, error::call};

/// Adds the finalizer, or removes it. If that fails, the next reconcile plans it again.
pub(crate) async fn hold(observed: &Observed, is_held: bool, context: &Context) {
    change(&observed.engine.metadata, is_held, context).await;
}

/// Lets a resource go whatever its spec asks for, because nothing can be backed up.
pub(crate) async fn release(metadata: &ObjectMeta, context: &Context) {
    let is_leaving = metadata.deletion_timestamp.is_some();
    let is_held = metadata.finalizers.iter().flatten().any(|name| name == FINALIZER);
    if is_leaving && is_held && context.may_write().is_ok() {
        change(metadata, false, context).await;
    }
}

/// Replaces the list of finalizers, if the resource has not changed since it was read. Those of others stay; ours goes
/// whoever has written it.
async fn change(metadata: &ObjectMeta, is_held: bool, context: &Context) {
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let engines: Api<MemoryEngine> = Api::namespaced(context.client.clone(), namespace);
    let others = metadata.finalizers.iter().flatten().filter(|name| *name != FINALIZER);
    let finalizers: Vec<&str> = others.map(String::as_str).chain(is_held.then_some(FINALIZER)).collect();
    let patch = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": finalizers,
    }});
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match call(engines.patch(name, &params, &Patch::Merge(&patch))).await {
        Ok(_) => {
            tracing::info!(%namespace, %name, is_held, "changed whether a deletion waits for a last backup");
        }
        Err(error) => {
            tracing::warn!(%namespace, %name, is_held, %error, "what a deletion waits for could not be changed");
        }
    }
}
