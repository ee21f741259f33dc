//! What is missing for a gate to pass.

use engine_core::rollout::metric::Metric;

use super::{
    evidence::Figures,
    gate::{PAIRS_MIN, pass_bound, pass_log, real},
};

/// Pairs beyond which no outlook is given: at one a second this is most of two weeks.
const PAIRS_MAX: u64 = 1_000_000;

/// What is missing for a gate to pass, if the pairs go on as in this step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Pairs that are missing; 0 if it has enough.
    pub missing_pairs: u64,
    /// How long they take, seconds; `None` if there were no pairs yet.
    pub eta_s: Option<u64>,
}

/// What is missing for a gate to pass; `None` if it would not pass as the pairs are now, or needs no pairs.
#[must_use]
pub fn outlook(metric: Metric, figures: &Figures) -> Option<Outlook> {
    let rule = metric.rule();
    let [b, c, n] = real(&figures.step);
    let per_pair = |count: f64| if n > 0.0 { count / n } else { 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "at most PAIRS_MAX and what was counted")]
    let passes = |more: u64| {
        let more = more as f64;
        let counts = [b + more * per_pair(b), c + more * per_pair(c), n + more];
        pass_log(rule, counts).map(|log| log >= pass_bound())
    };
    let floor = PAIRS_MIN.saturating_sub(figures.step.pairs);
    let missing_pairs = match (passes(floor)?, passes(PAIRS_MAX)?) {
        (true, _) => floor,
        (false, false) => return None,
        (false, true) => first_passing(floor, &|more| passes(more).unwrap_or_default()),
    };
    let eta_s = missing_pairs.saturating_mul(figures.window_s).checked_div(figures.step.pairs);
    Some(Outlook { missing_pairs, eta_s: if missing_pairs == 0 { Some(0) } else { eta_s } })
}

/// The smallest number that passes, between one that does not and `PAIRS_MAX`, which does.
fn first_passing(fails: u64, passes: &dyn Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (fails, PAIRS_MAX);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if passes(middle) { high = middle } else { low = middle }
    }
    high
}
