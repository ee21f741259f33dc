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

/// Logarithm of the mean of the bets: each is a number of (count, factor), the product of the factors to the counts.
fn mean(bets: [[(f64, f64); 3]; BETS]) -> f64 {
    let logs = bets.map(|bet| {
        let [(b, won), (c, lost), (z, idle)] = bet;
        b * won.ln() + c * lost.ln() + z * idle.ln()
    });
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
    most + (sum / BETS as f64).ln()
}

/// The stakes: the largest one, and each time half of it.
fn stakes(most: f64) -> [f64; BETS] {
    let mut stake = most * BOLDEST * 2.0;
    [(); BETS].map(|()| {
        stake /= 2.0;
        stake
    })
}

/// Wealth against "harm is at most `margin`". `b`: pairs with only the canary bad, `c`: only the stable, `n`: all.
#[must_use]
pub fn fail_wealth(b: f64, c: f64, n: f64, margin: f64) -> f64 {
    mean(stakes(1.0 / (1.0 + margin)).map(|stake| {
        [
            (b, 1.0 + stake * (1.0 - margin)),
            (c, 1.0 - stake * (1.0 + margin)),
            (n - b - c, 1.0 - stake * margin),
        ]
    }))
}

/// Wealth against "harm is at least `margin`".
#[must_use]
pub fn pass_wealth(b: f64, c: f64, n: f64, margin: f64) -> f64 {
    mean(stakes(1.0 / (1.0 - margin)).map(|stake| {
        [
            (b, 1.0 - stake * (1.0 - margin)),
            (c, 1.0 + stake * (1.0 + margin)),
            (n - b - c, 1.0 + stake * margin),
        ]
    }))
}

/// Wealth against "at most the share `margin` is bad", for `bad` of `n` reads.
#[must_use]
pub fn one_sample_fail_wealth(bad: f64, n: f64, margin: f64) -> f64 {
    mean(
        stakes(1.0 / margin)
            .map(|stake| [(bad, 1.0 + stake * (1.0 - margin)), (0.0, 1.0), (n - bad, 1.0 - stake * margin)]),
    )
}

/// Wealth against "at least the share `margin` is bad".
#[must_use]
pub fn one_sample_pass_wealth(bad: f64, n: f64, margin: f64) -> f64 {
    mean(
        stakes(1.0 / (1.0 - margin))
            .map(|stake| [(bad, 1.0 - stake * (1.0 - margin)), (0.0, 1.0), (n - bad, 1.0 + stake * margin)]),
    )
}
