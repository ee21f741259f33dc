//! Gates of the ladder: the figures of the reference, and the order of the verdicts.

use operator_core::rollout::{
    Context, Counts, Evidence, FAILING_GATES, Figures, Metric, NoData, Quality, Reading, Rule, STALE_S_MAX,
    Tally, Verdict, fail_wealth, judge, judge_all, one_sample_fail_wealth, one_sample_pass_wealth, outlook,
    pass_wealth,
};

const NOW_S: i64 = 10_000;
const SOAKED: Context = Context { now_s: NOW_S, stable_up: true, is_soaked: true };

pub(crate) fn counts(canary_only: u64, stable_only: u64, pairs: u64) -> Counts {
    Counts { canary_only, stable_only, pairs }
}

/// As many pairs as needed, all good.
fn quality(taken: u64) -> Quality {
    Quality { taken, live: taken, ..Quality::default() }
}

pub(crate) fn reading(restarts: u32, all: &[(Metric, Counts)], quality: Quality) -> Reading {
    let tally = Tally { counts: all.iter().copied().collect(), quality };
    Reading { pod: "pod-a".into(), revision: "new".into(), restarts, tally }
}

/// Evidence of one gate, read now.
fn evidence(metric: Metric, all: Counts, quality: Quality) -> Evidence {
    let mut evidence = Evidence::new("new", NOW_S - 600);
    evidence.absorb(&reading(0, &[(metric, all)], quality), NOW_S);
    evidence
}

fn verdict(metric: Metric, all: Counts) -> Verdict {
    judge(&evidence(metric, all, quality(all.pairs)), metric, &SOAKED).verdict
}

#[track_caller]
fn assert_close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
}

/// Values of the reference, which is written in another language.
#[test]
fn the_wealth_is_that_of_the_reference() {
    let paired = [
        ([13.0, 0.0, 13.0], [0.005, 0.02], 6.887_808_564_688_655, -0.976_379_644_829_483_7),
        ([12.0, 0.0, 12.0], [0.005, 0.02], 6.210_417_854_474_933, -0.942_631_984_309_267_2),
        ([0.0, 0.0, 246.0], [0.005, 0.02], -0.240_322_467_973_227_2, 3.029_194_193_751_9),
        ([0.0, 0.0, 245.0], [0.005, 0.02], -0.239_556_759_826_872_95, 3.010_827_155_148_215_5),
        ([15.0, 3.0, 296.0], [0.005, 0.02], 1.681_233_867_360_949, -0.734_822_206_611_008_6),
        ([60.0, 55.0, 1200.0], [0.005, 0.02], -0.690_222_226_517_218, 0.555_204_004_091_317_8),
        ([40.0, 10.0, 500.0], [0.03, 0.1], 1.221_850_131_484_687_5, 1.920_925_377_299_865_3),
        ([9.0, 2.0, 400.0], [0.01, 0.05], 0.064_746_400_591_505_27, 2.902_772_513_251_769),
        ([0.0, 200.0, 1000.0], [0.005, 0.02], -3.489_034_974_604_948, 156.634_675_709_0),
        ([1000.0, 900.0, 20000.0], [0.005, 0.02], -1.306_917_753_261_814_4, 20.574_800_453_717_426),
    ];
    for ([b, c, n], [tolerated, refused], fail, pass) in paired {
        assert_close(fail_wealth(b, c, n, tolerated), fail);
        assert_close(pass_wealth(b, c, n, refused), pass);
    }
    let one_sample = [
        ([0.0, 97.0], -2.389_923_300_877_300_4, 3.036_239_735_076_050_4),
        ([0.0, 96.0], -2.378_071_157_246_054_7, 2.989_663_004_536_359_5),
        ([5.0, 120.0], -1.543_753_898_917_322_7, -0.149_435_969_866_253_74),
        ([30.0, 200.0], 11.963_174_516_989_959, -1.210_148_779_317_520_3),
        ([1.0, 1.0], 1.745_141_870_087_007_6, -0.286_049_291_580_921_4),
        ([3.0, 30.0], -0.087_644_198_906_650_32, -0.380_672_877_363_570_6),
    ];
    for ([bad, n], fail, pass) in one_sample {
        assert_close(one_sample_fail_wealth(bad, n, 0.05), fail);
        assert_close(one_sample_pass_wealth(bad, n, 0.05), pass);
    }
}

#[test]
fn thirteen_failures_in_a_row_fail() {
    let eight_gates = 800.0_f64.ln();
    assert!(fail_wealth(13.0, 0.0, 13.0, 0.005) >= eight_gates);
    assert!(fail_wealth(12.0, 0.0, 12.0, 0.005) < eight_gates);
    // With the ninth gate it takes no more.
    assert_eq!(FAILING_GATES, 9);
    assert_eq!(verdict(Metric::Error, counts(13, 0, 13)), Verdict::Fail);
    assert_eq!(verdict(Metric::Error, counts(12, 0, 12)), Verdict::NoData(NoData::TooFew));
}

/// The reference looks at every fifth pair from 200 on, and sees at pair 246 what was so at 245.
#[test]
fn without_any_harm_a_gate_passes_after_246_pairs() {
    assert_eq!(verdict(Metric::Error, counts(0, 0, 246)), Verdict::Pass);
    assert_eq!(verdict(Metric::Error, counts(0, 0, 245)), Verdict::Pass);
    assert_eq!(verdict(Metric::Error, counts(0, 0, 244)), Verdict::Hold);
}

#[test]
fn the_absolute_gate_passes_after_97_good_reads() {
    assert_eq!(verdict(Metric::OverLimit, counts(0, 0, 97)), Verdict::Pass);
    assert_eq!(verdict(Metric::OverLimit, counts(0, 0, 96)), Verdict::Hold);
}

#[test]
fn a_stable_revision_over_the_limit_does_not_fail_the_canary() {
    assert_eq!(verdict(Metric::OverLimit, counts(60, 0, 200)), Verdict::Fail);
    assert_eq!(verdict(Metric::OverLimit, counts(60, 60, 200)), Verdict::NoData(NoData::StableBad));
    // Ten in a hundred of both: the canary is over the limit, and not worse than the stable revision.
    assert_eq!(verdict(Metric::OverLimit, counts(30, 28, 300)), Verdict::Hold);
}

#[test]
fn faults_of_the_stable_revision_count_for_the_canary() {
    assert_eq!(verdict(Metric::Error, counts(0, 40, 100)), Verdict::Pass);
    assert_eq!(verdict(Metric::Digest, counts(0, 1, 5)), Verdict::Pass);
}

#[test]
fn one_event_fails() {
    for metric in Metric::ALL.into_iter().filter(|metric| metric.rule() == Rule::OneEvent) {
        assert_eq!(verdict(metric, counts(1, 0, 1)), Verdict::Fail, "{metric:?}");
        assert_eq!(verdict(metric, counts(0, 0, 1)), Verdict::Pass, "{metric:?}");
        assert_eq!(verdict(metric, counts(0, 0, 0)), Verdict::NoData(NoData::TooFew), "{metric:?}");
    }
}

#[test]
fn agreement_holds_and_never_fails() {
    assert_eq!(verdict(Metric::Disagreement, counts(500, 0, 500)), Verdict::Hold);
    assert_eq!(verdict(Metric::Disagreement, counts(0, 0, 500)), Verdict::Pass);
}

#[test]
fn more_than_three_gaps_fail() {
    let with = |gaps| evidence(Metric::Error, counts(0, 0, 300), Quality { gaps, ..quality(300) });
    let says = |gaps| judge(&with(gaps), Metric::Readiness, &SOAKED).verdict;
    assert_eq!([says(3), says(4)], [Verdict::Pass, Verdict::Fail]);
}

#[test]
fn the_first_verdict_that_holds_is_given() {
    let failing = evidence(Metric::Error, counts(300, 0, 300), Quality { excluded: 900, ..quality(300) });
    let says = |context: Context| judge(&failing, Metric::Error, &context).verdict;
    assert_eq!(says(SOAKED), Verdict::Fail, "also with bad pairs");
    let later = Context { now_s: NOW_S + 86_400, stable_up: false, is_soaked: false };
    assert_eq!(says(later), Verdict::Fail, "also with old counters and without a stable pod");
}

#[test]
fn without_good_pairs_there_is_no_data() {
    let good = counts(0, 0, 1_000);
    let says = |quality: Quality, context: Context| {
        judge(&evidence(Metric::Error, good, quality), Metric::Error, &context).verdict
    };
    let with = |change: fn(&mut Quality)| {
        let mut changed = quality(1_000);
        change(&mut changed);
        says(changed, SOAKED)
    };
    assert_eq!(with(|_| {}), Verdict::Pass);
    assert_eq!(with(|quality| quality.excluded = 250), Verdict::Pass, "20 % may be left out");
    assert_eq!(with(|quality| quality.excluded = 251), Verdict::NoData(NoData::Excluded));
    assert_eq!(with(|quality| (quality.control, quality.control_differs) = (100, 1)), Verdict::Pass);
    let control = Verdict::NoData(NoData::ControlDiffers);
    assert_eq!(with(|quality| (quality.control, quality.control_differs) = (99, 1)), control);
    assert_eq!(with(|quality| quality.live = 29), Verdict::NoData(NoData::TooFew));
    assert_eq!(with(|quality| quality.live = 30), Verdict::Pass);
    let at = |now_s| says(quality(1_000), Context { now_s, ..SOAKED });
    assert_eq!(at(NOW_S + STALE_S_MAX), Verdict::Pass);
    assert_eq!(at(NOW_S + STALE_S_MAX + 1), Verdict::NoData(NoData::Stale));
    assert_eq!(at(NOW_S - 1), Verdict::NoData(NoData::Stale), "the clock went back");
    let down = Context { stable_up: false, ..SOAKED };
    assert_eq!(says(quality(1_000), down), Verdict::NoData(NoData::StableBad));
    let early = Context { is_soaked: false, ..SOAKED };
    assert_eq!(says(quality(1_000), early), Verdict::Hold);
}

#[test]
fn what_fails_lives_as_long_as_the_revision_and_what_passes_as_long_as_the_step() {
    let before = counts(9, 0, 1_500);
    let mut evidence = evidence(Metric::Error, before, quality(before.pairs));
    let judged = judge(&evidence, Metric::Error, &SOAKED);
    evidence.begin_step(NOW_S);
    let anew = judge(&evidence, Metric::Error, &SOAKED);
    assert_eq!((anew.life, anew.step), (before, Counts::default()));
    assert_eq!(anew.fail_log_milli, judged.fail_log_milli);
    assert_eq!((judged.pass_log_milli > 0, anew.pass_log_milli), (true, 0));
    assert_eq!(anew.verdict, Verdict::NoData(NoData::TooFew));
}

#[test]
fn harm_that_no_step_shows_alone_fails_over_two_steps() {
    let (half, whole) = (counts(14, 0, 500), counts(28, 0, 1_000));
    let mut evidence = evidence(Metric::Error, half, quality(half.pairs));
    assert_eq!(judge(&evidence, Metric::Error, &SOAKED).verdict, Verdict::Hold);
    evidence.begin_step(NOW_S);
    evidence.absorb(&reading(0, &[(Metric::Error, whole)], quality(whole.pairs)), NOW_S);
    let judged = judge(&evidence, Metric::Error, &SOAKED);
    assert_eq!((judged.step, judged.verdict), (half, Verdict::Fail));
}

#[test]
fn every_gate_is_judged_once_about_the_revision() {
    let verdicts = judge_all(&evidence(Metric::Error, counts(0, 0, 300), quality(300)), &SOAKED);
    assert_eq!(verdicts.revision, "new");
    let judged: Vec<Metric> = verdicts.judgements.iter().map(|one| one.metric).collect();
    assert_eq!(judged, Metric::ALL);
    assert_eq!(verdicts.of(Metric::Error), Some(Verdict::Pass));
    assert_eq!(verdicts.of(Metric::Timeout), Some(Verdict::NoData(NoData::Stale)), "absent from the reading");
}

fn figures(step: Counts, window_s: u64) -> Figures {
    let (quality, step_quality) = (Quality::default(), Quality::default());
    Figures { life: step, step, quality, step_quality, is_fresh: true, window_s }
}

#[test]
fn the_outlook_says_how_many_pairs_are_missing_and_how_long_they_take() {
    let of = |metric, step, window_s| {
        outlook(metric, &figures(step, window_s)).map(|outlook| (outlook.missing_pairs, outlook.eta_s))
    };
    assert_eq!(of(Metric::Error, counts(0, 0, 0), 0), Some((245, None)));
    assert_eq!(of(Metric::Error, counts(0, 0, 45), 450), Some((200, Some(2_000))));
    assert_eq!(of(Metric::Error, counts(0, 0, 245), 450), Some((0, Some(0))));
    assert_eq!(of(Metric::OverLimit, counts(0, 0, 90), 90), Some((7, Some(7))));
    assert_eq!(of(Metric::Error, counts(10, 0, 100), 100), None, "it would never pass");
    assert_eq!(of(Metric::Digest, counts(0, 0, 0), 100), None, "it needs no pairs");
    let noisy = of(Metric::Error, counts(5, 5, 500), 500).expect("it would pass");
    let [b, c, n] =
        [5.0, 5.0, 500.0].map(|one: f64| one + one / 500.0 * f64::from(u32::try_from(noisy.0).unwrap()));
    assert!(pass_wealth(b, c, n, 0.02) >= 20.0_f64.ln());
}
