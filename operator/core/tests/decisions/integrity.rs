//! Logs that do not extend their anchor: the verdicts, and the ways to recover.

use engine_core::wire::{Anchor, CheckpointView, GivenAnchor, IntegrityFaultKind};
use operator_core::{
    anchor::{
        checkpoint_query::CheckpointQuery,
        expected::{ExpectedHistory, expected_history},
        record::{AnchorAnnotation, ClaimRecord, Record},
    },
    notices::notices,
    observed::{CheckpointReport, EngineReport},
    plan::Plan,
};
use serde_json::json;

use crate::history::*;
use crate::world::{condition, planned, settled, status_of, writes};

#[test]
fn a_kept_volume_is_adopted_from_its_annotation() {
    let mut world = made_again(&anchored(5));
    assert!(matches!(expected_history(&world), ExpectedHistory::Extend { older: None, .. }));
    assert_eq!(writes(&planned(&world)), []);
    assert_eq!(planned(&world).pushed_anchor(), None, "only the anchor in the status is pushed");
    serve(&mut world, &log(7));
    look(&mut world, &log(7));
    assert_eq!(integrity(&world), "True/Anchored");
    assert_eq!(stored(&world).log.expect("a log").size, Some(7));
}

/// Each way in which a kept volume can contain another log: each one is refused, because only a proof lets an engine
/// use the log.
#[test]
fn a_kept_volume_with_another_log_is_refused() {
    let check = |found: &Log, expected: &str| {
        let mut world = made_again(&anchored(5));
        serve(&mut world, found);
        look(&mut world, found);
        assert_eq!(integrity(&world), expected);
        assert_eq!(condition(&stored(&world), "Ready"), expected);
        assert_eq!(stored(&world).log.expect("a log").size, None, "nothing of it is anchored");
        assert!(
            matches!(note(&world), ClaimRecord::Known(Record { size: 5, .. })),
            "the claim keeps its record"
        );
    };
    check(&log(4), "False/LogTruncated");
    check(&Log { id: "log-2", ..log(9) }, "False/ForeignLog");
    check(&Log { history: 1, shared: 3, ..log(9) }, "False/LogForked");
    check(&Log { history: 1, shared: 3, ..log(5) }, "False/LogForked");
    check(&Log { history: 1, seed: 2, ..log(9) }, "False/LogRewritten");
    check(&Log { history: 1, seed: 2, ..log(5) }, "False/LogRewritten");
    check(&Log { seed: 2, ..log(9) }, "False/KeyChanged");
}

/// The operator finds the same faults in a running engine that reports none itself. The verdict stays until a proof
/// clears it, even while the engine does not respond.
#[test]
fn a_log_that_changed_is_said_until_it_is_proved_right() {
    let check = |found: &Log, expected: &str| {
        let mut world = anchored(5);
        let good = stored(&world);
        serve(&mut world, found);
        later(&mut world, 10);
        look(&mut world, found);
        let bad = stored(&world);
        for (kind, wanted) in
            [("LogIntegrity", expected), ("Ready", expected), ("Reconciling", "False/Blocked")]
        {
            assert_eq!(condition(&bad, kind), wanted);
        }
        assert_eq!(condition(&bad, "Stalled"), expected.replace("False", "True"));
        let said: Vec<_> = notices(Some(&good), &bad).into_iter().map(|n| (n.warning, n.reason)).collect();
        assert_eq!(said, [(true, expected.replace("False/", ""))]);
        assert_eq!(notices(Some(&bad), &bad), []);
        assert_eq!(bad.log.as_ref().expect("a log").size, Some(5));

        world.writer_mut().report = EngineReport::Unreachable("no answer".into());
        look(&mut world, found);
        assert_eq!(integrity(&world), expected);
        serve(&mut world, &log(6));
        look(&mut world, &log(6));
        assert_eq!(integrity(&world), "True/Anchored");
    };
    check(&log(4), "False/LogTruncated");
    check(&Log { id: "log-2", ..log(9) }, "False/ForeignLog");
    check(&Log { history: 1, shared: 4, ..log(9) }, "False/LogForked");
    check(&Log { history: 1, seed: 2, ..log(9) }, "False/LogRewritten");
    check(&Log { seed: 2, ..log(9) }, "False/KeyChanged");
}

#[test]
fn another_key_is_taken_when_the_old_one_signs_for_it() {
    let mut world = anchored(5);
    let rotated = Log { seed: 2, vouched_by: Some(1), ..log(6) };
    serve(&mut world, &rotated);
    later(&mut world, 10);
    look(&mut world, &rotated);
    assert_eq!(integrity(&world), "True/Anchored");
    assert_eq!(stored(&world).log.expect("a log").key, Some(rotated.key(2).verifier().to_string()));
    look(&mut world, &rotated);
    assert_eq!(planned(&world), Plan::default());
    let after = Log { vouched_by: None, size: 7, ..rotated };
    serve(&mut world, &after);
    later(&mut world, 10);
    look(&mut world, &after);
    assert_eq!(integrity(&world), "True/Anchored");
}

/// A checkpoint is refused if its note has no valid signature, or does not match the report.
#[test]
fn a_checkpoint_that_is_none_is_refused() {
    let check = |change: fn(&mut CheckpointView)| {
        let mut world = settled();
        serve(&mut world, &log(3));
        let mut answer = log(3).answer(None);
        change(&mut answer.1.checkpoint);
        world.checkpoints = CheckpointReport::Answered(vec![answer]);
        assert_eq!(condition(&status_of(&world), "LogIntegrity"), "False/CheckpointInvalid");
        assert_eq!(status_of(&world).log.expect("a log").origin, None);
    };
    check(|view| view.size = 4);
    check(|view| view.root = "ab".repeat(32));
    check(|view| view.key = "memory-engine/log-1+00000000+AAAA".into());
    check(|view| view.note = view.note.replace('\u{2014}', "-"));
    check(|view| view.note = log(4).view().note);
}

/// Each fault that an engine reports leads to its own reason, and the anchor is never replaced.
#[test]
fn what_the_engine_finds_is_said() {
    let kinds = [
        (IntegrityFaultKind::Truncated, "LogTruncated"),
        (IntegrityFaultKind::Forked, "LogForked"),
        (IntegrityFaultKind::ForeignLog, "ForeignLog"),
        (IntegrityFaultKind::Rewritten, "LogRewritten"),
        (IntegrityFaultKind::Corrupt, "LogCorrupt"),
        (IntegrityFaultKind::AnchorMissing, "AnchorMissing"),
    ];
    for (kind, reason) in kinds {
        let mut world = anchored(5);
        serve(&mut world, &log(9));
        find(&mut world, kind);
        later(&mut world, 10);
        assert_eq!(asked(&world), None);
        let plan = look(&mut world, &log(9));
        assert_eq!((plan.writes().count(), plan.pushed_anchor()), (0, None));
        assert_eq!(integrity(&world), format!("False/{reason}"));
        assert_eq!(condition(&stored(&world), "Ready"), format!("False/{reason}"));
        assert!(message(&world).contains("the engine says"), "{}", message(&world));
        assert_eq!(stored(&world).log.expect("a log").size, Some(5));
    }
}

/// The content of a kept volume without a record is unknown. It is refused until the user accepts its head as a
/// rollback.
#[test]
fn a_kept_volume_of_which_nothing_is_known_is_refused_until_accepted() {
    let mut world = settled();
    annotate(&mut world, None);
    assert_eq!(expected_history(&world), ExpectedHistory::Missing);
    look(&mut world, &log(0));
    assert_eq!(note(&world), ClaimRecord::Nothing, "the claim does not count as new");
    assert_eq!(given(&world), json!({"state": "missing"}));
    serve(&mut world, &log(8));
    find(&mut world, IntegrityFaultKind::AnchorMissing);
    look(&mut world, &log(8));
    assert_eq!(integrity(&world), "False/AnchorMissing");
    assert!(message(&world).contains(&log(8).view().root), "{}", message(&world));

    accept(&mut world, 8, &log(8).view().root, "it is the right one");
    look(&mut world, &log(8));
    assert_eq!(integrity(&world), "Unknown/RollbackAccepted");
    let plan = look(&mut world, &log(8));
    assert!(matches!(plan.pushed_anchor(), Some(GivenAnchor::Known { accepted: Some(_), .. })));
    assert_eq!(integrity(&world), "True/Anchored");
    let accepted = &stored(&world).log.expect("a log").accepted_rollbacks;
    assert_eq!((accepted[0].number, accepted[0].from_size, accepted[0].to_size), (1, 0, 8));
}

/// The claim has no record, and the engine reports that the volume is empty: the log counts as new.
#[test]
fn a_kept_volume_that_is_empty_is_new() {
    let mut world = settled();
    annotate(&mut world, None);
    serve(&mut world, &log(0));
    look(&mut world, &log(0));
    assert_eq!((note(&world), given(&world)), (ClaimRecord::New, json!({"state": "new"})));
}

#[test]
fn a_rollback_is_accepted_once_and_only_with_the_right_head() {
    let mut world = anchored(5);
    serve(&mut world, &log(3));
    find(&mut world, IntegrityFaultKind::Truncated);
    look(&mut world, &log(3));
    let root = log(3).view().root;
    assert!(message(&world).contains(&format!("size: 3, root: {root}")), "{}", message(&world));

    accept(&mut world, 3, &log(4).view().root, "restored");
    look(&mut world, &log(3));
    assert_eq!(integrity(&world), "False/LogTruncated");
    assert!(message(&world).contains("is refused: it names 3 events"), "{}", message(&world));

    let before = stored(&world);
    accept(&mut world, 3, &root, "restored");
    look(&mut world, &log(3));
    let after = stored(&world);
    let said: Vec<_> = notices(Some(&before), &after).into_iter().map(|n| n.reason).collect();
    assert!(said.contains(&"RollbackAccepted".to_owned()), "{said:?}");
    assert_eq!(condition(&after, "Stalled"), "False/NoObstacle");
    assert_eq!(condition(&after, "Reconciling"), "True/RollbackAccepted");
    let log_status = after.log.expect("a log");
    assert_eq!((log_status.size, log_status.accepted_rollbacks.len()), (Some(3), 1));

    let plan = look(&mut world, &log(3));
    assert_eq!(said_rollbacks(plan.pushed_anchor()), Some((1, 3)));
    assert_eq!(integrity(&world), "True/Anchored");
    look(&mut world, &log(3));
    assert_eq!(planned(&world), Plan::default(), "the acceptance left in the spec has no effect");

    // The same old copy of the volume returns: the acceptance that is still in the spec does not apply a second time.
    serve(&mut world, &log(6));
    later(&mut world, 10);
    look(&mut world, &log(6));
    serve(&mut world, &log(3));
    find(&mut world, IntegrityFaultKind::Truncated);
    look(&mut world, &log(3));
    assert_eq!(integrity(&world), "False/LogTruncated");
    assert!(message(&world).contains("no further effect"), "{}", message(&world));
    accept(&mut world, 3, &root, "restored once more");
    look(&mut world, &log(3));
    assert_eq!(stored(&world).log.expect("a log").accepted_rollbacks.len(), 2);
}

fn said_rollbacks(pushed: Option<&GivenAnchor>) -> Option<(u64, u64)> {
    match pushed {
        Some(GivenAnchor::Known { anchor: Anchor { rollbacks, size, .. }, .. }) => Some((*rollbacks, *size)),
        _ => None,
    }
}

/// The log of another engine and a log that does not verify cannot be accepted.
#[test]
fn what_cannot_be_accepted_is_not() {
    for kind in [IntegrityFaultKind::ForeignLog, IntegrityFaultKind::Corrupt] {
        let mut world = anchored(5);
        let other = Log { id: "log-2", ..log(9) };
        serve(&mut world, &other);
        find(&mut world, kind);
        accept(&mut world, 9, &other.view().root, "why not");
        for _ in 0..3 {
            look(&mut world, &other);
        }
        assert!(integrity(&world).starts_with("False/"), "{}", integrity(&world));
        assert_eq!(stored(&world).log.expect("a log").accepted_rollbacks, []);
    }
}

/// The status was restored from an older backup of the cluster, so that the claim has a newer record: the log must
/// extend both records.
#[test]
fn the_newer_of_status_and_claim_counts() {
    let old = anchored(5);
    let mut world = anchored(9);
    world.engine = old.engine.clone();
    assert_eq!(asked(&world), Some(CheckpointQuery { extends: vec![9, 5], records: true }));
    look(&mut world, &log(9));
    assert_eq!(integrity(&world), "True/Anchored");
    assert_eq!(stored(&world).log.expect("a log").size, Some(9));

    let mut world = anchored(9);
    world.engine = old.engine.clone();
    serve(&mut world, &log(7));
    look(&mut world, &log(7));
    assert_eq!(integrity(&world), "False/LogTruncated", "the claim's record still counts");
}

#[test]
fn status_and_claim_that_contradict_each_other_are_said() {
    let check = |wrong: Record| {
        let mut world = anchored(5);
        annotate(&mut world, Some(&AnchorAnnotation::Known(wrong).text()));
        let before = (note(&world), given(&world));
        let plan = look(&mut world, &log(5));
        assert_eq!(integrity(&world), "False/AnchorInconsistent");
        assert_eq!((note(&world), given(&world)), before, "neither is overwritten");
        assert_eq!(plan.steps, []);
        annotate(&mut world, None);
        look(&mut world, &log(5));
        look(&mut world, &log(5));
        assert_eq!(integrity(&world), "True/Anchored", "the remedy in the message");
    };
    let ClaimRecord::Known(right) = note(&anchored(5)) else { panic!("an anchor") };
    check(Record { root: "ab".repeat(32), ..right.clone() });
    check(Record { origin: "memory-engine/log-2".into(), size: 9, ..right });
}

/// An engine that is older than the operator has no checkpoints: it is not queried, there is no verdict on its log, and
/// it stays Ready.
#[test]
fn an_engine_without_checkpoints_is_left_in_peace() {
    let world = settled();
    assert_eq!(asked(&world), None);
    assert_eq!(planned(&world).pushed_anchor(), None);
    assert_eq!(condition(&status_of(&world), "Ready"), "True/Serving");
}

/// While an engine opens its log, it does not report the log: this must not be treated as another log or a shorter one.
#[test]
fn an_engine_that_opens_its_log_is_not_accused() {
    let mut world = anchored(5);
    let before = stored(&world);
    let EngineReport::Answered(report) = &mut world.writer_mut().report else { panic!("no report") };
    (report.log.id, report.log.seq, report.log.checkpoint) = (String::new(), 0, None);
    look(&mut world, &log(5));
    assert_eq!(stored(&world), before);
}

/// An engine receives the newest anchor if it restarted, or if its ConfigMap was outdated when it started.
#[test]
fn an_engine_that_knows_less_is_told() {
    let mut world = anchored(5);
    let EngineReport::Answered(report) = &mut world.writer_mut().report else { panic!("no report") };
    report.log.integrity.anchor = None;
    assert_eq!(said_rollbacks(planned(&world).pushed_anchor()), Some((0, 5)));
    look(&mut world, &log(5));
    assert_eq!(planned(&world), Plan::default());
}
