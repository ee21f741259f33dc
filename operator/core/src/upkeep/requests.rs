//! Requests of Jobs: which is open, what the engine is asked for, and what the answer is.

use crds::{UpkeepRun, UpkeepStatus};
use engine_core::wire::{self, StartUpkeep, UpkeepResult, UpkeepState};
use jiff::{SignedDuration, Timestamp};
use kube_core::DynamicObject;
use serde_json::Value;

use super::table::{SCHEDULED, Scheduled};
use crate::{
    backup::RESULT_ENTRY,
    names,
    observed::Observed,
    ownership::is_ours,
    report::quoted,
    rotation::{DONE_ENTRY, FAILED_ENTRY, requested},
    validate::Essentials,
};

/// Shortest time between two runs of a task that somebody asks for. Whoever may write the ConfigMap must not keep the
/// engine busy.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_secs(10);
/// Longest description of a result, characters: the bound of the CRD.
const RESULT_CHARS_MAX: usize = 512;

/// The answer to a request, as the ConfigMap has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Id of the request.
    pub request: String,
    /// What was found or done, or why it failed.
    pub result: String,
    /// Whether it failed.
    pub has_failed: bool,
}

fn request_map<'a>(observed: &'a Observed, row: &Scheduled) -> Option<&'a DynamicObject> {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let key = names::upkeep_request(name, row.word);
    observed.children.get(&key).filter(|live| is_ours(observed, &key, live)).map(AsRef::as_ref)
}

fn before<'a>(observed: &'a Observed, row: &Scheduled) -> Option<&'a UpkeepStatus> {
    observed.engine.status.as_ref()?.upkeep.iter().find(|one| one.task == row.task)
}

/// A run that has ended, as the status has it.
fn ended(run: &wire::UpkeepRun) -> Option<UpkeepRun> {
    let text = match (run.state, &run.result) {
        (UpkeepState::Running, _) => return None,
        (UpkeepState::Failed, _) | (UpkeepState::Done, None) => run.error.clone().unwrap_or_default(),
        (UpkeepState::Done, Some(result)) => described(result),
    };
    Some(UpkeepRun {
        request: run.request.clone(),
        finished_at: run.finished.unwrap_or(run.started).to_string(),
        succeeded: run.state == UpkeepState::Done && run.result.is_some(),
        result: quoted(&text, RESULT_CHARS_MAX),
    })
}

fn described(result: &UpkeepResult) -> String {
    match result {
        UpkeepResult::Rotated { segment, first_seq } => {
            format!("segment {segment} begins with event {first_seq}")
        }
        UpkeepResult::Verified { events, applied_seq } => {
            format!("verified {events} events, and the projection of {applied_seq}")
        }
        UpkeepResult::Planned(plan) => {
            format!("plan {} removes {} of {} memories", plan.plan_hash, plan.memories, plan.total)
        }
        UpkeepResult::Applied { plan_hash, memories, seq } => {
            format!("plan {plan_hash} removed {memories} memories, event {seq}")
        }
    }
}

/// The last run of a task that has ended.
#[must_use]
pub fn last_run(observed: &Observed, row: &Scheduled) -> Option<UpkeepRun> {
    let view = observed.upkeep.as_ref();
    let fresh = view.and_then(|view| view.run(row.call)).and_then(ended);
    fresh.or_else(|| before(observed, row)?.last_run.clone())
}

/// The newest request of a task.
fn asked(observed: &Observed, row: &Scheduled) -> Option<String> {
    requested(request_map(observed, row)?)
}

/// The answer that the ConfigMap should have: to the newest request, if it was carried out, otherwise the one that it
/// has.
#[must_use]
pub fn answered(observed: &Observed, row: &Scheduled) -> Option<Answered> {
    let asked = asked(observed, row);
    if let Some(run) = last_run(observed, row).filter(|run| asked.as_ref() == Some(&run.request)) {
        return Some(Answered { request: run.request, result: run.result, has_failed: !run.succeeded });
    }
    let map = request_map(observed, row)?;
    let entry = |key: &str| map.data.pointer(&format!("/data/{key}")).and_then(Value::as_str);
    let request = entry(DONE_ENTRY)?.to_owned();
    let has_failed = entry(FAILED_ENTRY) == Some(request.as_str());
    Some(Answered { request, result: entry(RESULT_ENTRY)?.to_owned(), has_failed })
}

/// The request that was not carried out yet.
fn open(observed: &Observed, row: &Scheduled) -> Option<String> {
    let asked = asked(observed, row)?;
    last_run(observed, row).is_none_or(|run| run.request != asked).then_some(asked)
}

/// What the engine is asked for now.
#[must_use]
pub fn to_start(observed: &Observed, row: &Scheduled) -> Option<StartUpkeep> {
    let request = open(observed, row)?;
    observed.report_on_log()?;
    let finished = last_run(observed, row).and_then(|run| run.finished_at.parse::<Timestamp>().ok());
    let is_early = finished.is_some_and(|at| observed.now.duration_since(at).abs() < INTERVAL_MIN);
    (!is_early).then_some(StartUpkeep { task: row.call, request, plan: None })
}

/// Takes over what the engine answered.
pub fn acknowledge_upkeep(
    observed: &mut Observed,
    answer: Result<wire::UpkeepRun, (wire::UpkeepTask, String)>,
) {
    let view = observed.upkeep.get_or_insert_default();
    match answer {
        Ok(run) => view.runs.push(run),
        Err((task, why)) => view.refusals.push((task, quoted(&why, RESULT_CHARS_MAX))),
    }
}

/// Why a request of a task waits, or its objects cannot be read.
#[must_use]
pub fn problem(observed: &Observed, row: &Scheduled) -> Option<String> {
    let view = observed.upkeep.as_ref()?;
    let unread = view.unread.as_ref().map(|unread| format!("an object could not be read: {}", unread.text));
    let refused = || view.refusal(row.call).map(|why| format!("the engine has not answered: {why}"));
    let waits = || {
        open(observed, row)?;
        observed.report_on_log().is_none().then(|| "the engine does not report now".to_owned())
    };
    let text = unread.or_else(refused).or_else(waits)?;
    Some(quoted(&text, RESULT_CHARS_MAX))
}

/// Whether a request was carried out and has to be answered, so that the next reconcile should be soon. A run that goes
/// on is looked at in the usual interval.
#[must_use]
pub fn is_unfinished(observed: &Observed, essentials: &Essentials) -> bool {
    if observed.upkeep.as_ref().is_none_or(|view| view.unread.is_some()) {
        return false;
    }
    let is_unanswered = |row: &Scheduled| {
        let (Some(asked), Some(run)) = (asked(observed, row), last_run(observed, row)) else { return false };
        let done =
            request_map(observed, row).and_then(|map| map.data.pointer("/data")?.get(DONE_ENTRY)?.as_str());
        run.request == asked && done != Some(asked.as_str())
    };
    let is_wanted = |row: &Scheduled| essentials.upkeep.iter().any(|times| times.task == row.task);
    SCHEDULED.iter().any(|row| is_wanted(row) && is_unanswered(row))
}
