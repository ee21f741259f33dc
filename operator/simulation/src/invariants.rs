//! What has to hold after every event, each with a name.

use std::collections::{BTreeMap, BTreeSet};

use operator_core::rollout::{
    Cause, FAILED_MAX, LEASE_S, Metric, PODS_MAX, RECORDS_MAX, State, Step, Verdict,
};

use crate::{
    cluster::{Cluster, Workload},
    steps::settings,
};

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub rule: &'static str,
    /// What was seen.
    pub seen: String,
}

/// What the world remembers to check against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Revisions that failed, and that nobody has asked to try again.
    pub(crate) failed: BTreeSet<String>,
    /// The true time at which the step began, and the step with its revision.
    step_began: Option<(i64, Step, Option<String>)>,
    /// The state at the last check, with the version of the resource.
    state: Option<(u64, State)>,
    /// The revision that each pod had at the last check.
    pods: BTreeMap<String, String>,
    /// When somebody last removed the state.
    pub(crate) lost_at_s: i64,
    /// The gates that have failed.
    pub(crate) failures: Vec<Metric>,
    /// Watched time that a jump of the clock can have added to the step, seconds.
    pub(crate) jumped_s: i64,
}

type Rule = (&'static str, fn(&Cluster, &State, &Memory) -> Result<(), String>);

const RULES: [Rule; 8] = [
    ("a weight only in a canary step or the promotion", weight_only_in_canary),
    ("a failed revision gets no weight", failed_gets_no_weight),
    ("a failed revision is not judged", failed_is_not_judged),
    ("never two rollouts", one_rollout),
    ("a pod changes to the stable revision or in the promotion", pods_change_in_promotion),
    ("the writer changes last", writer_changes_last),
    ("nothing counts twice", nothing_counts_twice),
    ("what is remembered is bounded", memory_is_bounded),
];

/// Checks all rules.
pub(crate) fn check(cluster: &Cluster, memory: &mut Memory) -> Result<(), Broken> {
    // Most events leave the resource as it is.
    let known = memory.state.take().filter(|(version, _)| *version == cluster.resource.version);
    let state = known.map_or_else(|| State::restore(cluster.resource.status.as_ref()), |(_, state)| state);
    for (rule, holds) in RULES {
        holds(cluster, &state, memory).map_err(|seen| Broken { rule, seen })?;
    }
    memory.follow(cluster, &state)?;
    memory.state = Some((cluster.resource.version, state));
    Ok(())
}

fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}

/// If somebody removes the state, the weight ends with the next step, and with its lease at the latest.
fn weight_only_in_canary(cluster: &Cluster, state: &State, memory: &Memory) -> Result<(), String> {
    let is_lost = state.step() == Step::Unknown && cluster.now_s < memory.lost_at_s + LEASE_S;
    let allowed = is_lost || matches!(state.step(), Step::Canary(_) | Step::Promoting);
    ensure(cluster.weight() == 0 || allowed, || format!("{} % in {:?}", cluster.weight(), state.step()))
}

fn failed_gets_no_weight(cluster: &Cluster, _: &State, memory: &Memory) -> Result<(), String> {
    let canary = cluster.canary.as_ref().map(|pod| pod.revision.as_str());
    let has_failed = canary.is_some_and(|revision| memory.failed.contains(revision));
    ensure(cluster.weight() == 0 || !has_failed, || format!("{canary:?} has {} %", cluster.weight()))
}

fn failed_is_not_judged(_: &Cluster, state: &State, memory: &Memory) -> Result<(), String> {
    let judged = state.revision();
    ensure(judged.is_none_or(|revision| !memory.failed.contains(revision)), || {
        format!("{judged:?} is judged")
    })
}

fn one_rollout(cluster: &Cluster, state: &State, _: &Memory) -> Result<(), String> {
    let serving: BTreeSet<&str> = cluster.serving().map(|pod| pod.revision.as_str()).collect();
    ensure(serving.len() <= 2, || format!("{serving:?} in {:?}", state.step()))
}

/// A pod changes to the stable revision, or in the promotion to the new one, and only one at a time.
fn pods_change_in_promotion(cluster: &Cluster, state: &State, memory: &Memory) -> Result<(), String> {
    let has_changed =
        |pod: &&Workload| memory.pods.get(&pod.name).is_some_and(|before| *before != pod.revision);
    let changed: Vec<&Workload> = cluster.serving().filter(has_changed).collect();
    let wanted = match state.step() {
        Step::Promoting | Step::Soaking => state.revision().unwrap_or_default(),
        Step::Unknown
        | Step::Stable
        | Step::DarkLaunch
        | Step::Shadow
        | Step::Canary(_)
        | Step::RolledBack => state.stable(),
    };
    let is_right = changed.len() <= 1 && changed.iter().all(|pod| pod.revision == wanted);
    ensure(is_right, || format!("{changed:?} in {:?}", state.step()))
}

fn writer_changes_last(cluster: &Cluster, state: &State, _: &Memory) -> Result<(), String> {
    let (Step::Promoting | Step::Soaking, Some(revision)) = (state.step(), state.revision()) else {
        return Ok(());
    };
    let readers = cluster.readers.iter().all(|pod| pod.revision == revision);
    ensure(cluster.writer.revision != revision || readers, || {
        format!("the writer has {revision}, a reader not")
    })
}

fn nothing_counts_twice(cluster: &Cluster, state: &State, _: &Memory) -> Result<(), String> {
    let Some(evidence) = state.evidence() else { return Ok(()) };
    for metric in [Metric::Error, Metric::Digest] {
        let (truth, counted) =
            (cluster.truth(evidence.revision(), metric), evidence.figures(metric, cluster.now_s).life);
        ensure(truth.since(&counted).is_some(), || format!("{metric:?}: {counted:?} of {truth:?}"))?;
    }
    Ok(())
}

fn memory_is_bounded(_: &Cluster, state: &State, _: &Memory) -> Result<(), String> {
    let (failed, records) = (state.failed().len(), state.records().len());
    let gates = state.records().iter().map(|record| record.evidence.len()).max().unwrap_or_default();
    let bounded = failed <= FAILED_MAX && records <= RECORDS_MAX && gates <= Metric::ALL.len();
    ensure(bounded && PODS_MAX > 0, || format!("{failed} failed, {records} records of {gates} gates"))
}

impl Memory {
    /// Takes over what has changed, and checks what depends on the step before.
    fn follow(&mut self, cluster: &Cluster, state: &State) -> Result<(), Broken> {
        self.pods = cluster.serving().map(|pod| (pod.name.clone(), pod.revision.clone())).collect();
        let now = (cluster.now_s, state.step(), state.revision().map(str::to_owned));
        let is_same = self.step_began.as_ref().is_some_and(|(_, step, of)| (*step, of) == (now.1, &now.2));
        if is_same {
            return Ok(());
        }
        if let (Some((began, ..)), Some(record)) = (&self.step_began, state.records().last()) {
            let broken =
                |seen| Broken { rule: "a step is left after its soak, and with its own evidence", seen };
            left_after_soak(cluster.now_s - began + self.jumped_s, state).map_err(broken)?;
            if let (Step::RolledBack, Some(newest)) = (record.to, state.failed().last()) {
                self.failed.insert(newest.clone());
            }
            if let Cause::Failed(metric) = record.cause {
                self.failures.push(metric);
            }
        }
        (self.step_began, self.jumped_s) = (Some(now), 0);
        Ok(())
    }
}

/// The newest record: what passed was watched long enough, and what failed was judged by its own pairs.
fn left_after_soak(lasted_s: i64, state: &State) -> Result<(), String> {
    let Some(record) = state.records().last() else { return Ok(()) };
    match record.cause {
        Cause::Passed => {
            let all_pass = record.evidence.iter().all(|one| one.verdict == Verdict::Pass);
            let needed = settings();
            let soak = match record.from {
                Step::DarkLaunch => needed.dark_launch_s,
                Step::Shadow => needed.shadow_s,
                Step::Canary(number) => needed.canary_step(number).map_or(0, |step| step.soak_s),
                Step::Soaking => needed.soaking_s,
                Step::Unknown | Step::Stable | Step::Promoting | Step::RolledBack => 0,
            };
            let watched = i64::try_from(soak).is_ok_and(|soak| lasted_s >= soak);
            ensure(all_pass && watched, || format!("{:?} passed after {lasted_s} s of {soak}", record.from))
        }
        Cause::Failed(metric) => {
            let own = record
                .evidence
                .first()
                .is_some_and(|one| one.metric == metric && one.verdict == Verdict::Fail);
            ensure(own, || format!("{metric:?} failed with {:?}", record.evidence))
        }
        Cause::Respecified
        | Cause::Found
        | Cause::Updated
        | Cause::Drills(_)
        | Cause::Late
        | Cause::Refused { .. }
        | Cause::Asked { .. } => Ok(()),
    }
}
