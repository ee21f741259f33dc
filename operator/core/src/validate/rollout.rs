//! Validates `spec.rollout`.

use std::collections::BTreeSet;

use crds::{
    AccessScope, AccessSecret, CANARY_STEPS_MAX, MemoryEngineSpec, PAIR_INTERVAL_MILLIS, REHEARSAL_QUESTIONS,
    REHEARSAL_SECONDS, RolloutDrills, RolloutGate, RolloutRehearsal, RolloutStep, STEP_SECONDS_MAX,
};
use engine_core::digest::Hash;
use engine_core::wire::CanaryRehearsal;

use super::{Valid, check_range, fault::Fault, is_anonymous_allowed};
use crate::{
    rollout::{CanaryStep, Metric, READY_POD_S, Revision, Settings, gate_of},
    secrets::EVERY_PROJECT,
};

/// Bounds of the time that a pod of a revision may take until it is ready, seconds. Starting one takes some on every
/// cluster.
const READY_DEADLINE_SECONDS: (i64, i64) = (30, 86_400);
/// Longest time between two looks at a rollout that moves, seconds.
const LOOK_SECONDS_MAX: i64 = 10;
/// Looks within the shortest step.
const LOOKS_OF_A_STEP: i64 = 10;

/// How a new revision is introduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidRollout {
    /// The steps and the gates.
    pub ladder: Settings,
    /// Shortest time between two pairs, milliseconds.
    pub pair_interval_ms: u32,
    /// Time between two looks at a rollout that moves, seconds.
    pub look_s: i64,
    /// The recorded questions that are asked again; `None` without them.
    pub rehearsal: Option<CanaryRehearsal>,
    /// The drills before each step; `None` without them.
    pub drills: Option<ValidDrills>,
}

/// The drills before each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidDrills {
    /// The key with which they ask, if they need one.
    pub key: Option<AccessSecret>,
}

impl Valid {
    /// The revision that the spec asks for.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision {
            image: self.image.clone(),
            embedding: self.embedding.clone(),
            rerank: self.rerank.clone(),
            policy: self.policy.clone(),
        }
    }

    /// The spec with this revision, and everything else as it is. The identity of the spec that a pod is built from
    /// contains the revision: a pod that takes another one does so because the spec was changed.
    #[must_use]
    pub fn with_revision(&self, revision: &Revision) -> Self {
        let Revision { image, embedding, rerank, policy } = revision.clone();
        let mut applied = Self { image, embedding, rerank, policy, ..self.clone() };
        let inputs = format!("{} {}", self.update.inputs, revision.name());
        applied.update.inputs = Hash::of(inputs.as_bytes()).to_string();
        applied.update.revision = Some(revision.name());
        applied
    }
}

pub(super) fn check(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) -> Option<ValidRollout> {
    let rollout = spec.rollout.as_ref()?;
    let usual = Settings::default();
    let mut seconds = |field: &'static str, given: Option<i32>, usual: u64| {
        let Some(given) = given else { return usual };
        check_range(field, given.into(), (0, STEP_SECONDS_MAX.into()), faults);
        u64::from(given.unsigned_abs())
    };
    let dark_launch_s =
        seconds("spec.rollout.darkLaunchSeconds", rollout.dark_launch_seconds, usual.dark_launch_s);
    let shadow_s = seconds("spec.rollout.shadowSeconds", rollout.shadow_seconds, usual.shadow_s);
    let soaking_s = seconds("spec.rollout.soakingSeconds", rollout.soaking_seconds, usual.soaking_s);
    let canary = match &rollout.canary {
        Some(steps) => canary(steps, faults),
        None => usual.canary,
    };
    let interval = rollout.pair_interval_millis.unwrap_or(PAIR_INTERVAL_MILLIS[1]);
    let bounds = (PAIR_INTERVAL_MILLIS[0].into(), PAIR_INTERVAL_MILLIS[2].into());
    check_range("spec.rollout.pairIntervalMillis", interval.into(), bounds, faults);
    let drills = rollout.drills.as_ref().map(|wanted| drills(wanted, spec, faults));
    let ready_s = match rollout.ready_deadline_seconds {
        Some(wanted) => {
            check_range("spec.rollout.readyDeadlineSeconds", wanted.into(), READY_DEADLINE_SECONDS, faults);
            wanted.unsigned_abs().into()
        }
        None => READY_POD_S,
    };
    let pods = u64::from(spec.readers.replicas.unsigned_abs()) + 1;
    let ladder = Settings {
        dark_launch_s,
        shadow_s,
        canary,
        ready_s,
        promoting_s: pods * ready_s,
        soaking_s,
        gates: gates(rollout.gates.as_deref()),
    };
    Some(ValidRollout {
        look_s: look_s(&ladder),
        ladder,
        pair_interval_ms: interval.unsigned_abs(),
        rehearsal: rollout.rehearsal.map(|wanted| rehearsal(wanted, faults)),
        drills,
    })
}

fn rehearsal(wanted: RolloutRehearsal, faults: &mut Vec<Fault>) -> CanaryRehearsal {
    let mut number = |field: &'static str, given: Option<i32>, [least, usual, most]: [i32; 3]| {
        let given = given.unwrap_or(usual);
        check_range(field, given.into(), (least.into(), most.into()), faults);
        given.unsigned_abs()
    };
    CanaryRehearsal {
        since_seconds: number("spec.rollout.rehearsal.sinceSeconds", wanted.since_seconds, REHEARSAL_SECONDS),
        questions: number("spec.rollout.rehearsal.questions", wanted.questions, REHEARSAL_QUESTIONS),
    }
}

/// The drills with their key. Where every request needs one, it has to read and write in every project: a drill has a
/// project of its own.
fn drills(wanted: &RolloutDrills, spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) -> ValidDrills {
    let access = spec.access.as_ref();
    let Some(name) = &wanted.access_key else {
        if !is_anonymous_allowed(spec.deployment_mode, access) {
            faults.push(Fault::DrillKey("is missing: name one of spec.access.keys"));
        }
        return ValidDrills { key: None };
    };
    let Some(key) = access.and_then(|access| access.keys.iter().find(|key| key.name == *name)) else {
        faults.push(Fault::DrillKey("must be the name of one of spec.access.keys"));
        return ValidDrills { key: None };
    };
    let may = |scope| key.scopes.contains(&scope);
    if !may(AccessScope::Read) || !may(AccessScope::Write) {
        faults.push(Fault::DrillKey("must name a key with the scopes Read and Write"));
    }
    if key.projects != [EVERY_PROJECT] {
        faults.push(Fault::DrillKey("must name a key with the projects [\"*\"]"));
    }
    ValidDrills { key: Some(key.secret_ref.clone()) }
}

fn canary(steps: &[RolloutStep], faults: &mut Vec<Fault>) -> Vec<CanaryStep> {
    let number = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let most = i64::try_from(CANARY_STEPS_MAX).unwrap_or(i64::MAX);
    check_range("spec.rollout.canary", number, (0, most), faults);
    for step in steps {
        check_range("spec.rollout.canary.weight", step.weight.into(), (1, 100), faults);
        check_range("spec.rollout.canary.seconds", step.seconds.into(), (0, STEP_SECONDS_MAX.into()), faults);
    }
    let step = |step: &RolloutStep| CanaryStep {
        weight: u8::try_from(step.weight).unwrap_or(100),
        soak_s: u64::from(step.seconds.unsigned_abs()),
    };
    steps.iter().map(step).collect()
}

/// The gates in force. Without a list, those that are measured.
fn gates(named: Option<&[RolloutGate]>) -> BTreeSet<Metric> {
    let is_in_force = |metric: &Metric| match (gate_of(*metric), named) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(gate), Some(named)) => named.contains(&gate),
    };
    Metric::ALL.into_iter().filter(is_in_force).collect()
}

/// A step is looked at several times before it ends.
fn look_s(ladder: &Settings) -> i64 {
    let steps = [ladder.dark_launch_s, ladder.shadow_s, ladder.soaking_s].into_iter();
    let steps = steps.chain(ladder.canary.iter().map(|step| step.soak_s));
    let shortest = steps.filter(|seconds| *seconds > 0).min().unwrap_or_default();
    (i64::try_from(shortest).unwrap_or(i64::MAX) / LOOKS_OF_A_STEP).clamp(1, LOOK_SECONDS_MAX)
}
