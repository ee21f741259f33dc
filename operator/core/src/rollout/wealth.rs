//! The mathematics of the gates: the wealth of a bet against a hypothesis, as its natural logarithm.
//!
//! A pair has harm 1 if only the canary is bad, -1 if only the stable is, else 0. Whoever bets a share of a capital on
//! the next pair, at odds that are fair if the hypothesis holds, gains nothing on average. Eight such bets, from bold
//! to careful, share the capital. That it ever grows to 1/α has at most the chance α (Ville's inequality), at any
//! number of looks.

/// Number of bets. Each stakes half as much as the one before.
const BETS: usize = 8;
/// The boldest bet, as a share of the one that could lose everything.
const BOLDEST: f64 = 0.999;

/// Logarithm of the mean of the bets. `most` is the stake that could lose everything, and `factors` what a stake makes
/// of the capital in a pair of each kind; `counts` are the pairs of each kind.
fn wealth(counts: [f64; 3], most: f64, factors: impl Fn(f64) -> [f64; 3]) -> f64 {
    let [b, c, z] = counts;
    let (mut logs, mut best, mut stake) = ([0.0; BETS], f64::NEG_INFINITY, most * BOLDEST);
    for log in &mut logs {
        let [won, lost, idle] = factors(stake);
        *log = b * won.ln() + c * lost.ln() + z * idle.ln();
        best = best.max(*log);
        stake /= 2.0;
    }
    let mut sum = 0.0;
    for log in &logs {
        sum += (log - best).exp();
    }
    best + (sum / BETS as f64).ln()
}

/// Wealth against "harm is at most `margin`". `b`: pairs with only the canary bad, `c`: only the stable, `n`: all.
#[must_use]
pub fn fail_wealth(b: f64, c: f64, n: f64, margin: f64) -> f64 {
    wealth([b, c, n - b - c], 1.0 / (1.0 + margin), |stake| {
        [1.0 + stake * (1.0 - margin), 1.0 - stake * (1.0 + margin), 1.0 - stake * margin]
    })
}

/// Wealth against "harm is at least `margin`".
#[must_use]
pub fn pass_wealth(b: f64, c: f64, n: f64, margin: f64) -> f64 {
    wealth([b, c, n - b - c], 1.0 / (1.0 - margin), |stake| {
        [1.0 - stake * (1.0 - margin), 1.0 + stake * (1.0 + margin), 1.0 + stake * margin]
    })
}

/// Wealth against "at most the share `margin` is bad", for `bad` of `n` reads.
#[must_use]
pub fn one_sample_fail_wealth(bad: f64, n: f64, margin: f64) -> f64 {
    wealth([bad, 0.0, n - bad], 1.0 / margin, |stake| {
        [1.0 + stake * (1.0 - margin), 1.0, 1.0 - stake * margin]
    })
}

/// Wealth against "at least the share `margin` is bad".
#[must_use]
pub fn one_sample_pass_wealth(bad: f64, n: f64, margin: f64) -> f64 {
    wealth([bad, 0.0, n - bad], 1.0 / (1.0 - margin), |stake| {
        [1.0 - stake * (1.0 - margin), 1.0, 1.0 + stake * margin]
    })
}
