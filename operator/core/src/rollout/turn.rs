//! One turn of a rollout in a reconcile: what was observed becomes an input of the ladder, and what the ladder decides
//! becomes the specs of the workloads and the grants of the pods that answer.

use crds::RolloutStatus;
use engine_core::{
    rollout::metric::{Metric, Rule},
    wire::{CanaryGrant, CanaryReads, CanaryReport},
};
use kube_core::DynamicObject;

use super::{
    decision::{Decision, Reads},
    drills::{drills, job_of},
    evidence::Reading,
    gate::{Context, Verdicts, judge_all},
    input::{Drills, Input, PodView as Workload, Pods},
    ladder::Step,
    report::rollout_status,
    request::requested,
    revision::{Revision, Running},
    rolled::{PodGrant, Rolled},
    state::{State, Status},
    step::step,
    view::{Reporting, RolloutView},
};
use crate::{
    children::CHILDREN,
    hibernation,
    names::{self, ADMIN_PORT, API_PORT, ChildKey, PROBE_PORT},
    observed::{EngineReport, Observed},
    ownership::is_ours,
    report::quoted,
    role::Role,
    validate::{Valid, ValidRollout},
};

/// Names of the workloads as the ladder has them.
const WRITER: &str = "writer";
const READERS: &str = "readers";
const CANARY: &str = "canary";

/// Longest fault of a pod in the message, characters.
const FAULT_CHARS_MAX: usize = 160;

/// What a turn has decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The spec, with what was decided about the workloads.
    pub valid: Valid,
    /// The pods whose weight has to fall before anything else is done.
    pub revoked: Vec<PodGrant>,
    /// Whether the state has changed, so that it has to be written before anything is done.
    pub is_changed: bool,
    /// Whether the rollout moves, so that it has to be looked at soon.
    pub is_moving: bool,
}

/// Takes one turn; `None` if the spec has no rollout.
#[must_use]
pub fn turn(observed: &Observed, valid: &Valid) -> Option<Turn> {
    let settings = valid.rollout.as_ref()?;
    let facts = Facts::of(observed, valid, settings);
    let before = State::restore(facts.stored.as_ref());
    let mut state = before.clone();
    facts.absorb(&mut state);
    let verdicts = facts.verdicts(&state);
    let wanted = facts.wanted.name();
    let asked = requested(&observed.engine);
    let commands: Vec<_> = asked.as_ref().ok().cloned().flatten().into_iter().collect();
    if commands.is_empty() {
        // Whoever writes the same again after it was removed, asks again.
        state.forget_requests();
    }
    let (drills, drills_said) = facts.drills(&state);
    let input = Input {
        now_s: facts.now_s(),
        leads: true,
        revision: &wanted,
        verdicts: &verdicts,
        pods: &facts.pods,
        drills,
        drills_said: &drills_said,
        stable_up: facts.is_stable_up(),
        commands: &commands,
    };
    let (state, decision) = step(state, &settings.ladder, &input);
    let (revoked, grants) = facts.grants(&decision);
    let is_moving = state.step().is_trial() || decision.update.is_some();
    let status = rollout_status(
        &state,
        &decision,
        (&settings.ladder, &verdicts),
        (&wanted, facts.noted(asked.err())),
        observed.now,
    );
    let stored = observed.engine.status.as_ref().and_then(|status| status.rollout.as_ref());
    // A write of the status causes another reconcile, which must not write again because a second has passed.
    let is_suspended = valid.essentials.suspend;
    let kept = stored.filter(|stored| {
        let is_same = stored.wanted_revision == status.wanted_revision && before.is_same_but_for_time(&state);
        is_suspended || is_same && facts.is_too_early(&before)
    });
    if is_suspended && kept.is_none() {
        return None;
    }
    let is_changed = kept.is_none() && stored.map(|stored| &stored.state) != Some(&status.state);
    let status = kept.cloned().unwrap_or(status);
    let rolled = facts.rolled(&state, &decision, (grants, status));
    let valid = Valid { rolled: Some(rolled.clone()), ..valid.with_revision(&rolled.writer.runs) };
    Some(Turn { valid, revoked, is_changed, is_moving })
}

/// What a turn depends on.
struct Facts<'a> {
    observed: &'a Observed,
    valid: &'a Valid,
    settings: &'a ValidRollout,
    view: RolloutView,
    stored: Option<Status>,
    wanted: Revision,
    /// Every revision that is known, the wanted one first.
    known: Vec<Revision>,
    pods: Pods,
}

impl<'a> Facts<'a> {
    fn of(observed: &'a Observed, valid: &'a Valid, settings: &'a ValidRollout) -> Self {
        let wanted = valid.revision();
        let keys = [&CHILDREN.stateful_set, &CHILDREN.readers, &CHILDREN.canary];
        let [writer, readers, canary] = keys.map(|child| workload(observed, &child.key(&valid.name)));
        let mut known = vec![wanted.clone()];
        for running in [writer, readers, canary].into_iter().flatten().filter_map(Running::of) {
            for revision in [running.runs].into_iter().chain(running.knows) {
                if !known.contains(&revision) {
                    known.push(revision);
                }
            }
        }
        let stored = observed.engine.status.as_ref().and_then(|status| status.rollout.as_ref());
        let stored: Option<Status> =
            stored.and_then(|stored| serde_json::from_value(stored.state.clone()).ok());
        let of = |name: &str, set: &DynamicObject| {
            // A workload of before there was a rollout runs what the spec asks for.
            let unknown =
                || stored.as_ref().map_or_else(|| wanted.name(), |stored| stored.stable_revision.clone());
            let revision = Running::of(set).map_or_else(unknown, |running| running.runs.name());
            Workload { name: name.to_owned(), revision, is_ready: is_rolled_out(set) }
        };
        let pods = Pods {
            canary: canary.map(|set| of(CANARY, set)),
            readers: readers.map(|set| of(READERS, set)).into_iter().collect(),
            writer: writer.map(|set| of(WRITER, set)),
            is_stopped: hibernation::decide(observed, &valid.essentials).is_stopped(),
        };
        let view = observed.rollout.clone().unwrap_or_default();
        Self { observed, valid, settings, view, stored, wanted, known, pods }
    }

    /// What is wrong with the request, and what the pods say is in the way of comparisons.
    fn noted(&self, request: Option<String>) -> Option<String> {
        let of = |one: &Reporting| match &one.report {
            Ok(report) => report.fault.clone().or_else(|| report.probes_fault.clone()),
            Err(error) => Some(error.clone()),
        };
        let fault = self.view.canary.iter().chain(&self.view.serving).find_map(|one| {
            let fault = of(one)?;
            Some(format!("{} says: {}", one.pod.name, quoted(&fault, FAULT_CHARS_MAX)))
        });
        let drills = self.drills_unread();
        let all: Vec<String> =
            request.into_iter().chain(drills).chain(fault).chain(self.rehearsed()).collect();
        (!all.is_empty()).then(|| all.join(". "))
    }

    /// How far the rehearsals of all pods are, while there are any.
    fn rehearsed(&self) -> Option<String> {
        let reports = self.view.serving.iter().filter_map(|one| one.report.as_ref().ok()?.rehearsal);
        let (asked, all) = reports.fold((0_u64, 0_u64), |(asked, all), one| {
            (asked.saturating_add(one.asked), all.saturating_add(one.questions))
        });
        (all > 0).then(|| format!("{asked} of {all} recorded questions were asked again"))
    }

    /// Why drills cannot be carried out.
    fn drills_unread(&self) -> Option<String> {
        let unread = self.view.unread.as_ref().filter(|_| self.settings.drills.is_some())?;
        let text = quoted(&unread.text, FAULT_CHARS_MAX);
        Some(match unread.is_forbidden {
            true => format!(
                "The operator may not use Jobs in this namespace: add {} to secrets.namespaces of the chart, or remove \
                 spec.rollout.drills: {text}",
                self.valid.namespace
            ),
            false => format!("An object of drills could not be read: {text}. The operator retries"),
        })
    }

    fn revision(&self, name: &str) -> Option<&Revision> {
        self.known.iter().find(|revision| revision.name() == name)
    }

    fn now_s(&self) -> i64 {
        self.observed.now.as_second()
    }

    /// Whether the rollout was looked at so recently that nothing is written.
    fn is_too_early(&self, before: &State) -> bool {
        let since = before.seen_at_s().map(|seen| self.now_s().saturating_sub(seen));
        since.is_some_and(|since| (0..self.settings.look_s).contains(&since))
    }

    fn is_stable_up(&self) -> bool {
        self.view.serving.iter().any(|one| one.pod.ready && one.report.is_ok())
    }

    /// Adds what the pods report to the evidence.
    fn absorb(&self, state: &mut State) {
        // The process of a pod that is not seen has ended, and its counters with it.
        let seen = self.view.serving.iter().chain(&self.view.canary);
        state.keep_pods(&seen.filter_map(|one| one.pod.uid.clone()).collect());
        for one in &self.view.serving {
            if let Ok(report) = &one.report
                && let Some(revision) = &report.revision
            {
                let mut reading = reading(one, revision, report);
                // What only the canary measures of itself is not known to those that ask it.
                let counted =
                    reading.tally.counts.iter().filter(|(metric, _)| metric.rule() != Rule::OneEvent);
                reading.tally.counts = counted.map(|(metric, counts)| (metric, *counts)).collect();
                // All of them see the same gap. Only one pod counts it, always the same one: a counter that another pod
                // takes over would be added again.
                if one.pod.name != Role::Writer.pod(&self.valid.name) {
                    reading.tally.quality.gaps = 0;
                }
                let _older_or_of_another = state.absorb(&reading, self.now_s());
            }
        }
        // The pod of a canary whose template has just changed may still be that of the revision before.
        let canary = self.view.canary.as_ref().zip(self.pods.canary.as_ref()).filter(|(_, set)| set.is_ready);
        if let Some((one, set)) = canary
            && let Ok(report) = &one.report
        {
            let _older_or_of_another = state.absorb(&reading(one, &set.revision, report), self.now_s());
        }
        if state.step() == Step::Soaking && self.pods.all_ready_on(state.revision().unwrap_or_default()) {
            self.note_soaking(state);
        }
    }

    /// While everything runs the new revision, nothing compares it. What the writer reports is all there is.
    fn note_soaking(&self, state: &mut State) {
        let EngineReport::Answered(health) = &self.observed.writer().report else { return };
        state.note(Metric::Chain, health.log.integrity.fault.is_some(), self.now_s());
        // An outage of a service turns reads off under every revision. Meanwhile the gate is not judged, and the soak
        // begins anew.
        if health.mode.as_ref().is_some_and(|mode| mode.guard.state != "forced") {
            state.note(Metric::Downgrade, false, self.now_s());
        }
    }

    fn verdicts(&self, state: &State) -> Verdicts {
        let Some(evidence) = state.evidence() else { return Verdicts::default() };
        let context = Context {
            now_s: self.now_s(),
            stable_up: self.is_stable_up(),
            is_soaked: state.missing_soak_s(&self.settings.ladder) == 0,
        };
        judge_all(evidence, &context)
    }

    /// The specs of the workloads. A workload that has no revision yet begins with that of the writer.
    fn rolled(
        &self,
        state: &State,
        decision: &Decision,
        (grants, status): (Vec<PodGrant>, RolloutStatus),
    ) -> Rolled {
        let updated = |name: &str| {
            let update = decision.update.as_ref().filter(|(workload, _)| workload == name);
            update.and_then(|(_, revision)| self.revision(revision))
        };
        let present = |workload: Option<&Workload>| workload.and_then(|one| self.revision(&one.revision));
        // A workload that is gone comes back as the revision that is trusted, and not as the one that the spec asks
        // for.
        let trusted = self.revision(state.stable()).unwrap_or(&self.wanted);
        let writer = updated(WRITER).or_else(|| present(self.pods.writer.as_ref())).unwrap_or(trusted);
        let readers = updated(READERS).or_else(|| present(self.pods.readers.first())).unwrap_or(writer);
        let canary = decision.canary.as_ref().and_then(|(revision, _)| self.revision(revision));
        let needed = [Some(state.stable()), state.revision(), Some(&*self.wanted.name())];
        let knows: Vec<Revision> =
            self.known.iter().filter(|revision| needed.contains(&Some(&*revision.name()))).cloned().collect();
        let running = |runs: &Revision| Running {
            runs: runs.clone(),
            knows: knows.iter().filter(|revision| *revision != runs).cloned().collect(),
        };
        Rolled {
            writer: running(writer),
            readers: running(readers),
            canary: canary.map(running),
            drill: self.drill(state, decision),
            grants,
            status,
        }
    }

    /// How far the drills before the next step are, and what they said if one has failed.
    fn drills(&self, state: &State) -> (Drills, String) {
        if self.settings.drills.is_none() {
            return (Drills::Passed, String::new());
        }
        if self.view.unread.is_some() {
            // The Job may be there.
            return (Drills::Running, String::new());
        }
        let job = job_of(&self.valid.name, state);
        drills(job.and_then(|key| workload(self.observed, &key)), &self.view.drills)
    }

    /// The Job of drills that is next. A drill lets the canary fail, so that every pod has to have stopped reading from
    /// it: a pair of that time would count against the revision.
    fn drill(&self, state: &State, decision: &Decision) -> Option<ChildKey> {
        let is_off =
            |one: &Reporting| one.report.as_ref().is_ok_and(|report| report.reads == CanaryReads::Off);
        let is_next = decision.run_drills && self.view.serving.iter().all(is_off);
        is_next.then(|| job_of(&self.valid.name, state)).flatten()
    }

    /// What has to be taken back at once, and what is granted afterwards.
    fn grants(&self, decision: &Decision) -> (Vec<PodGrant>, Vec<PodGrant>) {
        let grant = decision.canary.as_ref().and_then(|(revision, reads)| self.grant(revision, *reads));
        let (mut revoked, mut granted) = (Vec::new(), Vec::new());
        for one in &self.view.serving {
            let Ok(report) = &one.report else { continue };
            let pod = one.pod.name.clone();
            let floor = one.pod.restarts > 0;
            let grant = grant.clone().map(|grant| CanaryGrant { floor, ..grant });
            // While the canary has no pod, nothing is granted, and nothing that was counted is forgotten: what was
            // granted ends by itself, and nobody is sent to a canary that is not ready.
            if grant.is_none() && decision.canary.is_some() {
                continue;
            }
            if report.weight > decision.weight() {
                // A lower weight needs no state: whoever comes next takes away no less.
                revoked.push(PodGrant { pod: pod.clone(), grant: grant.clone() });
            }
            if grant.is_some() || report.revision.is_some() {
                granted.push(PodGrant { pod, grant });
            }
        }
        (revoked, granted)
    }

    fn grant(&self, revision: &str, reads: Reads) -> Option<CanaryGrant> {
        // Somebody else's objects may have these names.
        workload(self.observed, &CHILDREN.canary_service.key(&self.valid.name))?;
        self.pods.canary.as_ref()?;
        let pod = &self.view.canary.as_ref()?.pod;
        let ip = pod.ip.as_ref()?;
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
        let probes = if self.valid.tls.is_some() { PROBE_PORT } else { ADMIN_PORT };
        let scheme = if self.valid.tls.is_some() { "https" } else { "http" };
        let service = names::canary(&self.valid.name);
        Some(CanaryGrant {
            revision: revision.to_owned(),
            // Counters that begin anew with each pod of the canary could not be told from old ones.
            pod: String::new(),
            api: format!("{scheme}://{service}.{}.svc:{API_PORT}", self.valid.namespace),
            readyz: format!("http://{host}:{probes}/readyz"),
            reads: match reads {
                Reads::Off => CanaryReads::Off,
                Reads::Shadow => CanaryReads::Shadow,
                Reads::Weight(_) => CanaryReads::Canary,
            },
            weight: match reads {
                Reads::Weight(weight) => weight,
                Reads::Off | Reads::Shadow => 0,
            },
            floor: false,
            pair_interval_ms: self.settings.pair_interval_ms,
            rehearsal: self.settings.rehearsal,
        })
    }
}

/// A report as the evidence takes it. Counts that no pairs can have are left out.
fn reading(one: &Reporting, revision: &str, report: &CanaryReport) -> Reading {
    let mut tally = report.tally.clone();
    tally.counts = tally
        .counts
        .iter()
        .filter(|(metric, counts)| counts.are_possible(*metric))
        .map(|(m, c)| (m, *c))
        .collect();
    Reading {
        pod: one.pod.uid.clone().unwrap_or_default(),
        revision: revision.to_owned(),
        restarts: u32::try_from(one.pod.restarts).unwrap_or(u32::MAX),
        tally,
    }
}

fn workload<'a>(observed: &'a Observed, key: &ChildKey) -> Option<&'a DynamicObject> {
    let live = observed.children.get(key).map(AsRef::as_ref);
    live.filter(|live| is_ours(observed, key, live) && live.metadata.deletion_timestamp.is_none())
}

/// Whether every pod of a workload was made from its present template, and is ready.
fn is_rolled_out(set: &DynamicObject) -> bool {
    let status = &set.data["status"];
    let wanted = set.data["spec"]["replicas"].as_i64().unwrap_or(1);
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    // A workload that hibernates runs nothing, so that nothing is known of its revision.
    wanted > 0
        && status["observedGeneration"].as_i64() == set.metadata.generation
        && count("updatedReplicas") == wanted
        && count("readyReplicas") == wanted
}
