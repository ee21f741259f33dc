//! The head of the engine's log at the end of an import, as a part of the reports.

use engine_core::wire::LogHead;
use serde::Serialize;

/// Id and head of the engine's log at the end of an import.
#[derive(Debug, Serialize)]
pub(super) struct TargetReport {
    log_id: String,
    head_seq: u64,
    head_hash: String,
}

impl TargetReport {
    pub(super) fn of(head: LogHead) -> TargetReport {
        TargetReport { log_id: head.log_id, head_seq: head.seq, head_hash: head.hash }
    }
}
