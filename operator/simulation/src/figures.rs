//! How many pairs a verdict takes.

use operator_core::rollout::{fail_wealth, pass_wealth};

use crate::dice::Dice;

/// Margins of the gate of errors.
const TOLERATED: f64 = 0.005;
const REFUSED: f64 = 0.02;
/// Fewest pairs that are judged.
const PAIRS_MIN: u32 = 30;
/// Pairs after which a run ends without a verdict.
const PAIRS_MAX: u32 = 6_000;
/// Up to here each pair is looked at, then every fifth.
const DENSE: u32 = 200;

/// Pairs until the verdict of many runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runs that failed.
    pub failed: u64,
    /// Runs that passed.
    pub passed: u64,
    /// Median of the pairs until the more frequent verdict.
    pub median: u32,
    /// 95 in 100 need at most so many.
    pub p95: u32,
}

/// Runs in which both revisions are bad in the share `noise` of the pairs by themselves, and the canary in `harm` more,
/// with the bound of `gates` gates.
#[must_use]
pub fn pairs_until_verdict(seeds: std::ops::Range<u64>, noise: f64, harm: f64, gates: f64) -> Figures {
    let (mut fails, mut passes) = (Vec::new(), Vec::new());
    for seed in seeds {
        match verdict(&mut Dice::new(seed), noise, harm, gates) {
            Some((true, pairs)) => fails.push(pairs),
            Some((false, pairs)) => passes.push(pairs),
            None => {}
        }
    }
    let (failed, passed) = (fails.len() as u64, passes.len() as u64);
    let mut more = if failed > passed { fails } else { passes };
    more.sort_unstable();
    let at =
        |percent: usize| more.get(more.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
    Figures { failed, passed, median: at(50), p95: at(95) }
}

/// Whether a run failed, and after how many pairs; `None` without a verdict.
fn verdict(dice: &mut Dice, noise: f64, harm: f64, gates: f64) -> Option<(bool, u32)> {
    let (fail_bound, pass_bound) = ((gates / 0.01).ln(), 20.0_f64.ln());
    let (mut b, mut c) = (0.0, 0.0);
    for pair in 1..=PAIRS_MAX {
        let roll = dice.unit();
        if roll < noise + harm {
            b += 1.0;
        } else if roll < noise + harm + noise {
            c += 1.0;
        }
        if pair < PAIRS_MIN || (pair > DENSE && pair % 5 != 1) {
            continue;
        }
        let n = f64::from(pair);
        if fail_wealth(b, c, n, TOLERATED) >= fail_bound {
            return Some((true, pair));
        }
        if pass_wealth(b, c, n, REFUSED) >= pass_bound {
            return Some((false, pair));
        }
    }
    None
}
