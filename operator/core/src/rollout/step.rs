//! One step of the ladder: what was observed is reduced to one signal, and a table says what each step does with it.

use engine_core::rollout::metric::Metric;

use super::{
    decision::{Breach, Cause, Decision, Outcome, Reads, Refusal, Wait},
    gate::{Judgement, NoData, Verdict},
    input::{Command, Drills, Input, PodView, Verb, first_command},
    ladder::Step,
    settings::Settings,
    state::{Hold, State},
};

/// What a step reacts to: the first that holds, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal<'a> {
    /// A person wants to go back. Nothing comes before it.
    Abort(&'a Command),
    /// A gate has failed.
    Failed(Metric),
    /// The spec asks for another revision than the one that is judged or stable.
    Respecified,
    /// A person wants a failed revision to be judged again, or a hold to end.
    Retry(&'a Command),
    /// A person wants to go on.
    Promote(&'a Command),
    /// A person wants to stay.
    Hold(&'a Command),
    /// The soak begins anew.
    Breach(Breach),
    /// Something is missing.
    Missing(Wait),
    /// Nothing is missing for the next step.
    Complete,
}

/// Decides about one observation. The same state and input give the same decision.
#[must_use]
pub fn step(mut state: State, settings: &Settings, input: &Input<'_>) -> (State, Decision) {
    if !input.leads {
        return (state, Decision::nothing(Outcome::NotLeading));
    }
    state.pass_time(input.now_s);
    let signal = signal(&state, settings, input);
    let ladder = &mut Ladder { state: &mut state, settings, input };
    let outcome = match ladder.state.step {
        Step::Unknown => ladder.unknown(signal),
        Step::Stable => ladder.stable(signal),
        Step::DarkLaunch => ladder.trial(signal, Step::Shadow),
        Step::Shadow => ladder.trial(signal, after_canary(settings, 0)),
        Step::Canary(number) => ladder.trial(signal, after_canary(settings, number.saturating_add(1))),
        Step::Promoting => ladder.promoting(signal),
        Step::Soaking => ladder.soaking(signal),
        Step::RolledBack => ladder.rolled_back(signal),
    };
    if let Signal::Abort(done) | Signal::Retry(done) | Signal::Promote(done) | Signal::Hold(done) = signal {
        state.remember_done(done);
        if let Outcome::Refused(why) = outcome {
            state.record_refusal(done, why, input.now_s);
        }
    }
    let decision = decide(&state, settings, input, outcome);
    (state, decision)
}

/// The step with this number, or the promotion if there are no more.
fn after_canary(settings: &Settings, number: u8) -> Step {
    if settings.canary_step(number).is_some() { Step::Canary(number) } else { Step::Promoting }
}

fn signal<'a>(state: &State, settings: &Settings, input: &Input<'a>) -> Signal<'a> {
    let command = first_command(input.commands, &|command| state.has_done(command));
    if let Some(command) = command.filter(|command| command.verb == Verb::Abort) {
        return Signal::Abort(command);
    }
    if let Some(metric) = failed_gate(state, settings, input) {
        return Signal::Failed(metric);
    }
    if is_respecified(state, input) {
        return Signal::Respecified;
    }
    match command.map(|command| (command, command.verb)) {
        Some((command, Verb::Abort)) => Signal::Abort(command),
        Some((command, Verb::Retry)) => Signal::Retry(command),
        Some((command, Verb::PromoteNext | Verb::PromoteFull)) => Signal::Promote(command),
        Some((command, Verb::Hold)) => Signal::Hold(command),
        None => match breach(state, settings, input) {
            Some(breach) => Signal::Breach(breach),
            None => missing(state, settings, input).map_or(Signal::Complete, Signal::Missing),
        },
    }
}

/// Whether the spec asks for something else than what the step is about.
fn is_respecified(state: &State, input: &Input<'_>) -> bool {
    match state.step {
        // Without a state, nothing is known that it could differ from.
        Step::Unknown => false,
        Step::RolledBack => !is_failed(state, input.revision),
        Step::Stable => input.revision != state.stable,
        Step::DarkLaunch | Step::Shadow | Step::Canary(_) | Step::Promoting | Step::Soaking => {
            state.revision() != Some(input.revision)
        }
    }
}

fn is_failed(state: &State, revision: &str) -> bool {
    state.failed.iter().any(|failed| failed == revision)
}

/// The first gate that says so, of the revision that is judged.
fn failed_gate(state: &State, settings: &Settings, input: &Input<'_>) -> Option<Metric> {
    let verdicts = state.is_about(input.verdicts).then_some(input.verdicts)?;
    settings.gates.iter().copied().find(|metric| verdicts.of(*metric) == Some(Verdict::Fail))
}

/// The gates that have to pass before the next step.
fn required(step: Step, settings: &Settings) -> impl Iterator<Item = Metric> {
    settings.gates.iter().copied().filter(move |metric| match step {
        Step::DarkLaunch => !metric.needs_reads(),
        Step::Shadow | Step::Canary(_) => true,
        // Everything runs the new revision, so that there is nothing to compare with.
        Step::Soaking => matches!(metric, Metric::Chain | Metric::Downgrade),
        Step::Unknown | Step::Stable | Step::Promoting | Step::RolledBack => false,
    })
}

/// What a gate says. Verdicts about another revision, or none, say nothing.
fn verdict(state: &State, input: &Input<'_>, metric: Metric) -> Verdict {
    let known = state.is_about(input.verdicts).then(|| input.verdicts.of(metric)).flatten();
    known.unwrap_or(Verdict::NoData(NoData::Stale))
}

fn breach(state: &State, settings: &Settings, input: &Input<'_>) -> Option<Breach> {
    let revision = state.revision()?;
    let runs = |pod: &PodView| pod.revision == revision && pod.is_ready;
    let is_ready = match state.step {
        Step::DarkLaunch | Step::Shadow | Step::Canary(_) => input.pods.canary.as_ref().is_some_and(runs),
        Step::Soaking => input.pods.all_ready_on(revision),
        Step::Unknown | Step::Stable | Step::Promoting | Step::RolledBack => return None,
    };
    if !is_ready {
        return Some(Breach::PodNotReady);
    }
    if !input.stable_up && state.step != Step::Soaking {
        return Some(Breach::StableDown);
    }
    if has_drills(state.step) && input.drills == Drills::Failed {
        return Some(Breach::DrillFailed);
    }
    required(state.step, settings).find_map(|metric| match verdict(state, input, metric) {
        Verdict::NoData(NoData::TooFew) | Verdict::Fail | Verdict::Pass | Verdict::Hold => None,
        Verdict::NoData(why) => Some(Breach::NotJudged(metric, why)),
    })
}

/// What is missing for the next step; `None` if nothing is.
fn missing(state: &State, settings: &Settings, input: &Input<'_>) -> Option<Wait> {
    match state.step {
        Step::Unknown => (!is_everything_on(input.revision, input)).then_some(Wait::MissingState),
        Step::Stable => Some(Wait::Nothing),
        Step::RolledBack => Some(Wait::OtherRevision),
        Step::Promoting => {
            let is_everywhere = state.revision().is_some_and(|revision| input.pods.all_ready_on(revision));
            (!is_everywhere).then_some(Wait::Pods)
        }
        Step::DarkLaunch | Step::Shadow | Step::Canary(_) | Step::Soaking => {
            missing_in_trial(state, settings, input)
        }
    }
}

fn missing_in_trial(state: &State, settings: &Settings, input: &Input<'_>) -> Option<Wait> {
    if state.hold.is_some() {
        return Some(Wait::Held);
    }
    let soak = state.missing_soak_s(settings);
    if soak > 0 {
        return Some(Wait::Soak(soak));
    }
    // Pods of a rollout that was given up may still have its revision. Two rollouts at a time have three revisions.
    if state.step != Step::Soaking && !is_everything_on(&state.stable, input) {
        return Some(Wait::Pods);
    }
    let passes = |metric: &Metric| verdict(state, input, *metric) == Verdict::Pass;
    if let Some(metric) = required(state.step, settings).find(|metric| !passes(metric)) {
        return Some(Wait::Gate(metric));
    }
    let wait = if state.has_failed_drills() { Wait::FailedDrills } else { Wait::Drills };
    (has_drills(state.step) && input.drills != Drills::Passed).then_some(wait)
}

/// Whether drills of the canary end the step.
fn has_drills(step: Step) -> bool {
    matches!(step, Step::DarkLaunch | Step::Shadow | Step::Canary(_))
}

/// Whether everything that serves is meant to run a revision.
fn is_everything_on(revision: &str, input: &Input<'_>) -> bool {
    input.pods.serving().all(|pod| pod.revision == revision)
}

/// The table: what each step does with each signal.
struct Ladder<'a> {
    state: &'a mut State,
    settings: &'a Settings,
    input: &'a Input<'a>,
}

impl Ladder<'_> {
    fn unknown(&mut self, signal: Signal<'_>) -> Outcome {
        match signal {
            Signal::Complete => {
                self.state.stable = self.input.revision.to_owned();
                self.end(Step::Stable, Cause::Found, Vec::new())
            }
            // The writer changes last, so that it has the stable revision unless everything has the new one.
            Signal::Abort(command) => {
                self.trust_the_writer();
                self.give_up(self.input.revision, Cause::asked(command), Vec::new())
            }
            Signal::Retry(command) => {
                self.trust_the_writer();
                self.begin_or_settle(Cause::asked(command))
            }
            Signal::Promote(_) | Signal::Hold(_) => Outcome::Refused(Refusal::MissingState),
            Signal::Missing(wait) => Outcome::Waits(wait),
            Signal::Failed(_) | Signal::Respecified | Signal::Breach(_) => Outcome::Waits(Wait::MissingState),
        }
    }

    fn stable(&mut self, signal: Signal<'_>) -> Outcome {
        match signal {
            Signal::Abort(command) if self.input.revision != self.state.stable => {
                self.give_up(self.input.revision, Cause::asked(command), Vec::new())
            }
            Signal::Respecified => self.follow(),
            Signal::Abort(_) | Signal::Promote(_) | Signal::Hold(_) => Outcome::Refused(Refusal::NoRollout),
            Signal::Retry(_) => Outcome::Refused(Refusal::NothingToRetry),
            Signal::Missing(wait) => Outcome::Waits(wait),
            Signal::Failed(_) | Signal::Breach(_) | Signal::Complete => Outcome::Waits(Wait::Nothing),
        }
    }

    /// Dark launch, shadow and canary, which differ only in what they require and what follows.
    fn trial(&mut self, signal: Signal<'_>, next: Step) -> Outcome {
        // While nothing of the engine runs, or nothing answers, the revision is not the reason.
        let is_away = matches!(signal, Signal::Breach(Breach::PodNotReady));
        if !is_away || self.input.pods.is_stopped || !self.input.stable_up {
            self.state.is_back();
        }
        match signal {
            Signal::Breach(Breach::PodNotReady) if self.state.away_s() >= self.settings.ready_s => {
                self.give_up_late()
            }
            Signal::Abort(command) => self.abort(command),
            Signal::Failed(metric) => self.fail(metric),
            Signal::Respecified => self.follow(),
            Signal::Retry(_) => self.release(),
            Signal::Promote(command) => {
                let to = if command.verb == Verb::PromoteFull { Step::Promoting } else { next };
                self.promote(command, to)
            }
            Signal::Hold(command) => self.hold(command),
            Signal::Breach(breach) => self.breached(breach),
            Signal::Missing(wait) => Outcome::Waits(wait),
            Signal::Complete => self.pass(next),
        }
    }

    fn promoting(&mut self, signal: Signal<'_>) -> Outcome {
        match signal {
            Signal::Abort(command) => self.abort(command),
            Signal::Failed(metric) => self.fail(metric),
            Signal::Respecified => self.follow(),
            Signal::Retry(_) => self.release(),
            // Half of the pods with one revision and half with another is no place to stay.
            Signal::Promote(_) | Signal::Hold(_) => Outcome::Refused(Refusal::IsPromoting),
            Signal::Missing(wait) => self.wait_for_pods(wait),
            Signal::Breach(_) => Outcome::Waits(Wait::Pods),
            Signal::Complete => self.enter(Step::Soaking, Cause::Updated, Vec::new()),
        }
    }

    fn wait_for_pods(&mut self, wait: Wait) -> Outcome {
        if self.input.pods.is_stopped {
            // Nothing is meant to be ready.
            self.state.restart_soak();
        } else if self.state.watched_s() >= self.settings.promoting_s {
            return self.give_up_late();
        }
        Outcome::Waits(wait)
    }

    fn give_up_late(&mut self) -> Outcome {
        let revision = self.state.revision().unwrap_or(self.input.revision).to_owned();
        self.give_up(&revision, Cause::Late, Vec::new())
    }

    fn soaking(&mut self, signal: Signal<'_>) -> Outcome {
        match signal {
            Signal::Abort(command) => self.abort(command),
            Signal::Failed(metric) => self.fail(metric),
            Signal::Respecified => self.follow(),
            Signal::Retry(_) => self.release(),
            Signal::Promote(command) if command.why.trim().is_empty() => Outcome::Refused(Refusal::NoReason),
            Signal::Promote(command) => self.accept(Cause::asked(command), Vec::new()),
            Signal::Hold(command) => self.hold(command),
            Signal::Breach(breach) => self.breached(breach),
            Signal::Missing(wait) => Outcome::Waits(wait),
            Signal::Complete => {
                let evidence = self.required_evidence();
                self.accept(Cause::Passed, evidence)
            }
        }
    }

    fn rolled_back(&mut self, signal: Signal<'_>) -> Outcome {
        match signal {
            Signal::Respecified => self.follow(),
            Signal::Retry(command) => {
                let revision = self.input.revision;
                self.state.failed.retain(|failed| failed != revision);
                self.begin_or_settle(Cause::asked(command))
            }
            Signal::Promote(_) => Outcome::Refused(Refusal::HasFailed),
            Signal::Abort(_) | Signal::Hold(_) => Outcome::Refused(Refusal::NoRollout),
            Signal::Missing(wait) => Outcome::Waits(wait),
            Signal::Failed(_) | Signal::Breach(_) | Signal::Complete => Outcome::Waits(Wait::OtherRevision),
        }
    }

    /// The spec asks for another revision: back to the stable one, none that has failed, or a trial.
    fn follow(&mut self) -> Outcome {
        if is_failed(self.state, self.input.revision) {
            return self.end(Step::RolledBack, Cause::Respecified, Vec::new());
        }
        self.begin_or_settle(Cause::Respecified)
    }

    fn begin_or_settle(&mut self, cause: Cause) -> Outcome {
        if self.input.revision == self.state.stable {
            return self.end(Step::Stable, cause, Vec::new());
        }
        self.state.begin(self.input.revision, self.input.now_s, &cause);
        Outcome::Entered(Step::DarkLaunch, cause)
    }

    fn trust_the_writer(&mut self) {
        let writer = self.input.pods.writer.as_ref();
        self.state.stable = writer.map_or(self.input.revision, |writer| &writer.revision).to_owned();
    }

    fn abort(&mut self, command: &Command) -> Outcome {
        let revision = self.state.revision().unwrap_or(self.input.revision).to_owned();
        self.give_up(&revision, Cause::asked(command), Vec::new())
    }

    fn fail(&mut self, metric: Metric) -> Outcome {
        let revision = self.state.revision().unwrap_or(self.input.revision).to_owned();
        let why = self.input.verdicts.judgements.iter().filter(|one| one.metric == metric).copied();
        self.give_up(&revision, Cause::Failed(metric), why.take(1).collect())
    }

    /// Ends the trial of a revision, which is remembered. The stable revision never counts as failed.
    fn give_up(&mut self, revision: &str, cause: Cause, evidence: Vec<Judgement>) -> Outcome {
        if revision == self.state.stable {
            return self.end(Step::Stable, cause, evidence);
        }
        let outcome = self.end(Step::RolledBack, cause, evidence);
        self.state.remember_failed(revision);
        outcome
    }

    fn promote(&mut self, command: &Command, to: Step) -> Outcome {
        if command.why.trim().is_empty() {
            return Outcome::Refused(Refusal::NoReason);
        }
        if !is_everything_on(&self.state.stable, self.input) {
            return Outcome::Refused(Refusal::PodsReturn);
        }
        self.enter(to, Cause::asked(command), Vec::new())
    }

    fn pass(&mut self, to: Step) -> Outcome {
        let evidence = self.required_evidence();
        self.enter(to, Cause::Passed, evidence)
    }

    fn required_evidence(&self) -> Vec<Judgement> {
        let judged = |metric| self.input.verdicts.judgements.iter().find(|one| one.metric == metric).copied();
        required(self.state.step, self.settings).filter_map(judged).collect()
    }

    /// The new revision is the stable one from now on.
    fn accept(&mut self, cause: Cause, evidence: Vec<Judgement>) -> Outcome {
        let revision = self.state.revision().unwrap_or(&self.state.stable).to_owned();
        let outcome = self.end(Step::Stable, cause, evidence);
        self.state.stable = revision;
        outcome
    }

    fn hold(&mut self, command: &Command) -> Outcome {
        self.state.hold = Some(Hold { since_s: self.input.now_s, cause: Cause::asked(command) });
        Outcome::Held
    }

    fn release(&mut self) -> Outcome {
        let was_held = self.state.hold.take().is_some();
        let had_failed = self.state.allow_drills();
        match was_held || had_failed {
            true => Outcome::Released,
            false => Outcome::Refused(Refusal::NothingToRetry),
        }
    }

    fn breached(&mut self, breach: Breach) -> Outcome {
        match breach {
            Breach::DrillFailed => self.state.fail_drills(self.input.drills_said, self.input.now_s),
            _ => self.state.restart_soak(),
        }
        Outcome::Breached(breach)
    }

    fn enter(&mut self, to: Step, cause: Cause, evidence: Vec<Judgement>) -> Outcome {
        self.state.enter(to, self.settings, self.input.now_s, &cause, evidence);
        Outcome::Entered(to, cause)
    }

    fn end(&mut self, to: Step, cause: Cause, evidence: Vec<Judgement>) -> Outcome {
        self.state.end(to, self.input.now_s, &cause, evidence);
        Outcome::Entered(to, cause)
    }
}

/// What has to be so from now on.
fn decide(state: &State, settings: &Settings, input: &Input<'_>, outcome: Outcome) -> Decision {
    let are_drills_next = matches!(input.drills, Drills::NotRun | Drills::Running)
        && has_drills(state.step)
        && missing_in_trial(state, settings, input) == Some(Wait::Drills);
    // A drill lets the canary fail on purpose, so that nobody reads from it meanwhile.
    let canary = canary(state, settings, input)
        .map(|(revision, reads)| (revision, if are_drills_next { Reads::Off } else { reads }));
    Decision {
        outcome,
        canary,
        run_drills: are_drills_next && input.drills == Drills::NotRun,
        update: update(state, input),
    }
}

fn canary(state: &State, settings: &Settings, input: &Input<'_>) -> Option<(String, Reads)> {
    let trial = state.trial.as_ref()?;
    let revision = trial.evidence.revision();
    let is_ready = input.pods.canary.as_ref().is_some_and(|pod| pod.revision == revision && pod.is_ready);
    // A weight that the spec lowers falls at once.
    let weight = match state.step {
        Step::Canary(number) => {
            settings.canary_step(number).map_or(trial.weight, |step| step.weight.min(trial.weight))
        }
        _ => trial.weight,
    };
    let reads = match state.step {
        Step::DarkLaunch => Reads::Off,
        Step::Canary(_) | Step::Promoting if is_ready && weight > 0 => Reads::Weight(weight),
        Step::Shadow | Step::Canary(_) | Step::Promoting => Reads::Shadow,
        Step::Unknown | Step::Stable | Step::Soaking | Step::RolledBack => return None,
    };
    Some((revision.to_owned(), reads))
}

/// The next pod that has another revision than it should. One at a time, and only while those that were changed before
/// are ready. Back it goes in the opposite order, because the writer was changed last.
fn update(state: &State, input: &Input<'_>) -> Option<(String, String)> {
    let (wanted, is_forward) = match state.step {
        Step::Unknown => return None,
        Step::Promoting | Step::Soaking => (state.revision()?, true),
        Step::Stable | Step::DarkLaunch | Step::Shadow | Step::Canary(_) | Step::RolledBack => {
            (state.stable.as_str(), false)
        }
    };
    let differs = |pod: &&PodView| pod.revision != wanted;
    if input.pods.serving().any(|pod| pod.revision == wanted && !pod.is_ready) {
        return None;
    }
    let mut serving = input.pods.serving();
    let next = if is_forward { serving.find(differs) } else { serving.rev().find(differs) };
    next.map(|pod| (pod.name.clone(), wanted.to_owned()))
}
