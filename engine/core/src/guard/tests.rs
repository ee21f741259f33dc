use super::*;
use crate::guard::outcome::Fault;

const HOUR_MS: i64 = 3_600_000;

fn now(ms: i64) -> Now {
    let wall = Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap();
    // Half of the spread: no jitter.
    Now { ms, wall, random: 30_000 }
}

fn settings() -> GuardSettings {
    GuardSettings::default()
}

fn guard() -> Guard {
    Guard::new(Mode::ReadWrite, now(0))
}

/// One call of a dependency that takes `took_ms` and ends at `end_ms`.
fn call(
    guard: &mut Guard,
    dependency: Dependency,
    outcome: Outcome,
    end_ms: i64,
    took_ms: i64,
) -> Vec<Effect> {
    let number = u64::try_from(end_ms).unwrap();
    guard.step(&Input::Started { dependency, call: number }, now(end_ms - took_ms), &settings());
    guard.step(&Input::Ended { dependency, call: number, outcome }, now(end_ms), &settings())
}

fn failed() -> Outcome {
    Outcome::Failed(Fault::Timeout)
}

fn hold(mode: Mode, until_ms: i64) -> Hold {
    Hold {
        mode,
        reason: "an incident".into(),
        by: "somebody".into(),
        redacted: false,
        since: now(0).wall,
        until: now(until_ms).wall,
        until_ms,
    }
}

fn cause(reason: Reason) -> Cause {
    Cause { dependency: Dependency::Embedding, reason, outcome: None }
}

/// A guard in each of its states, at the time 0.
fn states() -> [Guard; 4] {
    let with = |automatic| Guard { automatic, ..guard() };
    let cause = cause(Reason::Slow);
    [
        with(Automatic::Base),
        with(Automatic::Suspected { cause }),
        with(Automatic::Forced { cause, attempt: 1, until_ms: 1_000 }),
        with(Automatic::Probing { cause, attempt: 1, passed: 2, next_ms: 0 }),
    ]
}

/// What each state becomes with each input, one row for each input: base, suspected, forced, probing.
#[test]
fn every_state_takes_every_input() {
    let embedding = Dependency::Embedding;
    let ended = |outcome| Input::Ended { dependency: embedding, call: 9, outcome };
    let rows: [(Input, [&str; 4]); 12] = [
        (Input::Started { dependency: embedding, call: 9 }, ["base", "suspected", "forced", "probing"]),
        (ended(Outcome::Answered), ["base", "suspected", "forced", "probing"]),
        (ended(failed()), ["base", "suspected", "forced", "probing"]),
        (ended(Outcome::AuthenticationFailed), ["forced", "forced", "forced", "probing"]),
        (ended(Outcome::GivenUp), ["base", "suspected", "forced", "probing"]),
        (ended(Outcome::Unjudged), ["base", "suspected", "forced", "probing"]),
        (Input::Tick, ["base", "suspected", "forced", "probing"]),
        (Input::Want { mode: Mode::Off, person: None }, ["base", "suspected", "forced", "probing"]),
        (Input::Force { hold: hold(Mode::Off, HOUR_MS) }, ["base", "suspected", "forced", "probing"]),
        (Input::Declare { hold: None }, ["base", "suspected", "forced", "probing"]),
        (Input::Clear, ["base", "base", "base", "base"]),
        (Input::Reset, ["base", "suspected", "forced", "probing"]),
    ];
    for (input, expected) in rows {
        for (mut guard, expected) in states().into_iter().zip(expected) {
            let before = guard.automatic.name();
            guard.step(&input, now(0), &settings());
            assert_eq!(guard.automatic.name(), expected, "{before} with {input:?}");
        }
    }
}

/// The end of a probe, by state, purpose and result.
#[test]
fn every_state_takes_every_end_of_a_probe() {
    use ProbePurpose::{Confirm, Idle, Restore};
    let rows: [(ProbePurpose, bool, [&str; 4]); 6] = [
        (Idle, true, ["base", "suspected", "forced", "probing"]),
        (Idle, false, ["base", "suspected", "forced", "probing"]),
        (Confirm, true, ["base", "base", "forced", "probing"]),
        (Confirm, false, ["base", "forced", "forced", "probing"]),
        (Restore, true, ["base", "suspected", "forced", "base"]),
        (Restore, false, ["base", "suspected", "forced", "forced"]),
    ];
    for (purpose, passed, expected) in rows {
        for (mut guard, expected) in states().into_iter().zip(expected) {
            guard.probe = Some(Probe { number: 7, purpose, started_ms: 0 });
            let mut stranger = guard.clone();
            guard.step(&Input::ProbeEnded { number: 7, passed }, now(0), &settings());
            assert_eq!(guard.automatic.name(), expected, "{purpose:?} {passed}");
            let before = stranger.automatic;
            stranger.step(&Input::ProbeEnded { number: 6, passed }, now(0), &settings());
            assert_eq!(stranger.automatic, before, "another probe's end");
        }
    }
}

#[test]
fn refused_credentials_turn_reads_off_at_once() {
    let mut guard = guard();
    call(&mut guard, Dependency::Embedding, Outcome::AuthenticationFailed, 10, 5);
    assert_eq!(guard.effective(10), Mode::WriteOnly);
    assert_eq!(guard.automatic.cause().unwrap().reason, Reason::AuthenticationFailed);
}

#[test]
fn three_failures_in_a_row_turn_reads_off_however_far_apart() {
    let mut guard = guard();
    for (at, mode) in [(40_000, Mode::ReadWrite), (80_000, Mode::ReadWrite), (120_000, Mode::WriteOnly)] {
        call(&mut guard, Dependency::Embedding, failed(), at, 5);
        assert_eq!(guard.effective(at), mode, "{at}");
    }
}

#[test]
fn an_answer_between_failures_begins_the_count_anew() {
    let mut guard = guard();
    for (index, outcome) in
        [failed(), failed(), Outcome::Answered, failed(), failed()].into_iter().enumerate()
    {
        call(&mut guard, Dependency::Embedding, outcome, 10 + 10 * i64::try_from(index).unwrap(), 5);
    }
    // Failures of different dependencies are counted separately.
    call(&mut guard, Dependency::Rerank, failed(), 90, 5);
    assert_eq!(guard.effective(90), Mode::ReadWrite);
    call(&mut guard, Dependency::Embedding, failed(), 100, 5);
    assert_eq!(guard.effective(100), Mode::WriteOnly);
}

#[test]
fn what_a_client_requests_is_no_failure() {
    let mut guard = guard();
    for at in 1..50 {
        call(&mut guard, Dependency::Projection, Outcome::Unjudged, at * 10, 5);
    }
    assert_eq!(guard.effective(500), Mode::ReadWrite);
}

#[test]
fn mostly_slow_calls_are_confirmed_by_a_probe() {
    let mut guard = guard();
    for at in 1..=2 {
        call(&mut guard, Dependency::Embedding, Outcome::Answered, at * 1_000, 20);
    }
    let mut effects = Vec::new();
    for at in 3..=4 {
        assert_eq!(call(&mut guard, Dependency::Embedding, Outcome::Answered, at * 1_000, 400), []);
    }
    effects.extend(call(&mut guard, Dependency::Embedding, Outcome::Answered, 5_000, 400));
    assert_eq!(effects, [Effect::Probe { number: 1, purpose: ProbePurpose::Confirm }]);
    assert_eq!(guard.effective(5_000), Mode::ReadWrite, "until the probe ends");
    let mut fast = guard.clone();
    fast.step(&Input::ProbeEnded { number: 1, passed: true }, now(5_050), &settings());
    assert_eq!((fast.automatic, fast.effective(5_050)), (Automatic::Base, Mode::ReadWrite));
    guard.step(&Input::ProbeEnded { number: 1, passed: false }, now(5_150), &settings());
    assert_eq!(guard.effective(5_150), Mode::WriteOnly);
    assert_eq!(guard.automatic.cause().unwrap().reason, Reason::Slow);
}

#[test]
fn calls_that_hang_count_while_they_run() {
    let mut guard = guard();
    for number in 1..=5 {
        guard.step(&Input::Started { dependency: Dependency::Rerank, call: number }, now(0), &settings());
    }
    assert_eq!(guard.step(&Input::Tick, now(300), &settings()), []);
    let effects = guard.step(&Input::Tick, now(301), &settings());
    assert_eq!(effects, [Effect::Probe { number: 1, purpose: ProbePurpose::Confirm }]);
}

#[test]
fn old_calls_and_too_few_calls_are_not_judged() {
    let mut guard = guard();
    for at in 1..=4 {
        call(&mut guard, Dependency::Embedding, Outcome::Answered, at * 1_000, 400);
    }
    assert_eq!(guard.automatic, Automatic::Base, "four are too few");
    call(&mut guard, Dependency::Embedding, Outcome::Answered, 1_000_000, 400);
    assert_eq!(guard.automatic, Automatic::Base, "the others are older than 15 minutes");
}

#[test]
fn reads_come_back_after_three_probes_that_pass() {
    let mut guard = guard();
    call(&mut guard, Dependency::Embedding, Outcome::AuthenticationFailed, 10, 5);
    let Automatic::Forced { until_ms, .. } = guard.automatic else { panic!("{:?}", guard.automatic) };
    assert_eq!(until_ms, 300_010);
    assert_eq!(guard.step(&Input::Tick, now(until_ms - 1), &settings()), []);
    let mut at = until_ms;
    for number in 1..=3 {
        let probe = Effect::Probe { number, purpose: ProbePurpose::Restore };
        assert_eq!(guard.step(&Input::Tick, now(at), &settings()), [probe]);
        assert_eq!(guard.step(&Input::Tick, now(at), &settings()), [], "one at a time");
        assert_eq!(guard.effective(at), Mode::WriteOnly);
        guard.step(&Input::ProbeEnded { number, passed: true }, now(at + 20), &settings());
        at += 1_020;
    }
    assert_eq!(guard.effective(at), Mode::ReadWrite);
}

#[test]
fn a_probe_that_fails_doubles_the_hold_up_to_its_maximum() {
    let mut guard = guard();
    call(&mut guard, Dependency::Embedding, Outcome::AuthenticationFailed, 10, 5);
    let mut holds = Vec::new();
    let mut at = 0;
    for number in 1..=6 {
        let Automatic::Forced { until_ms, .. } = guard.automatic else { panic!("{:?}", guard.automatic) };
        at = at.max(until_ms);
        guard.step(&Input::Tick, now(at), &settings());
        guard.step(&Input::ProbeEnded { number, passed: false }, now(at), &settings());
        let Automatic::Forced { until_ms, .. } = guard.automatic else { panic!("{:?}", guard.automatic) };
        holds.push((until_ms - at) / 60_000);
    }
    // The jitter of this random number grows with the hold.
    assert_eq!(holds, [9, 18, 36, 54, 54, 54]);
}

#[test]
fn a_hold_lasts_as_long_as_a_rate_limit_demands() {
    // The engine sends nothing meanwhile, so that more answers would take three times as long.
    for (demanded, calls, until, reason) in [
        (300_000, 1, 300_010, Reason::RateLimited),
        (900_000, 1, 900_010, Reason::RateLimited),
        (299_999, 3, 300_030, Reason::ConsecutiveFailures),
    ] {
        let mut guard = guard();
        for at in 1..=calls {
            assert_eq!(guard.automatic, Automatic::Base, "{demanded}: before call {at}");
            let limited = Outcome::Failed(Fault::RateLimited(demanded));
            call(&mut guard, Dependency::Embedding, limited, at * 10, 5);
        }
        let Automatic::Forced { until_ms, cause, .. } = guard.automatic else {
            panic!("{:?}", guard.automatic)
        };
        assert_eq!((until_ms, cause.reason), (until, reason), "{demanded}");
    }
}

#[test]
fn requests_that_are_all_refused_are_confirmed_by_a_probe() {
    let mut guard = guard();
    let refused = |guard: &mut Guard, at| call(guard, Dependency::Embedding, Outcome::Refused, at, 5);
    let probe = |number| [Effect::Probe { number, purpose: ProbePurpose::Confirm }];
    assert_eq!(refused(&mut guard, 10), []);
    assert_eq!(refused(&mut guard, 20), []);
    call(&mut guard, Dependency::Embedding, Outcome::Answered, 30, 5);
    for at in [40, 50] {
        assert_eq!(refused(&mut guard, at), [], "an answer between refusals begins the count anew");
    }
    assert_eq!(refused(&mut guard, 60), probe(1));
    guard.step(&Input::ProbeEnded { number: 1, passed: true }, now(70), &settings());
    assert_eq!((guard.automatic, guard.effective(70)), (Automatic::Base, Mode::ReadWrite), "odd requests");
    for at in [80, 90] {
        assert_eq!(refused(&mut guard, at), []);
    }
    assert_eq!(refused(&mut guard, 100), probe(2));
    assert_eq!(guard.effective(100), Mode::ReadWrite, "until the probe ends");
    guard.step(&Input::ProbeEnded { number: 2, passed: false }, now(110), &settings());
    assert_eq!(guard.effective(110), Mode::WriteOnly);
    assert_eq!(guard.automatic.cause().unwrap().to_string(), "embedding: requests_refused");
}

#[test]
fn a_probe_without_a_word_is_lost_after_ten_seconds() {
    let mut guard = states()[3].clone();
    guard.step(&Input::Tick, now(0), &settings());
    assert!(guard.probe.is_some());
    guard.step(&Input::Tick, now(PROBE_LOST_MS - 1), &settings());
    assert_eq!(guard.automatic.name(), "probing");
    guard.step(&Input::Tick, now(PROBE_LOST_MS), &settings());
    assert_eq!((guard.automatic.name(), guard.probe), ("forced", None));
}

#[test]
fn a_persons_hold_is_ended_by_time_or_a_person_only() {
    let mut guard = states()[3].clone();
    guard.step(&Input::Force { hold: hold(Mode::WriteOnly, HOUR_MS) }, now(0), &settings());
    guard.step(&Input::ProbeEnded { number: 1, passed: true }, now(20), &settings());
    assert_eq!((guard.automatic, guard.effective(20)), (Automatic::Base, Mode::WriteOnly));
    guard.step(&Input::Reset, now(30), &settings());
    assert_eq!(guard.effective(HOUR_MS - 1), Mode::WriteOnly);
    assert_eq!(guard.effective(HOUR_MS), Mode::ReadWrite, "also before the next step");
    guard.step(&Input::Tick, now(HOUR_MS), &settings());
    assert_eq!(guard.direct, None);
}

#[test]
fn clearing_ends_the_hold_at_the_engine_not_the_declared_one() {
    let mut guard = guard();
    guard.step(&Input::Declare { hold: Some(hold(Mode::ReadOnly, HOUR_MS)) }, now(0), &settings());
    guard.step(&Input::Force { hold: hold(Mode::WriteOnly, HOUR_MS) }, now(0), &settings());
    assert_eq!(guard.effective(1), Mode::Off);
    guard.step(&Input::Clear, now(1), &settings());
    assert_eq!(guard.effective(1), Mode::ReadOnly);
    guard.step(&Input::Declare { hold: None }, now(2), &settings());
    assert_eq!(guard.effective(2), Mode::ReadWrite);
}

#[test]
fn an_idle_engine_probes_itself_every_minute() {
    let mut guard = guard();
    assert_eq!(guard.step(&Input::Tick, now(59_999), &settings()), []);
    let probe = |number| Effect::Probe { number, purpose: ProbePurpose::Idle };
    assert_eq!(guard.step(&Input::Tick, now(60_000), &settings()), [probe(1)]);
    guard.step(&Input::ProbeEnded { number: 1, passed: true }, now(60_010), &settings());
    assert_eq!(guard.step(&Input::Tick, now(119_999), &settings()), []);
    assert_eq!(guard.step(&Input::Tick, now(120_000), &settings()), [probe(2)]);
}

#[test]
fn switched_off_it_forces_nothing() {
    let off = GuardSettings { enabled: false, ..settings() };
    let mut guard = states()[2].clone();
    assert_eq!(guard.step(&Input::Tick, now(0), &off), []);
    assert_eq!(guard.automatic, Automatic::Base);
    let ended =
        Input::Ended { dependency: Dependency::Embedding, call: 1, outcome: Outcome::AuthenticationFailed };
    guard.step(&ended, now(1), &off);
    assert_eq!(guard.effective(1), Mode::ReadWrite);
}

#[test]
fn a_restart_keeps_the_time_that_is_left() {
    let mut guard = guard();
    call(&mut guard, Dependency::Embedding, Outcome::AuthenticationFailed, 10, 5);
    guard.step(&Input::Force { hold: hold(Mode::ReadOnly, HOUR_MS) }, now(10), &settings());
    let text = serde_json::to_string(&guard.saved(now(100_010))).unwrap();
    // The new process counts from another moment.
    let later = Now { ms: 5, ..now(0) };
    let again = Guard::resume(serde_json::from_str(&text).unwrap(), later, &settings());
    let Automatic::Forced { until_ms, .. } = again.automatic else { panic!("{:?}", again.automatic) };
    assert_eq!(until_ms, 200_005);
    assert_eq!(again.direct.as_ref().unwrap().until_ms, HOUR_MS - 100_010 + 5);
    assert_eq!(again.effective(5), Mode::Off);
    // A file that was tampered with.
    let long = text.replace(r#""left_ms":"#, r#""left_ms":9999999"#);
    let again = Guard::resume(serde_json::from_str(&long).unwrap(), later, &settings());
    assert!(again.direct.unwrap().until_ms <= 5 + 86_400_000);
}

/// The file is written every ten seconds, so that a crash finds up to that much too much in it.
#[test]
fn twenty_crashes_make_a_hold_no_longer() {
    let mut guard = guard();
    guard.step(&Input::Force { hold: hold(Mode::ReadOnly, HOUR_MS) }, now(0), &settings());
    call(&mut guard, Dependency::Embedding, Outcome::AuthenticationFailed, 10, 5);
    let Automatic::Forced { until_ms: forced_until, .. } = guard.automatic else { panic!() };
    let mut wall = 10;
    for kill in 1..=20 {
        // Nothing was written since the start of this process, ten seconds ago.
        let saved = guard.saved(Now { ms: guard.last_call_ms, ..now(wall) });
        wall += 10_000;
        let started = Now { ms: 0, ..now(wall) };
        guard = Guard::resume(saved, started, &settings());
        let held = guard.direct.as_ref().unwrap();
        assert_eq!(held.until, now(HOUR_MS).wall, "{kill} crashes");
        assert!((held.until_ms - (HOUR_MS - wall)).abs() <= 1, "{kill} crashes: {held:?}");
        let Automatic::Forced { until_ms, .. } = guard.automatic else { panic!("{:?}", guard.automatic) };
        assert!((until_ms - (forced_until - wall)).abs() <= 1, "{kill} crashes");
    }
}

#[test]
fn a_wall_clock_that_was_set_back_makes_a_hold_no_longer_and_one_that_is_over_is_over() {
    let mut guard = guard();
    guard.step(&Input::Force { hold: hold(Mode::ReadOnly, HOUR_MS) }, now(0), &settings());
    let saved = guard.saved(now(HOUR_MS / 2));
    for (wall, left) in [(-10 * HOUR_MS, Some(HOUR_MS / 2)), (HOUR_MS - 7, Some(7)), (HOUR_MS, None)] {
        let started = Now { ms: 0, ..now(wall) };
        let held = Guard::resume(saved.clone(), started, &settings()).direct;
        assert_eq!(held.map(|hold| hold.until_ms), left, "{wall}");
    }
}

#[test]
fn a_start_with_another_state_than_the_last_in_the_log_is_found() {
    use ModeFileState::{Missing, Read, Unreadable};
    let mut guard = guard();
    let before = guard.clone();
    let force = Input::Force { hold: hold(Mode::WriteOnly, HOUR_MS) };
    guard.step(&force, now(0), &settings());
    let last = Record::of(&before, &force, now(0), &settings(), &guard).unwrap();
    let saved = guard.saved(now(5_000));
    // Another process, a minute later.
    let started = Now { ms: 3, ..now(60_000) };
    let found = Guard::resume(saved, started, &settings());
    let find = |last, found: &Guard, file, now| {
        difference(last, found, file, Mode::ReadWrite, now).map(|(before, why)| {
            let record = Record::resumed(before, why, found, now, &settings());
            assert!(record.is_reproduced());
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(
                serde_json::from_str::<Record>(&text).unwrap(),
                record,
                "what is recorded is read back"
            );
            (why, record.mode.from, record.mode.to)
        })
    };
    let (wide, narrow) = (Mode::ReadWrite, Mode::WriteOnly);
    assert_eq!(find(Some(&last), &found, Read, started), None);
    let nothing = Guard::new(wide, started);
    assert_eq!(find(Some(&last), &nothing, Missing, started), Some((Difference::FileRemoved, narrow, wide)));
    assert_eq!(find(Some(&last), &nothing, Read, started), Some((Difference::FileChanged, narrow, wide)));
    let mut longer = found.clone();
    longer.direct.as_mut().unwrap().until = now(2 * HOUR_MS).wall;
    assert_eq!(find(Some(&last), &longer, Read, started), Some((Difference::FileChanged, narrow, narrow)));
    let wanted = Guard { wanted: Mode::Off, ..found };
    assert_eq!(find(Some(&last), &wanted, Read, started), Some((Difference::FileChanged, narrow, Mode::Off)));
    let later = Now { ms: 3, ..now(2 * HOUR_MS) };
    let over = Guard::new(wide, later);
    assert_eq!(find(Some(&last), &over, Read, later).map(|found| found.0), Some(Difference::HoldEnded));
    assert_eq!(find(None, &nothing, Missing, started), None);
    assert_eq!(find(None, &Guard::new(narrow, started), Read, started), None, "the first word is no event");
    let unreadable = find(None, &Guard::new(narrow, started), Unreadable, started);
    assert_eq!(unreadable, Some((Difference::FileUnreadable, wide, narrow)));
}

#[test]
fn jitter_spreads_holds_by_a_tenth() {
    let settings = settings();
    let holds: Vec<i64> = (0..2_000).map(|random| settings.hold_ms(0, random * 1_000)).collect();
    assert!(holds.iter().all(|hold| (270_000..=330_000).contains(hold)));
    assert!(holds.iter().any(|hold| *hold < 275_000) && holds.iter().any(|hold| *hold > 325_000));
}

#[test]
fn a_past_mode_is_derived_from_the_records() {
    let mut guard = guard();
    let mut records = Vec::new();
    let mut step = |guard: &mut Guard, input: Input, at: i64| {
        let before = guard.clone();
        guard.step(&input, now(at), &settings());
        records.extend(Record::of(&before, &input, now(at), &settings(), guard));
    };
    for call in 1..=3 {
        let at = i64::try_from(call).unwrap() * 40_000;
        step(&mut guard, Input::Started { dependency: Dependency::Embedding, call }, at - 5);
        step(&mut guard, Input::Ended { dependency: Dependency::Embedding, call, outcome: failed() }, at);
    }
    step(&mut guard, Input::Tick, 500_000);
    for number in 1..=3 {
        let at = 500_000 + i64::try_from(number).unwrap() * 2_000;
        step(&mut guard, Input::ProbeEnded { number, passed: true }, at);
        step(&mut guard, Input::Tick, at + 1_500);
    }
    let text: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    let read: Vec<Record> = text.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(read, records, "what is recorded is read back");
    let mode = |at: i64| replay((1..).zip(read.clone()), now(at).wall).mode;
    for (at, expected) in [
        (0, Mode::ReadWrite),
        (119_999, Mode::ReadWrite),
        (120_000, Mode::WriteOnly),
        (505_999, Mode::WriteOnly),
        (506_000, Mode::ReadWrite),
    ] {
        assert_eq!(mode(at), Some(expected), "{at}");
    }
    assert_eq!(mode(-1), None);
    let mut forged = read.clone();
    forged[0].mode.to = Mode::ReadWrite;
    let forged = replay((1..).zip(forged), now(0).wall);
    assert_eq!((forged.decided_again, forged.differing), (read.len() as u64, vec![1]));
}
