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
use serde_json::{Value, json};

use crate::{context::Context, error::call};

/// Adds the finalizer, or removes it. If that fails, the next reconcile plans it again.
pub(crate) async fn hold(observed: &Observed, is_held: bool, context: &Context) {
    let finalizers = if is_held { json!([FINALIZER]) } else { json!([]) };
    change(&observed.engine.metadata, &finalizers, context).await;
}

/// Lets a resource go whatever its spec asks for, because nothing can be backed up.
pub(crate) async fn release(metadata: &ObjectMeta, context: &Context) {
    let is_leaving = metadata.deletion_timestamp.is_some();
    let is_held = metadata.finalizers.iter().flatten().any(|name| name == FINALIZER);
    if is_leaving && is_held && context.may_write().is_ok() {
        change(metadata, &json!([]), context).await;
    }
}

/// Applies the finalizers of this operator. Those of others stay.
async fn change(metadata: &ObjectMeta, finalizers: &Value, context: &Context) {
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let engines: Api<MemoryEngine> = Api::namespaced(context.client.clone(), namespace);
    let patch = json!({
        "apiVersion": crds::API_VERSION,
        "kind": "MemoryEngine",
        // A resource of this name with another uid is refused.
        "metadata": {"uid": metadata.uid, "finalizers": finalizers},
    });
    match call(engines.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))).await {
        Ok(_) => tracing::info!(%namespace, %name, %finalizers, "changed what a deletion waits for"),
        Err(error) => {
            tracing::warn!(%namespace, %name, %error, "what a deletion waits for could not be changed");
        }
    }
}
