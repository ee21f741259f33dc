//! The mode of an engine: what is sent to it, and what the status says.

use std::{collections::BTreeMap, sync::Arc};

use crds::EngineMode;
use engine_core::{
    guard::{Cause, Dependency, Reason},
    mode::Mode,
    wire::{DeclaredHold, GuardHealth, HoldView, ModeHealth, Teller, WantMode},
};
use jiff::{SignedDuration, Timestamp};
use operator_core::{
    mode::{self, BadAnnotation, acknowledge_mode, declared},
    names::FORCE_MODE_ANNOTATION,
    notices::notices,
    observed::{EngineReport, Observed},
    plan::{Call, Step, plan_mode},
    validate::Essentials,
};

use crate::world::{condition, planned, settled, status_of};

fn now() -> Timestamp {
    settled().now
}

fn later(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).expect("a time")
}

pub(crate) fn mode(world: &Observed, effective: Mode) -> ModeHealth {
    ModeHealth {
        wanted: Mode::ReadWrite,
        told_by: Some(Teller { uid: world.engine.metadata.uid.clone().unwrap_or_default(), generation: 1 }),
        effective,
        since: now(),
        unreadable: false,
        unsaved: false,
        guard: GuardHealth { state: "base".into(), since: now(), until: None, cause: None },
        direct: None,
        declared: None,
    }
}

fn calls(world: &Observed) -> Vec<Call> {
    mode::calls(world, Essentials::of(&world.engine).mode)
}

/// A settled engine whose report has this mode.
fn world(change: impl FnOnce(&mut ModeHealth)) -> Observed {
    let mut world = settled();
    let mut mode = mode(&world, Mode::ReadWrite);
    change(&mut mode);
    acknowledge_mode(&mut world, mode);
    world
}

fn spec(world: &mut Observed, mode: EngineMode) {
    Arc::make_mut(&mut world.engine).spec.mode = mode;
}

fn annotate(world: &mut Observed, text: &str) {
    let annotations = BTreeMap::from([(FORCE_MODE_ANNOTATION.to_owned(), text.to_owned())]);
    Arc::make_mut(&mut world.engine).metadata.annotations = Some(annotations);
}

fn annotation(until: Timestamp) -> String {
    format!(r#"{{"mode": "WriteOnly", "reason": "an upgrade", "by": "platform", "until": "{until}"}}"#)
}

fn hold(until: Timestamp) -> DeclaredHold {
    DeclaredHold { mode: Mode::WriteOnly, reason: "an upgrade".into(), by: "platform".into(), until }
}

fn view(until: Timestamp) -> HoldView {
    let DeclaredHold { mode, reason, by, until } = hold(until);
    HoldView { mode, reason, by, redacted: false, since: now(), until }
}

#[test]
fn an_engine_is_told_its_mode_once() {
    let mut world = world(|mode| mode.told_by = None);
    let told_by = mode(&world, Mode::ReadWrite).told_by.expect("somebody");
    let generation = world.engine.metadata.generation.unwrap_or_default();
    let push = |mode| Call::PushMode(WantMode { mode, told_by: Teller { generation, ..told_by.clone() } });
    assert_eq!(calls(&world), [push(Mode::ReadWrite)]);
    let told = mode(&world, Mode::ReadWrite);
    acknowledge_mode(&mut world, told);
    assert_eq!(calls(&world), []);
    for (wanted, sent) in [
        (EngineMode::WriteOnly, Mode::WriteOnly),
        (EngineMode::ReadOnly, Mode::ReadOnly),
        (EngineMode::Off, Mode::Off),
    ] {
        spec(&mut world, wanted);
        assert_eq!(calls(&world), [push(sent)]);
        let planned = planned(&world).steps;
        assert_eq!(planned, [Step::Call(push(sent))], "nothing else changes");
        assert_eq!(
            plan_mode(&world, &Essentials::of(&world.engine)).steps,
            planned,
            "also with an invalid spec"
        );
    }
}

#[test]
fn an_engine_without_modes_or_without_a_report_is_told_nothing() {
    let mut world = settled();
    spec(&mut world, EngineMode::Off);
    assert_eq!(calls(&world), []);
    assert_eq!(condition(&status_of(&world), "ReadsEnabled"), "False/EngineTooOld");
    assert_eq!(condition(&status_of(&world), "Ready"), "False/EngineTooOld");
    spec(&mut world, EngineMode::ReadWrite);
    assert_eq!(condition(&status_of(&world), "ReadsEnabled"), "True/ReadsOn");
    world.writer_mut().report = EngineReport::Unreachable("no answer".into());
    assert_eq!(calls(&world), []);
}

/// What an engine says, and whether it is believed to have taken over the mode.
type Lie = (&'static str, fn(&mut ModeHealth), bool);

/// The engine has taken over a mode when its answer says so; nothing else counts.
#[test]
fn an_answer_with_another_mode_is_not_taken_for_the_wanted_one() {
    let told =
        |mode: &mut ModeHealth, effective| (mode.wanted, mode.effective) = (Mode::WriteOnly, effective);
    let lies: [Lie; 5] = [
        ("the truth", |_| (), true),
        ("another mode", |mode| mode.wanted = Mode::ReadWrite, false),
        ("more than is wanted", |mode| mode.effective = Mode::ReadWrite, false),
        ("nobody told it", |mode| mode.told_by = None, false),
        ("another resource told it", |mode| mode.told_by.as_mut().expect("one").uid.push('x'), false),
    ];
    for (what, lie, is_believed) in lies {
        let mut world = world(|mode| {
            told(mode, Mode::WriteOnly);
            lie(mode);
        });
        spec(&mut world, EngineMode::WriteOnly);
        let expected = if is_believed { "False/ModeWithoutReads" } else { "False/ModePending" };
        assert_eq!(condition(&status_of(&world), "ReadsEnabled"), expected, "{what}");
    }
    let mut narrower = world(|mode| told(mode, Mode::Off));
    spec(&mut narrower, EngineMode::WriteOnly);
    assert_eq!(
        condition(&status_of(&narrower), "ReadsEnabled"),
        "False/ModeWithoutReads",
        "a hold narrows it"
    );
}

#[test]
fn a_declared_hold_is_sent_kept_and_taken_back() {
    let mut world = world(|_| ());
    annotate(&mut world, &annotation(later(600)));
    assert_eq!(calls(&world), [Call::PushHold(Some(hold(later(600))))]);
    let held = ModeHealth { declared: Some(view(later(600))), ..mode(&world, Mode::WriteOnly) };
    acknowledge_mode(&mut world, held);
    assert_eq!(calls(&world), []);
    assert_eq!(condition(&status_of(&world), "ReadsEnabled"), "False/ForcedByHold");
    assert_eq!(status_of(&world).effective_mode, Some(EngineMode::WriteOnly));
    world.now = later(600);
    assert_eq!(calls(&world), [Call::PushHold(None)], "it has ended");
    world.now = now();
    Arc::make_mut(&mut world.engine).metadata.annotations = None;
    assert_eq!(calls(&world), [Call::PushHold(None)], "it was removed");
}

#[test]
fn an_annotation_that_is_not_valid_changes_nothing_and_is_told() {
    for text in [
        "write_only".to_owned(),
        annotation(later(600)).replace("WriteOnly", "write_only"),
        annotation(later(600)).replace("platform", " "),
        annotation(later(600)).replace("an upgrade", &"x".repeat(501)),
        annotation(later(600)).replace(r#""by""#, r#""who""#),
        annotation(later(86_401)),
    ] {
        let mut world = world(|mode| mode.declared = Some(view(later(60))));
        annotate(&mut world, &text);
        assert_eq!(calls(&world), [], "{text}");
        assert!(declared(&world.engine, now()).is_err(), "{text}");
        let status = status_of(&world);
        assert_eq!(condition(&status, "Stalled"), "True/ForceModeInvalid", "{text}");
        assert_eq!(condition(&status, "Ready"), "False/ForcedByHold", "{text}");
    }
    let mut fine = world(|_| ());
    annotate(&mut fine, &annotation(later(86_400)));
    assert!(declared(&fine.engine, now()).is_ok());
    assert_eq!(BadAnnotation::TooLong.to_string().matches(FORCE_MODE_ANNOTATION).count(), 1);
}

#[test]
fn the_condition_says_why_reads_are_off() {
    let cause = |dependency, reason| Some(Cause { dependency, reason, outcome: None });
    let guard = |state: &str, cause| GuardHealth {
        state: state.into(),
        since: now(),
        until: Some(later(300)),
        cause,
    };
    let forced = |state: &str, reason| {
        world(|mode| {
            mode.effective = Mode::WriteOnly;
            mode.guard = guard(state, cause(Dependency::Embedding, reason));
        })
    };
    for (world, expected) in [
        (world(|_| ()), "True/ReadsOn"),
        (forced("forced", Reason::AuthenticationFailed), "False/DependencyAuthenticationFailed"),
        (forced("forced", Reason::ConsecutiveFailures), "False/DependencyFailing"),
        (forced("probing", Reason::Slow), "False/DependencySlow"),
        (world(|mode| mode.direct = Some(view(later(60)))), "False/ForcedByHold"),
        (world(|mode| mode.wanted = Mode::WriteOnly), "False/ModePending"),
    ] {
        let status = status_of(&world);
        assert_eq!(condition(&status, "ReadsEnabled"), expected);
        let ready = condition(&status, "Ready");
        assert_eq!(ready, expected.replace("True/ReadsOn", "True/Serving"), "{expected}");
    }
}

#[test]
fn a_mode_without_reads_that_is_wanted_is_ready() {
    let mut world = world(|mode| {
        (mode.wanted, mode.effective) = (Mode::WriteOnly, Mode::WriteOnly);
    });
    spec(&mut world, EngineMode::WriteOnly);
    let status = status_of(&world);
    assert_eq!(condition(&status, "ReadsEnabled"), "False/ModeWithoutReads");
    assert_eq!(condition(&status, "Ready"), "True/Serving");
}

#[test]
fn reads_that_are_turned_off_and_on_are_events() {
    let on = status_of(&world(|_| ()));
    let off = status_of(&world(|mode| {
        mode.effective = Mode::WriteOnly;
        mode.guard.state = "forced".into();
    }));
    let told: Vec<_> = notices(Some(&on), &off).into_iter().map(|it| (it.warning, it.reason)).collect();
    assert_eq!(told, [(true, "DependencyFailing".to_owned())]);
    let told: Vec<_> = notices(Some(&off), &on).into_iter().map(|it| (it.warning, it.reason)).collect();
    assert_eq!(told, [(false, "ReadsOn".to_owned()), (false, "Serving".to_owned())]);
}
