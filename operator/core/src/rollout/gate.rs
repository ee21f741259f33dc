//! The verdict of each gate.

use engine_core::rollout::{
    counts::Counts,
    metric::{FAILING_GATES, Metric, Rule},
};
use serde::{Deserialize, Serialize};

use super::{
    evidence::{Evidence, Figures},
    wealth::{fail_wealth, one_sample_fail_wealth, one_sample_pass_wealth, pass_wealth},
};

/// Chance of a false rollback, over all gates and all looks, while the harm is at most the tolerated one.
const FALSE_FAIL: f64 = 0.01;
/// Chance that a gate passes although the harm is at least the refused one. All gates have to pass, so that it needs no
/// correction for their number.
const FALSE_PASS: f64 = 0.05;
/// Fewest pairs of a step that are judged, and fewest that clients asked.
pub(super) const PAIRS_MIN: u64 = 30;
/// Share of pairs that may be left out: what is left out could be what is bad. 1 of so many.
const EXCLUDED_SHARE: u64 = 5;
/// Share of questions that the stable revision may answer differently when it is asked twice, as many as the gate of
/// agreement tolerates. 1 of so many.
const CONTROL_SHARE: u64 = 100;

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The canary does harm.
    Fail,
    /// Nothing can be said.
    NoData(NoData),
    /// The canary does no harm that must be refused, and the step has lasted long enough.
    Pass,
    /// Not known yet.
    Hold,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoData {
    /// The counters were not read recently.
    Stale,
    /// No pod of the stable revision answers, or the stable does not keep the limit itself.
    StableBad,
    /// Too many pairs were left out.
    Excluded,
    /// The stable revision disagrees with itself.
    ControlDiffers,
    /// There are too few pairs.
    TooFew,
}

/// What a verdict depends on beside the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Seconds since the epoch.
    pub now_s: i64,
    /// Whether a pod of the stable revision answers.
    pub stable_up: bool,
    /// Whether the step has lasted long enough.
    pub is_soaked: bool,
}

/// A verdict with what it was made of. Logarithms are in thousandths of the natural one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The gate.
    pub metric: Metric,
    /// What it says.
    pub verdict: Verdict,
    /// The counts since the revision is judged: they fail.
    pub life: Counts,
    /// The counts since the step began: they pass.
    pub step: Counts,
    /// Logarithm of the wealth that fails; 0 for gates without.
    pub fail_log_milli: i64,
    /// Where it fails.
    pub fail_bound_milli: i64,
    /// Logarithm of the wealth that passes; 0 for gates without.
    pub pass_log_milli: i64,
    /// Where it passes.
    pub pass_bound_milli: i64,
    /// How long the step has lasted, seconds.
    pub window_s: u64,
}

/// The verdicts of all gates about one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// The revision.
    pub revision: String,
    /// One judgement of each gate.
    pub judgements: Vec<Judgement>,
}

impl Verdicts {
    /// What a gate says.
    #[must_use]
    pub fn of(&self, metric: Metric) -> Option<Verdict> {
        self.judgements.iter().find(|one| one.metric == metric).map(|one| one.verdict)
    }
}

/// The logarithm of the wealth at which one of `gates` gates fails.
#[must_use]
pub(super) fn fail_bound(gates: u32) -> f64 {
    (f64::from(gates) / FALSE_FAIL).ln()
}

/// The logarithm of the wealth at which a gate passes.
#[must_use]
pub(super) fn pass_bound() -> f64 {
    (1.0 / FALSE_PASS).ln()
}

/// A share from parts per mille.
pub(super) fn share(per_mille: u32) -> f64 {
    f64::from(per_mille) / 1_000.0
}

/// The counts as the mathematics takes them: only canary, only stable, all.
#[expect(clippy::cast_precision_loss, reason = "counters stay below the limit of exact numbers")]
pub(super) fn real(counts: &Counts) -> [f64; 3] {
    [counts.canary_only as f64, counts.stable_only as f64, counts.pairs as f64]
}

/// The logarithm of the wealth that fails; `None` if the gate has none.
fn fail_log(rule: Rule, counts: &Counts) -> Option<f64> {
    let [b, c, n] = real(counts);
    match rule {
        Rule::Paired { tolerated, can_fail: true, .. } => Some(fail_wealth(b, c, n, share(tolerated))),
        // Both have to hold: over the limit, and worse than the stable. The counts have pairs in which both are bad on
        // both sides, which only lowers the second.
        Rule::Absolute { share: limit, tolerated } => {
            Some(one_sample_fail_wealth(b, n, share(limit)).min(fail_wealth(b, c, n, share(tolerated))))
        }
        Rule::Paired { can_fail: false, .. } | Rule::OneEvent | Rule::Gaps(_) => None,
    }
}

/// The logarithm of the wealth that passes; `None` if the gate has none.
pub(super) fn pass_log(rule: Rule, [b, c, n]: [f64; 3]) -> Option<f64> {
    match rule {
        Rule::Paired { refused, .. } => Some(pass_wealth(b, c, n, share(refused))),
        Rule::Absolute { share: limit, .. } => Some(one_sample_pass_wealth(b, n, share(limit))),
        Rule::OneEvent | Rule::Gaps(_) => None,
    }
}

/// Judges one gate.
#[must_use]
pub fn judge(evidence: &Evidence, metric: Metric, context: &Context) -> Judgement {
    let figures = evidence.figures(metric, context.now_s);
    let rule = metric.rule();
    let fail = fail_log(rule, &figures.life);
    let pass = pass_log(rule, real(&figures.step));
    let fails = match rule {
        Rule::OneEvent => figures.life.canary_only > 0,
        Rule::Gaps(most) => figures.quality.gaps > most,
        Rule::Paired { .. } | Rule::Absolute { .. } => {
            fail.is_some_and(|log| log >= fail_bound(FAILING_GATES))
        }
    };
    let verdict = match no_data(rule, &figures, context) {
        _ if fails => Verdict::Fail,
        Some(why) => Verdict::NoData(why),
        None if context.is_soaked && pass.is_none_or(|log| log >= pass_bound()) => Verdict::Pass,
        None => Verdict::Hold,
    };
    Judgement {
        metric,
        verdict,
        life: figures.life,
        step: figures.step,
        fail_log_milli: milli(fail),
        fail_bound_milli: milli(fail.map(|_| fail_bound(FAILING_GATES))),
        pass_log_milli: milli(pass),
        pass_bound_milli: milli(pass.map(|_| pass_bound())),
        window_s: figures.window_s,
    }
}

/// Judges all gates of the revision.
#[must_use]
pub fn judge_all(evidence: &Evidence, context: &Context) -> Verdicts {
    Verdicts {
        revision: evidence.revision().to_owned(),
        judgements: Metric::ALL.into_iter().map(|metric| judge(evidence, metric, context)).collect(),
    }
}

/// Why nothing can be said, in order of what has to be repaired first.
fn no_data(rule: Rule, figures: &Figures, context: &Context) -> Option<NoData> {
    if !figures.is_fresh {
        return Some(NoData::Stale);
    }
    if matches!(rule, Rule::OneEvent | Rule::Gaps(_)) {
        let is_unchecked = rule == Rule::OneEvent && figures.step.pairs == 0;
        return is_unchecked.then_some(NoData::TooFew);
    }
    if !context.stable_up || is_stable_over(rule, figures) {
        return Some(NoData::StableBad);
    }
    let quality = &figures.step_quality;
    if quality.excluded * EXCLUDED_SHARE > quality.taken + quality.excluded {
        return Some(NoData::Excluded);
    }
    if quality.control_differs * CONTROL_SHARE > quality.control {
        return Some(NoData::ControlDiffers);
    }
    (figures.step.pairs.min(quality.live) < PAIRS_MIN).then_some(NoData::TooFew)
}

/// Whether the stable itself does not keep an absolute limit.
fn is_stable_over(rule: Rule, figures: &Figures) -> bool {
    let Rule::Absolute { share: limit, .. } = rule else { return false };
    let [_, c, n] = real(&figures.life);
    one_sample_fail_wealth(c, n, share(limit)) >= fail_bound(FAILING_GATES)
}

#[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and what is shown has no more digits")]
fn milli(log: Option<f64>) -> i64 {
    (log.unwrap_or_default() * 1_000.0).round() as i64
}
