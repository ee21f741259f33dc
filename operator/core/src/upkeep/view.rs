//! What one reconcile found about scheduled work.

use engine_core::wire::{UpkeepRun, UpkeepTask};

use crate::tls::Unread;

/// What one reconcile found about scheduled work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpkeepView {
    /// Why an object could not be read. Nothing is done then.
    pub unread: Option<Unread>,
    /// What the engine answered in this reconcile.
    pub runs: Vec<UpkeepRun>,
    /// Requests that the engine did not answer in this reconcile, and why.
    pub refusals: Vec<(UpkeepTask, String)>,
}

impl UpkeepView {
    /// What the engine answered about a task.
    #[must_use]
    pub fn run(&self, task: UpkeepTask) -> Option<&UpkeepRun> {
        self.runs.iter().find(|run| run.task == task)
    }

    /// Why it did not answer about a task.
    #[must_use]
    pub fn refusal(&self, task: UpkeepTask) -> Option<&str> {
        self.refusals.iter().find(|(refused, _)| *refused == task).map(|(_, why)| why.as_str())
    }
}
