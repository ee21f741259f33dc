//! The tasks that a Job asks for.

use crds::UpkeepTask;
use engine_core::wire;

/// One task.
#[derive(Clone, Copy, Debug)]
pub struct Scheduled {
    /// The task, as the status names it.
    pub task: UpkeepTask,
    /// The task, as the engine names it.
    pub call: wire::UpkeepTask,
    /// What the names of its objects end with: a word for the task, and a label of its Jobs.
    pub word: &'static str,
    /// Longest time that a Job waits for the end, seconds.
    pub wait_seconds: i64,
    /// Seconds after which Kubernetes ends a Job: the image has to be pulled too, and a pod that failed is started
    /// again.
    pub deadline_seconds: i64,
}

/// The tasks, in the order of the writes.
pub static SCHEDULED: [Scheduled; 3] = [
    // A seal takes milliseconds. An operator that restarts needs half a minute.
    Scheduled {
        task: UpkeepTask::RotateLog,
        call: wire::UpkeepTask::RotateLog,
        word: "rotate-log",
        wait_seconds: 300,
        deadline_seconds: 900,
    },
    // An engine gives up after an hour.
    Scheduled {
        task: UpkeepTask::Scrub,
        call: wire::UpkeepTask::Scrub,
        word: "scrub",
        wait_seconds: 3_600,
        deadline_seconds: 3 * 3_600,
    },
    // A plan for a million memories takes seconds.
    Scheduled {
        task: UpkeepTask::PlanRetention,
        call: wire::UpkeepTask::PlanRetention,
        word: "retention",
        wait_seconds: 600,
        deadline_seconds: 1_800,
    },
];

/// The row of a task.
#[must_use]
pub fn scheduled(task: UpkeepTask) -> &'static Scheduled {
    let row = SCHEDULED.iter().find(|row| row.task == task);
    row.expect("every task has a row, which a test checks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_a_row_with_a_name_of_its_own() {
        for task in [UpkeepTask::RotateLog, UpkeepTask::Scrub, UpkeepTask::PlanRetention] {
            assert_eq!(scheduled(task).task, task);
        }
        for row in &SCHEDULED {
            assert_eq!(SCHEDULED.iter().filter(|other| other.word == row.word).count(), 1, "{}", row.word);
            assert!(row.wait_seconds < row.deadline_seconds, "{}", row.word);
        }
    }
}
