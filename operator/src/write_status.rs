//! Step 5: patches the status if it has changed, and then writes the events for the changed conditions.

use crds::{MemoryEngine, MemoryEngineStatus};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use operator_core::{anchor::record::Record, names::FIELD_MANAGER, notices::notices};
use serde_json::json;

use crate::{
    context::{Context, identity},
    error::{Error, call},
};

/// Writes `status` if it differs from the resource's present status.
///
/// # Errors
/// The API server did not accept the write, or another operator may be leading.
pub(crate) async fn write_status(
    engine: &MemoryEngine,
    status: &MemoryEngineStatus,
    context: &Context,
) -> Result<(), Error> {
    if engine.status.as_ref() == Some(status) {
        return Ok(());
    }
    if Box::pin(apply_status(engine, status, None, context)).await?.is_some() {
        count_anchor(engine, status, context);
    }
    Ok(())
}

/// Applies `status`, if this version of the resource is still the present one, and publishes its events. `None` as the
/// version stands for any. Returns `None` if the resource is another one.
///
/// # Errors
/// As [`write_status`].
pub(crate) async fn apply_status(
    engine: &MemoryEngine,
    status: &MemoryEngineStatus,
    version: Option<&str>,
    context: &Context,
) -> Result<Option<MemoryEngine>, Error> {
    context.may_write()?;
    let namespace = engine.metadata.namespace.as_deref().unwrap_or_default();
    let name = engine.metadata.name.as_deref().unwrap_or_default();
    let api: Api<MemoryEngine> = Api::namespaced(context.client.clone(), namespace);
    let mut patch = json!({
        "apiVersion": crds::API_VERSION,
        "kind": "MemoryEngine",
        // The uid is a precondition: if the resource was deleted and created again in the meantime, this status must
        // not be written to the new resource.
        "metadata": {"uid": engine.metadata.uid},
        "status": status,
    });
    if let Some(version) = version {
        patch["metadata"]["resourceVersion"] = version.into();
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = match call(api.patch_status(name, &params, &Patch::Apply(&patch))).await {
        Err(error) if error.api().is_some_and(|status| matches!(status.code, 404 | 409)) => return Ok(None),
        answer => answer.map_err(Error::Status)?,
    };
    context.metrics.status_writes.inc();
    context.engine_seen(written.clone());
    publish(engine, status, context).await;
    Ok(Some(written))
}

fn count_anchor(engine: &MemoryEngine, status: &MemoryEngineStatus, context: &Context) {
    let anchor = |status: &MemoryEngineStatus| status.log.as_ref().and_then(Record::of_status);
    let after = anchor(status);
    if after.is_some() && after != engine.status.as_ref().and_then(anchor) {
        context.metrics.anchors.inc();
        if let Some(delay) = context.anchoring.recorded(&identity(engine), jiff::Timestamp::now()) {
            context.metrics.anchor_delay_seconds.observe(delay.as_secs_f64());
        }
    }
}

/// Merges the known parts into the status of a resource that cannot be parsed. The other fields keep their values,
/// above all the anchor.
///
/// # Errors
/// As [`write_status`].
pub(crate) async fn merge_status(
    engine: &MemoryEngine,
    status: &MemoryEngineStatus,
    context: &Context,
) -> Result<(), Error> {
    context.may_write()?;
    let namespace = engine.metadata.namespace.as_deref().unwrap_or_default();
    let name = engine.metadata.name.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), namespace, &ApiResource::erase::<MemoryEngine>(&()));
    let patch = json!({"metadata": {"uid": engine.metadata.uid}, "status": status});
    match call(api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))).await {
        Err(error) if error.api().is_some_and(|status| matches!(status.code, 404 | 409)) => Ok(()),
        answer => answer.map(|_| context.metrics.status_writes.inc()).map_err(Error::Status),
    }
}

/// Publishes the events for the changes of the status. A failure is only logged, because the status already has the
/// information.
async fn publish(engine: &MemoryEngine, status: &MemoryEngineStatus, context: &Context) {
    for notice in notices(engine.status.as_ref(), status) {
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason,
            note: Some(shortened(notice.message)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = call(context.recorder.publish(&event, &engine.object_ref(&()))).await {
            tracing::warn!(%error, "an event was not written");
        }
    }
}

/// Shortens the note of an event to 1024 bytes, which is the maximum.
fn shortened(mut note: String) -> String {
    let mut end = note.len().min(1024);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note.truncate(end);
    note
}
