//! What is left of an engine that was deleted.

use std::collections::BTreeMap;

use crds::{DeletionOutcome, DeletionStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_core::DynamicObject;
use operator_core::{names::DELETION_REASON_ANNOTATION, storage, tombstone::Gone};
use serde_json::{Value, json};

use crate::history::anchored;

fn gone<'a>(world: &'a operator_core::observed::Observed, has_last: bool) -> Gone<'a> {
    Gone {
        namespace: "team",
        name: "notes",
        last: has_last.then_some(world.engine.as_ref()),
        claim: storage::claim_of(world, "notes"),
        before: None,
    }
}

fn stored(object: &Value) -> DynamicObject {
    serde_json::from_value(object.clone()).expect("an object")
}

#[test]
fn a_tombstone_says_where_the_log_ended_and_why() {
    let mut world = anchored(7);
    let annotations =
        BTreeMap::from([(DELETION_REASON_ANNOTATION.to_owned(), "moved to team b\n".to_owned())]);
    std::sync::Arc::make_mut(&mut world.engine).metadata.annotations = Some(annotations);
    let object = gone(&world, true).tombstone(world.now).expect("a tombstone");
    let log = world.engine.status.as_ref().and_then(|status| status.log.clone()).expect("a log");
    let data = &object["data"];
    assert_eq!(data["root"], json!(log.root));
    assert_eq!((&data["headSeq"], &data["size"], &data["epoch"]), (&json!("7"), &json!("7"), &json!("0")));
    assert_eq!((&data["claim"], &data["uid"]), (&json!("notes-data"), &json!("uid-of-notes")));
    assert_eq!(
        (&data["reason"], &data["foundAt"]),
        (&json!("moved to team b"), &json!("2026-01-02T03:04:05Z"))
    );
    assert_eq!(object["metadata"]["name"], "notes-tombstone");
    assert!(object["metadata"]["ownerReferences"].is_null(), "it outlives the resource");
}

/// An operator that was away finds a claim without its engine, which has the record of the log.
#[test]
fn a_claim_alone_is_enough() {
    let world = anchored(7);
    let object = gone(&world, false).tombstone(world.now).expect("a tombstone");
    assert_eq!(object["data"]["size"], "7");
    assert!(object["data"]["reason"].as_str().is_some_and(|why| why.contains("no operator was running")));
    let nothing = Gone { claim: None, ..gone(&world, false) };
    assert_eq!(nothing.tombstone(world.now), None, "nothing is left");
}

/// Each deletion is said once: every object that is deleted with the engine causes another look.
#[test]
fn a_deletion_is_said_once() {
    let world = anchored(7);
    for has_last in [true, false] {
        let object = stored(&gone(&world, has_last).tombstone(world.now).expect("a tombstone"));
        for again in [has_last, false] {
            let again = Gone { before: Some(&object), ..gone(&world, again) };
            assert_eq!(again.tombstone(world.now), None);
        }
    }
    let mut again = anchored(7);
    std::sync::Arc::make_mut(&mut again.engine).metadata.uid = Some("another".into());
    let object = stored(&gone(&world, true).tombstone(world.now).expect("a tombstone"));
    let another = Gone { before: Some(&object), ..gone(&again, true) };
    assert!(another.tombstone(world.now).is_some(), "an engine of the same name was deleted too");
}

/// A claim that is deleted with its engine stays for a while, and each look at it must leave the outcome as it is: the
/// operator has forgotten the engine by then.
#[test]
fn the_outcome_of_a_last_backup_stays() {
    let mut world = anchored(7);
    let outcome = DeletionStatus { outcome: DeletionOutcome::Verified, backup: None, message: "done".into() };
    let engine = std::sync::Arc::make_mut(&mut world.engine);
    engine.status.as_mut().expect("a status").deletion = Some(outcome);
    let there = storage::claim_of(&world, "notes").expect("a claim").clone();
    let mut ending = there.clone();
    ending.metadata.deletion_timestamp = Some(Time(world.now));
    for claim in [&there, &ending] {
        let stone =
            Gone { claim: Some(claim), ..gone(&world, true) }.tombstone(world.now).expect("a tombstone");
        assert!(stone["data"]["lastBackupOutcome"].as_str().is_some_and(|text| text.starts_with("Verified")));
        let before = stored(&stone);
        let again = Gone { claim: Some(&ending), before: Some(&before), ..gone(&world, false) };
        assert_eq!(again.tombstone(world.now), None);
    }
}
