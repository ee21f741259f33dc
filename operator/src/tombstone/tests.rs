//! The tombstone with a mock API server: it is written once, and given up when it cannot be written.

use std::sync::Arc;

use crds::{LogStatus, MemoryEngine, MemoryEngineStatus};
use hyper::Method;

use super::bury;
use crate::{
    apply::tests::{context, engine},
    mock_api::{Fault, MockApi},
};

fn last() -> Arc<MemoryEngine> {
    let log = LogStatus { log_id: "log-1".into(), head_seq: 5, ..LogStatus::default() };
    let status = MemoryEngineStatus { log: Some(log), ..MemoryEngineStatus::default() };
    Arc::new(MemoryEngine { status: Some(status), ..engine() })
}

#[tokio::test]
async fn a_tombstone_is_written_once() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    context.keep_last(&last());
    for _ in 0..3 {
        bury(&context, "team", "notes").await;
    }
    let stone = server.object("configmaps/notes-tombstone").expect("a tombstone");
    assert_eq!(stone["data"]["headSeq"], "5");
    assert_eq!(server.take_writes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_that_is_not_answered_is_tried_again() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    context.keep_last(&last());
    server.fail_next(Method::PATCH, "configmaps/notes-tombstone", Fault::Unsent);
    bury(&context, "team", "notes").await;
    assert!(server.has_failed() && server.object("configmaps/notes-tombstone").is_some());
}

/// A namespace that is being deleted is not kept busy.
#[tokio::test]
async fn a_namespace_that_ends_gets_no_tombstone() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    context.keep_last(&last());
    server.fail_next(
        Method::PATCH,
        "configmaps/notes-tombstone",
        Fault::Refused(403, "NamespaceTerminating"),
    );
    bury(&context, "team", "notes").await;
    assert!(server.has_failed());
    assert_eq!(server.take_writes().len(), 1, "one attempt");
}
