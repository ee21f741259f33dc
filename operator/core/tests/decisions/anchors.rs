//! When an anchor is recorded, and where it is written.

use std::sync::Arc;

use engine_core::wire::GivenAnchor;
use jiff::SignedDuration;
use operator_core::{
    anchor::{
        checkpoint_query::{CheckpointQuery, next_anchor_reconcile},
        expected::{ExpectedHistory, expected_history},
        record::{ClaimRecord, Record},
    },
    names::ChildKind,
    observed::CheckpointReport,
    plan::{Plan, Write},
    validate::validate,
};
use serde_json::json;

use crate::history::*;
use crate::world::{
    carry_out, condition, edit, essentials, planned, settings, settled, status_of, status_of_faults, writes,
};

#[test]
fn a_new_volume_is_known_to_be_new() {
    let world = settled();
    assert_eq!(note(&world), ClaimRecord::New);
    assert_eq!(given(&world), json!({"state": "new"}));
    assert_eq!(expected_history(&world), ExpectedHistory::New);
    assert_eq!(condition(&status_of(&world), "LogIntegrity"), "Unknown/NotYetAnchored");
}

/// The status is written first, because the CRD's transition rules protect the anchor there. The claim, the ConfigMap
/// and the push to the engine follow from the status.
#[test]
fn the_first_event_is_anchored_at_once_and_in_order() {
    let mut world = settled();
    serve(&mut world, &log(0));
    assert_eq!(asked(&world), None, "an empty log needs no anchor");
    serve(&mut world, &log(1));
    let plan = look(&mut world, &log(1));
    assert_eq!((said(&plan), plan.pushed_anchor()), (vec![], None), "nothing before the status");
    let status = stored(&world).log.expect("a log");
    assert_eq!(
        (status.size, status.origin.as_deref(), status.head_seq),
        (Some(1), Some("memory-engine/log-1"), 1)
    );
    assert_eq!(integrity(&world), "True/Anchored");
    let plan = look(&mut world, &log(1));
    assert_eq!(said(&plan), ["record PersistentVolumeClaim/notes-data", "record ConfigMap/notes-anchor"]);
    assert!(!plan.is_changing());
    assert!(matches!(plan.pushed_anchor(), Some(GivenAnchor::Known { accepted: None, .. })));
    assert!(matches!(note(&world), ClaimRecord::Known(Record { size: 1, .. })));
    assert_eq!(given(&world)["anchor"]["size"], 1);
    let before = stored(&world);
    assert_eq!(look(&mut world, &log(1)), Plan::default());
    assert_eq!(stored(&world), before, "an unchanged log costs no write");
}

#[test]
fn a_growing_log_is_anchored_at_intervals() {
    let mut world = anchored(5);
    serve(&mut world, &log(6));
    assert_eq!(asked(&world), None);
    let wait = next_anchor_reconcile(&world, &essentials(&world)).expect("a wait");
    assert!(wait.as_secs() <= 10 && wait.as_secs() >= 9, "{wait:?}");
    let before = stored(&world);
    look(&mut world, &log(6));
    assert_eq!(stored(&world), before, "the head is reported together with the anchor");
    later(&mut world, 10);
    assert_eq!(asked(&world), Some(CheckpointQuery { extends: vec![5], records: true }));
    look(&mut world, &log(6));
    let log = stored(&world).log.expect("a log");
    assert_eq!((log.size, log.head_seq), (Some(6), 6));
}

#[test]
fn a_short_interval_is_kept_and_a_budget_is_waited_for() {
    let mut world = anchored(5);
    let mut engine = world.engine.as_ref().clone();
    engine.spec.integrity.anchor_interval_seconds = 1;
    world.engine = Arc::new(engine);
    assert_eq!(next_anchor_reconcile(&world, &essentials(&world)).expect("a wait").as_secs(), 1);
    serve(&mut world, &log(6));
    later(&mut world, 100);
    world.checkpoints = CheckpointReport::Delayed(SignedDuration::from_secs(7));
    assert_eq!(next_anchor_reconcile(&world, &essentials(&world)).expect("a wait").as_secs(), 7);
    let status = status_of(&world);
    assert_eq!(Some(status), world.engine.status, "while the budget is used up nothing is written");
    world.checkpoints = CheckpointReport::NoAnswer("no answer".into());
    assert_eq!(
        status_of(&world).log.expect("a log").head_seq,
        6,
        "a head that cannot be anchored is reported"
    );
}

/// The next reconcile completes an interrupted plan: after any number of writes, the rest is planned, and then nothing.
#[test]
fn an_anchor_gets_everywhere_wherever_the_operator_stops() {
    let mut world = anchored(5);
    serve(&mut world, &log(6));
    later(&mut world, 10);
    look(&mut world, &log(6));
    for stopped_after in 0..=2 {
        let mut world = world.clone();
        let plan = planned(&world);
        assert_eq!(plan.writes().count(), 2);
        carry_out(&mut world, &plan, stopped_after);
        assert_eq!(planned(&world).writes().count(), 2 - stopped_after);
        look(&mut world, &log(6));
        assert_eq!(planned(&world), Plan::default());
    }
}

/// A record that someone removed from the claim, or changed in the ConfigMap, is repaired within the bound on repairs.
#[test]
fn what_somebody_did_to_the_anchor_is_put_right() {
    let mut world = anchored(5);
    let right = (note(&world), given(&world));
    annotate(&mut world, None);
    edit(&mut world, ChildKind::ConfigMap, "notes-anchor", "/data/anchor.json", json!("{\"state\":\"new\"}"));
    edit(&mut world, ChildKind::ConfigMap, "notes-anchor", "/metadata/labels", json!({}));
    let plan = look(&mut world, &log(5));
    assert_eq!(said(&plan), ["repair PersistentVolumeClaim/notes-data", "repair ConfigMap/notes-anchor"]);
    assert_eq!((note(&world), given(&world)), right);
    annotate(&mut world, Some("not JSON"));
    assert!(matches!(writes(&planned(&world)).as_slice(), [Write::Repair { .. }]));
}

/// While the spec is invalid, the log is still anchored and a rollback can be accepted. This also holds if the interval
/// of anchors is out of bounds.
#[test]
fn a_log_is_anchored_also_under_a_spec_that_is_invalid() {
    let mut world = anchored(5);
    let mut engine = world.engine.as_ref().clone();
    engine.spec.integrity.anchor_interval_seconds = 0;
    engine.spec.writer.drain_seconds = 0;
    world.engine = Arc::new(engine);
    let faults = validate(&world.engine, &settings()).expect_err("two faults");
    assert_eq!(faults.len(), 2);
    assert_eq!(essentials(&world).anchor_interval, SignedDuration::from_secs(1));
    later(&mut world, 1);
    serve(&mut world, &log(8));
    assert_eq!(asked(&world), Some(CheckpointQuery { extends: vec![5], records: true }));
    world.checkpoints = CheckpointReport::Answered(vec![log(8).answer(Some(5))]);
    let status = status_of_faults(&world, &faults);
    assert_eq!(condition(&status, "Stalled"), "True/InvalidSpec");
    assert_eq!(condition(&status, "LogIntegrity"), "True/Anchored");
    assert_eq!(status.log.expect("a log").size, Some(8));

    serve(&mut world, &log(3));
    accept(&mut world, 3, &log(3).view().root, "restored");
    world.checkpoints = CheckpointReport::Answered(vec![log(3).answer(None)]);
    let status = status_of_faults(&world, &faults);
    assert_eq!(condition(&status, "LogIntegrity"), "Unknown/RollbackAccepted");
    assert_eq!(status.log.expect("a log").accepted_rollbacks.len(), 1);
}
