//! Stories of the ladder.

use operator_core::rollout::{
    Breach, Cause, Command, Context, Counts, Drills, FAILED_MAX, Metric, NoData, Outcome, Quality,
    RECORDS_MAX, Reads, Refusal, STALE_S_MAX, Settings, State, Status, Step, Verb, Verdict, Wait,
    first_command, judge_all,
};

use crate::rollout_gates::{counts, reading};
use crate::rollout_ladder::{
    NEW, OLD, START_S, Seen, command, in_step, minute_steps, pod, serving, stable, take, verdicts,
};

/// Observes a minute later, all well but for `change`.
fn later(state: &State, minutes: i64, change: impl FnOnce(&mut Seen)) -> (State, Outcome) {
    let seen = Seen::well().with(|seen| {
        seen.now_s = START_S + 60 * minutes;
        change(seen);
    });
    let (state, decision) = take(state, &seen);
    (state, decision.outcome)
}

fn asks(verb: Verb) -> impl Fn(&mut Seen) {
    move |seen| seen.commands = vec![command("asked", verb)]
}

#[test]
fn a_good_revision_goes_through_all_steps_to_stable() {
    let mut state = stable();
    let mut steps = vec![state.step()];
    for minutes in 0..12 {
        (state, _) = later(&state, minutes, |seen| {
            if matches!(state.step(), Step::Promoting | Step::Soaking) {
                seen.pods = serving([NEW; 3]);
            }
        });
        if steps.last() != Some(&state.step()) {
            steps.push(state.step());
        }
    }
    let canary = [Step::Canary(0), Step::Canary(1)];
    let expected = [
        &[Step::Stable, Step::DarkLaunch, Step::Shadow],
        &canary[..],
        &[Step::Promoting, Step::Soaking, Step::Stable],
    ];
    assert_eq!(steps, expected.concat());
    assert_eq!((state.stable(), state.revision()), (NEW, None));
    let causes: Vec<&Cause> = state.records().iter().map(|record| &record.cause).collect();
    let passed = &Cause::Passed;
    let all = [&Cause::Found, &Cause::Respecified, passed, passed, passed, passed, &Cause::Updated, passed];
    assert_eq!(causes, all);
    let judged: Vec<usize> = state.records().iter().map(|record| record.evidence.len()).collect();
    assert_eq!(judged, [0, 0, 4, 15, 15, 15, 0, 2], "the gates that had to pass");
}

#[test]
fn a_failed_gate_takes_the_weight_at_once_and_is_remembered_with_its_evidence() {
    let canary = in_step(Step::Canary(1));
    let (held, _) = later(&canary, 0, asks(Verb::Hold));
    for state in [canary, held] {
        let failing = Seen::well().with(|seen| seen.verdicts = verdicts(NEW, Verdict::Fail));
        let (state, decision) = take(&state, &failing);
        assert_eq!((decision.weight(), &decision.canary), (0, &None));
        assert_eq!(decision.outcome, Outcome::Entered(Step::RolledBack, Cause::Failed(Metric::Error)));
        let record = state.records().last().expect("a record");
        assert_eq!((record.revision.as_str(), record.from), (NEW, Step::Canary(1)));
        assert_eq!(record.evidence.iter().map(|one| one.metric).collect::<Vec<_>>(), [Metric::Error]);
        assert_eq!(state.failed(), [NEW]);
    }
}

#[test]
fn a_new_revision_in_mid_rollout_begins_anew_with_no_evidence() {
    for step in [Step::DarkLaunch, Step::Shadow, Step::Canary(1), Step::Promoting, Step::Soaking] {
        let mut state = in_step(step);
        state.absorb(&reading(0, &[(Metric::Error, counts(12, 0, 12))], Quality::default()), START_S);
        let (state, outcome) = later(&state, 1, |seen| seen.revision = "newer");
        assert_eq!(outcome, Outcome::Entered(Step::DarkLaunch, Cause::Respecified), "{step:?}");
        let evidence = state.evidence().expect("a trial");
        assert_eq!(evidence.revision(), "newer");
        assert_eq!(evidence.figures(Metric::Error, START_S).life, Counts::default());
        assert!(state.failed().is_empty(), "{step:?}: what was not judged to its end has not failed");
    }
}

#[test]
fn a_failed_revision_waits_for_retry_and_another_one_starts_at_once() {
    let failed = in_step(Step::RolledBack);
    let (waiting, outcome) = later(&failed, 1_000, |_| {});
    assert_eq!(outcome, Outcome::Waits(Wait::OtherRevision));
    let (other, outcome) = later(&waiting, 1_000, |seen| seen.revision = "newer");
    assert_eq!(outcome, Outcome::Entered(Step::DarkLaunch, Cause::Respecified));
    let (back, outcome) = later(&other, 1_001, |_| {});
    assert_eq!(
        outcome,
        Outcome::Entered(Step::RolledBack, Cause::Respecified),
        "the way round does not help"
    );
    let (reverted, _) = later(&back, 1_002, |seen| seen.revision = OLD);
    assert_eq!(reverted.step(), Step::Stable);
    let (again, _) = later(&reverted, 1_003, |_| {});
    assert_eq!(again.step(), Step::RolledBack);
    let (retried, outcome) = later(&again, 1_004, asks(Verb::Retry));
    assert!(matches!(outcome, Outcome::Entered(Step::DarkLaunch, Cause::Asked { verb: Verb::Retry, .. })));
    assert!(retried.failed().is_empty());
}

/// Makes something go wrong.
type Change = fn(&mut Seen);

#[test]
fn each_breach_begins_the_soak_anew() {
    let breaches: [(Change, Breach); 8] = [
        (|seen| seen.pods.canary = None, Breach::PodNotReady),
        (|seen| seen.pods.canary = Some(pod("canary", NEW, false)), Breach::PodNotReady),
        (|seen| seen.pods.canary = Some(pod("canary", "other", true)), Breach::PodNotReady),
        (|seen| seen.stable_up = false, Breach::StableDown),
        (|seen| seen.drills = Drills::Failed, Breach::DrillFailed),
        (
            |seen| seen.verdicts = verdicts(NEW, Verdict::NoData(NoData::Stale)),
            Breach::NotJudged(Metric::Error, NoData::Stale),
        ),
        (
            |seen| seen.verdicts = verdicts(NEW, Verdict::NoData(NoData::Excluded)),
            Breach::NotJudged(Metric::Error, NoData::Excluded),
        ),
        (
            |seen| seen.verdicts = verdicts("other", Verdict::Pass),
            Breach::NotJudged(Metric::Error, NoData::Stale),
        ),
    ];
    for (break_it, breach) in breaches {
        let (state, outcome) = later(&in_step(Step::Shadow), 1, break_it);
        assert_eq!(outcome, Outcome::Breached(breach));
        assert_eq!(state.missing_soak_s(&minute_steps()), 60);
        let (_, outcome) = later(&state, 2, |_| {});
        assert_eq!(outcome, Outcome::Entered(Step::Canary(0), Cause::Passed), "a minute later");
    }
    let (state, outcome) = later(&in_step(Step::Soaking), 1, |seen| {
        seen.pods = serving([NEW; 3]);
        seen.pods.writer = Some(pod("writer", NEW, false));
    });
    assert_eq!((outcome, state.step()), (Outcome::Breached(Breach::PodNotReady), Step::Soaking));
}

#[test]
fn too_few_pairs_are_no_breach() {
    let too_few = |seen: &mut Seen| seen.verdicts = verdicts(NEW, Verdict::NoData(NoData::TooFew));
    let (state, outcome) = later(&in_step(Step::Shadow), 1, too_few);
    assert_eq!(outcome, Outcome::Waits(Wait::Gate(Metric::Error)));
    assert_eq!(state.missing_soak_s(&minute_steps()), 0);
}

#[test]
fn neither_a_jump_of_the_clock_nor_an_absence_ends_a_soak() {
    let day = Settings { shadow_s: 86_400, ..minute_steps() };
    for jump in [365 * 1_440, -365 * 1_440, i64::MAX / 61 - START_S] {
        let (state, _) =
            later(&in_step(Step::Shadow), jump, |seen| seen.verdicts = verdicts(NEW, Verdict::Hold));
        let watched = day.shadow_s - state.missing_soak_s(&day);
        assert!(watched <= STALE_S_MAX.unsigned_abs(), "{jump} minutes: {watched}");
        let (state, _) = later(&state, 0, |seen| seen.verdicts = verdicts(NEW, Verdict::Hold));
        assert!(day.shadow_s - state.missing_soak_s(&day) <= 2 * STALE_S_MAX.unsigned_abs());
    }
}

#[test]
fn a_command_is_carried_out_once() {
    let (next, outcome) = later(&in_step(Step::Shadow), 0, asks(Verb::PromoteNext));
    assert!(matches!(outcome, Outcome::Entered(Step::Canary(0), Cause::Asked { .. })));
    let (same, outcome) = later(&next, 0, asks(Verb::PromoteNext));
    assert_eq!((same.step(), outcome), (Step::Canary(0), Outcome::Waits(Wait::Soak(60))));
}

/// Requests stay until somebody removes them, also several of them.
#[test]
fn commands_that_stay_are_not_carried_out_in_turn_for_ever() {
    let both = |seen: &mut Seen| {
        seen.commands = vec![command("first", Verb::PromoteNext), command("second", Verb::Hold)];
    };
    let mut state = in_step(Step::DarkLaunch);
    for _ in 0..6 {
        (state, _) = later(&state, 0, both);
    }
    assert_eq!(state.step(), Step::Shadow);
    assert!(state.save().hold.is_some());
}

#[test]
fn an_abort_wins_over_other_commands() {
    let all: Vec<Command> =
        Verb::ALL.into_iter().rev().enumerate().map(|(n, verb)| command(&n.to_string(), verb)).collect();
    assert_eq!(first_command(&all, &|_| false).map(|first| first.verb), Some(Verb::Abort));
    assert_eq!(
        first_command(&all, &|one| one.verb == Verb::Abort).map(|first| first.verb),
        Some(Verb::Retry)
    );
    assert_eq!(first_command(&[], &|_| false), None);
}

#[test]
fn a_hold_stays_until_retry_or_promote_and_stops_no_rollback() {
    let (held, outcome) = later(&in_step(Step::Shadow), 0, asks(Verb::Hold));
    assert_eq!(outcome, Outcome::Held);
    let hold = held.save().hold.expect("a hold");
    assert!(matches!(hold.cause, Cause::Asked { verb: Verb::Hold, ref by, .. } if by == "somebody"));
    let (held, outcome) = later(&held, 500, |_| {});
    assert_eq!(outcome, Outcome::Waits(Wait::Held));
    let released = |seen: &mut Seen| seen.commands = vec![command("go on", Verb::Retry)];
    let (state, outcome) = later(&held, 500, released);
    assert_eq!((outcome, state.save().hold), (Outcome::Released, None));
    let promoted = |seen: &mut Seen| seen.commands = vec![command("go on", Verb::PromoteNext)];
    let (state, _) = later(&held, 500, promoted);
    assert_eq!((state.step(), state.save().hold), (Step::Canary(0), None));
    let (state, _) = later(&held, 500, |seen| seen.verdicts = verdicts(NEW, Verdict::Fail));
    assert_eq!(state.step(), Step::RolledBack);
}

#[test]
fn without_a_stable_pod_a_person_can_go_on_with_a_reason() {
    let down = |seen: &mut Seen| {
        seen.stable_up = false;
        seen.verdicts = verdicts(NEW, Verdict::NoData(NoData::StableBad));
    };
    let (state, outcome) = later(&in_step(Step::Canary(1)), 1, down);
    assert_eq!((state.step(), outcome), (Step::Canary(1), Outcome::Breached(Breach::StableDown)));
    let silent = |seen: &mut Seen| {
        down(seen);
        seen.commands = vec![Command { why: String::new(), ..command("silent", Verb::PromoteFull) }];
    };
    assert_eq!(later(&state, 2, silent).1, Outcome::Refused(Refusal::NoReason));
    let (state, _) = later(&state, 2, |seen| {
        down(seen);
        seen.commands = vec![command("with a reason", Verb::PromoteFull)];
    });
    assert_eq!(state.step(), Step::Promoting);
}

#[test]
fn the_promotion_takes_the_readers_one_by_one_and_then_the_writer() {
    let state = in_step(Step::Promoting);
    let update = |pods| take(&state, &Seen::well().with(|seen| seen.pods = pods)).1.update;
    let to = |name: &str| Some((name.to_owned(), NEW.to_owned()));
    assert_eq!(update(serving([OLD, OLD, OLD])), to("reader-0"));
    let mut starting = serving([NEW, OLD, OLD]);
    starting.readers[0].is_ready = false;
    assert_eq!(update(starting), None, "one at a time");
    assert_eq!(update(serving([NEW, OLD, OLD])), to("reader-1"));
    assert_eq!(update(serving([NEW, NEW, OLD])), to("writer"));
    assert_eq!(update(serving([NEW, NEW, NEW])), None);
}

#[test]
fn the_way_back_takes_the_writer_first_and_waits_for_no_bad_pod() {
    let state = in_step(Step::RolledBack);
    let update = |pods| take(&state, &Seen::well().with(|seen| seen.pods = pods)).1.update;
    let to = |name: &str| Some((name.to_owned(), OLD.to_owned()));
    let mut bad = serving([NEW, NEW, NEW]);
    bad.readers[0].is_ready = false;
    assert_eq!(update(bad), to("writer"), "the bad pod is not waited for");
    let mut starting = serving([NEW, NEW, OLD]);
    starting.writer = Some(pod("writer", OLD, false));
    assert_eq!(update(starting), None, "the good one is");
    assert_eq!(update(serving([NEW, NEW, OLD])), to("reader-1"));
    assert_eq!(update(serving([NEW, OLD, OLD])), to("reader-0"));
}

#[test]
fn no_second_rollout_is_promoted_while_pods_of_the_first_return() {
    let mixed = |seen: &mut Seen| seen.pods.readers[0].revision = "given up".to_owned();
    let shadow = in_step(Step::Shadow);
    assert_eq!(later(&shadow, 1, mixed).1, Outcome::Waits(Wait::Pods));
    let full = |seen: &mut Seen| {
        mixed(seen);
        seen.commands = vec![command("full", Verb::PromoteFull)];
    };
    assert_eq!(later(&shadow, 1, full).1, Outcome::Refused(Refusal::PodsReturn));
}

#[test]
fn a_canary_that_is_not_ready_gets_no_weight() {
    let state = in_step(Step::Canary(0));
    let reads = |canary| take(&state, &Seen::well().with(|seen| seen.pods.canary = canary)).1.canary;
    let with = |reads| Some((NEW.to_owned(), reads));
    assert_eq!(reads(Some(pod("canary", NEW, true))), with(Reads::Weight(10)));
    for other in [None, Some(pod("canary", NEW, false)), Some(pod("canary", "other", true))] {
        assert_eq!(reads(other), with(Reads::Shadow));
    }
}

#[test]
fn drills_run_when_everything_else_is_there() {
    let seen = |now_s, drills| Seen::well().with(|seen| (seen.now_s, seen.drills) = (now_s, drills));
    let runs = |now_s, drills| {
        let (state, decision) = take(&in_step(Step::Shadow), &seen(now_s, drills));
        (state.step(), decision.run_drills)
    };
    assert_eq!(runs(START_S, Drills::NotRun), (Step::Shadow, false), "too early");
    assert_eq!(runs(START_S + 60, Drills::NotRun), (Step::Shadow, true));
    assert_eq!(runs(START_S + 60, Drills::Running), (Step::Shadow, false));
    assert_eq!(runs(START_S + 60, Drills::Failed), (Step::Shadow, false));
    assert_eq!(runs(START_S + 60, Drills::Passed), (Step::Canary(0), false));
}

#[test]
fn a_missing_state_holds_until_a_person_decides() {
    let mixed = |seen: &mut Seen| seen.pods = serving([NEW, OLD, OLD]);
    let (state, outcome) = later(&State::restore(None), 1, mixed);
    assert_eq!(outcome, Outcome::Waits(Wait::MissingState));
    let decision = take(&state, &Seen::well().with(mixed)).1;
    assert_eq!((decision.weight(), decision.canary, decision.update), (0, None, None));
    let answered = |verb| {
        later(&state, 2, |seen| {
            mixed(seen);
            seen.commands = vec![command("decided", verb)];
        })
        .0
    };
    let retried = answered(Verb::Retry);
    assert_eq!((retried.step(), retried.stable(), retried.revision()), (Step::DarkLaunch, OLD, Some(NEW)));
    let aborted = answered(Verb::Abort);
    assert_eq!(
        (aborted.step(), aborted.stable(), aborted.failed()),
        (Step::RolledBack, OLD, &[NEW.to_owned()][..])
    );
}

#[test]
fn a_status_that_no_state_has_counts_as_missing() {
    let good = in_step(Step::Canary(0)).save();
    assert_eq!(State::restore(Some(&good)).step(), Step::Canary(0));
    let spoil: [fn(&mut Status); 6] = [
        |status| status.trial = None,
        |status| status.step = Step::Stable,
        |status| status.step = Step::Unknown,
        |status| status.stable_revision.clear(),
        |status| status.failed_revisions.push(NEW.to_owned()),
        |status| status.failed_revisions = vec!["x".to_owned(); FAILED_MAX + 1],
    ];
    for spoil in spoil {
        let mut status = good.clone();
        spoil(&mut status);
        assert_eq!(State::restore(Some(&status)), State::unknown(), "{status:?}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let names: Vec<&'static str> =
        (0..FAILED_MAX + 3).map(|n| &*Box::leak(format!("revision-{n}").into_boxed_str())).collect();
    let mut state = stable();
    for (n, name) in names.iter().enumerate() {
        let long =
            Command { why: "w".repeat(5_000), by: "b".repeat(5_000), ..command(&n.to_string(), Verb::Abort) };
        (state, _) = later(&state, 1, |seen| seen.revision = name);
        (state, _) = later(&state, 1, |seen| (seen.revision, seen.commands) = (name, vec![long]));
        assert_eq!(state.step(), Step::RolledBack);
    }
    assert_eq!((state.failed().len(), state.records().len()), (FAILED_MAX, RECORDS_MAX));
    assert_eq!(state.failed().last().map(String::as_str), names.last().copied());
    assert!(serde_json::to_string(&state.save()).expect("JSON").len() < 8_192);
}

/// Evidence that passes is of the step, whatever passed before.
#[test]
fn a_gate_that_has_passed_in_the_shadow_has_to_pass_again_in_the_canary() {
    let mut state = in_step(Step::Shadow);
    let all: Vec<(Metric, Counts)> =
        Metric::ALL.into_iter().map(|metric| (metric, counts(0, 0, 1_000))).collect();
    let good = Quality { taken: 1_000, live: 1_000, ..Quality::default() };
    let judged = |state: &mut State| {
        state.absorb(&reading(0, &all, good), START_S);
        let context = Context { now_s: START_S, stable_up: true, is_soaked: true };
        judge_all(state.evidence().expect("a trial"), &context)
    };
    assert_eq!(judged(&mut state).of(Metric::Error), Some(Verdict::Pass));
    let (mut state, _) = later(&state, 1, |_| {});
    assert_eq!(state.step(), Step::Canary(0));
    assert_eq!(judged(&mut state).of(Metric::Error), Some(Verdict::NoData(NoData::TooFew)));
}
