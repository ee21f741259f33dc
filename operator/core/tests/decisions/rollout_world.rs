//! A world of the workloads of an engine that introduces revisions within seconds.

use crds::{Rollout, RolloutGate, RolloutPhase, RolloutStep};
use engine_core::{
    rollout::{
        counts::{Quality, Tally},
        metric::Metric,
        pairing::Pairing,
    },
    wire::{CanaryReads, CanaryReport, RehearsalReport},
};
use jiff::SignedDuration;
use operator_core::{
    anchor::expected::expected_history,
    conditions::ConditionType,
    names::{ChildKey, ChildKind, ROLLOUT_ANNOTATION},
    observed::Observed,
    plan::plan,
    pod::PodView,
    rollout::{DrillEnd, PodGrant, Reporting, RolloutView, Turn, turn},
    status::{Outcome, status},
};
use serde_json::json;

use crate::world::{carry_out, edit, engine, observed, valid};

pub(crate) const OLD: &str = "registry.example/engine:1";
pub(crate) const NEW: &str = "registry.example/engine:2";

/// An engine with two readers whose revision is introduced within seconds.
pub(crate) struct World {
    pub(crate) observed: Observed,
    /// What the writer reports about the canary.
    pub(crate) tally: Tally,
    /// What the canary reports about itself.
    pub(crate) own: Tally,
    /// Whether the process of the writer's pod is away for a moment.
    pub(crate) is_writer_away: bool,
    /// Whether the canary has a pod.
    pub(crate) has_canary_pod: bool,
    /// What the pods that answer were granted last: the revision, the reads and the weight.
    pub(crate) granted: Option<(String, CanaryReads, u8)>,
    /// The grants of the last turn.
    pub(crate) grants: Vec<PodGrant>,
    /// What the pods of drills have said.
    pub(crate) drills: Vec<DrillEnd>,
    /// What the pods that answer report of their rehearsals.
    pub(crate) rehearsal: Option<RehearsalReport>,
    /// How often the state was written.
    pub(crate) writes: usize,
    /// The images of the readers and of the writer, whenever they changed.
    pub(crate) seen: Vec<[String; 2]>,
}

impl World {
    pub(crate) fn settled() -> Self {
        let mut resource = engine();
        resource.spec.image = Some(OLD.to_owned());
        resource.spec.readers.replicas = 2;
        resource.spec.writer.storage.class_name = Some("fast".to_owned());
        resource.spec.rollout = Some(Rollout {
            dark_launch_seconds: Some(2),
            shadow_seconds: Some(2),
            canary: Some(vec![
                RolloutStep { weight: 10, seconds: 2 },
                RolloutStep { weight: 50, seconds: 2 },
            ]),
            soaking_seconds: Some(2),
            gates: Some(vec![RolloutGate::Error, RolloutGate::Digest, RolloutGate::Readiness]),
            drills: None,
            rehearsal: None,
            ready_deadline_seconds: None,
            pair_interval_millis: Some(100),
        });
        let mut world = Self {
            observed: observed(resource),
            tally: unpaired(),
            own: Tally::default(),
            is_writer_away: false,
            has_canary_pod: true,
            granted: None,
            grants: Vec::new(),
            drills: Vec::new(),
            rehearsal: None,
            writes: 0,
            seen: Vec::new(),
        };
        (0..4).for_each(|_| world.turn(1));
        assert_eq!(world.phase(), RolloutPhase::Stable, "{}", world.message());
        world
    }

    /// A reconcile after so many seconds. The pods are as their workloads want them.
    pub(crate) fn turn(&mut self, seconds: i64) {
        self.observed.now += SignedDuration::from_secs(seconds);
        self.report();
        let asked = valid(&self.observed);
        let Turn { valid, is_changed, .. } = turn(&self.observed, &asked).expect("a rollout");
        let rolled = valid.rolled.clone().expect("a rollout");
        let mut resource = self.observed.engine.as_ref().clone();
        if is_changed {
            self.writes += 1;
            resource.status.get_or_insert_default().rollout = Some(rolled.status.clone());
            self.observed.engine = resource.clone().into();
        }
        self.grants = rolled.grants;
        let plan = plan(&self.observed, &valid, &expected_history(&self.observed));
        carry_out(&mut self.observed, &plan, usize::MAX);
        self.controllers();
        let outcome = Outcome::Applied { valid: &valid, plan: &plan, done: &Default::default() };
        resource.status = Some(status(&self.observed, &expected_history(&self.observed), &outcome));
        self.observed.engine = resource.into();
        let images = [self.image("notes-readers"), self.image("notes")];
        if self.seen.last() != Some(&images) {
            self.seen.push(images);
        }
    }

    /// The StatefulSets have made their pods.
    pub(crate) fn controllers(&mut self) {
        for name in ["notes", "notes-readers", "notes-canary"] {
            let key = ChildKey { kind: ChildKind::StatefulSet, name: name.to_owned() };
            let Some(set) = self.observed.children.get(&key) else { continue };
            let replicas = set.data["spec"]["replicas"].clone();
            let status = json!({
                "observedGeneration": set.metadata.generation, "updatedReplicas": replicas, "readyReplicas": replicas,
            });
            edit(&mut self.observed, ChildKind::StatefulSet, name, "/status", status);
        }
    }

    pub(crate) fn report(&mut self) {
        let pod = |name: &str| PodView {
            name: name.to_owned(),
            uid: Some(format!("uid-of-{name}")),
            ip: Some("10.0.0.9".to_owned()),
            running: true,
            ready: true,
            ..PodView::default()
        };
        let reporting = |name: &str, granted: Option<(String, CanaryReads, u8)>, tally: &Tally| Reporting {
            pod: pod(name),
            report: Ok(Box::new(CanaryReport {
                revision: granted.as_ref().map(|(revision, ..)| revision.clone()),
                reads: granted.as_ref().map_or(CanaryReads::Off, |(_, reads, _)| *reads),
                weight: granted.map_or(0, |(.., weight)| weight),
                tally: tally.clone(),
                rehearsal: self.rehearsal,
                ..CanaryReport::default()
            })),
        };
        if let Some(last) = self.grants.first() {
            self.granted =
                last.grant.as_ref().map(|grant| (grant.revision.clone(), grant.reads, grant.weight));
        }
        let has = |name: &str| {
            let key = ChildKey { kind: ChildKind::StatefulSet, name: name.to_owned() };
            self.observed.children.contains_key(&key)
        };
        self.observed.rollout = Some(RolloutView {
            // Of the readers only one has clients, and both count the gaps that there are.
            serving: [
                ("notes-0", has("notes") && !self.is_writer_away),
                ("notes-readers-0", has("notes-readers")),
            ]
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .map(|(name, _)| {
                let tally = match name {
                    "notes-0" => self.tally.clone(),
                    _ => Tally {
                        quality: Quality { gaps: self.tally.quality.gaps, ..Quality::default() },
                        ..unpaired()
                    },
                };
                reporting(name, self.granted.clone(), &tally)
            })
            .collect(),
            canary: (has("notes-canary") && self.has_canary_pod)
                .then(|| reporting("notes-canary-0", None, &self.own)),
            unread: None,
            drills: self.drills.clone(),
        });
        self.own.add(Metric::Digest, false, false);
    }

    pub(crate) fn pairs(&mut self, number: u64, canary_bad: bool) {
        (0..number).for_each(|_| self.tally.add(Metric::Error, canary_bad, false));
        self.tally.quality.taken += number;
        self.tally.quality.live += number;
    }

    pub(crate) fn ask(&mut self, image: &str) {
        let mut resource = self.observed.engine.as_ref().clone();
        resource.spec.image = Some(image.to_owned());
        resource.metadata.generation = resource.metadata.generation.map(|generation| generation + 1);
        self.observed.engine = resource.into();
        // The writer and the canary are other processes from now on.
        (self.tally, self.own) = (unpaired(), Tally::default());
    }

    pub(crate) fn annotate(&mut self, text: &str) {
        let mut resource = self.observed.engine.as_ref().clone();
        resource.metadata.annotations = Some([(ROLLOUT_ANNOTATION.to_owned(), text.to_owned())].into());
        self.observed.engine = resource.into();
    }

    pub(crate) fn image(&self, set: &str) -> String {
        let key = ChildKey { kind: ChildKind::StatefulSet, name: set.to_owned() };
        let image = self.observed.children.get(&key).map(|set| {
            set.data["spec"]["template"]["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        });
        image.unwrap_or_default()
    }

    pub(crate) fn rollout(&self) -> crds::RolloutStatus {
        self.observed.engine.status.clone().and_then(|status| status.rollout).expect("a rollout")
    }

    pub(crate) fn phase(&self) -> RolloutPhase {
        self.rollout().phase
    }

    pub(crate) fn message(&self) -> String {
        self.rollout().message
    }

    pub(crate) fn condition(&self, kind: ConditionType) -> (String, String) {
        let status = self.observed.engine.status.clone().expect("a status");
        let one = status.conditions.iter().find(|one| one.type_ == kind.as_str()).expect("a condition");
        (one.status.clone(), one.reason.clone())
    }

    /// Turns, with good pairs where there are reads, until the phase is reached.
    pub(crate) fn until(&mut self, phase: RolloutPhase) {
        for _ in 0..40 {
            if self.phase() == phase {
                return;
            }
            let reads = self.grants.iter().filter_map(|grant| grant.grant.as_ref());
            if reads.clone().any(|grant| grant.reads != CanaryReads::Off) {
                self.pairs(300, false);
            }
            self.turn(1);
        }
        panic!("{:?} instead of {phase:?}: {}", self.phase(), self.message());
    }
}

/// The counters of a process that has compared nothing: there is one of each gate.
pub(crate) fn unpaired() -> Tally {
    Pairing::new(0).tally().clone()
}
