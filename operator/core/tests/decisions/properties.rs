//! Properties that hold in every world, tested with generated worlds.

use std::sync::Arc;

use crds::Quantity;
use engine_core::wire::StorageReason;
use operator_core::{
    names::{ChildKey, ChildKind},
    observed::{EngineReport, Observed, StorageClassView},
    plan::Request,
    pod::OtherContainer,
};
use proptest::prelude::*;
use serde_json::json;

use crate::world::{condition, edit, health, planned, settled, status_of};

pub(crate) fn worlds() -> impl Strategy<Value = Observed> {
    let pods = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 0..6i64, 0..4usize);
    let claims = (0..3usize, 0..3usize);
    (pods, claims, 0..6usize, 0..3i64, any::<u16>(), any::<bool>()).prop_map(make)
}

type Draw = ((bool, bool, bool, bool, i64, usize), (usize, usize), usize, i64, u16, bool);

fn make(
    (
        (there, ready, running, deleting, restarts, waiting),
        (phase, class),
        report,
        set_generation,
        missing,
        egress,
    ): Draw,
) -> Observed {
    let mut world = settled();
    let pod = world.writer_mut().pod.as_mut().expect("a pod");
    (pod.ready, pod.running, pod.deleting, pod.restarts) = (ready, running, deleting, restarts);
    pod.engine_ready = ready || missing & 1 == 1;
    if missing & 2 == 2 {
        pod.others.push(OtherContainer { name: "daprd".into(), restarts, ..OtherContainer::default() });
    }
    let words = ["", "ImagePullBackOff", "CreateContainerError", "ContainerCreating"];
    pod.waiting = (waiting > 0).then(|| (words[waiting].to_owned(), "because".to_owned()));
    if !there {
        world.writer_mut().pod = None;
    }
    world.writer_mut().report = match report {
        0 => EngineReport::NotQueried,
        1 => EngineReport::Unreachable("no answer".into()),
        2 => EngineReport::Answered(Box::new(health(Some(StorageReason::VolumeFull)))),
        3 => EngineReport::Answered(Box::new(health(Some(StorageReason::IoError)))),
        4 => EngineReport::Answered(Box::new(health(Some(StorageReason::LogCorrupt)))),
        _ => EngineReport::Answered(Box::new(health(None))),
    };
    world.storage_class = match class {
        0 => StorageClassView::NotQueried,
        1 => StorageClassView::Missing("fast".into()),
        _ => StorageClassView::Found { name: "standard".into(), expandable: false },
    };
    let phase = ["Bound", "Pending", "Lost"][phase];
    edit(&mut world, ChildKind::PersistentVolumeClaim, "notes-data", "/status/phase", json!(phase));
    edit(&mut world, ChildKind::StatefulSet, "notes", "/metadata/generation", json!(set_generation));
    if egress {
        edit(&mut world, ChildKind::NetworkPolicy, "notes", "/spec/egress", json!([{}]));
    }
    let mut bit = 0;
    world.children.retain(|_, _| {
        bit += 1;
        missing & (1 << (bit - 1)) == 0 || missing < 1 << 15
    });
    world
}

proptest! {
    /// In kstatus, a resource is either in progress or stalled, not both.
    #[test]
    fn reconciling_and_stalled_are_never_both_true(world in worlds()) {
        let status = status_of(&world);
        let is = |kind| condition(&status, kind).starts_with("True");
        prop_assert!(!(is("Reconciling") && is("Stalled")), "{:?}", status.conditions);
    }

    /// Ready is true only if the pod is ready and its engine has reported, and never while Stalled is true.
    #[test]
    fn ready_needs_evidence(world in worlds()) {
        let status = status_of(&world);
        if condition(&status, "Ready").starts_with("True") {
            prop_assert!(world.writer().pod.as_ref().is_some_and(|pod| pod.ready && !pod.deleting));
            prop_assert!(matches!(&world.writer().report, EngineReport::Answered(health) if health.storage.writable));
            prop_assert!(condition(&status, "Stalled").starts_with("False"));
        }
    }

    /// Every condition that reports a problem has a message, and every condition names the present generation.
    #[test]
    fn conditions_are_complete(world in worlds()) {
        let status = status_of(&world);
        prop_assert_eq!(status.observed_generation, Some(1));
        for condition in &status.conditions {
            prop_assert!(!condition.message.is_empty(), "{:?}", condition);
            prop_assert_eq!(condition.observed_generation, Some(1));
        }
    }

    /// A second reconcile of the same world results in the same conditions.
    #[test]
    fn a_status_is_its_own_next(world in worlds()) {
        let first = status_of(&world);
        let mut engine = world.engine.as_ref().clone();
        engine.status = Some(first.clone());
        let again = Observed { engine: Arc::new(engine), ..world };
        // Excludes worlds whose claim is missing although the log had events: only the second reconcile can detect this
        // loss.
        prop_assume!(again.children.keys().any(|key| key.kind == ChildKind::PersistentVolumeClaim));
        prop_assert_eq!(status_of(&again), first);
    }

    /// No plan deletes a claim, or requests less storage than the claim does.
    #[test]
    fn no_plan_touches_memories(mut world in worlds(), size in 1..40_u32, wanted in 1..40_u32) {
        Arc::make_mut(&mut world.engine).spec.writer.storage.size = Quantity(format!("{wanted}Gi"));
        let claim = ChildKey { kind: ChildKind::PersistentVolumeClaim, name: "notes-data".into() };
        let exists = world.children.contains_key(&claim);
        if exists {
            let path = "/spec/resources/requests/storage";
            edit(&mut world, claim.kind, &claim.name, path, json!(format!("{size}Gi")));
        }
        for write in planned(&world).writes().filter(|write| write.key().kind == claim.kind) {
            match write.request() {
                Request::Delete => prop_assert!(false, "{write:?}"),
                Request::Apply(object) => {
                    let requested = object.pointer("/spec/resources/requests/storage");
                    let requested = requested.and_then(|size| size.as_str()).expect("a size").to_owned();
                    let floor = Quantity(format!("{}Gi", if exists { size } else { 0 }));
                    prop_assert!(Quantity(requested).milli().ok() >= floor.milli().ok(), "{write:?}");
                }
                Request::Merge(patch) => prop_assert!(patch.get("spec").is_none(), "{write:?}"),
            }
        }
    }
}
