//! How a verification ended: what its pod says.

use jiff::Timestamp;
use kube_core::DynamicObject;
use serde::Deserialize;

use crate::{job_pod::EndedPod, names::VERIFY_JOB, report::quoted};

/// Longest text of a verdict that is shown, characters.
const TEXT_CHARS_MAX: usize = 512;

/// A verification that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Name of the pod.
    pub pod: String,
    /// Uid of the Job that made the pod.
    pub job: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What it found.
    pub finding: Finding,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A log was restored.
    Restored {
        /// Name of the backup.
        backup: String,
        /// Id of the log.
        log_id: String,
        /// Number of events of the backup.
        events: u64,
        /// Root of the tree over them in the restored log.
        root: String,
        /// When the backup was taken.
        created: Option<Timestamp>,
        /// Time that it took, milliseconds.
        millis: u64,
    },
    /// The backup does not restore.
    Broken {
        /// Name of the backup.
        backup: String,
        /// Why, with the names of the objects.
        why: String,
    },
    /// It could not be found out whether the backup restores.
    Undecided {
        /// Why.
        why: String,
    },
}

#[derive(Deserialize)]
struct Message {
    ok: Option<bool>,
    backup: Option<String>,
    log_id: Option<String>,
    events: Option<u64>,
    root: Option<String>,
    /// More than the backup is restored if a later event has forgotten something of it.
    backup_size: Option<u64>,
    backup_root: Option<String>,
    backup_created: Option<Timestamp>,
    #[serde(default)]
    elapsed_ms: u64,
    rto_ms: Option<u64>,
    error: Option<String>,
}

/// Reads the pod of a verification; `None` if it is another pod, or has not ended.
#[must_use]
pub fn drill(pod: &DynamicObject) -> Option<Drill> {
    let ended = EndedPod::of(pod, VERIFY_JOB)?;
    Some(Drill {
        job: ended.job.to_owned(),
        started_at: ended.text("startedAt").parse().ok(),
        pod: ended.name.to_owned(),
        finished_at: ended.text("finishedAt").parse().ok()?,
        finding: finding(&ended),
    })
}

fn finding(ended: &EndedPod<'_>) -> Finding {
    let shown = |why: &str| quoted(why, TEXT_CHARS_MAX);
    let Ok(read) = serde_json::from_str::<Message>(ended.text("message")) else {
        return Finding::Undecided { why: shown(&ended.without_verdict()) };
    };
    let why = read.error.as_deref().map(shown).unwrap_or_default();
    let (events, root) = match (read.backup_size, read.backup_root) {
        (Some(size), Some(root)) => (Some(size), Some(root)),
        _ => (read.events, read.root),
    };
    match (read.ok, read.backup, read.log_id, events, root) {
        (Some(true), Some(backup), Some(log_id), Some(events), Some(root)) => {
            let millis = read.rto_ms.unwrap_or(read.elapsed_ms);
            Finding::Restored { backup, log_id, events, root, created: read.backup_created, millis }
        }
        (Some(false), Some(backup), ..) => Finding::Broken { backup, why },
        _ => Finding::Undecided { why },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::JOB_LABEL;

    fn pod(message: &str) -> DynamicObject {
        let pod = json!({
            "metadata": {
                "name": "notes-verify-1", "labels": {JOB_LABEL: VERIFY_JOB},
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": "notes-verify", "uid": "job", "controller": true,
                }],
            },
            "status": {"containerStatuses": [
                {"name": "sidecar", "state": {"running": {}}},
                {"name": "verify", "state": {"terminated": {
                    "exitCode": 1, "reason": "Error", "message": message, "finishedAt": "2026-01-01T00:00:00Z",
                }}},
            ]},
        });
        serde_json::from_value(pod).unwrap()
    }

    fn found(message: &str) -> Finding {
        drill(&pod(message)).unwrap().finding
    }

    #[test]
    fn only_an_ended_verification_has_a_finding() {
        let mut other = pod("{}");
        other.metadata.labels.as_mut().unwrap().insert(JOB_LABEL.to_owned(), "backup".to_owned());
        assert_eq!(drill(&other), None);
        let mut running = pod("{}");
        running.data["status"]["containerStatuses"][1]["state"] = json!({"running": {}});
        assert_eq!(drill(&running), None);
        let mut alone = pod("{}");
        alone.metadata.owner_references = None;
        assert_eq!(drill(&alone), None, "no Job has made it");
    }

    #[test]
    fn a_pod_without_a_complete_verdict_decides_nothing() {
        for message in ["", "killed", "{}", "[]", r#"{"ok":true}"#, r#"{"ok":true,"backup":"b","events":-1}"#]
        {
            assert!(matches!(found(message), Finding::Undecided { .. }), "{message}");
        }
        let oom = found("");
        assert!(matches!(&oom, Finding::Undecided { why } if why.contains("exit code 1")), "{oom:?}");
    }

    #[test]
    fn a_verdict_is_read_with_its_times_and_without_control_characters() {
        let message = r#"{"ok":true,"backup":"b","log_id":"l","events":3,"root":"r","elapsed_ms":5,"rto_ms":12,
            "error":null}"#;
        let restored = Finding::Restored {
            backup: "b".into(),
            log_id: "l".into(),
            events: 3,
            root: "r".into(),
            created: None,
            millis: 12,
        };
        assert_eq!(found(message), restored);
        let broken = found("{\"ok\":false,\"backup\":\"b\",\"error\":\"a\\u001b[31mb\"}");
        assert_eq!(broken, Finding::Broken { backup: "b".into(), why: "a [31mb".into() });
    }
}
