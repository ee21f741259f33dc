//! `memory-operator ask`: what a scheduled Job runs. It asks the operator for work on an engine, such as a backup, and
//! waits until the operator says that it is finished. It reads no Secret.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use operator_core::{
    backup::RESULT_ENTRY,
    rotation::{DONE_ENTRY, FAILED_ENTRY, REQUEST_ENTRY},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::call;

/// Field manager of the request.
const MANAGER: &str = "memory-operator-ask";
/// Time between two looks at the answer.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Longest wait before the request, seconds.
const DELAY_SECONDS_MAX: u64 = 300;
/// Longest wait for the answer, seconds.
const WAIT_SECONDS_MAX: u64 = 3600;

/// Asks the operator for what a ConfigMap is about, and waits for the end. Exit code 0: it is finished. 1: it was not
/// finished in time. 2: it could not be asked for. 3: it failed.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// Name of the ConfigMap of the request.
    #[arg(long)]
    request: String,

    /// Id of the request. The same id asks once only.
    #[arg(long, env = "JOB_UID")]
    id: String,

    /// Seconds before the request, so that many engines do not begin in the same second.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=DELAY_SECONDS_MAX))]
    delay_seconds: u64,

    /// Longest wait for the answer, seconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=WAIT_SECONDS_MAX))]
    wait_seconds: u64,

    /// File of the verdict, which Kubernetes shows in the status of the pod.
    #[arg(long, default_value = "/dev/termination-log")]
    termination_log: PathBuf,
}

/// How a run has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict")]
enum Verdict {
    /// It is finished. Most tasks have a result: what was found, or the name of a record.
    Done {
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<String>,
    },
    /// It has failed.
    Failed { result: Option<String> },
    /// The operator has not finished it in time.
    TimedOut { last_problem: Option<String> },
    /// The API server refuses the request.
    Refused { why: String },
}

impl Verdict {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Done { .. } => 0,
            Self::TimedOut { .. } => 1,
            Self::Refused { .. } => 2,
            Self::Failed { .. } => 3,
        }
    }
}

impl Ask {
    /// Asks, waits, and writes the verdict as JSON to standard output and into the termination message.
    pub(crate) async fn run(&self, namespace: &str) -> ExitCode {
        let started = Instant::now();
        let verdict = match kube::Client::try_default().await {
            Ok(client) => {
                tokio::time::sleep(Duration::from_secs(self.delay_seconds)).await;
                self.ask(&Api::namespaced(client, namespace)).await
            }
            Err(error) => Verdict::Refused { why: error.to_string() },
        };
        let mut text = serde_json::to_value(&verdict).unwrap_or_default();
        (text["request"], text["seconds"]) = (self.id.clone().into(), started.elapsed().as_secs().into());
        println!("{text}");
        if let Err(error) = std::fs::write(&self.termination_log, text.to_string()) {
            eprintln!("memory-operator: the termination message cannot be written: {error}");
        }
        ExitCode::from(verdict.exit_code())
    }

    async fn ask(&self, requests: &Api<ConfigMap>) -> Verdict {
        let deadline = Instant::now() + Duration::from_secs(self.wait_seconds);
        let asking = json!({"data": {REQUEST_ENTRY: self.id}});
        // The account of the Job may only patch this object: a patch that changes nothing is a look at it.
        let looking = json!({});
        let (mut patch, mut last_problem): (&Value, _) = (&asking, None);
        while Instant::now() < deadline {
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            match call(requests.patch(&self.request, &params, &Patch::Merge(patch))).await {
                Ok(answer) => {
                    (patch, last_problem) = (&looking, None);
                    let entry = |key: &str| answer.data.as_ref()?.get(key).cloned();
                    if entry(DONE_ENTRY).as_ref() == Some(&self.id) {
                        let result = entry(RESULT_ENTRY);
                        return match entry(FAILED_ENTRY).as_ref() == Some(&self.id) {
                            true => Verdict::Failed { result },
                            false => Verdict::Done { result },
                        };
                    }
                    // Somebody else has asked, and the operator sees the newest request only.
                    if entry(REQUEST_ENTRY).as_ref() != Some(&self.id) {
                        patch = &asking;
                    }
                }
                Err(error)
                    if error
                        .api()
                        .is_some_and(|status| matches!(status.code, 400 | 401 | 403 | 404 | 422)) =>
                {
                    return Verdict::Refused { why: error.to_string() };
                }
                Err(error) => last_problem = Some(error.to_string()),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Verdict::TimedOut { last_problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock_api::MockApi;

    const REQUEST: &str = "/api/v1/namespaces/team/configmaps/notes-rotate";

    fn command(wait_seconds: u64) -> Ask {
        Ask {
            request: "notes-rotate".into(),
            id: "job-1".into(),
            delay_seconds: 0,
            wait_seconds,
            termination_log: PathBuf::new(),
        }
    }

    /// The Job uses one verb on one object, and ends when the operator has answered its own request.
    #[tokio::test]
    async fn a_job_asks_once_and_waits_for_the_answer_to_its_own_request() {
        let (client, server) = MockApi::start();
        let requests: Api<ConfigMap> = Api::namespaced(client, "team");
        assert_eq!(command(1).ask(&requests).await.exit_code(), 2, "there is no such ConfigMap");
        server.make(REQUEST, &json!({"metadata": {"name": "notes-rotate"}, "data": {"done": "job-0"}}));
        assert_eq!(command(1).ask(&requests).await.exit_code(), 1, "the answer is to another request");
        assert_eq!(server.object(REQUEST).unwrap()["data"]["request"], "job-1");
        server.edit(REQUEST, |object| object["data"]["done"] = json!("job-1"));
        assert_eq!(command(1).ask(&requests).await, Verdict::Done { result: None });
        server.edit(REQUEST, |object| {
            object["data"]["failed"] = json!("job-1");
            object["data"]["result"] = json!("the log does not verify");
        });
        let failed = command(1).ask(&requests).await;
        assert_eq!(failed, Verdict::Failed { result: Some("the log does not verify".to_owned()) });
        assert_eq!(failed.exit_code(), 3);
        let asked = server.take_requests();
        assert!(asked.iter().all(|request| *request == format!("PATCH {REQUEST}")), "{asked:?}");
    }
}
