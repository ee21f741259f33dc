//! Upkeep that is asked for with the id of a request: a new segment of the log, a complete verification, and retention.
//! A run goes on when its client is gone, and the same request never runs twice. [`Runs`](crate::upkeep_runs::Runs) has
//! the last ones.

use std::sync::Arc;
use std::time::Duration;

use engine_core::wire::{ErrorCode, ProjectionState, StartUpkeep, UpkeepResult, UpkeepRun, UpkeepTask};
use engine_log::{Rotated, Scrubbed};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use crate::access::Session;
use crate::engine::Engine;
use crate::operations::Operations;
use crate::refusal::{Refusal, ended};

/// Longest verification. A log of 100 GB on a slow disk takes about 20 minutes; the index of the projection is checked
/// only in a pause between writes.
const SCRUB_MAX: Duration = Duration::from_secs(3_600);
/// Time between two looks at a verification.
const SCRUB_LOOK: Duration = Duration::from_millis(100);

/// Begins a run, unless there is one for the same request. Returns it when it has ended, or soon.
///
/// # Errors
/// The request is not valid, or another one runs.
pub(crate) async fn run(engine: &Arc<Engine>, wanted: StartUpkeep) -> Result<UpkeepRun, Refusal> {
    if !wanted.is_valid() {
        return Err(Refusal::new(
            ErrorCode::InvalidArgument,
            "the id of the request is not valid, or plan is missing or not expected",
        )
        .hint("request: 1 to 64 letters, digits and hyphens; plan only with the task apply_retention"));
    }
    let task = wanted.task;
    if engine.upkeep.begin(&wanted, Timestamp::now())? {
        let engine = Arc::clone(engine);
        let work = carry_out(Arc::clone(&engine), wanted).in_current_span();
        let whole = async move {
            // A task of its own, so that a panic ends the run too.
            let outcome = tokio::spawn(work).await.unwrap_or_else(|fault| Err(ended(fault)));
            engine.upkeep.end(task, outcome);
        };
        tokio::spawn(whole.in_current_span());
    }
    let run = engine.upkeep.wait(task).await;
    run.ok_or_else(|| Refusal::new(ErrorCode::Internal, "the run was not noted"))
}

async fn carry_out(engine: Arc<Engine>, wanted: StartUpkeep) -> Result<UpkeepResult, Refusal> {
    match wanted.task {
        UpkeepTask::RotateLog => {
            let Rotated { segment, first_seq } = engine.rotate().await?;
            Ok(UpkeepResult::Rotated { segment, first_seq })
        }
        UpkeepTask::Scrub => scrub(&engine).await,
        UpkeepTask::PlanRetention => {
            let operations = Operations::new(engine, Session::local());
            operations.summarise_retention().await.map(UpkeepResult::Planned)
        }
        UpkeepTask::ApplyRetention => {
            let plan =
                wanted.plan.ok_or_else(|| Refusal::new(ErrorCode::InvalidArgument, "there is no plan"))?;
            let operations = Operations::new(engine, Session::local());
            let applied = operations.apply_approved(plan).await?;
            let (plan_hash, memories, seq) = (applied.plan_hash, applied.memories, applied.audit.seq);
            Ok(UpkeepResult::Applied { plan_hash, memories, seq })
        }
    }
}

/// Verifies the complete log and the complete projection.
async fn scrub(engine: &Engine) -> Result<UpkeepResult, Refusal> {
    let (asked, deadline) = (Timestamp::now(), Instant::now() + SCRUB_MAX);
    let built = engine.projection.rebuilt();
    let number = engine.ask_scrub();
    let mut sound = None;
    while Instant::now() < deadline {
        match engine.log_handles.scrubs.ended(number) {
            Some(Scrubbed::Faulty) => return Err(faulty_log(engine)),
            Some(Scrubbed::Sound(events)) => sound = Some(events),
            None => {}
        }
        let projection = &engine.projection;
        if projection.state() == ProjectionState::Failed
            || projection.rebuild(engine.published.head_seq()).is_some()
            || projection.rebuilt() != built
        {
            return Err(Refusal::new(
                ErrorCode::ProjectionUnavailable,
                "the projection did not verify, or is being built from the log: verify again when it is ready",
            ));
        }
        let is_checked = projection.checked().is_some_and(|(_, at)| at >= asked);
        if let Some(events) = sound.filter(|_| is_checked) {
            return Ok(UpkeepResult::Verified { events, applied_seq: projection.applied_seq() });
        }
        sleep(SCRUB_LOOK).await;
    }
    let missing = if sound.is_some() { "projection" } else { "log" };
    Err(Refusal::new(
        ErrorCode::QueryTimeout,
        format!("the {missing} was not verified within {} s", SCRUB_MAX.as_secs()),
    ))
}

fn faulty_log(engine: &Engine) -> Refusal {
    let fault = engine.published.fault();
    let why = fault.map_or_else(|| "see /health".to_owned(), |fault| fault.message);
    Refusal::new(ErrorCode::LogCorrupt, format!("the log does not verify: {why}"))
}
