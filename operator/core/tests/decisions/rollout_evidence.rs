//! Evidence of the ladder: pairs, counters, and everything that goes wrong with them.

use operator_core::rollout::{
    Absorbed, Answer, Counts, Ended, Evidence, Metric, PODS_MAX, Pair, Pairing, Quality, RawReading,
    RawSample, Reading, STALE_S_MAX, Taken,
};
use proptest::prelude::*;

use crate::rollout_gates::{counts, reading};

const GOOD: Answer = Answer {
    applied_seq: 7,
    ended: Ended::Answered,
    degraded: false,
    seconds: 0.02,
    cache_hit: Some(true),
    recalled: None,
};

fn pair(query: u64, at_ms: i64) -> Pair {
    Pair { query, at_ms, live: true, canary: GOOD, stable: GOOD, overlap: Some(10) }
}

fn ready() -> Pairing {
    let mut pairing = Pairing::new(0);
    pairing.readiness(true);
    pairing
}

/// Takes the same pair many times, a second apart.
fn repeated(pairing: &mut Pairing, pair: Pair, times: i64) {
    for n in 0..times {
        let at_ms = pair.at_ms + n * 1_000;
        assert_eq!(
            pairing.take(&Pair { query: pair.query + n.unsigned_abs(), at_ms, ..pair }),
            Taken::Counted
        );
    }
}

/// Makes an answer bad.
type Spoil = fn(&mut Answer);

#[test]
fn each_way_to_be_bad_counts_for_its_gate() {
    let gates: [(Metric, Spoil); 6] = [
        (Metric::Error, |answer| answer.ended = Ended::Error),
        (Metric::Timeout, |answer| answer.ended = Ended::Timeout),
        (Metric::Fallback, |answer| answer.ended = Ended::Fallback),
        (Metric::Degraded, |answer| answer.degraded = true),
        (Metric::CacheMiss, |answer| answer.cache_hit = Some(false)),
        (Metric::OverLimit, |answer| answer.seconds = 0.251),
    ];
    for (metric, harm) in gates {
        let mut bad = GOOD;
        harm(&mut bad);
        let mut pairing = ready();
        assert_eq!(pairing.take(&Pair { canary: bad, ..pair(1, 0) }), Taken::Counted);
        assert_eq!(pairing.tally().of(metric), counts(1, 0, 1), "{metric:?}");
        assert_eq!(pairing.take(&Pair { stable: bad, ..pair(2, 1_000) }), Taken::Counted);
        assert_eq!(pairing.tally().of(metric), counts(1, 1, 2), "{metric:?}");
        for other in gates.iter().filter(|(other, _)| *other != metric) {
            assert_eq!(pairing.tally().of(other.0).canary_only, 0, "{metric:?} is no {:?}", other.0);
        }
    }
}

#[test]
fn what_both_do_is_nobodys_fault() {
    let mut pairing = ready();
    let bad = Answer { ended: Ended::Error, ..GOOD };
    pairing.take(&Pair { canary: bad, stable: bad, ..pair(1, 0) });
    assert_eq!(pairing.tally().of(Metric::Error), counts(0, 0, 1));
}

#[test]
fn known_items_and_overlap_count_only_where_there_are_any() {
    let mut pairing = ready();
    pairing.take(&Pair { overlap: None, ..pair(1, 0) });
    assert_eq!(pairing.tally().of(Metric::KnownItemMissed), Counts::default());
    assert_eq!(pairing.tally().of(Metric::Disagreement), Counts::default());
    let [found, missed] = [true, false].map(|recalled| Answer { recalled: Some(recalled), ..GOOD });
    pairing.take(&Pair { canary: missed, stable: found, overlap: Some(7), live: false, ..pair(2, 1_000) });
    assert_eq!(pairing.tally().of(Metric::KnownItemMissed), counts(1, 0, 1));
    assert_eq!(pairing.tally().of(Metric::Disagreement), counts(1, 0, 1));
    assert_eq!((pairing.tally().quality.taken, pairing.tally().quality.live), (2, 1));
}

#[test]
fn a_process_reports_every_gate_before_it_has_counted_any_pair() {
    let mut evidence = Evidence::new("new", 0);
    let tally = Pairing::new(0).tally().clone();
    evidence.absorb(&Reading { pod: "a".into(), revision: "new".into(), restarts: 0, tally }, 0);
    for metric in Metric::ALL {
        assert!(evidence.figures(metric, 0).is_fresh, "{metric:?}");
    }
}

#[test]
fn each_question_counts_once_at_each_event() {
    let mut pairing = ready();
    assert_eq!(pairing.take(&pair(1, 0)), Taken::Counted);
    assert_eq!(pairing.take(&pair(1, 5_000)), Taken::Duplicate);
    let later = Answer { applied_seq: 8, ..GOOD };
    assert_eq!(pairing.take(&Pair { canary: later, stable: later, ..pair(1, 6_000) }), Taken::Counted);
    assert_eq!(pairing.tally().quality.taken, 2);
    let mut restarted = Pairing::new(8);
    restarted.readiness(true);
    assert_eq!(restarted.take(&pair(2, 0)), Taken::Duplicate, "its predecessor may have counted it");
}

#[test]
fn what_is_forgotten_for_lack_of_room_never_counts_again() {
    let mut pairing = ready();
    let at = |seq: u64, query: u64, n: i64| {
        let answer = Answer { applied_seq: seq, ..GOOD };
        Pair { canary: answer, stable: answer, ..pair(query, n * 1_000) }
    };
    for n in 0..65_536 {
        assert_eq!(pairing.take(&at(1 + n % 2, n, n.cast_signed())), Taken::Counted);
    }
    assert_eq!(pairing.take(&at(3, 0, 70_000)), Taken::Counted, "the pairs of event 1 are forgotten");
    assert_eq!(pairing.take(&at(1, 0, 70_001)), Taken::Duplicate);
    assert_eq!(pairing.take(&at(1, 99_999, 70_002)), Taken::Duplicate, "not even a new one");
    assert_eq!(pairing.take(&at(2, 1, 70_003)), Taken::Duplicate, "still remembered");
    assert_eq!(pairing.take(&at(2, 99_999, 70_004)), Taken::Counted);
}

#[test]
fn a_burst_counts_one_pair_a_second() {
    let mut pairing = ready();
    let bad = Answer { ended: Ended::Timeout, ..GOOD };
    for n in 0..8 * 20_i64 {
        pairing.take(&Pair { canary: bad, ..pair(n.unsigned_abs(), n * 50) });
    }
    assert_eq!(pairing.tally().of(Metric::Timeout), counts(8, 0, 8));
    assert_eq!(pairing.tally().quality.excluded, 0, "what is too close is not left out");
}

#[test]
fn a_clock_that_jumps_costs_one_pair() {
    let mut pairing = ready();
    assert_eq!(pairing.take(&pair(1, 1_000_000_000)), Taken::Counted);
    assert_eq!(pairing.take(&pair(2, 5_000)), Taken::TooClose);
    assert_eq!(pairing.take(&pair(3, 5_500)), Taken::TooClose);
    assert_eq!(pairing.take(&pair(4, 6_000)), Taken::Counted);
    assert_eq!(pairing.take(&pair(5, i64::MAX)), Taken::Counted);
    assert_eq!(pairing.take(&pair(6, i64::MIN)), Taken::TooClose);
}

#[test]
fn pairs_of_a_canary_that_is_not_ready_are_left_out_and_gaps_are_counted() {
    let mut pairing = Pairing::new(0);
    let bad = Pair { canary: Answer { ended: Ended::Error, ..GOOD }, ..pair(1, 0) };
    assert_eq!(pairing.take(&bad), Taken::NotReady);
    pairing.readiness(false);
    assert_eq!(pairing.tally().quality.gaps, 0, "it was never ready");
    for (is_ready, gaps) in [(true, 0), (false, 1), (false, 1), (true, 1), (false, 2)] {
        pairing.readiness(is_ready);
        assert_eq!(pairing.tally().quality.gaps, gaps);
    }
    assert_eq!(pairing.tally().of(Metric::Error), Counts::default());
    assert_eq!(pairing.tally().quality.excluded, 1);
}

#[test]
fn pairs_that_cannot_be_compared_are_left_out() {
    let wrong: [Spoil; 4] = [
        |answer| answer.seconds = f64::NAN,
        |answer| answer.seconds = f64::INFINITY,
        |answer| answer.seconds = -0.1,
        |answer| answer.applied_seq = 6,
    ];
    let mut pairing = ready();
    for (n, spoil) in wrong.iter().enumerate() {
        let mut answer = GOOD;
        spoil(&mut answer);
        let at_ms = i64::try_from(n).unwrap() * 1_000;
        assert_eq!(
            pairing.take(&Pair { canary: answer, ..pair(1, at_ms) }),
            Taken::Incomparable,
            "{answer:?}"
        );
    }
    assert_eq!((pairing.tally().quality.excluded, pairing.tally().quality.taken), (4, 0));
    assert_eq!(pairing.take(&pair(1, 9_000)), Taken::Counted, "what was left out is not a duplicate");
}

#[test]
fn usual_times_are_fixed_after_120_reads_and_stay() {
    let mut pairing = ready();
    repeated(&mut pairing, pair(0, 0), 120);
    assert_eq!(
        pairing.tally().of(Metric::AboveMedian),
        Counts::default(),
        "they are not compared with themselves"
    );
    let slow = Answer { seconds: 0.03, ..GOOD };
    repeated(&mut pairing, Pair { canary: slow, ..pair(1_000, 200_000) }, 200);
    assert_eq!(pairing.tally().of(Metric::AboveMedian), counts(200, 0, 200));
    assert_eq!(pairing.tally().of(Metric::AboveP95), counts(200, 0, 200));
    repeated(&mut pairing, Pair { canary: slow, stable: slow, ..pair(2_000, 900_000) }, 200);
    assert_eq!(pairing.tally().of(Metric::AboveMedian), counts(200, 0, 400), "a busy hour is nobody's fault");
}

#[test]
fn times_of_errors_are_not_compared() {
    let mut pairing = ready();
    let slow_error = Answer { ended: Ended::Timeout, seconds: 5.0, ..GOOD };
    pairing.take(&Pair { canary: slow_error, ..pair(1, 0) });
    assert_eq!(pairing.tally().of(Metric::OverLimit), Counts::default());
}

fn errors(all: Counts) -> Reading {
    reading(0, &[(Metric::Error, all)], Quality { taken: all.pairs, ..Quality::default() })
}

fn life(evidence: &Evidence) -> Counts {
    evidence.figures(Metric::Error, 0).life
}

#[test]
fn only_the_difference_from_the_last_reading_is_added() {
    let mut evidence = Evidence::new("new", 0);
    for (all, becomes, sum) in [
        (counts(1, 2, 10), Absorbed::Added, counts(1, 2, 10)),
        (counts(1, 2, 10), Absorbed::Added, counts(1, 2, 10)),
        (counts(3, 2, 15), Absorbed::Added, counts(3, 2, 15)),
        (counts(1, 2, 10), Absorbed::Old, counts(3, 2, 15)),
        (counts(4, 1, 20), Absorbed::Old, counts(3, 2, 15)),
    ] {
        assert_eq!(evidence.absorb(&errors(all), 0), becomes, "{all:?}");
        assert_eq!(life(&evidence), sum, "{all:?}");
    }
}

#[test]
fn a_restart_begins_with_zero_and_an_old_reading_is_no_restart() {
    let mut evidence = Evidence::new("new", 0);
    let restarted = |restarts, all| Reading { restarts, ..errors(all) };
    evidence.absorb(&errors(counts(5, 0, 50)), 0);
    assert_eq!(evidence.absorb(&restarted(1, counts(1, 0, 10)), 0), Absorbed::Added);
    assert_eq!(life(&evidence), counts(6, 0, 60));
    assert_eq!(evidence.absorb(&restarted(0, counts(5, 0, 55)), 0), Absorbed::Old);
    assert_eq!(evidence.absorb(&restarted(3, counts(9, 0, 90)), 0), Absorbed::Added);
    assert_eq!(life(&evidence), counts(15, 0, 150), "two restarts between two readings");
}

#[test]
fn pods_that_are_gone_keep_what_they_counted_and_others_are_added() {
    let mut evidence = Evidence::new("new", 0);
    let of = |pod: &str, all| Reading { pod: pod.into(), ..errors(all) };
    evidence.absorb(&of("a", counts(1, 0, 10)), 0);
    evidence.absorb(&of("b", counts(0, 1, 10)), 0);
    assert_eq!(life(&evidence), counts(1, 1, 20));
    evidence.absorb(&of("a", counts(1, 0, 10)), 0);
    assert_eq!(life(&evidence), counts(1, 1, 20), "a pod that comes back");
    let other = Reading { revision: "other".into(), ..errors(counts(9, 0, 9)) };
    assert_eq!(evidence.absorb(&other, 0), Absorbed::OtherRevision);
    for n in 2..PODS_MAX {
        assert_eq!(evidence.absorb(&of(&format!("pod-{n}"), counts(0, 0, 1)), 0), Absorbed::Added);
    }
    assert_eq!(evidence.absorb(&of("one more", counts(0, 0, 1)), 0), Absorbed::TooManyPods);
}

#[test]
fn a_gate_that_is_absent_from_readings_becomes_stale_and_loses_nothing() {
    let mut evidence = Evidence::new("new", 0);
    let both = [(Metric::Error, counts(1, 0, 9)), (Metric::Timeout, counts(0, 0, 9))];
    evidence.absorb(&reading(0, &both, Quality::default()), 0);
    evidence.absorb(&reading(0, &both[..1], Quality::default()), STALE_S_MAX + 1);
    let fresh = |evidence: &Evidence, metric| evidence.figures(metric, STALE_S_MAX + 1).is_fresh;
    assert_eq!([Metric::Error, Metric::Timeout].map(|metric| fresh(&evidence, metric)), [true, false]);
    evidence.absorb(&reading(0, &both, Quality::default()), STALE_S_MAX + 1);
    assert!(fresh(&evidence, Metric::Timeout));
    assert_eq!(evidence.figures(Metric::Timeout, 0).life, counts(0, 0, 9), "nothing is added twice");
}

#[test]
fn values_that_no_counter_can_have_are_absent() {
    let raw = |canary_only: f64, pairs: f64| RawReading {
        samples: [(Metric::Error, RawSample { canary_only, stable_only: 0.0, pairs })].into(),
        ..RawReading::default()
    };
    let known =
        |raw: &RawReading| raw.checked().and_then(|reading| reading.tally.counts.get(Metric::Error).copied());
    assert_eq!(known(&raw(3.0, 10.0)), Some(counts(3, 0, 10)));
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.5, 1e300, 11.0] {
        assert_eq!(known(&raw(bad, 10.0)), None, "{bad}");
    }
    let unknown_quality = RawReading { quality: [0.0, 0.0, f64::NAN, 0.0, 0.0, 0.0], ..raw(3.0, 10.0) };
    assert_eq!(unknown_quality.checked(), None);
}

/// What a process counts between two restarts, and the order in which its readings arrive.
fn histories() -> impl Strategy<Value = Vec<(u32, Counts, bool)>> {
    let events = (any::<bool>(), any::<bool>(), 0..20_u8, any::<bool>());
    proptest::collection::vec(events, 1..60).prop_map(|events| {
        let (mut restarts, mut all, mut history) = (0, Counts::default(), Vec::new());
        for (canary_bad, stable_bad, what, is_read) in events {
            if what == 0 {
                (restarts, all) = (restarts + 1, Counts::default());
            } else {
                all.add(Metric::Error, canary_bad, stable_bad);
            }
            history.push((restarts, all, is_read));
        }
        history
    })
}

proptest! {
    /// Readings are lost, repeated and late: never more is counted than there was, and what was read is counted.
    #[test]
    fn evidence_is_what_was_read_and_never_more(history in histories(), late in proptest::collection::vec(0..60_usize, 0..60)) {
        let mut evidence = Evidence::new("new", 0);
        let mut read: std::collections::BTreeMap<u32, Counts> = std::collections::BTreeMap::new();
        for (at, (restarts, all, is_read)) in history.iter().enumerate() {
            if *is_read {
                evidence.absorb(&Reading { restarts: *restarts, ..errors(*all) }, 0);
                read.insert(*restarts, *all);
            }
            // An older one arrives afterwards. It may be the first that arrives of its process.
            if let Some((restarts, all, _)) = late.get(at).filter(|old| **old <= at).map(|old| history[*old]) {
                let is_news = read.last_key_value().is_none_or(|(last, _)| restarts >= *last);
                evidence.absorb(&Reading { restarts, ..errors(all) }, 0);
                let known = read.get(&restarts).copied().unwrap_or_default();
                if is_news && all.since(&known).is_some() {
                    read.insert(restarts, all);
                }
            }
        }
        let sum = read.values().fold(Counts::default(), |sum, all| sum.plus(all));
        prop_assert_eq!(life(&evidence), sum);
    }
}

#[test]
fn a_stable_revision_disagrees_with_itself_as_it_would_with_a_canary() {
    let mut pairing = Pairing::new(0);
    for overlap in [10, 9, 8, 7, 0] {
        pairing.control(overlap);
    }
    let quality = pairing.tally().quality;
    assert_eq!((quality.control, quality.control_differs), (5, 2));
}
