//! Many worlds, counted.

use operator_core::rollout::{
    Context, Counts, Evidence, Judgement, Metric, NoData, Rule, Verdict, Verdicts, judge, judge_all,
};

use crate::{
    invariants::Broken,
    operator::Judge,
    world::{Plan, run},
};

/// What many worlds gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaign {
    /// Worlds that were run.
    pub worlds: u64,
    /// Worlds in which a gate failed.
    pub failed: u64,
    /// Worlds in which a new revision became the stable one.
    pub promoted: u64,
    /// Seeds of worlds that broke a rule, with the rule.
    pub broken: Vec<(u64, Broken)>,
}

/// Runs the worlds of these seeds.
#[must_use]
pub fn campaign(seeds: std::ops::Range<u64>, plan: Plan, judge: Judge) -> Campaign {
    let mut sum = Campaign::default();
    for seed in seeds {
        sum.worlds += 1;
        match run(seed, plan, judge) {
            Ok(ended) => {
                sum.failed += u64::from(!ended.failures.is_empty());
                sum.promoted += u64::from(ended.promoted);
            }
            Err(broken) => sum.broken.push((seed, broken)),
        }
    }
    sum
}

impl Campaign {
    /// Both together.
    #[must_use]
    pub fn plus(mut self, more: Self) -> Self {
        self.worlds += more.worlds;
        self.failed += more.failed;
        self.promoted += more.promoted;
        self.broken.extend(more.broken);
        self
    }
}

/// The two-sided level of this test is 5 %, as of one that is looked at once.
const Z_LIMIT: f64 = 1.96;

/// A broken rule, to show that the campaigns notice one: a test whose level holds for one look is looked at all the
/// time.
#[must_use]
pub fn peeked(evidence: &Evidence, context: &Context) -> Verdicts {
    let mut verdicts = judge_all(evidence, context);
    for judgement in &mut verdicts.judgements {
        *judgement = by_z(evidence, judgement.metric, context);
    }
    verdicts
}

fn by_z(evidence: &Evidence, metric: Metric, context: &Context) -> Judgement {
    let judged = judge(evidence, metric, context);
    let is_paired = matches!(metric.rule(), Rule::Paired { can_fail: true, .. });
    let has_data = judged.verdict != Verdict::NoData(NoData::TooFew);
    if is_paired && has_data && z(&judged.life) > Z_LIMIT {
        return Judgement { verdict: Verdict::Fail, ..judged };
    }
    judged
}

#[expect(clippy::cast_precision_loss, reason = "counts of a simulation are small")]
fn z(counts: &Counts) -> f64 {
    let (b, c) = (counts.canary_only as f64, counts.stable_only as f64);
    (b - c) / (b + c).max(1.0).sqrt()
}
