//! `memory-engine bench`: what the engine does in a second, beside what this machine could do at most, measured in the
//! same run and in turns, so that a noisy machine slows both. An absolute figure is a hint; the ratio is the claim.

mod append;
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

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use context::Bench;
use report::Report;
use row::Row;

/// Events of the large log; more would not fit the time a person waits.
const EVENTS_MAX: u64 = 10_000_000;

/// How long and how much.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Directory on the volume to measure; a subdirectory is made in it and removed again
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Seconds of each measurement of a rate
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Times each rate is measured, its limit and itself in turns; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Events of the large log, which is searched, verified, rebuilt and opened; above 10,000 a small one is searched too
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write docs/PERFORMANCE.md and its chart beside it from the figures
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Measures everything and prints the table.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    let bench = prepare(args)?;
    let measured = measure(&bench);
    bench.progress.finish_and_clear();
    let removed = std::fs::remove_dir_all(&bench.directory);
    let report = Report::new(&args.dir, args.events, measured?);
    removed.context("the files of the measurement could not be removed")?;
    print!("{}", report.table());
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
    std::fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")
        .expect("the template is a constant");
    let progress = ProgressBar::new(STEPS).with_style(style);
    let duration = Duration::from_secs_f64(args.seconds);
    Ok(Bench { directory, duration, rounds: args.rounds, events: args.events, progress })
}

/// Calls of [`Bench::step`] in one run with three rounds; only the bar's length depends on it.
const STEPS: u64 = 3 * 12 + 22;

fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = append::measure(bench, &runtime)?;
    rows.extend(store::measure(bench, &runtime)?);
    Ok(rows)
}
