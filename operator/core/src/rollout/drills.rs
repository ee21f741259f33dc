//! The drills of the canary that come before the next step: a Job carries them out, and its pod says how they ended.

use crds::MemoryEngine;
use kube_core::DynamicObject;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::{
    input::Drills,
    state::{State, Status},
};
use crate::{
    job_pod::EndedPod,
    names::{self, ChildKey, DRILL_JOB},
    report::quoted,
};

/// Longest text of a pod that is shown, characters.
const TEXT_CHARS_MAX: usize = 200;

/// What the pod of drills said at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillEnd {
    /// Uid of the Job that made the pod.
    pub job: String,
    /// What did not hold; why there is no verdict; or nothing.
    pub said: String,
}

#[derive(Deserialize)]
struct Message {
    drills: Option<BTreeMap<String, Verdict>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Verdict {
    outcome: String,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    ok: bool,
    #[serde(default)]
    detail: String,
}

/// Reads the pod of drills; `None` if it is another pod, or has not ended.
#[must_use]
pub fn drill_end(pod: &DynamicObject) -> Option<DrillEnd> {
    let ended = EndedPod::of(pod, DRILL_JOB)?;
    let said = match serde_json::from_str::<Message>(ended.text("message")) {
        Ok(Message { error: Some(error), .. }) => error,
        Ok(Message { drills: Some(drills), .. }) => failed(&drills),
        _ => ended.without_verdict(),
    };
    Some(DrillEnd { job: ended.job.to_owned(), said: quoted(&said, TEXT_CHARS_MAX) })
}

/// The drills that failed, each with its first check that does not hold.
fn failed(drills: &BTreeMap<String, Verdict>) -> String {
    let failed = drills.iter().filter(|(_, verdict)| verdict.outcome == "failed");
    let failed = failed.map(|(name, verdict)| {
        let check = verdict.checks.iter().find(|check| !check.ok);
        let why = check.map(|check| format!(" ({}: {})", check.name, check.detail));
        format!("{name}{}", why.unwrap_or_default())
    });
    failed.collect::<Vec<_>>().join(", ")
}

/// The Job of the drills that are next, or run, according to the status; `None` outside of a trial.
#[must_use]
pub fn drill_job(engine: &MemoryEngine) -> Option<ChildKey> {
    let stored = engine.status.as_ref()?.rollout.as_ref()?;
    let stored: Status = serde_json::from_value(stored.state.clone()).ok()?;
    job_of(engine.metadata.name.as_deref()?, &State::restore(Some(&stored)))
}

/// The Job of the drills that are next, or run, in a state.
pub(super) fn job_of(engine: &str, state: &State) -> Option<ChildKey> {
    Some(names::drill_run(engine, &state.drills_id()?))
}

/// How far drills with this Job are, and what they said if one has failed.
pub(super) fn drills(job: Option<&DynamicObject>, ended: &[DrillEnd]) -> (Drills, String) {
    let Some(job) = job else { return (Drills::NotRun, String::new()) };
    let has = |kind: &str| {
        let conditions = job.data["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|one| one["type"] == kind && one["status"] == "True")
    };
    if has("Complete") {
        return (Drills::Passed, String::new());
    }
    if !has("Failed") {
        return (Drills::Running, String::new());
    }
    let said = ended.iter().find(|end| Some(&end.job) == job.metadata.uid.as_ref());
    let gone = || "its Job has failed, and no pod of it is left".to_owned();
    (Drills::Failed, said.map_or_else(gone, |end| end.said.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::JOB_LABEL;

    fn said(message: &str) -> String {
        let pod = json!({
            "metadata": {
                "name": "notes-drill-1", "labels": {JOB_LABEL: DRILL_JOB},
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": "notes-drill", "uid": "job", "controller": true,
                }],
            },
            "status": {"containerStatuses": [
                {"name": "drill", "state": {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}},
            ]},
        });
        let pod: DynamicObject = serde_json::from_value(pod).unwrap();
        drill_end(&pod).unwrap().said
    }

    #[test]
    fn a_verdict_names_what_did_not_hold() {
        let message = r#"{"ok":false,"drills":{
            "mode":{"outcome":"failed","checks":[{"name":"as_found","ok":false,"detail":"the gauge says\u001b 2"}]},
            "metrics":{"outcome":"passed","checks":[]},
            "auth-failure":{"outcome":"skipped","checks":[{"name":"fault","ok":true,"detail":"skipped: none"}]}}}"#;
        assert_eq!(said(message), "mode (as_found: the gauge says  2)");
        assert_eq!(said(r#"{"error":"no file /keys/drill"}"#), "no file /keys/drill");
        for message in ["", "killed", "{}", "[]"] {
            assert_eq!(said(message), "its pod ended without a verdict: Error, exit code 1", "{message}");
        }
        assert!(said(&json!({"error": "x".repeat(5_000)}).to_string()).chars().count() <= TEXT_CHARS_MAX);
    }
}
