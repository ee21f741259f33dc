//! Writes the records of backups.

use crds::MemoryBackup;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use operator_core::{backup::RecordBackup, names::FIELD_MANAGER};
use serde_json::json;

use crate::{
    context::Context,
    error::{CallError, call},
};

/// Writes a record. If that fails, the next reconcile plans it again.
pub(crate) async fn record(change: &RecordBackup, namespace: &str, context: &Context) {
    let records: Api<MemoryBackup> = Api::namespaced(context.client.clone(), namespace);
    let verb = match change {
        RecordBackup::Make(_) => "create",
        RecordBackup::Judge { .. } => "update",
        RecordBackup::Forget { .. } => "delete",
    };
    match write(&records, change).await {
        Ok(()) => {
            context.metrics.writes.with_label_values(&["MemoryBackup", verb]).inc();
            tracing::info!(%namespace, record = change.name(), verb, "wrote the record of a backup");
        }
        Err(error) => {
            tracing::warn!(%namespace, record = change.name(), verb, %error, "the record of a backup was not written");
        }
    }
}

async fn write(records: &Api<MemoryBackup>, change: &RecordBackup) -> Result<(), CallError> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match change {
        RecordBackup::Make(record) => {
            let ObjectMeta { name, labels, .. } = &record.metadata;
            let (api_version, kind) = (crds::API_VERSION, "MemoryBackup");
            let object = json!({
                "apiVersion": api_version, "kind": kind,
                "metadata": {"name": name, "labels": labels}, "spec": record.spec,
            });
            call(records.patch(change.name(), &params, &Patch::Apply(&object))).await?;
            let status = json!({"apiVersion": api_version, "kind": kind, "status": record.status});
            call(records.patch_status(change.name(), &params, &Patch::Apply(&status))).await?;
        }
        RecordBackup::Judge { name, status } => {
            let object = json!({"apiVersion": crds::API_VERSION, "kind": "MemoryBackup", "status": status});
            call(records.patch_status(name, &params, &Patch::Apply(&object))).await?;
        }
        RecordBackup::Forget { name, uid } => {
            let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: None };
            call(records.delete(name, &DeleteParams::default().preconditions(preconditions))).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
