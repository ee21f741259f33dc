//! `memory-engine import`: what other products have stored, into an engine's log. Logs of Zaxy are verified by their
//! own rules on the way; [`peers`] has the others.
//!
//! ```text
//! source     lines of files, bounded memory            → engine_core::zaxy: verified, translated
//! transfer   batches under keys made from the source   → target: an engine that runs, or one started here
//! imported   what the target has, read back and verified again: where to go on, and the proof at the end
//! ```

mod arguments;
mod batch;
mod imported;
mod peers;
mod report;
mod source;
mod target;
mod target_report;
#[cfg(test)]
mod tests;
mod transfer;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use engine_core::limits::PROJECT_DEFAULT;
use engine_core::request;

use arguments::{PeerArgs, REFUSED, Where, publish};
use imported::Imported;
use peers::product::Product;
use report::Report;
use target::Target;
use target_report::TargetReport;
use transfer::Transfer;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Import logs of Zaxy (PyPI zaxy-memory), verified by their own rules
    ///
    /// Can be interrupted and run again at any time: no event is imported twice, none is left out. Prints a report as one
    /// JSON object. Exit code 0: everything was imported. 1: something was refused, and the report says what and why. 2: the
    /// import could not be done or finished.
    Zaxy(ZaxyArgs),
    /// Import the knowledge graph of @modelcontextprotocol/server-memory (memory.jsonl)
    ///
    /// Can be interrupted and run again at any time: nothing is there twice. Prints a report as one JSON object, with the
    /// exit codes of `import zaxy`. So do the next ones.
    ServerMemory(PeerArgs),
    /// Import memories of mem0 (PyPI mem0ai): the answer of get_all() as JSON, history.db, or a Chroma database
    Mem0(PeerArgs),
    /// Import notes of basic-memory (PyPI basic-memory): its directory of Markdown files, or its database
    BasicMemory(PeerArgs),
    /// Verify imported logs again, by their own rules, from what the engine's log has of them
    ///
    /// Prints one JSON object. Exit code 0: they verify. 1: something is missing or changed. 2: could not be checked.
    Verify(Where),
}

#[derive(Debug, Args)]
struct ZaxyArgs {
    /// A log of Zaxy, or the directory with its logs (*.jsonl)
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Project the events and memories belong to from now on
    #[arg(long, value_name = "NAME", default_value = PROJECT_DEFAULT)]
    project: String,
    /// Read, verify and report; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave refused lines out and go on behind them
    #[arg(long)]
    keep_going: bool,
    /// Write the report there instead of to standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs one of the imports.
pub(crate) fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    // One thread: requests reach an engine of this process in the order in which they were made.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &args.what {
        What::Zaxy(args) => runtime.block_on(zaxy(args)),
        What::ServerMemory(args) => runtime.block_on(peers::import(Product::ServerMemory, args)),
        What::Mem0(args) => runtime.block_on(peers::import(Product::Mem0, args)),
        What::BasicMemory(args) => runtime.block_on(peers::import(Product::BasicMemory, args)),
        What::Verify(place) => runtime.block_on(verify(place)),
    }
}

async fn zaxy(args: &ZaxyArgs) -> anyhow::Result<ExitCode> {
    request::filter("--project", &args.project)?;
    let found = source::find(&args.from).with_context(|| format!("cannot read {:?}", args.from))?;
    let target = if args.dry_run { None } else { Some(args.place.open()?) };
    let mut report = Report::new(&args.project, args.dry_run, found.skipped);
    let transfer = Transfer::new(target.as_ref(), &args.project, args.keep_going, &found.logs);
    let outcome = run(&transfer, target.as_ref(), &found.logs, &mut report).await;
    transfer.finish();
    if let Some(target) = target {
        target.close();
    }
    report.unfinished = outcome.err().map(|fault| format!("{fault:#}"));
    report.conclude();
    publish(&report, args.report.as_deref())?;
    match &report.unfinished {
        Some(fault) => bail!("not finished: {fault}; run it again to go on"),
        None if report.ok => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::from(REFUSED)),
    }
}

async fn run(
    transfer: &Transfer<'_>,
    target: Option<&Target>,
    logs: &[source::SourceLog],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut imported = Imported::default();
    if let Some(target) = target {
        imported.read_on(target).await?;
    }
    for log in logs {
        transfer.log(log, &mut imported, report).await?;
    }
    if let Some(target) = target {
        imported.read_on(target).await?;
        report.target = Some(TargetReport::of(target.head().await?));
        report.prove(&imported);
    }
    Ok(())
}

async fn verify(place: &Where) -> anyhow::Result<ExitCode> {
    let target = place.open()?;
    let mut imported = Imported::default();
    let outcome = imported.read_on(&target).await;
    let head = target.head().await;
    target.close();
    outcome?;
    let verified = imported.verified(head?);
    publish(&verified, None)?;
    Ok(if verified.ok { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}
