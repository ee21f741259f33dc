//! `memory-engine import`: copies the data of other products into an engine's log. Logs of Zaxy are verified by Zaxy's
//! own rules while they are read; [`peers`] imports the other products.
//!
//! ```text
//! arguments      arguments that several imports share, and the output of the report
//! source         finds log files and reads their lines with bounded memory
//! transfer       imports one log after the other; engine_core::zaxy verifies and translates its events
//! batch          sends events in batches, with idempotency keys derived from the source
//! target         the engine to write to: a running one, or one started in this process
//! imported       reads imported events back and verifies them: where to resume, and the proof at the end
//! report         the report of an import of Zaxy's logs
//! target_report  the engine's log at the end of an import, for the reports
//! peers          imports of products whose stores have no hash chain
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

use crate::causes::with_causes;

use arguments::{PeerArgs, REFUSED, TargetArgs, publish};
use imported::Imported;
use peers::product::Product;
use report::Report;
use target::Target;
use target_report::TargetReport;
use transfer::Transfer;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    what: ImportSource,
}

#[derive(Debug, Subcommand)]
enum ImportSource {
    /// Import logs of Zaxy (PyPI zaxy-memory), verified by Zaxy's own rules
    ///
    /// It can be interrupted and run again at any time: no event is imported twice, and none is left out. Prints a
    /// report as one JSON object. Exit code 0: everything was imported. 1: something was refused; the report lists what
    /// and why. 2: the import could not be started or finished.
    Zaxy(ZaxyArgs),
    /// Import the knowledge graph of @modelcontextprotocol/server-memory (memory.jsonl)
    ///
    /// It can be interrupted and run again at any time: nothing is imported twice. Prints a report as one JSON object.
    /// The exit codes are those of `import zaxy`.
    ServerMemory(PeerArgs),
    /// Import memories of mem0 (PyPI mem0ai): the result of get_all() as JSON, history.db, or a Chroma database
    ///
    /// It can be interrupted and run again at any time: nothing is imported twice. Prints a report as one JSON object.
    /// The exit codes are those of `import zaxy`.
    Mem0(PeerArgs),
    /// Import notes of basic-memory (PyPI basic-memory): its directory of Markdown files, or its database
    ///
    /// It can be interrupted and run again at any time: nothing is imported twice. Prints a report as one JSON object.
    /// The exit codes are those of `import zaxy`.
    BasicMemory(PeerArgs),
    /// Verify imported logs of Zaxy again, by Zaxy's own rules, from the events in the engine's log
    ///
    /// Prints a report as one JSON object. Exit code 0: all imported logs verify. 1: something is missing or changed.
    /// 2: the check could not be done.
    Verify(TargetArgs),
}

#[derive(Debug, Args)]
struct ZaxyArgs {
    /// Log file of Zaxy, or the directory with its logs (*.jsonl)
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Project for the imported events and memories
    #[arg(long, value_name = "NAME", default_value = PROJECT_DEFAULT)]
    project: String,
    /// Read, verify and report only; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Skip refused lines and continue with the next line
    #[arg(long)]
    keep_going: bool,
    /// Write the report to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs one of the imports.
pub(crate) fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    // The runtime has one thread, so that requests reach an engine in this process in the order in which they are made.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &args.what {
        ImportSource::Zaxy(args) => runtime.block_on(zaxy(args)),
        ImportSource::ServerMemory(args) => runtime.block_on(peers::import(Product::ServerMemory, args)),
        ImportSource::Mem0(args) => runtime.block_on(peers::import(Product::Mem0, args)),
        ImportSource::BasicMemory(args) => runtime.block_on(peers::import(Product::BasicMemory, args)),
        ImportSource::Verify(place) => runtime.block_on(verify(place)),
    }
}

async fn zaxy(args: &ZaxyArgs) -> anyhow::Result<ExitCode> {
    request::filter("--project", &args.project)?;
    let found = source::find(&args.from).with_context(|| format!("cannot read {:?}", args.from))?;
    let target = if args.dry_run { None } else { Some(args.target.open()?) };
    let mut report = Report::new(&args.project, args.dry_run, found.skipped);
    let transfer = Transfer::new(target.as_ref(), &args.project, args.keep_going, &found.logs);
    let outcome = run(&transfer, target.as_ref(), &found.logs, &mut report).await;
    transfer.finish();
    if let Some(target) = target {
        target.close();
    }
    report.unfinished = outcome.err().map(|fault| with_causes(&fault));
    report.conclude();
    publish(&report, args.report.as_deref())?;
    match &report.unfinished {
        Some(fault) => bail!("not finished: {fault}; run the same command again to continue"),
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

async fn verify(target: &TargetArgs) -> anyhow::Result<ExitCode> {
    let target = target.open()?;
    let mut imported = Imported::default();
    let outcome = imported.read_on(&target).await;
    let head = target.head().await;
    target.close();
    outcome?;
    let verified = imported.verified(head?);
    publish(&verified, None)?;
    Ok(if verified.ok { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}
