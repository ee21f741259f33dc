//! Plans: what is written, in which order, and what is never written.

use std::sync::Arc;

use crds::{NetworkPolicyMode, Quantity};
use operator_core::{
    names::ChildKind,
    observed::StorageClassView,
    plan::{Plan, Write},
    storage::ClaimHold,
};
use serde_json::json;

use crate::world::{carry_out, edit, engine, observed, planned, settled, writes};

fn said(plan: &Plan) -> Vec<String> {
    plan.writes().map(|write| format!("{} {}", write.verb(), write.key())).collect()
}

#[test]
fn a_new_engine_gets_its_claim_first_and_its_pod_last() {
    insta::assert_yaml_snapshot!(said(&planned(&observed(engine()))), @r"
    - create PersistentVolumeClaim/notes-data
    - create ConfigMap/notes-anchor
    - create ServiceAccount/notes
    - create ConfigMap/notes-config
    - create Service/notes
    - create Service/notes-headless
    - create NetworkPolicy/notes
    - create PodDisruptionBudget/notes
    - create StatefulSet/notes
    ");
}

/// The next reconcile completes an interrupted one, and the reconcile after it writes nothing.
#[test]
fn planning_again_does_the_rest_and_then_nothing() {
    let all = said(&planned(&observed(engine())));
    for stopped_after in 0..=all.len() {
        let mut world = observed(engine());
        let plan = planned(&world);
        carry_out(&mut world, &plan, stopped_after);
        let rest = planned(&world);
        assert_eq!(said(&rest), all[stopped_after..], "stopped after {stopped_after}");
        carry_out(&mut world, &rest, usize::MAX);
        assert_eq!(planned(&world), Plan::default(), "stopped after {stopped_after}");
    }
}

#[test]
fn a_settled_engine_needs_nothing() {
    assert_eq!(planned(&settled()), Plan::default());
}

#[test]
fn drift_is_repaired_where_it_is() {
    let check = |kind, name: &str, pointer: &str, to| {
        let mut world = settled();
        edit(&mut world, kind, name, pointer, to);
        let plan = planned(&world);
        assert_eq!(said(&plan), [format!("repair {}/{name}", kind.kind())], "{pointer}");
        carry_out(&mut world, &plan, 1);
        assert_eq!(planned(&world), Plan::default(), "{pointer} again");
    };
    check(ChildKind::ConfigMap, "notes-config", "/data/config.yaml", json!("log: {level: trace}"));
    check(ChildKind::Service, "notes", "/spec/selector", json!({"app": "other"}));
    check(ChildKind::NetworkPolicy, "notes", "/spec/egress", json!([{}]));
    check(ChildKind::StatefulSet, "notes", "/spec/replicas", json!(3));
    check(ChildKind::StatefulSet, "notes", "/metadata/ownerReferences", json!([]));
    check(ChildKind::ServiceAccount, "notes", "/metadata/labels", json!({}));
}

/// A field was removed from the spec: the object is applied again, which removes the field unless someone else owns it.
#[test]
fn a_field_that_is_wanted_no_more_is_taken_away() {
    let mut with = engine();
    with.spec.writer.node_selector.insert("disktype".into(), "ssd".into());
    let mut world = observed(with);
    for _ in 0..2 {
        let plan = planned(&world);
        carry_out(&mut world, &plan, plan.writes().count());
    }
    assert_eq!(planned(&world), Plan::default());
    world.engine = Arc::new(engine());
    assert_eq!(said(&planned(&world)), ["update StatefulSet/notes"]);
}

#[test]
fn what_others_add_beside_is_theirs() {
    let mut world = settled();
    edit(&mut world, ChildKind::Service, "notes", "/metadata/annotations/cost-centre", json!("7"));
    edit(&mut world, ChildKind::StatefulSet, "notes", "/spec/template/spec/dnsPolicy", json!("ClusterFirst"));
    assert_eq!(planned(&world), Plan::default());
}

/// While one of the engine's names belongs to an object of someone else, nothing of the engine is created, and this
/// object is never written.
#[test]
fn a_foreign_object_stops_creation_and_is_left_alone() {
    let mut world = settled();
    let service = world
        .children
        .iter()
        .find(|(key, _)| key.kind == ChildKind::Service)
        .map(|(k, v)| (k.clone(), v.clone()));
    let (key, ours) = service.expect("a Service");
    let mut foreign = ours.as_ref().clone();
    foreign.metadata.owner_references = None;
    (foreign.metadata.labels, foreign.metadata.annotations) = (None, None);
    world.children.retain(|_, _| false);
    world.children.insert(key.clone(), Arc::new(foreign));
    let plan = planned(&world);
    assert_eq!(plan.conflicts, [key]);
    assert_eq!(writes(&plan), []);
}

/// The operator adopts a child that a deleted engine of the same name left behind.
#[test]
fn what_bears_the_marks_and_nobody_owns_is_adopted() {
    let mut world = settled();
    edit(&mut world, ChildKind::Service, "notes", "/metadata/ownerReferences", json!([]));
    assert_eq!(said(&planned(&world)), ["repair Service/notes"]);
    let another =
        json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "another", "controller": true}]);
    edit(&mut world, ChildKind::Service, "notes", "/metadata/ownerReferences", another);
    assert_eq!(
        planned(&world).conflicts.len(),
        1,
        "an object of another controller is foreign, whatever its labels"
    );
}

#[test]
fn what_is_not_wanted_any_more_goes_exactly_as_it_was_seen() {
    let mut world = settled();
    let mut engine = world.engine.as_ref().clone();
    engine.spec.exposure.network_policy = NetworkPolicyMode::Disabled;
    world.engine = Arc::new(engine);
    let plan = planned(&world);
    let Some(Write::Delete { key, uid, resource_version }) = plan.writes().next() else { panic!("{plan:?}") };
    assert_eq!(
        (key.to_string().as_str(), uid.as_str(), resource_version.as_str()),
        ("NetworkPolicy/notes", "uid-of-NetworkPolicy/notes", "7")
    );
    assert_eq!(plan.writes().count(), 1);
}

#[test]
fn an_engine_that_is_being_deleted_is_left_to_garbage_collection() {
    let mut world = observed(engine());
    let mut engine = world.engine.as_ref().clone();
    engine.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.engine = Arc::new(engine);
    assert_eq!(planned(&world), Plan::default());
}

fn grown(class: StorageClassView) -> Plan {
    let mut world = settled();
    let mut engine = world.engine.as_ref().clone();
    engine.spec.writer.storage.size = Quantity("20Gi".into());
    world.engine = Arc::new(engine);
    world.storage_class = class;
    planned(&world)
}

#[test]
fn a_volume_grows_where_its_class_lets_it() {
    let class = |expandable| StorageClassView::Found { name: "standard".into(), expandable };
    assert_eq!(said(&grown(class(true))), ["update PersistentVolumeClaim/notes-data"]);
    let held = grown(class(false));
    let hold = ClaimHold::ExpansionUnsupported { class: "standard".into(), size: "10Gi".into() };
    assert_eq!(held.claim_hold, Some(hold));
    assert_eq!(writes(&held), []);
}

/// The claim was expanded by hand, or was adopted with a larger volume: it is not written with a smaller size, which
/// the API server would always refuse.
#[test]
fn a_volume_larger_than_the_spec_is_left_at_its_size() {
    let mut world = settled();
    let claim = ChildKind::PersistentVolumeClaim;
    edit(&mut world, claim, "notes-data", "/spec/resources/requests/storage", json!("50Gi"));
    assert_eq!(planned(&world), Plan::default());
}

/// If the volume is lost, no new claim is created: the log must never silently begin again.
#[test]
fn a_lost_volume_is_not_replaced_by_an_empty_one() {
    let mut world = settled();
    let mut engine = world.engine.as_ref().clone();
    engine.status = Some(crate::world::status_of(&world));
    world.engine = Arc::new(engine);
    world.children.retain(|key, _| key.kind != ChildKind::PersistentVolumeClaim);
    let plan = planned(&world);
    assert_eq!(plan.claim_hold, Some(ClaimHold::VolumeLost { head_seq: 42 }));
    assert_eq!(writes(&plan), []);
}
