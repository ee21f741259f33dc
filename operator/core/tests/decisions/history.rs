//! Test logs with trees, keys and proofs, and a simulation of successive reconciles.

use std::sync::Arc;

use crds::{AcceptRollback, MemoryEngineStatus};
use engine_core::{
    checkpoint::Checkpoint,
    digest::Hash,
    merkle::{Frontier, consistency_proof, leaf},
    note::SignerKey,
    wire::{
        CheckpointAnswer, CheckpointView, GivenAnchor, IntegrityFault, IntegrityFaultKind, StorageReason,
    },
};
use jiff::SignedDuration;
use operator_core::{
    anchor::{
        checkpoint_query::{CheckpointQuery, checkpoint_query},
        expected::expected_history,
        record::{ClaimRecord, claim_record},
    },
    names::{ANCHOR_ANNOTATION, ChildKind},
    observed::{CheckpointReport, EngineReport, Observed},
    plan::Plan,
};
use serde_json::{Value, json};

use crate::world::{carry_out, condition, edit, essentials, health, planned, settled, status_of};

/// A log with its trees and keys. Its events are the numbers from 1. Logs with different `history` are forks of each
/// other.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) id: &'static str,
    pub(crate) history: u8,
    /// Number of first events that the log shares with the log of history 0.
    pub(crate) shared: u64,
    pub(crate) size: u64,
    pub(crate) seed: u8,
    pub(crate) vouched_by: Option<u8>,
}

pub(crate) fn log(size: u64) -> Log {
    Log { id: "log-1", history: 0, shared: 0, size, seed: 1, vouched_by: None }
}

impl Log {
    fn tree(&self) -> (Frontier, Vec<Hash>) {
        let (mut tree, mut stored) = (Frontier::empty(), Vec::new());
        for seq in 1..=self.size {
            let history = if seq <= self.shared { 0 } else { self.history };
            tree.push(leaf(&Hash::of(format!("event {seq} of {history}").as_bytes())), &mut stored);
        }
        (tree, stored)
    }

    pub(crate) fn key(&self, seed: u8) -> SignerKey {
        SignerKey::from_seed(&engine_core::checkpoint::origin(self.id), [seed; 32]).expect("a name")
    }

    pub(crate) fn view(&self) -> CheckpointView {
        let origin = engine_core::checkpoint::origin(self.id);
        let checkpoint =
            Checkpoint { origin, size: self.size, root: self.tree().0.root(), extensions: Vec::new() };
        let keys: Vec<SignerKey> =
            self.vouched_by.into_iter().chain([self.seed]).map(|seed| self.key(seed)).collect();
        let note = checkpoint.sign(&keys.iter().collect::<Vec<_>>()).expect("a complete note");
        checkpoint.view(&note, self.key(self.seed).verifier())
    }

    pub(crate) fn answer(&self, extends: Option<u64>) -> (Option<u64>, CheckpointAnswer) {
        let (_, stored) = self.tree();
        let read = |at: u64| Ok::<Hash, ()>(stored[usize::try_from(at).expect("small")]);
        let consistency = extends.map(|old| {
            let proof = consistency_proof(old, self.size, read).expect("reads").unwrap_or_default();
            proof.iter().map(ToString::to_string).collect()
        });
        (extends, CheckpointAnswer { checkpoint: self.view(), consistency })
    }
}

/// Changes the world so that its engine serves `log` and reports no fault.
pub(crate) fn serve(world: &mut Observed, log: &Log) {
    let mut report = health(None);
    report.log.id = log.id.into();
    report.log.seq = log.size;
    report.log.hash = Hash::of(format!("head {} {}", log.size, log.history).as_bytes()).to_string();
    report.log.checkpoint = Some(log.view());
    if let EngineReport::Answered(before) = &world.writer().report {
        report.log.integrity.anchor = before.log.integrity.anchor.clone();
    }
    world.writer_mut().report = EngineReport::Answered(Box::new(report));
    world.checkpoints = CheckpointReport::NotQueried;
}

/// Changes the world so that its engine reports this fault of its log.
pub(crate) fn find(world: &mut Observed, kind: IntegrityFaultKind) {
    let EngineReport::Answered(report) = &mut world.writer_mut().report else { panic!("no report") };
    report.storage.reason = Some(StorageReason::LogCorrupt);
    report.storage.writable = false;
    report.log.integrity.anchor = None;
    report.log.integrity.fault = Some(IntegrityFault {
        kind,
        message: format!("the engine says {kind:?}"),
        seq: 0,
        segment: None,
        line: None,
        byte: None,
    });
}

/// The query that the operator sends in this world.
pub(crate) fn asked(world: &Observed) -> Option<CheckpointQuery> {
    checkpoint_query(world, &essentials(world), &expected_history(world))
}

/// Simulates one reconcile: query, response, plan, writes, push to the engine, status. Returns the plan.
pub(crate) fn look(world: &mut Observed, log: &Log) -> Plan {
    world.anchor_acknowledged = false;
    world.checkpoints = match asked(world) {
        None => CheckpointReport::NotQueried,
        Some(CheckpointQuery { extends, .. }) if extends.is_empty() => {
            CheckpointReport::Answered(vec![log.answer(None)])
        }
        Some(CheckpointQuery { extends, .. }) => {
            CheckpointReport::Answered(extends.into_iter().map(|size| log.answer(Some(size))).collect())
        }
    };
    let plan = planned(world);
    carry_out(world, &plan, usize::MAX);
    if let (Some(given), EngineReport::Answered(report)) =
        (plan.pushed_anchor(), &mut world.writer_mut().report)
    {
        hear(given, report);
        world.anchor_acknowledged = true;
    }
    let status = status_of(world);
    let mut engine = world.engine.as_ref().clone();
    engine.status = Some(status);
    world.engine = Arc::new(engine);
    plan
}

/// Simulates an engine that receives an anchor and whose log extends this anchor.
pub(crate) fn hear(given: &GivenAnchor, report: &mut engine_core::wire::Health) {
    if let GivenAnchor::Known { anchor, .. } = given {
        report.log.integrity.anchor = Some(anchor.clone());
        report.log.integrity.fault = None;
        (report.storage.writable, report.storage.reason) = (true, None);
    }
}

pub(crate) fn later(world: &mut Observed, seconds: i64) {
    world.now += SignedDuration::from_secs(seconds);
}

/// A world with a log of this size whose anchor is recorded in every place.
pub(crate) fn anchored(size: u64) -> Observed {
    let mut world = settled();
    serve(&mut world, &log(size));
    for _ in 0..3 {
        look(&mut world, &log(size));
    }
    assert_eq!(planned(&world), Plan::default());
    world
}

pub(crate) fn stored(world: &Observed) -> MemoryEngineStatus {
    world.engine.status.clone().expect("a status")
}

pub(crate) fn integrity(world: &Observed) -> String {
    condition(&stored(world), "LogIntegrity")
}

pub(crate) fn message(world: &Observed) -> String {
    let status = stored(world);
    status.conditions.iter().find(|c| c.type_ == "LogIntegrity").expect("a condition").message.clone()
}

pub(crate) fn note(world: &Observed) -> ClaimRecord {
    claim_record(operator_core::storage::claim_of(world, "notes"))
}

pub(crate) fn annotate(world: &mut Observed, text: Option<&str>) {
    let path = "/metadata/annotations";
    let annotations = text.map_or(json!({}), |text| json!({ANCHOR_ANNOTATION: text}));
    edit(world, ChildKind::PersistentVolumeClaim, "notes-data", path, annotations);
}

pub(crate) fn given(world: &Observed) -> Value {
    let mut children = world.children.iter();
    let (_, map) = children.find(|(key, _)| key.name == "notes-anchor").expect("the ConfigMap");
    serde_json::from_str(map.data["data"]["anchor.json"].as_str().expect("a text")).expect("JSON")
}

pub(crate) fn said(plan: &Plan) -> Vec<String> {
    plan.writes().map(|write| format!("{} {}", write.verb(), write.key())).collect()
}

/// The same world after the resource was deleted and created again, with the old claim.
pub(crate) fn made_again(world: &Observed) -> Observed {
    let mut engine = world.engine.as_ref().clone();
    engine.status = None;
    Observed { engine: Arc::new(engine), ..world.clone() }
}

pub(crate) fn accept(world: &mut Observed, size: u64, root: &str, reason: &str) {
    let mut engine = world.engine.as_ref().clone();
    let size = i64::try_from(size).expect("small");
    engine.spec.integrity.accept_rollback =
        Some(AcceptRollback { size, root: root.into(), reason: reason.into() });
    world.engine = Arc::new(engine);
}
