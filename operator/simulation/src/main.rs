//! Runs the campaigns, prints their tables, and writes docs/LADDER.md and its chart.

use std::{path::Path, process::ExitCode};

use operator_core::rollout::judge_all;
use rollout_simulation::{
    Campaign, Effect, Plan, Report, campaign, chart, low_traffic, page, pairs_until_verdict, peeked, tables,
};

const USAGE: &str = "usage: rollout-simulation [--seeds N] [--write DOCS]\n\
                     N: worlds with a clean revision (10000); a tenth of it for each harm\n\
                     DOCS: the folder in which LADDER.md and images/ladder.svg are written";
/// Worlds with a clean revision.
const SEEDS: u64 = 10_000;
/// Runs at one read a minute, for each truth.
const LOW_RUNS: u64 = 400;
/// Runs for each figure of pairs.
const PAIRS_RUNS: u64 = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((seeds, folder)) = parsed(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = measured(seeds);
    println!("{}", tables(&report));
    for (seed, broken) in
        report.clean.broken.iter().chain(report.harms.iter().flat_map(|(_, one)| &one.broken))
    {
        println!("seed {seed}: {}: {}", broken.rule, broken.seen);
    }
    match folder.map(|folder| write(Path::new(&folder), &report)) {
        Some(Err(error)) => {
            eprintln!("the page could not be written: {error}");
            ExitCode::FAILURE
        }
        Some(Ok(())) | None => ExitCode::SUCCESS,
    }
}

fn parsed(arguments: &[String]) -> Option<(u64, Option<String>)> {
    let (mut seeds, mut folder) = (SEEDS, None);
    for pair in arguments.chunks(2) {
        match pair {
            [key, value] if key == "--seeds" => seeds = value.parse().ok()?,
            [key, value] if key == "--write" => folder = Some(value.clone()),
            _ => return None,
        }
    }
    Some((seeds, folder))
}

fn measured(seeds: u64) -> Report {
    let calm = Plan { effect: Effect::Clean, has_trouble: true, has_edits: false };
    let harms =
        Effect::HARMS.map(|effect| (effect, in_parallel(seeds / 10, Plan { effect, ..calm }, judge_all)));
    let low =
        [(Effect::Clean, 0.005), (Effect::Clean, 0.02), (Effect::Errors, 0.005), (Effect::Latency, 0.005)];
    Report {
        command: format!("cargo run --release -p rollout-simulation -- --seeds {seeds} --write docs"),
        clean: in_parallel(seeds, Plan { has_edits: true, ..calm }, judge_all),
        harms: harms.into(),
        control: in_parallel(seeds / 10, calm, peeked),
        low: low.map(|(effect, errors)| low_traffic(0..LOW_RUNS, effect, errors)).into(),
        pairs: [0.0, 0.05, 0.1, 0.2].map(figures).into(),
    }
}

fn figures(harm: f64) -> (f64, [rollout_simulation::Figures; 3]) {
    let gates = f64::from(operator_core::rollout::FAILING_GATES);
    (harm, [0.0, 0.01, 0.05].map(|noise| pairs_until_verdict(0..PAIRS_RUNS, noise, harm, gates)))
}

/// The worlds of a campaign on all processors. Each world is its own, so that their order does not matter.
fn in_parallel(seeds: u64, plan: Plan, judge: rollout_simulation::Judge) -> Campaign {
    let parts = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let bounds = |part: u64| seeds * part / parts..seeds * (part + 1) / parts;
        let running: Vec<_> =
            (0..parts).map(|part| scope.spawn(move || campaign(bounds(part), plan, judge))).collect();
        let done = running.into_iter().map(|one| one.join().expect("a world panicked, which fails the run"));
        done.fold(Campaign::default(), Campaign::plus)
    })
}

fn write(folder: &Path, report: &Report) -> std::io::Result<()> {
    std::fs::write(folder.join("LADDER.md"), page(report))?;
    std::fs::write(folder.join("images/ladder.svg"), chart(report))
}
