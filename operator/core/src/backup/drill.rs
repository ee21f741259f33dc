//! How a verification ended: what its pod says.

use jiff::Timestamp;
use kube_core::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    names::{JOB_LABEL, VERIFY_JOB},
    report::quoted,
};

/// Longest text of a verdict that is shown, characters.
const TEXT_CHARS_MAX: usize = 512;

/// A verification that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Name of the pod.
    pub pod: String,
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
        /// Number of events.
        events: u64,
        /// Root of the tree over them.
        root: String,
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
    #[serde(default)]
    elapsed_ms: u64,
    rto_ms: Option<u64>,
    error: Option<String>,
}

/// Reads the pod of a verification; `None` if it is another pod, or has not ended.
#[must_use]
pub fn drill(pod: &DynamicObject) -> Option<Drill> {
    let label = pod.metadata.labels.as_ref()?.get(JOB_LABEL)?;
    if label != VERIFY_JOB {
        return None;
    }
    let statuses = pod.data.pointer("/status/containerStatuses")?.as_array()?;
    let own = statuses.iter().find(|status| status["name"] == VERIFY_JOB)?;
    let ended = own.pointer("/state/terminated")?;
    let text = |field: &str| ended.get(field).and_then(Value::as_str);
    Some(Drill {
        pod: pod.metadata.name.clone()?,
        finished_at: text("finishedAt")?.parse().ok()?,
        finding: finding(text("message").unwrap_or_default(), ended),
    })
}

fn finding(message: &str, ended: &Value) -> Finding {
    let shown = |why: &str| quoted(why, TEXT_CHARS_MAX);
    let Ok(read) = serde_json::from_str::<Message>(message) else {
        let (code, reason) = (&ended["exitCode"], ended["reason"].as_str().unwrap_or_default());
        return Finding::Undecided {
            why: shown(&format!("its pod ended without a verdict: {reason}, exit code {code}")),
        };
    };
    let why = read.error.as_deref().map(shown).unwrap_or_default();
    match (read.ok, read.backup, read.log_id, read.events, read.root) {
        (Some(true), Some(backup), Some(log_id), Some(events), Some(root)) => {
            let millis = read.rto_ms.unwrap_or(read.elapsed_ms);
            Finding::Restored { backup, log_id, events, root, millis }
        }
        (Some(false), Some(backup), ..) => Finding::Broken { backup, why },
        _ => Finding::Undecided { why },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(message: &str) -> DynamicObject {
        let pod = json!({
            "metadata": {"name": "notes-verify-1", "labels": {JOB_LABEL: VERIFY_JOB}},
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
            millis: 12,
        };
        assert_eq!(found(message), restored);
        let broken = found("{\"ok\":false,\"backup\":\"b\",\"error\":\"a\\u001b[31mb\"}");
        assert_eq!(broken, Finding::Broken { backup: "b".into(), why: "a [31mb".into() });
    }
}
