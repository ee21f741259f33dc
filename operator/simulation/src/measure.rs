//! Runs everything that docs/LADDER.md shows.

use operator_core::rollout::{FAILING_GATES, judge_all};

use crate::{
    campaign::{Campaign, campaign, peeked},
    figures::{Figures, pairs_until_verdict},
    low_traffic::low_traffic,
    operator::Judge,
    page::Report,
    questions::Effect,
    world::Plan,
};

/// How much is run.
#[derive(Clone, Debug)]
pub struct Size {
    /// Worlds with a clean revision; a tenth of it for each harm.
    pub worlds: u64,
    /// Runs at one read a minute, for each truth.
    pub low_runs: u64,
    /// Runs for each figure of pairs.
    pub pairs_runs: u64,
}

impl Size {
    /// As much as in the published page.
    #[must_use]
    pub fn published() -> Self {
        Self { worlds: 10_000, low_runs: 400, pairs_runs: 1_000 }
    }
}

/// Runs all campaigns.
#[must_use]
pub fn measured(size: &Size) -> Report {
    let seeds = size.worlds;
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
        low: low.map(|(effect, errors)| low_traffic(0..size.low_runs, effect, errors)).into(),
        pairs: [0.0, 0.05, 0.1, 0.2].map(|harm| figures(harm, size.pairs_runs)).into(),
    }
}

fn figures(harm: f64, runs: u64) -> (f64, [Figures; 3]) {
    let gates = f64::from(FAILING_GATES);
    (harm, [0.0, 0.01, 0.05].map(|noise| pairs_until_verdict(0..runs, noise, harm, gates)))
}

/// The worlds of a campaign on all processors. Each world is its own, so that their order does not matter.
fn in_parallel(seeds: u64, plan: Plan, judge: Judge) -> Campaign {
    let parts = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let bounds = |part: u64| seeds * part / parts..seeds * (part + 1) / parts;
        let running: Vec<_> =
            (0..parts).map(|part| scope.spawn(move || campaign(bounds(part), plan, judge))).collect();
        let done = running.into_iter().map(|one| one.join().expect("a world panicked, which fails the run"));
        done.fold(Campaign::default(), Campaign::plus)
    })
}
