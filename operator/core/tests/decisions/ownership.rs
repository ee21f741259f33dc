//! Which engine an object belongs to after it was restored from a backup, applied from a saved manifest, or created by
//! hand.

use std::sync::Arc;

use kube_core::DynamicObject;
use operator_core::{
    anchor::{
        expected::{ExpectedHistory, expected_history},
        record::{ClaimRecord, Record},
    },
    names::{ChildKey, ChildKind},
    observed::Observed,
    ownership::is_ours,
    plan::{Plan, Write},
    storage::ClaimHold,
};
use serde_json::{Value, json};

use crate::history::*;
use crate::world::{carry_out, condition, edit, planned, settled, status_of, writes};

fn claim_key() -> ChildKey {
    ChildKey { kind: ChildKind::PersistentVolumeClaim, name: "notes-data".into() }
}

/// A world whose claim is gone and whose engine reports this. Also returns the lost claim.
fn lost() -> (Observed, Arc<DynamicObject>) {
    let mut world = anchored(5);
    let claim = world.children.remove(&claim_key()).expect("a claim");
    look(&mut world, &log(5));
    assert_eq!(condition(&stored(&world), "Stalled"), "True/VolumeLost");
    (world, claim)
}

fn put_back(world: &mut Observed, claim: &Value) {
    world.children.insert(claim_key(), Arc::new(serde_json::from_value(claim.clone()).expect("a claim")));
}

/// A claim created with `kubectl create`. It is a new object, and has none of the operator's labels and annotations.
fn by_hand() -> Value {
    json!({
        "metadata": {"name": "notes-data", "namespace": "team", "uid": "another", "resourceVersion": "90"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "pv-1",
            "resources": {"requests": {"storage": "10Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}},
    })
}

#[test]
fn a_claim_that_was_brought_back_is_taken_over() {
    let (world, saved) = lost();
    let saved = serde_json::to_value(saved.as_ref()).expect("JSON");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claim = saved.clone();
        claim["metadata"]["uid"] = json!("another");
        change(&mut claim);
        claim
    };
    let dead = json!([{"apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine", "name": "notes",
        "uid": "dead", "controller": true}]);
    let check = |how: &str, claim: Value| {
        let mut world = world.clone();
        put_back(&mut world, &claim);
        let plan = look(&mut world, &log(5));
        assert_eq!((plan.conflicts.len(), plan.claim_hold), (0, None), "{how}");
        for _ in 0..2 {
            look(&mut world, &log(5));
        }
        assert_eq!(planned(&world), Plan::default(), "{how}");
        assert_eq!(integrity(&world), "True/Anchored", "{how}");
        assert!(matches!(note(&world), ClaimRecord::Known(Record { size: 5, .. })), "{how}");
        let claim = &world.children[&claim_key()];
        assert_eq!(claim.metadata.owner_references.as_deref().unwrap_or_default(), [], "{how}");
        for kind in ["Stalled", "Reconciling"] {
            assert!(condition(&stored(&world), kind).starts_with("False"), "{how}");
        }
    };
    check("as it was", with(&|_| {}));
    check("by hand", by_hand());
    check("without labels", with(&|claim| claim["metadata"]["labels"] = Value::Null));
    check("without the annotation", with(&|claim| claim["metadata"]["annotations"] = Value::Null));
    check(
        "by Velero",
        with(&|claim| claim["metadata"]["labels"]["velero.io/restore-name"] = json!("monday")),
    );
    check("with an owner that is gone", with(&|claim| claim["metadata"]["ownerReferences"] = dead.clone()));
    check(
        "labelled by someone else",
        with(&|claim| {
            claim["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
        }),
    );
    check(
        "of an older backup",
        with(&|claim| {
            claim["metadata"]["annotations"] = json!({"memoryengine.io/anchor": "{\"state\":\"new\"}"});
        }),
    );
}

/// The operator takes over a restored claim but does not trust it: it verifies the log against the anchor.
#[test]
fn a_claim_that_was_brought_back_with_another_log_is_told_apart() {
    let check = |found: &Log, reason: &str| {
        let (mut world, _) = lost();
        put_back(&mut world, &by_hand());
        serve(&mut world, found);
        look(&mut world, found);
        assert_eq!(integrity(&world), format!("False/{reason}"));
        assert!(matches!(expected_history(&world), ExpectedHistory::Extend { .. }));
    };
    check(&log(4), "LogTruncated");
    check(&Log { id: "log-2", ..log(9) }, "ForeignLog");
    check(&Log { history: 1, shared: 3, ..log(5) }, "LogForked");
    check(&Log { history: 1, seed: 2, ..log(5) }, "LogRewritten");
}

/// A claim that has the engine's name, but nothing that shows that it belongs to the engine, is left unchanged. No
/// message tells the user to delete it.
#[test]
fn a_claim_without_a_mark_is_left_alone_and_nobody_is_told_to_delete_it() {
    let check = |claim: Value| {
        let mut world = made_again(&settled());
        world.children.retain(|_, _| false);
        world.applied.clear();
        put_back(&mut world, &claim);
        let plan = planned(&world);
        assert_eq!((plan.conflicts.as_slice(), writes(&plan).as_slice()), (&[claim_key()][..], &[][..]));
        let status = status_of(&world);
        assert_eq!(condition(&status, "Stalled"), "True/NameConflict");
        assert_eq!(condition(&status, "StorageReady"), "False/NameConflict");
        assert_eq!(status.storage, None, "the volume belongs to someone else");
        for message in status.conditions.iter().map(|c| c.message.to_lowercase()) {
            assert!(!message.contains("delete") && !message.contains("remove"), "{message}");
        }
        // The user does what the message suggests.
        edit(
            &mut world,
            ChildKind::PersistentVolumeClaim,
            "notes-data",
            "/metadata/ownerReferences",
            json!([]),
        );
        let labels =
            json!({"memoryengine.io/engine": "notes", "app.kubernetes.io/managed-by": "memory-operator"});
        edit(&mut world, ChildKind::PersistentVolumeClaim, "notes-data", "/metadata/labels", labels);
        assert_eq!(planned(&world).conflicts, []);
    };
    check(by_hand());
    let mut owned = by_hand();
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x", "uid": "x", "controller": true}]);
    check(owned);
}

/// If a volume may hold memories, no message suggests deleting it.
#[test]
fn no_message_advises_to_delete_what_holds_memories() {
    use operator_core::observed::StorageClassView;
    let says = |world: &Observed| {
        let status = status_of(world);
        for condition in &status.conditions {
            let message = condition.message.to_lowercase();
            for bad in ["delete", "remove it", "and its claim"] {
                assert!(!message.contains(bad), "{}: {}", condition.reason, condition.message);
            }
        }
        condition(&status, "StorageReady")
    };
    let (mut world, saved) = lost();
    assert_eq!(says(&world), "False/VolumeLost");
    let mut pending = serde_json::to_value(saved.as_ref()).expect("JSON");
    pending["status"] = json!({"phase": "Pending"});
    put_back(&mut world, &pending);
    world.storage_class = StorageClassView::Missing("fast".into());
    assert_eq!(says(&world), "False/StorageClassMissing");
    // The message is the same if the resource was created again, so that only the claim records that there were
    // memories.
    assert_eq!(says(&made_again(&world)), "False/StorageClassMissing");
    pending["spec"]["storageClassName"] = Value::Null;
    put_back(&mut world, &pending);
    world.storage_class = StorageClassView::NotQueried;
    assert_eq!(says(&world), "False/NoDefaultStorageClass");
    pending["status"] = json!({"phase": "Lost"});
    put_back(&mut world, &pending);
    assert_eq!(says(&world), "False/VolumeLost");
}

/// Each child is created again from a saved manifest, in each way in which backups and users do this. The operator
/// takes it over, reports no conflict and removes owner references to earlier engines.
#[test]
fn a_child_restored_from_a_manifest_is_taken_over() {
    let world = anchored(5);
    let owner = |uid: &str, controller: bool| {
        json!({"apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine", "name": "notes", "uid": uid,
            "controller": controller})
    };
    let ways: [(&str, Value, bool, bool); 7] = [
        ("stale owner", json!([owner("dead", true)]), true, true),
        ("stale owner that is no controller", json!([owner("dead", false)]), true, true),
        ("stale owner, nothing else", json!([owner("dead", true)]), false, false),
        ("no owner", json!([]), true, true),
        ("no owner, no labels", json!([]), false, true),
        ("no owner, no annotations", json!([]), true, false),
        (
            "stale owner besides the right one",
            json!([owner("dead", false), owner("uid-of-notes", true)]),
            true,
            true,
        ),
    ];
    for key in world.children.keys() {
        for (way, owners, labels, annotations) in &ways {
            let mut world = world.clone();
            let mut saved = world.children[key].as_ref().clone();
            saved.metadata.uid = Some("made again".into());
            saved.metadata.owner_references = serde_json::from_value(owners.clone()).expect("owners");
            saved.metadata.labels = saved.metadata.labels.filter(|_| *labels);
            saved.metadata.annotations = saved.metadata.annotations.filter(|_| *annotations);
            assert!(is_ours(&world, key, &saved), "{key}: {way}");
            world.children.insert(key.clone(), Arc::new(saved));
            let plan = planned(&world);
            assert_eq!((plan.conflicts.as_slice(), &plan.claim_hold), (&[][..], &None), "{key}: {way}");
            carry_out(&mut world, &plan, usize::MAX);
            assert_eq!(planned(&world), Plan::default(), "{key}: {way}");
            let owners = world.children[key].metadata.owner_references.clone().unwrap_or_default();
            assert!(owners.iter().all(|owner| owner.uid == "uid-of-notes"), "{key}: {way}: {owners:?}");
            assert_eq!(
                owners.len(),
                usize::from(key.kind != ChildKind::PersistentVolumeClaim),
                "{key}: {way}"
            );
        }
    }
}

/// The owner reference to the earlier engine is removed before the right one is set: the API server accepts only one
/// controlling owner.
#[test]
fn a_stale_owner_goes_before_the_right_one_comes() {
    let mut world = settled();
    let stale = json!([
        {"apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine", "name": "notes", "uid": "dead", "controller": true},
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "keeps", "uid": "keeps"},
    ]);
    edit(&mut world, ChildKind::Service, "notes", "/metadata/ownerReferences", stale);
    let plan = planned(&world);
    assert_eq!(said(&plan), ["release Service/notes", "repair Service/notes"]);
    let Some(Write::Release { uid, resource_version, owners, .. }) = plan.writes().next() else {
        panic!("{plan:?}")
    };
    assert_eq!((uid.as_str(), resource_version.as_str()), ("uid-of-Service/notes", "7"));
    assert_eq!(owners.iter().map(|owner| owner.uid.as_str()).collect::<Vec<_>>(), ["keeps"]);
}

/// An object that someone else controls is never taken over, whatever labels and annotations it has.
#[test]
fn marks_do_not_make_an_object_ours_that_has_another_owner() {
    let mut world = settled();
    let mut check = |owner: Value| {
        for name in ["notes", "notes-headless"] {
            edit(&mut world, ChildKind::Service, name, "/metadata/ownerReferences", json!([owner]));
        }
        assert_eq!(planned(&world).conflicts.len(), 2, "{owner}");
        assert_eq!(writes(&planned(&world)), []);
    };
    let engine = |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "name": name, "uid": "another", "controller": true});
    check(engine("MemoryEngine", "memoryengine.io/v1alpha1", "diary"));
    check(engine("MemoryEngine", "example.com/v1alpha1", "notes"));
    check(engine("Deployment", "apps/v1", "notes"));
}

/// An object with another engine's labels is not taken over. Two engines can need the same name: the headless Service
/// of an engine `a` has the name of the Service of an engine `a-headless`.
#[test]
fn an_object_labelled_for_another_engine_is_not_taken_over() {
    let mut world = settled();
    edit(&mut world, ChildKind::Service, "notes", "/metadata/ownerReferences", json!([]));
    let labels =
        json!({"memoryengine.io/engine": "other", "app.kubernetes.io/managed-by": "memory-operator"});
    edit(&mut world, ChildKind::Service, "notes", "/metadata/labels", labels);
    let key = ChildKey { kind: ChildKind::Service, name: "notes".into() };
    assert_eq!(planned(&world).conflicts, [key]);
}

/// Backups do not keep managed fields, so neither their presence nor their absence affects a decision.
#[test]
fn managed_fields_decide_nothing() {
    let mut world = made_again(&settled());
    world.children.retain(|_, _| false);
    let ours = json!([{"manager": "memory-operator", "operation": "Apply"}]);
    let mut foreign = by_hand();
    foreign["metadata"]["managedFields"] = ours;
    put_back(&mut world, &foreign);
    assert_eq!(planned(&world).conflicts, [claim_key()]);
}

/// If an object cannot be read, nothing is created, and nothing is reported as lost.
#[test]
fn what_could_not_be_read_is_neither_missing_nor_lost() {
    let mut world = anchored(5);
    world.children.remove(&claim_key());
    world.unread.insert(claim_key(), "no answer".into());
    let plan = planned(&world);
    assert_eq!((writes(&plan).as_slice(), &plan.claim_hold), (&[][..], &None::<ClaimHold>));
    let status = status_of(&world);
    assert_eq!(condition(&status, "StorageReady"), "Unknown/ClaimPending");
    assert_eq!(condition(&status, "Stalled"), "False/NoObstacle");
    assert_eq!(condition(&status, "LogIntegrity"), "True/Anchored");
    // The status of a resource that was created again does not contain the record of the claim: nothing is anchored
    // before the claim can be read.
    let mut again = made_again(&world);
    serve(&mut again, &log(3));
    look(&mut again, &log(3));
    assert_eq!(stored(&again).log.and_then(|log| log.size), None);
}
