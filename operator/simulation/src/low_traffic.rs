//! One read a minute for four days: how our rule and models of others judge the same answers.

use operator_core::rollout::{
    Context, Ended, Evidence, Metric, Pair, Pairing, Quality, Reading, Tally, Verdict, judge_all,
};

use crate::{
    dice::Dice,
    peers::{PEERS, Read},
    questions::{Effect, Noise, Questions},
};

/// Reads in four days.
const READS: usize = 96 * 60;
/// Share of the reads that a canary answers where reads are not paired.
const SHARE: f64 = 0.1;
/// Our rule is asked after so many reads.
const LOOK_EVERY: usize = 10;

/// How one rule judged many runs.
#[derive(Clone, Debug)]
pub struct Rates {
    /// The rule.
    pub rule: &'static str,
    /// Runs that were rolled back.
    pub rolled_back: u64,
    /// Median of the hours until then.
    pub rolled_back_hours: Option<f64>,
    /// Runs that passed before; `None` for rules that only end with time.
    pub passed: Option<u64>,
    /// Median of the hours until then.
    pub passed_hours: Option<f64>,
}

/// How all rules judged the same runs.
#[derive(Clone, Debug)]
pub struct LowTraffic {
    /// What the new revision does.
    pub truth: String,
    /// Runs.
    pub runs: u64,
    /// One of each rule, ours first.
    pub rates: Vec<Rates>,
}

/// When our rule failed and when it passed, in reads.
#[derive(Clone, Copy, Debug, Default)]
struct Judged {
    failed: Option<usize>,
    passed: Option<usize>,
}

/// Judges runs of these seeds by all rules.
#[must_use]
pub fn low_traffic(seeds: std::ops::Range<u64>, effect: Effect, errors: f64) -> LowTraffic {
    let runs = seeds.end - seeds.start;
    let (mut ours, mut others) = (Vec::new(), vec![Vec::new(); PEERS.len()]);
    for seed in seeds {
        let pairs = run(seed, effect, errors);
        ours.push(judge_pairs(&pairs));
        let mut dice = Dice::new(seed ^ 0x5eed);
        let reads: Vec<Read> = pairs.iter().map(|pair| read(pair, dice.chance(SHARE))).collect();
        for (found, (_, peer)) in others.iter_mut().zip(PEERS) {
            found.push(peer(&reads));
        }
    }
    let mut rates = vec![rates("ours, every read is a pair", &ours, true)];
    for (found, (rule, _)) in others.iter().zip(PEERS) {
        let judged: Vec<Judged> =
            found.iter().map(|failed| Judged { failed: *failed, passed: None }).collect();
        rates.push(self::rates(rule, &judged, false));
    }
    LowTraffic { truth: format!("{}, {} % errors anyway", effect.words(), errors * 100.0), runs, rates }
}

fn run(seed: u64, effect: Effect, errors: f64) -> Vec<Pair> {
    let mut questions = Questions::new(seed, Noise { errors, cache: 0.005, recall: 0.005 });
    (0..READS)
        .map(|minute| {
            let at_ms = i64::try_from(minute).unwrap_or_default() * 60_000;
            questions.ask(effect, 1, at_ms)
        })
        .collect()
}

fn read(pair: &Pair, by_canary: bool) -> Read {
    let failed = |ended: Ended| ended != Ended::Answered;
    Read { by_canary, canary_failed: failed(pair.canary.ended), stable_failed: failed(pair.stable.ended) }
}

/// Judges every read as a pair. The judging goes on after it passed: a rollback is possible until the end.
fn judge_pairs(pairs: &[Pair]) -> Judged {
    let mut pairing = Pairing::new(0);
    pairing.readiness(true);
    let mut evidence = Evidence::new("new", 0);
    let mut judged = Judged::default();
    for (at, pair) in pairs.iter().enumerate() {
        pairing.take(pair);
        if (at + 1) % LOOK_EVERY != 0 {
            continue;
        }
        let now_s = pair.at_ms / 1_000;
        evidence.absorb(&reading(pairing.tally()), now_s);
        let context = Context { now_s, stable_up: true, is_soaked: true };
        let verdicts = judge_all(&evidence, &context);
        let says = |metric: &Metric| verdicts.of(*metric);
        let reads =
            Metric::ALL.into_iter().filter(|metric| metric.needs_reads() && *metric != Metric::Redaction);
        if reads.clone().any(|metric| says(&metric) == Some(Verdict::Fail)) {
            judged.failed = Some(at + 1);
            return judged;
        }
        if judged.passed.is_none() && reads.clone().all(|metric| says(&metric) == Some(Verdict::Pass)) {
            judged.passed = Some(at + 1);
        }
    }
    judged
}

fn reading(tally: &Tally) -> Reading {
    let quality = Quality { control: 0, control_differs: 0, ..tally.quality };
    Reading {
        pod: "one".to_owned(),
        revision: "new".to_owned(),
        restarts: 0,
        tally: Tally { counts: tally.counts.clone(), quality },
    }
}

fn rates(rule: &'static str, judged: &[Judged], can_pass: bool) -> Rates {
    let failed: Vec<usize> = judged.iter().filter_map(|one| one.failed).collect();
    let passed: Vec<usize> = judged.iter().filter_map(|one| one.passed).collect();
    Rates {
        rule,
        rolled_back: failed.len() as u64,
        passed: can_pass.then_some(passed.len() as u64),
        rolled_back_hours: median_hours(failed),
        passed_hours: median_hours(passed),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand minutes")]
fn median_hours(mut minutes: Vec<usize>) -> Option<f64> {
    minutes.sort_unstable();
    minutes.get(minutes.len() / 2).map(|middle| *middle as f64 / 60.0)
}
