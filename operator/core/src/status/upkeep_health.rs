//! `UpkeepHealthy`: whether what is done on a schedule is done, and in time.

use crds::{ScheduleInForce, UpkeepRun, UpkeepTask};
use jiff::SignedDuration;

use super::{facts::Facts, lookup::name};
use crate::{
    conditions::{Reason, Truth, Verdict},
    observed::Observed,
    punctuality::missed,
    schedule::Schedule,
    upkeep::{SCHEDULED, Scheduled, last_run},
    validate::Essentials,
};

/// How much later than its deadline a run may end: a CronJob may begin ten minutes late, and runs are spread.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// The schedule of a task. An engine without a pod, and one that nobody touches, keeps none.
pub(super) fn schedule(essentials: &Essentials, task: UpkeepTask) -> Option<&Schedule> {
    let times = essentials.upkeep.iter().find(|times| times.task == task)?;
    times.schedule.as_ref().filter(|_| !essentials.hibernate && !essentials.suspend)
}

/// The schedule that the status has as in force.
pub(super) fn in_force_before<'a>(observed: &'a Observed, row: &Scheduled) -> Option<&'a ScheduleInForce> {
    let upkeep = &observed.engine.status.as_ref()?.upkeep;
    upkeep.iter().find(|one| one.task == row.task)?.schedule.as_ref()
}

/// The tasks that the spec has a schedule for, also a suspended one, each with its last run.
fn tasks<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'static Scheduled, Option<UpkeepRun>)> + use<'a> {
    let (observed, essentials) = (facts.observed, facts.outcome.essentials());
    let is_wanted = |row: &&Scheduled| essentials.upkeep.iter().any(|times| times.task == row.task);
    SCHEDULED.iter().filter(is_wanted).map(|row| (row, last_run(observed, row)))
}

pub(super) fn nothing(facts: &Facts<'_>) -> Option<Verdict> {
    let message =
        "no schedule is set for the log, the scrub or retention: the engine does its upkeep by itself";
    tasks(facts).next().is_none().then(|| Verdict::new(Truth::True, Reason::NothingScheduled, message))
}

/// The verdict on a task whose last run has failed.
pub(super) fn failed(facts: &Facts<'_>) -> Option<Verdict> {
    let failed = tasks(facts).filter_map(|(row, run)| {
        let run = run.filter(|run| !run.succeeded)?;
        Some(format!("{:?} failed at {}: {}", row.task, run.finished_at, run.result))
    });
    let failed: Vec<String> = failed.collect();
    (!failed.is_empty()).then(|| Verdict::new(Truth::False, Reason::UpkeepFailed, failed.join(". ")))
}

/// The verdict on a task that was due and has not ended.
pub(super) fn overdue(facts: &Facts<'_>) -> Option<Verdict> {
    let (observed, essentials) = (facts.observed, facts.outcome.essentials());
    let late = tasks(facts).filter_map(|(row, run)| {
        let last = run.as_ref().and_then(|run| run.finished_at.parse().ok());
        let tolerance = SignedDuration::from_secs(row.deadline_seconds) + TOLERANCE;
        let schedule = schedule(essentials, row.task)?;
        let due = missed(in_force_before(observed, row), schedule, last, tolerance, observed.now)?;
        let last = run
            .map_or_else(|| "it never ran".to_owned(), |run| format!("it ran last at {}", run.finished_at));
        let job = crate::names::upkeep(name(observed), row.word);
        Some(format!("{:?} was due at {due}, and {last}: see the Jobs of the CronJob {job}", row.task))
    });
    let late: Vec<String> = late.collect();
    (!late.is_empty()).then(|| Verdict::new(Truth::False, Reason::UpkeepOverdue, late.join(". ")))
}

/// The verdict on tasks that are neither late nor have failed.
pub(super) fn on_schedule(facts: &Facts<'_>) -> Option<Verdict> {
    let essentials = facts.outcome.essentials();
    let said = tasks(facts).map(|(row, run)| {
        let last =
            run.map_or_else(|| "has not run yet".to_owned(), |run| format!("ran at {}", run.finished_at));
        let next = schedule(essentials, row.task).and_then(|schedule| schedule.next(facts.observed.now));
        let next =
            next.map_or_else(|| "its schedule is suspended".to_owned(), |next| format!("is due at {next}"));
        format!("{:?} {last} and {next}", row.task)
    });
    let said: Vec<String> = said.collect();
    Some(Verdict::new(Truth::True, Reason::UpkeepOnSchedule, said.join("; ")))
}
