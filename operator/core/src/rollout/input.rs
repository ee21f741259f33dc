//! What one step of the ladder takes.

use serde::{Deserialize, Serialize};

use super::gate::Verdicts;

/// A workload that serves, or the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// The revision that it is meant to run.
    pub revision: String,
    /// Whether it runs that revision and is ready.
    pub is_ready: bool,
}

/// The workloads of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// The canary.
    pub canary: Option<PodView>,
    /// The readers, in order.
    pub readers: Vec<PodView>,
    /// The writer; `None` if this engine was never started.
    pub writer: Option<PodView>,
    /// Whether the engine hibernates, so that none of them is meant to run.
    pub is_stopped: bool,
}

impl Pods {
    /// What serves, in the order in which a revision is introduced: the writer last, because it is one, and its start
    /// stops the writes.
    pub(super) fn serving(&self) -> impl DoubleEndedIterator<Item = &PodView> {
        self.readers.iter().chain(self.writer.as_ref())
    }

    /// Whether everything that serves is meant to run `revision`, and is ready.
    pub(super) fn all_ready_on(&self, revision: &str) -> bool {
        self.writer.is_some() && self.serving().all(|pod| pod.revision == revision && pod.is_ready)
    }
}

/// The drills of the canary that come before the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drills {
    /// They were not started.
    NotRun,
    /// They run.
    Running,
    /// All have passed.
    Passed,
    /// One has failed.
    Failed,
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// Go back to the stable revision.
    Abort,
    /// Judge the failed revision again, or go on after a hold.
    Retry,
    /// Go on to the next step, whatever the gates say.
    PromoteNext,
    /// Go on to the promotion, whatever the gates say.
    PromoteFull,
    /// Stay in this step until `promote` or `retry`.
    Hold,
}

impl Verb {
    /// All of them, in order of precedence.
    pub const ALL: [Self; 5] = [Self::Abort, Self::Retry, Self::PromoteNext, Self::PromoteFull, Self::Hold];
}

/// A request of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Identifies the request, so that it is carried out once, however often it is read.
    pub id: String,
    /// What is asked for.
    pub verb: Verb,
    /// Who asks.
    pub by: String,
    /// Why.
    pub why: String,
}

/// The command that is carried out first. An abort wins.
#[must_use]
pub fn first_command<'a>(commands: &'a [Command], is_done: &dyn Fn(&Command) -> bool) -> Option<&'a Command> {
    commands.iter().filter(|command| !is_done(command)).min_by_key(|command| command.verb)
}

/// Everything a step depends on beside the state and the settings.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Seconds since the epoch.
    pub now_s: i64,
    /// Whether this operator leads.
    pub leads: bool,
    /// The revision that the spec asks for.
    pub revision: &'a str,
    /// What the gates say about the revision that is judged.
    pub verdicts: &'a Verdicts,
    /// The workloads.
    pub pods: &'a Pods,
    /// The drills before the next step.
    pub drills: Drills,
    /// What they said, if one has failed.
    pub drills_said: &'a str,
    /// Whether a pod of the stable revision answers.
    pub stable_up: bool,
    /// What persons ask for.
    pub commands: &'a [Command],
}
