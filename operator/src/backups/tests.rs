//! What is read about backups, against the mock of the API server.

use std::sync::Arc;

use crds::BackupPhase;
use kube::api::DynamicObject;
use operator_core::{
    backup::{new_record, phase, verdict_on},
    names::labels,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    apply::tests::{context, engine},
    fake_engine::taken,
    mock_api::MockApi,
};

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object")
}

/// The pod of a Job of the engine `engine` that has found this.
fn pod(engine: &str, message: &Value) -> DynamicObject {
    let mut labels = labels(engine);
    labels.insert("memoryengine.io/job".to_owned(), "verify".to_owned());
    object(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "verify-1", "namespace": "team", "labels": labels},
        "status": {"containerStatuses": [{"name": "verify", "state": {"terminated": {
            "exitCode": 0, "message": message.to_string(), "finishedAt": "2026-11-30T00:00:00Z",
        }}}]},
    }))
}

async fn seen(context: &Context) -> BackupView {
    let mut engine = engine();
    engine.spec.backup = Some(crds::Backup::default());
    let essentials = Essentials::of(&engine);
    let mut observed = Observed::only(Arc::new(engine), jiff::Timestamp::now());
    observe(context, &mut observed, &essentials, false).await;
    observed.backup.expect("a view")
}

/// The operator judges the records of an engine by what the pods of its own Jobs say.
#[tokio::test]
async fn records_and_verifications_of_other_engines_are_not_read() {
    let (client, _server) = MockApi::start();
    let (mut context, _leading) = context(client);
    let backup = taken(None);
    let good = json!({
        "ok": true, "backup": backup.name, "log_id": backup.log_id, "events": 5, "root": backup.root,
    });
    let record = |engine: &str| object(json!(new_record(engine, "team", &backup)));
    let mut unreadable = record("notes");
    unreadable.data["spec"]["size"] = json!("many");
    context.cache.show_backups([record("notes"), record("other"), unreadable]);
    context.cache.show_pod(pod("notes", &good));
    let view = seen(&context).await;
    assert_eq!(
        (view.records.len(), view.drills.len(), view.unread.is_none()),
        (0, 1, true),
        "one name, read last"
    );
    context.cache.show_backups([record("notes"), record("other")]);
    let view = seen(&context).await;
    assert_eq!(view.records.len(), 1);
    let status = verdict_on(&view.records[0], &view.drills[0]);
    let judged = crds::MemoryBackup { status, ..view.records[0].clone() };
    assert_eq!(phase(&judged), BackupPhase::Verified);
    context.cache.show_pod(pod("other", &good));
    assert_eq!(seen(&context).await.drills, []);
}
