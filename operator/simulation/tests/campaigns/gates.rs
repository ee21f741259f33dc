//! How many pairs a verdict takes, and what a read a minute is enough for.

use operator_core::rollout::{
    Answer, Context, Ended, Evidence, Metric, Pair, Pairing, Reading, Verdict, judge,
};
use rollout_simulation::{Effect, low_traffic, ours, pairs_until_verdict};

/// The reference has eight gates.
const GATES: f64 = 8.0;
const RUNS: u64 = 300;

/// Medians of the reference, by harm, with noise of 0, 1 and 5 % on each side. Another generator and fewer runs give
/// them within a tenth; with more noise within a fifth.
#[test]
fn a_verdict_takes_as_many_pairs_as_in_the_reference() {
    let reference =
        [(0.0, [246, 601, 1_886]), (0.05, [296, 566, 1_186]), (0.1, [136, 231, 351]), (0.2, [68, 80, 131])];
    for (harm, medians) in reference {
        for ((noise, tolerance), median) in [(0.0, 10), (0.01, 10), (0.05, 20)].into_iter().zip(medians) {
            let found = pairs_until_verdict(0..RUNS, noise, harm, GATES);
            let off = found.median.abs_diff(median) * 100 / median;
            assert!(off <= tolerance, "harm {harm}, noise {noise}: {found:?}, not {median}");
            let right = if harm > 0.0 { found.failed } else { found.passed };
            assert!(right * 100 >= RUNS * 95, "harm {harm}, noise {noise}: {found:?}");
        }
    }
}

/// At the edge of what is tolerated, at most 1 in 800 fails for each of eight gates.
#[test]
fn tolerated_harm_is_rarely_rolled_back() {
    let found = pairs_until_verdict(0..2_000, 0.01, 0.005, GATES);
    assert!(found.failed <= 8, "{found:?}");
}

/// At the edge of what is refused, at most 5 % pass.
#[test]
fn refused_harm_rarely_passes() {
    let found = pairs_until_verdict(0..1_000, 0.0, 0.02, GATES);
    assert!(found.passed <= 50 && found.failed > 900, "{found:?}");
}

#[test]
fn one_read_a_minute_passes_clean_revisions_and_finds_harm() {
    let clean = low_traffic(0..30, Effect::Clean, 0.005);
    let judged = ours(&clean).expect("ours is the first rule");
    assert_eq!((judged.rolled_back, judged.passed), (0, Some(30)));
    assert!(judged.passed_hours.is_some_and(|hours| hours < 30.0), "{judged:?}");
    for effect in [Effect::Errors, Effect::Latency] {
        let judged = low_traffic(0..10, effect, 0.005);
        let judged = ours(&judged).expect("ours is the first rule").clone();
        assert_eq!(judged.rolled_back, 10, "{effect:?}");
        assert!(judged.rolled_back_hours.is_some_and(|hours| hours < 16.0), "{judged:?}");
    }
}

/// The models of other rules are no strawmen: with many reads and a clear harm they decide right.
#[test]
fn other_rules_find_harm_and_most_of_them_roll_back_clean_revisions() {
    let clean = low_traffic(0..30, Effect::Clean, 0.005);
    let harm = low_traffic(0..30, Effect::Errors, 0.005);
    for (good, bad) in clean.rates.iter().zip(&harm.rates) {
        assert_eq!(bad.rolled_back, 30, "{}", bad.rule);
        assert_eq!(good.rolled_back == 0, good.rule.starts_with("ours"), "{}", good.rule);
    }
}

/// An outage that readiness does not show, in which twenty reads a second time out.
#[test]
fn an_outage_of_eight_seconds_fails_no_revision() {
    let says = |seconds: i64| {
        let good = Answer {
            applied_seq: 1,
            ended: Ended::Answered,
            degraded: false,
            seconds: 0.02,
            cache_hit: Some(true),
            recalled: None,
        };
        let mut pairing = Pairing::new(0);
        pairing.readiness(true);
        for n in 0..(2_000 + seconds) * 20 {
            let is_out = n >= 2_000 * 20;
            let canary = Answer { ended: if is_out { Ended::Timeout } else { Ended::Answered }, ..good };
            let query = n.unsigned_abs();
            pairing.take(&Pair { query, at_ms: n * 50, live: true, canary, stable: good, overlap: None });
        }
        let mut evidence = Evidence::new("new", 0);
        let tally = pairing.tally().clone();
        evidence.absorb(&Reading { pod: "a".into(), revision: "new".into(), restarts: 0, tally }, 0);
        judge(&evidence, Metric::Timeout, &Context { now_s: 0, stable_up: true, is_soaked: true }).verdict
    };
    assert_ne!(says(8), Verdict::Fail);
    assert_eq!(says(60), Verdict::Fail, "a minute is harm");
}
