//! Records of backups against the mock of the API server.

use crds::{BackupPhase, MemoryBackupStatus};
use hyper::Method;
use operator_core::backup::new_record;
use serde_json::Value;

use super::*;
use crate::{
    apply::tests::context,
    fake_engine::taken,
    mock_api::{Fault, MockApi},
};

fn made() -> RecordBackup {
    RecordBackup::Make(Box::new(new_record("notes", "team", &taken(Some("job-1")))))
}

fn stored(server: &MockApi, name: &str) -> Option<Value> {
    server.object(&format!("memorybackups/{name}"))
}

/// Whatever happens to one of the two writes, writing again leaves the complete record.
#[tokio::test]
async fn a_record_is_complete_after_another_try() {
    for fault in [Fault::Unsent, Fault::NoAnswer, Fault::Refused(403, ""), Fault::Refused(500, "")] {
        for skipped in [0, 1] {
            let (client, server) = MockApi::start();
            let (context, _leading) = context(client);
            let change = made();
            let path = format!("memorybackups/{}", change.name());
            if skipped == 1 {
                // The status is written with the second request.
                record(&change, "team", &context).await;
                server.edit(&path, |record| record["status"] = Value::Null);
            }
            server.fail_next(Method::PATCH, &path, fault);
            record(&change, "team", &context).await;
            record(&change, "team", &context).await;
            let stored = stored(&server, change.name()).expect("a record");
            assert_eq!(stored["spec"]["size"], 5, "{fault:?}");
            assert_eq!(stored["status"]["phase"], "Taken", "{fault:?}");
            assert!(stored["metadata"].get("ownerReferences").is_none(), "it outlives its engine");
        }
    }
}

#[tokio::test]
async fn a_verdict_replaces_the_one_before_and_a_record_of_another_uid_stays() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    let change = made();
    record(&change, "team", &context).await;
    let name = change.name().to_owned();
    let status = MemoryBackupStatus { phase: Some(BackupPhase::Verified), ..MemoryBackupStatus::default() };
    let judged = RecordBackup::Judge { name: name.clone(), status: Box::new(status) };
    record(&judged, "team", &context).await;
    assert_eq!(stored(&server, &name).expect("a record")["status"]["phase"], "Verified");
    record(&RecordBackup::Forget { name: name.clone(), uid: "another".into() }, "team", &context).await;
    let kept = stored(&server, &name).expect("a record of another uid");
    let uid = kept["metadata"]["uid"].as_str().expect("a uid").to_owned();
    record(&RecordBackup::Forget { name: name.clone(), uid }, "team", &context).await;
    assert_eq!(stored(&server, &name), None);
}
