//! The last run of each task of upkeep, in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use engine_core::wire::{ErrorCode, StartUpkeep, UpkeepResult, UpkeepRun, UpkeepState, UpkeepTask};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::refusal::Refusal;

/// Longest time for which a request waits for the end of a run. The operator waits for an answer for 1.5 s.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// The last run of each task.
#[derive(Debug, Default)]
pub(crate) struct Runs(watch::Sender<BTreeMap<UpkeepTask, UpkeepRun>>);

impl Runs {
    /// The last run of each task.
    pub(crate) fn all(&self) -> Vec<UpkeepRun> {
        self.0.borrow().values().cloned().collect()
    }

    /// Notes that a run begins, unless there is one for the same request.
    ///
    /// # Errors
    /// A run for another request is not finished.
    pub(crate) fn begin(&self, wanted: &StartUpkeep, now: Timestamp) -> Result<bool, Refusal> {
        let (mut begun, mut is_busy) = (false, false);
        self.0.send_if_modified(|runs| {
            let last = runs.get(&wanted.task);
            if last.is_some_and(|run| run.request == wanted.request) {
                return false;
            }
            is_busy = last.is_some_and(|run| run.state == UpkeepState::Running);
            begun = !is_busy;
            if begun {
                runs.insert(wanted.task, begun_run(wanted, now));
            }
            begun
        });
        match is_busy {
            true => Err(Refusal::new(ErrorCode::Overloaded, "another run of this task is not finished")
                .hint("GET /upkeep shows it; try again when it has ended")),
            false => Ok(begun),
        }
    }

    pub(crate) fn end(&self, task: UpkeepTask, outcome: Result<UpkeepResult, Refusal>) {
        self.0.send_modify(|runs| {
            let Some(run) = runs.get_mut(&task) else { return };
            run.finished = Some(Timestamp::now());
            match outcome {
                Ok(result) => (run.state, run.result) = (UpkeepState::Done, Some(result)),
                Err(refusal) => {
                    tracing::warn!(?task, request = run.request, error = refusal.message(), "upkeep failed");
                    run.state = UpkeepState::Failed;
                    (run.code, run.error) = (Some(refusal.code()), Some(refusal.message().to_owned()));
                }
            }
        });
    }

    /// The run of a task when it has ended, or as it is after a while.
    pub(crate) async fn wait(&self, task: UpkeepTask) -> Option<UpkeepRun> {
        let mut runs = self.0.subscribe();
        let is_over = |runs: &BTreeMap<UpkeepTask, UpkeepRun>| {
            runs.get(&task).is_none_or(|run| run.state != UpkeepState::Running)
        };
        // When the time is over, the run goes on.
        let _in_time = timeout(ANSWER_WAIT, runs.wait_for(is_over)).await;
        self.0.borrow().get(&task).cloned()
    }
}

fn begun_run(wanted: &StartUpkeep, now: Timestamp) -> UpkeepRun {
    UpkeepRun {
        task: wanted.task,
        request: wanted.request.clone(),
        state: UpkeepState::Running,
        started: now,
        finished: None,
        code: None,
        error: None,
        result: None,
    }
}
