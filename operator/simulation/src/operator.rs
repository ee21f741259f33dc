//! The operator of the simulated world: it reads, takes one step, and carries it out write by write. It can crash after
//! any of them.

use operator_core::rollout::{
    Context, Decision, Drills, Evidence, Grant, Input, Outcome, Reading, Reads, Settings, State, Step,
    Verdicts, step,
};

use crate::cluster::{Cluster, Resource, Workload};

/// The rule that judges.
pub type Judge = fn(&Evidence, &Context) -> Verdicts;

/// What goes wrong in one reconcile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// The resource is read from an old cache.
    pub(crate) is_stale: bool,
    /// Another operator leads.
    pub(crate) is_deposed: bool,
    /// The counters cannot be read.
    pub(crate) no_counters: bool,
    /// An older reading of the counters arrives after the newest one.
    pub(crate) old_reading: Option<Reading>,
    /// The operator ends after so many writes.
    pub(crate) crash_after: Option<u32>,
    /// No pod of the stable revision answers.
    pub(crate) stable_down: bool,
    /// How wrong the clock of the operator is, seconds.
    pub(crate) clock_off_s: i64,
}

/// A write of the operator. Each is a place to crash.
#[derive(Debug)]
enum Write {
    LowerWeight(u8),
    Status(Box<State>),
    RenewWeight(u8),
    Reads(Reads),
    NoCanary,
    Canary(String),
    Drills,
    Update(String, String),
}

/// Takes one step, and calls `check` after each write. `true` if every write was carried out and accepted.
pub(crate) fn reconcile(
    cluster: &mut Cluster,
    settings: &Settings,
    judge: Judge,
    trouble: &Trouble,
    check: &mut dyn FnMut(&Cluster),
) -> bool {
    let read = if trouble.is_stale { cluster.before.clone() } else { cluster.resource.clone() };
    let now_s = cluster.now_s + trouble.clock_off_s;
    let mut state = State::restore(read.status.as_ref());
    let newest = cluster.reading().filter(|_| !trouble.no_counters);
    for reading in newest.iter().chain(&trouble.old_reading) {
        state.absorb(reading, now_s);
    }
    let (state, decision) = decide(cluster, &read, state, settings, judge, trouble, now_s);
    let mut left = trouble.crash_after.unwrap_or(u32::MAX);
    for write in writes(cluster, &state, &decision) {
        if left == 0 || !carry_out(cluster, &read, write) {
            return false;
        }
        left -= 1;
        check(cluster);
    }
    true
}

fn decide(
    cluster: &Cluster,
    read: &Resource,
    state: State,
    settings: &Settings,
    judge: Judge,
    trouble: &Trouble,
    now_s: i64,
) -> (State, Decision) {
    let stable_up = !trouble.stable_down;
    let context = Context { now_s, stable_up, is_soaked: state.missing_soak_s(settings) == 0 };
    let verdicts = state.evidence().map(|evidence| judge(evidence, &context)).unwrap_or_default();
    let drills = match &cluster.drills {
        Some((revision, of, drills)) if state.revision() == Some(revision) && state.step() == *of => *drills,
        _ => Drills::NotRun,
    };
    let input = Input {
        now_s,
        leads: !trouble.is_deposed,
        revision: &read.revision,
        verdicts: &verdicts,
        pods: &cluster.pods(),
        drills,
        drills_said: "",
        stable_up,
        commands: &read.commands,
    };
    step(state, settings, &input)
}

/// The writes in their order: less weight, the state, more weight, the pods.
fn writes(cluster: &Cluster, state: &State, decision: &Decision) -> Vec<Write> {
    if decision.outcome == Outcome::NotLeading {
        return Vec::new();
    }
    let weight = decision.weight();
    let mut writes = Vec::new();
    if weight < cluster.weight() {
        writes.push(Write::LowerWeight(weight));
    }
    writes.push(Write::Status(Box::new(state.clone())));
    match &decision.canary {
        None if cluster.canary.is_some() => writes.push(Write::NoCanary),
        None => {}
        Some((revision, reads)) => {
            if cluster.canary.as_ref().is_none_or(|pod| pod.revision != *revision) {
                writes.push(Write::Canary(revision.clone()));
            }
            writes.push(Write::Reads(*reads));
            if weight > 0 {
                writes.push(Write::RenewWeight(weight));
            }
        }
    }
    writes.extend(decision.run_drills.then_some(Write::Drills));
    writes.extend(decision.update.clone().map(|(pod, revision)| Write::Update(pod, revision)));
    writes
}

/// Carries out a write; `false` if it was refused.
fn carry_out(cluster: &mut Cluster, read: &Resource, write: Write) -> bool {
    let now_s = cluster.now_s;
    match write {
        Write::LowerWeight(weight) | Write::RenewWeight(weight) => {
            cluster.answerer.grant = Grant::new(weight, now_s);
        }
        Write::Status(state) => {
            if read.version != cluster.resource.version {
                return false;
            }
            cluster.edit(|resource| resource.status = Some(state.save()));
        }
        Write::Reads(reads) => cluster.answerer.reads = reads,
        Write::NoCanary => (cluster.canary, cluster.answerer.reads) = (None, Reads::Off),
        Write::Canary(revision) => {
            cluster.canary = Some(Workload::new("canary", &revision, now_s));
            cluster.introduce(&revision);
        }
        Write::Drills => {
            let step = cluster.resource.status.as_ref().map_or(Step::Unknown, |status| status.step);
            let revision =
                State::restore(cluster.resource.status.as_ref()).revision().unwrap_or_default().to_owned();
            cluster.drills = Some((revision, step, Drills::Passed));
        }
        Write::Update(name, revision) => {
            for pod in cluster.serving_mut().filter(|pod| pod.name == name) {
                pod.take(&revision, now_s);
            }
        }
    }
    true
}
