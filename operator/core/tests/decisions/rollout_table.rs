//! Every step of the ladder with every input of a small domain.

use operator_core::rollout::{
    Cause, Decision, Drills, Metric, NoData, Outcome, Pods, RECORDS_MAX, Reads, State, Step, Verb, Verdict,
    Verdicts,
};

use crate::rollout_ladder::{
    NEW, OLD, START_S, STEPS, Seen, VERDICTS, but, command, in_step, pod, serving, take, verdicts,
};

/// What a step does with a signal: the next step, or what is waited for.
fn outcome(decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Entered(step, _) => format!("→ {step:?}"),
        Outcome::Waits(wait) => format!("{wait:?}"),
        Outcome::Breached(_) => "breach".to_owned(),
        Outcome::Refused(why) => format!("{why:?}"),
        other @ (Outcome::NotLeading | Outcome::Held | Outcome::Released) => format!("{other:?}"),
    }
}

fn signals() -> [(&'static str, Seen); 12] {
    let well = Seen::well();
    let later = well.with(|seen| seen.now_s = START_S + 60);
    let asks = |verb| well.with(|seen| seen.commands = vec![command("one", verb)]);
    let fails = but(verdicts(NEW, Verdict::Pass), Metric::CacheMiss, Verdict::Fail);
    [
        ("deposed", later.with(|seen| seen.leads = false)),
        ("abort", asks(Verb::Abort)),
        ("fail", later.with(|seen| seen.verdicts = fails)),
        ("back", later.with(|seen| seen.revision = OLD)),
        ("other", later.with(|seen| seen.revision = "other")),
        ("retry", asks(Verb::Retry)),
        ("next", asks(Verb::PromoteNext)),
        ("full", asks(Verb::PromoteFull)),
        ("hold", asks(Verb::Hold)),
        ("canary down", later.with(|seen| seen.pods.canary = None)),
        ("early", well.clone()),
        ("well", later.clone()),
    ]
}

const TABLE: &str = "
Unknown: deposed NotLeading, abort → RolledBack, fail MissingState, back → Stable, other MissingState, retry → DarkLaunch, next MissingState, full MissingState, hold MissingState, canary down MissingState, early MissingState, well MissingState
Stable: deposed NotLeading, abort → RolledBack, fail → DarkLaunch, back Nothing, other → DarkLaunch, retry → DarkLaunch, next → DarkLaunch, full → DarkLaunch, hold → DarkLaunch, canary down → DarkLaunch, early → DarkLaunch, well → DarkLaunch
DarkLaunch: deposed NotLeading, abort → RolledBack, fail → RolledBack, back → Stable, other → DarkLaunch, retry NothingToRetry, next → Shadow, full → Promoting, hold Held, canary down breach, early Soak(60), well → Shadow
Shadow: deposed NotLeading, abort → RolledBack, fail → RolledBack, back → Stable, other → DarkLaunch, retry NothingToRetry, next → Canary(0), full → Promoting, hold Held, canary down breach, early Soak(60), well → Canary(0)
Canary(0): deposed NotLeading, abort → RolledBack, fail → RolledBack, back → Stable, other → DarkLaunch, retry NothingToRetry, next → Canary(1), full → Promoting, hold Held, canary down breach, early Soak(60), well → Canary(1)
Canary(1): deposed NotLeading, abort → RolledBack, fail → RolledBack, back → Stable, other → DarkLaunch, retry NothingToRetry, next → Promoting, full → Promoting, hold Held, canary down breach, early Soak(60), well → Promoting
Promoting: deposed NotLeading, abort → RolledBack, fail → RolledBack, back → Stable, other → DarkLaunch, retry NothingToRetry, next IsPromoting, full IsPromoting, hold IsPromoting, canary down Pods, early Pods, well Pods
Soaking: deposed NotLeading, abort → RolledBack, fail → RolledBack, back → Stable, other → DarkLaunch, retry NothingToRetry, next → Stable, full → Stable, hold Held, canary down breach, early breach, well breach
RolledBack: deposed NotLeading, abort NoRollout, fail OtherRevision, back → Stable, other → DarkLaunch, retry → DarkLaunch, next HasFailed, full HasFailed, hold NoRollout, canary down OtherRevision, early OtherRevision, well OtherRevision
";

#[test]
fn what_each_step_does_with_each_signal() {
    let mut found = String::from("\n");
    for step in STEPS {
        let state = in_step(step);
        let cells = signals().map(|(name, seen)| format!("{name} {}", outcome(&take(&state, &seen).1)));
        found += &format!("{step:?}: {}\n", cells.join(", "));
    }
    assert_eq!(found, TABLE);
}

/// States of each step, with and without a hold, right after the step began and after its soak.
fn states() -> Vec<State> {
    let mut states = Vec::new();
    for step in STEPS {
        let state = in_step(step);
        let held = Seen::well().with(|seen| seen.commands = vec![command("hold", Verb::Hold)]);
        if matches!(step, Step::DarkLaunch | Step::Shadow | Step::Canary(_) | Step::Soaking) {
            states.push(take(&state, &held).0);
        }
        states.push(state);
    }
    states
}

fn workloads() -> Vec<Pods> {
    let mut all = Vec::new();
    let unready = Pods { writer: Some(pod("writer", NEW, false)), ..serving([NEW, NEW, NEW]) };
    let served = [serving([OLD; 3]), serving([NEW, OLD, OLD]), serving([NEW; 3]), unready, Pods::default()];
    let canaries = [None, Some((NEW, true)), Some((NEW, false)), Some(("other", true))];
    for pods in served {
        for canary in canaries {
            let canary = canary.map(|(revision, is_ready)| pod("canary", revision, is_ready));
            all.push(Pods { canary, ..pods.clone() });
        }
    }
    all
}

fn judged() -> Vec<Verdicts> {
    let mut all: Vec<Verdicts> = VERDICTS.into_iter().map(|verdict| verdicts(NEW, verdict)).collect();
    all.push(but(verdicts(NEW, Verdict::Pass), Metric::Downgrade, Verdict::Fail));
    all.push(verdicts("other", Verdict::Fail));
    all.push(Verdicts::default());
    all
}

fn commands() -> Vec<Vec<operator_core::rollout::Command>> {
    let mut all = vec![Vec::new()];
    all.extend(Verb::ALL.map(|verb| vec![command("one", verb)]));
    let silent =
        Verb::ALL.map(|verb| operator_core::rollout::Command { why: " ".into(), ..command("one", verb) });
    all.push(vec![silent[2].clone()]);
    // Everything at once.
    all.push(
        Verb::ALL.into_iter().rev().enumerate().map(|(n, verb)| command(&n.to_string(), verb)).collect(),
    );
    all
}

/// Calls `check` with every state and input of the domain.
fn each(mut check: impl FnMut(&State, &Seen)) {
    let (states, workloads, judged, commands) = (states(), workloads(), judged(), commands());
    let mut seen = Seen::well();
    let drills = [Drills::NotRun, Drills::Running, Drills::Passed, Drills::Failed];
    for state in &states {
        for verdicts in &judged {
            seen.verdicts = verdicts.clone();
            for pods in &workloads {
                seen.pods = pods.clone();
                for commands in &commands {
                    seen.commands.clone_from(commands);
                    for (revision, now_s, stable_up) in [
                        (NEW, START_S + 60, true),
                        (NEW, START_S + 60, false),
                        (NEW, START_S, true),
                        (OLD, START_S + 60, true),
                        ("other", START_S + 60, true),
                    ] {
                        (seen.revision, seen.now_s, seen.stable_up) = (revision, now_s, stable_up);
                        for drills in drills {
                            seen.drills = drills;
                            check(state, &seen);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_state_and_input_keeps_the_rules() {
    let mut checked = 0_u32;
    each(|state, seen| {
        checked += 1;
        let (next, decision) = take(state, seen);
        let context = || format!("{state:?}\n{seen:?}\n{decision:?}");
        keeps_weight(&next, seen, &decision, &context);
        keeps_back(state, &next, seen, &decision, &context);
        keeps_forward(state, &next, seen, &decision, &context);
        keeps_pods(&next, seen, &decision, &context);
    });
    assert!(checked > 250_000, "{checked}");
}

/// Weight only where it belongs, and never for a revision that has failed.
fn keeps_weight(next: &State, seen: &Seen, decision: &Decision, context: &dyn Fn() -> String) {
    let expected = match next.step() {
        Step::Canary(0) => 10,
        Step::Canary(_) => 50,
        _ => 0,
    };
    let ready = seen
        .pods
        .canary
        .as_ref()
        .is_some_and(|pod| Some(pod.revision.as_str()) == next.revision() && pod.is_ready);
    let is_drilled = matches!(decision.canary, Some((_, Reads::Off)))
        && matches!(seen.drills, Drills::NotRun | Drills::Running);
    let is_right = match next.step() {
        Step::Canary(_) if is_drilled => decision.weight() == 0,
        Step::Canary(_) => decision.weight() == if ready { expected } else { 0 },
        Step::Promoting => decision.weight() == 0 || ready,
        _ => decision.weight() == 0,
    };
    assert!(is_right, "{}", context());
    assert!(
        next.revision().is_none_or(|revision| !next.failed().contains(&revision.to_owned())),
        "{}",
        context()
    );
    assert_eq!(next.revision().is_some(), next.step().is_trial(), "{}", context());
    assert_eq!(
        decision.canary.is_some(),
        next.step().is_trial() && next.step() != Step::Soaking,
        "{}",
        context()
    );
    if next.step() == Step::DarkLaunch {
        assert!(matches!(decision.canary, Some((_, Reads::Off))), "{}", context());
    }
}

/// An abort and a failed gate lead back from every step of a trial.
fn keeps_back(state: &State, next: &State, seen: &Seen, decision: &Decision, context: &dyn Fn() -> String) {
    let aborts = seen.commands.iter().any(|command| command.verb == Verb::Abort);
    let fails = state.revision() == Some(&seen.verdicts.revision)
        && seen.verdicts.judgements.iter().any(|one| one.verdict == Verdict::Fail);
    if aborts {
        assert!(!next.step().is_trial() && decision.weight() == 0, "{}", context());
    }
    if state.step().is_trial() && (aborts || fails) {
        assert_eq!(next.step(), Step::RolledBack, "{}", context());
        assert_eq!(next.failed().last().map(String::as_str), state.revision(), "{}", context());
    }
    let rolled_back = matches!(decision.outcome, Outcome::Entered(_, Cause::Failed(_)));
    assert!(!rolled_back || fails, "verdicts about another revision: {}", context());
    // The same input again changes nothing more: a command is carried out once.
    let (again, repeated) = take(next, seen);
    if seen.commands.len() == 1 && next.save().done_commands.contains(&"one".to_owned()) {
        assert!(!matches!(repeated.outcome, Outcome::Entered(_, Cause::Asked { .. })), "{}", context());
    }
    let is_about_new = aborts && seen.commands.len() == 1 && seen.revision == NEW;
    assert!(!is_about_new || !again.step().is_trial(), "{}", context());
}

/// A step follows another one only for its reason.
fn keeps_forward(
    state: &State,
    next: &State,
    seen: &Seen,
    decision: &Decision,
    context: &dyn Fn() -> String,
) {
    assert!(next.records().len() <= RECORDS_MAX, "{}", context());
    let Outcome::Entered(to, cause) = &decision.outcome else {
        assert_eq!(next.step(), state.step(), "{}", context());
        return;
    };
    assert_eq!(*to, next.step(), "{}", context());
    assert_eq!(
        next.records().last().map(|record| (record.from, record.to)),
        Some((state.step(), *to)),
        "{}",
        context()
    );
    match cause {
        Cause::Passed => {
            let watched = seen.now_s >= START_S + 60 && state.save().hold.is_none();
            let own = state.revision() == Some(&seen.verdicts.revision) && seen.revision == NEW;
            let drilled = state.step() == Step::Soaking || seen.drills == Drills::Passed;
            assert!(watched && own && drilled, "{}", context());
            assert!(seen.verdicts.of(Metric::Chain) == Some(Verdict::Pass), "{}", context());
        }
        Cause::Updated => assert_eq!((state.step(), *to), (Step::Promoting, Step::Soaking), "{}", context()),
        Cause::Found => assert_eq!((state.step(), *to), (Step::Unknown, Step::Stable), "{}", context()),
        Cause::Late => {
            let is_trial = matches!(state.step(), Step::DarkLaunch | Step::Shadow | Step::Canary(_));
            assert!(is_trial || state.step() == Step::Promoting, "{}", context());
            assert_eq!(*to, Step::RolledBack, "{}", context());
        }
        Cause::Drills(_) | Cause::Refused { .. } => panic!("this enters no step: {}", context()),
        Cause::Failed(_) => assert_eq!(*to, Step::RolledBack, "{}", context()),
        Cause::Respecified => {
            assert!(matches!(to, Step::Stable | Step::DarkLaunch | Step::RolledBack), "{}", context());
        }
        Cause::Asked { verb, why, .. } => {
            let is_promotion = matches!(verb, Verb::PromoteNext | Verb::PromoteFull);
            assert!(!is_promotion || !why.trim().is_empty(), "{}", context());
        }
    }
}

/// One pod at a time, and the writer at the right moment.
fn keeps_pods(next: &State, seen: &Seen, decision: &Decision, context: &dyn Fn() -> String) {
    let Some((name, revision)) = &decision.update else { return };
    let forward = matches!(next.step(), Step::Promoting | Step::Soaking);
    let wanted = if forward { next.revision() } else { Some(next.stable()) };
    assert_eq!(Some(revision.as_str()), wanted, "{}", context());
    let serving = || seen.pods.readers.iter().chain(&seen.pods.writer);
    assert!(serving().all(|pod| pod.revision != *revision || pod.is_ready), "{}", context());
    let readers_are_done = seen.pods.readers.iter().all(|pod| pod.revision == *revision);
    let writer_is_done = seen.pods.writer.as_ref().is_none_or(|pod| pod.revision == *revision);
    assert!(
        if name == "writer" { !forward || readers_are_done } else { forward || writer_is_done },
        "{}",
        context()
    );
}

#[test]
fn every_state_survives_its_status() {
    each_state_once(|state| {
        let status = state.save();
        if state.step() != Step::Unknown {
            assert_eq!(State::restore(Some(&status)), *state);
        }
        let text = serde_json::to_string(&status).expect("a status is JSON");
        let back: operator_core::rollout::Status =
            serde_json::from_str(&text).expect("what was written is read");
        assert_eq!(back, status, "{text}");
        assert_integers(&serde_json::from_str(&text).expect("JSON"));
    });
}

/// The states of the domain, and all that follow from them in one step.
fn each_state_once(mut check: impl FnMut(&State)) {
    for state in states() {
        check(&state);
        for (_, seen) in signals() {
            check(&take(&state, &seen).0);
        }
    }
}

fn assert_integers(value: &serde_json::Value) {
    match value {
        serde_json::Value::Number(number) => assert!(number.is_i64() || number.is_u64(), "{number}"),
        serde_json::Value::Array(items) => items.iter().for_each(assert_integers),
        serde_json::Value::Object(fields) => fields.values().for_each(assert_integers),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {}
    }
}

#[test]
fn a_stale_verdict_is_no_verdict() {
    let stale = verdicts(NEW, Verdict::NoData(NoData::Stale));
    for step in [Step::DarkLaunch, Step::Shadow, Step::Canary(0)] {
        let seen = Seen::well().with(|seen| (seen.now_s, seen.verdicts) = (START_S + 60, stale.clone()));
        assert_eq!(outcome(&take(&in_step(step), &seen).1), "breach", "{step:?}");
    }
}
