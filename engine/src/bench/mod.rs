//! `memory-engine bench`: measures the engine and, alternating with it in the same run, the limits of the machine. A
//! busy machine slows both, so the ratio of the two can be compared between machines; the absolute figures cannot.
//!
//! ```text
//! append            durable appends, over HTTP and in process
//! store             a large log: start, verification, rebuild, memory use, reads after writes
//! search            searches and reads
//! traces            cost of traces and of the ids of requests
//! archive           cost of backups, and time of a restore
//! tls               cost of TLS, and handshakes
//! limits            limits of the disk, of SHA-256 and of SQLite, without the engine
//! limits_of_search  limits of a search: the full-text index alone, and vector scans
//! process           runs the engine as a separate process
//! connection        an HTTP connection to the engine
//! context           settings shared by the measurements
//! text              generates reproducible memories and questions
//! row               a row of the table, and the samples that it is computed from
//! report            the output as a table, JSON, a page and a chart
//! ```

mod append;
mod archive;
mod connection;
mod context;
mod limits;
mod limits_of_search;
mod process;
mod report;
mod row;
mod search;
mod store;
mod text;
mod tls;
mod traces;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use context::Bench;
use report::Report;
use row::Row;

/// Maximum number of events of the large log. A run with more events would take too long.
const EVENTS_MAX: u64 = 10_000_000;

/// Arguments of `memory-engine bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Directory on the volume to measure; the benchmark creates a subdirectory in it and removes it at the end
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Duration of each measurement of a rate, in seconds, from 0.05 to 600
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How often each rate is measured, alternating with its limit, from 1 to 100; the median is reported
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Number of events of the large log, which is searched, verified, rebuilt and opened, from 1000 to 10000000; above
    /// 10000 a small log is searched too
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Measure only what traces and the ids of requests cost a read from the cache
    #[arg(long)]
    traces: bool,
    /// Measure only what TLS costs a search, and handshakes, with tls.crt, tls.key and ca.crt of this directory
    #[arg(long, value_name = "DIR", conflicts_with = "traces")]
    tls: Option<PathBuf>,
    /// Measure only what backups cost a writer, and a restore of the large log
    #[arg(long, conflicts_with_all = ["traces", "tls"])]
    archive: bool,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the page docs/PERFORMANCE.md to this file, and its chart next to it with the extension .svg
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Measures everything and prints the table.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    let bench = prepare(args)?;
    let measured = match &args.tls {
        Some(directory) => tls::measure(&bench, directory),
        None if args.traces => traces::measure(&bench),
        None if args.archive => archive::measure(&bench, &runtime()?),
        None => measure(&bench),
    };
    bench.progress.finish_and_clear();
    let removed = std::fs::remove_dir_all(&bench.directory);
    let report = Report::new(&args.dir, args.events, measured?);
    removed.context("the files of the benchmark could not be removed")?;
    crate::stdout::print(&report.table().to_string())?;
    if let Some(path) = &args.json {
        write(path, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(path) = &args.report {
        write(path, &report.markdown())?;
        write(&path.with_extension("svg"), &report.chart())?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn prepare(args: &BenchArgs) -> anyhow::Result<Bench> {
    if !(0.05..=600.0).contains(&args.seconds) {
        bail!("--seconds must be from 0.05 to 600");
    }
    if !(1..=100).contains(&args.rounds) || !(1_000..=EVENTS_MAX).contains(&args.events) {
        bail!("--rounds must be from 1 to 100 and --events from 1000 to {EVENTS_MAX}");
    }
    let directory = args.dir.join(format!("memory-engine-bench-{}", std::process::id()));
    std::fs::create_dir(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")
        .expect("the template is a constant");
    let progress = ProgressBar::new(STEPS).with_style(style);
    let duration = Duration::from_secs_f64(args.seconds);
    Ok(Bench { directory, duration, rounds: args.rounds, events: args.events, progress })
}

/// Number of calls of [`Bench::step`] in one run with three rounds. It determines only the length of the progress bar.
const STEPS: u64 = 3 * (12 + 3) + 23;

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let runtime = runtime()?;
    let mut rows = append::measure(bench, &runtime)?;
    rows.extend(store::measure(bench, &runtime)?);
    rows.extend(traces::measure(bench)?);
    Ok(rows)
}
