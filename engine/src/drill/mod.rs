//! `memory-engine drill`: uses a running engine as clients do, and asserts that it does what it has to do.
//!
//! ```text
//! connection   both ports of the engine
//! attempt      one attempt of a drill: what it found, and what it has to undo
//! verdict      checks and outcomes, and how they are shown
//! samples      parses metrics
//! planted      personal data and secrets that are planted
//! write_path, mode, metrics, read_path, dependency   the drills
//! ```

mod attempt;
mod connection;
mod dependency;
mod metrics;
mod mode;
mod planted;
mod read_path;
mod samples;
mod verdict;
mod write_path;

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use engine_core::digest::hex;
use engine_core::wire::DrillFaultKind;
use engine_log::Clock;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::stdout::{print, print_json};
use crate::termination_log::JobArgs;
use attempt::{Attempt, Options};
use connection::{Connection, ConnectionArgs};
use verdict::{Checks, Stop, Verdict, summary, table};

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// The drill
    #[arg(value_enum)]
    drill: DrillWord,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Part of the name of the project, drill-ID, in which everything is saved: 1 to 40 letters, digits and hyphens.
    /// What an earlier run with the same id has left is forgotten first. Random by default
    #[arg(long, value_name = "ID", value_parser = run_id)]
    run: Option<String>,
    /// Write nothing: drills and parts of drills that write are skipped
    #[arg(long)]
    read_only: bool,
    /// Disturb clients of the engine for seconds, although it was started without --allow-drill-faults
    #[arg(long)]
    disturb: bool,
    /// Fail if the policy of the engine forbids nothing
    #[arg(long)]
    expect_policy: bool,
    /// Longest time of a drill. What it has saved is forgotten after that
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Print JSON: an object for a drill, a list for `all`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    job: JobArgs,
}

/// A drill on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DrillWord {
    /// Save memories, with planted secrets and personal data too: what is acknowledged is in the log, what the policy
    /// forbids is nowhere
    WritePath,
    /// Every report of the mode says the same, and it is in force; on an engine that may be disturbed, another mode is
    /// held for a moment
    Mode,
    /// After requests their counters are there, are numbers, and have counted
    Metrics,
    /// Search, read, list and build contexts: what was saved is there, citations name events, the cache answers
    ReadPath,
    /// The embedding service seems to refuse the engine's credentials: reads go off, and come back after probes
    AuthFailure,
    /// The embedding service seems to fail several times in a row: reads go off, and come back after probes
    ConsecutiveFailures,
    /// Every drill, one after the other
    All,
}

impl DrillWord {
    const EACH: [DrillWord; 6] = [
        DrillWord::WritePath,
        DrillWord::Mode,
        DrillWord::Metrics,
        DrillWord::ReadPath,
        DrillWord::AuthFailure,
        DrillWord::ConsecutiveFailures,
    ];

    fn as_str(self) -> &'static str {
        match self {
            DrillWord::WritePath => "write-path",
            DrillWord::Mode => "mode",
            DrillWord::Metrics => "metrics",
            DrillWord::ReadPath => "read-path",
            DrillWord::AuthFailure => "auth-failure",
            DrillWord::ConsecutiveFailures => "consecutive-failures",
            DrillWord::All => "all",
        }
    }
}

fn run_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match (1..=40).contains(&text.len()) && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("expected 1 to 40 letters, digits and hyphens".to_owned()),
    }
}

/// Runs the command. Returns whether no drill failed.
///
/// # Errors
/// The arguments or the files that they name cannot be used.
pub(crate) fn run_drill(args: DrillArgs) -> anyhow::Result<bool> {
    let DrillArgs { drill, connection, run, read_only, disturb, expect_policy, timeout, json, job } = args;
    let cannot = |fault: &anyhow::Error| job.note(&json!({"error": format!("{fault:#}")}));
    let connection = connection.open().inspect_err(cannot)?;
    job.delay();
    let is_named = run.is_some();
    let run = run.unwrap_or_else(|| hex(&Clock::System.bytes::<8>()));
    let options = Options { run, is_named, read_only, disturb, expect_policy };
    let wanted = if drill == DrillWord::All { DrillWord::EACH.as_slice() } else { &[drill] };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let verdicts = runtime.block_on(async {
        let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut verdicts = Vec::new();
        let mut is_told = false;
        for drill in wanted {
            let limit = Duration::from_secs(timeout);
            let (verdict, stops) = if is_told {
                (not_begun(*drill), true)
            } else {
                carry_out(*drill, (&connection, &options), limit, &mut signals).await
            };
            is_told = stops;
            verdicts.push(verdict);
        }
        anyhow::Ok(verdicts)
    })?;
    match (json, verdicts.as_slice()) {
        (true, [verdict]) if drill != DrillWord::All => print_json(verdict)?,
        (true, verdicts) => print_json(&verdicts)?,
        (false, verdicts) => print(&table(verdicts))?,
    }
    job.note(&summary(&verdicts));
    Ok(!verdicts.iter().any(Verdict::is_failed))
}

/// The verdict on a drill that was not begun, because the process was told to stop.
fn not_begun(drill: DrillWord) -> Verdict {
    let mut checks = Checks::default();
    checks.skip("begun", "told to stop before");
    Verdict::new(drill.as_str(), checks, Duration::ZERO)
}

/// Carries out one drill and undoes it. Returns the verdict, and whether the process was told to stop.
async fn carry_out(
    drill: DrillWord,
    (connection, options): (&Connection, &Options),
    timeout: Duration,
    (terminate, interrupt): &mut (Signal, Signal),
) -> (Verdict, bool) {
    let started = Instant::now();
    let mut attempt = Attempt::new(connection, options);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(timeout, take(drill, &mut attempt)) => Some(outcome),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let is_told = outcome.is_none();
    match outcome {
        Some(Ok(Ok(()))) => {}
        Some(Ok(Err(stop))) => attempt.checks.stop(stop),
        Some(Err(_)) => attempt.checks.note("in_time", false, format!("not done within {timeout:?}")),
        None => attempt.checks.note("not_stopped", false, "the process was told to stop"),
    }
    attempt.undo().await;
    (Verdict::new(drill.as_str(), attempt.checks, started.elapsed()), is_told)
}

async fn take(drill: DrillWord, attempt: &mut Attempt<'_>) -> Result<(), Stop> {
    match drill {
        DrillWord::WritePath => attempt.write_path().await,
        DrillWord::Mode => attempt.mode_agrees().await,
        DrillWord::Metrics => attempt.metrics().await,
        DrillWord::ReadPath => attempt.read_path().await,
        DrillWord::AuthFailure => attempt.dependency_fails(DrillFaultKind::Authentication).await,
        DrillWord::ConsecutiveFailures => attempt.dependency_fails(DrillFaultKind::Failure).await,
        DrillWord::All => Ok(()),
    }
}
