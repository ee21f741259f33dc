//! A ladder for tests: a state, and everything that a step depends on.

use std::collections::BTreeSet;

use operator_core::rollout::{
    CanaryStep, Command, Counts, Decision, Drills, Input, Judgement, Metric, NoData, PodView, Pods, Settings,
    State, Step, Verb, Verdict, Verdicts, step,
};

pub(crate) const OLD: &str = "old";
pub(crate) const NEW: &str = "new";
pub(crate) const START_S: i64 = 1_000_000;

/// Steps of a minute, so that a single observation can end one.
pub(crate) fn minute_steps() -> Settings {
    Settings {
        dark_launch_s: 60,
        shadow_s: 60,
        canary: vec![CanaryStep { weight: 10, soak_s: 60 }, CanaryStep { weight: 50, soak_s: 60 }],
        ready_s: 3_600,
        promoting_s: 3_600,
        soaking_s: 60,
        gates: BTreeSet::from(Metric::ALL),
    }
}

/// All gates with the same verdict.
pub(crate) fn verdicts(revision: &str, verdict: Verdict) -> Verdicts {
    let judgement = |metric| Judgement {
        metric,
        verdict,
        life: Counts::default(),
        step: Counts::default(),
        fail_log_milli: 0,
        fail_bound_milli: 0,
        pass_log_milli: 0,
        pass_bound_milli: 0,
        window_s: 60,
    };
    Verdicts { revision: revision.to_owned(), judgements: Metric::ALL.into_iter().map(judgement).collect() }
}

/// The same with another verdict for one gate.
pub(crate) fn but(mut verdicts: Verdicts, metric: Metric, verdict: Verdict) -> Verdicts {
    for one in verdicts.judgements.iter_mut().filter(|one| one.metric == metric) {
        one.verdict = verdict;
    }
    verdicts
}

pub(crate) fn pod(name: &str, revision: &str, is_ready: bool) -> PodView {
    PodView { name: name.to_owned(), revision: revision.to_owned(), is_ready }
}

/// Two readers and a writer.
pub(crate) fn serving(revisions: [&str; 3]) -> Pods {
    let [first, second, writer] = revisions;
    Pods {
        canary: None,
        readers: vec![pod("reader-0", first, true), pod("reader-1", second, true)],
        writer: Some(pod("writer", writer, true)),
        is_stopped: false,
    }
}

pub(crate) fn command(id: &str, verb: Verb) -> Command {
    Command { id: id.to_owned(), verb, by: "somebody".to_owned(), why: "a reason".to_owned() }
}

/// What a step depends on, owned. All is well, and the gates pass.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) now_s: i64,
    pub(crate) leads: bool,
    pub(crate) revision: &'static str,
    pub(crate) verdicts: Verdicts,
    pub(crate) pods: Pods,
    pub(crate) drills: Drills,
    pub(crate) stable_up: bool,
    pub(crate) commands: Vec<Command>,
}

impl Seen {
    pub(crate) fn well() -> Self {
        let canary = Some(pod("canary", NEW, true));
        Self {
            now_s: START_S,
            leads: true,
            revision: NEW,
            verdicts: verdicts(NEW, Verdict::Pass),
            pods: Pods { canary, ..serving([OLD; 3]) },
            drills: Drills::Passed,
            stable_up: true,
            commands: Vec::new(),
        }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            now_s: self.now_s,
            leads: self.leads,
            revision: self.revision,
            verdicts: &self.verdicts,
            pods: &self.pods,
            drills: self.drills,
            drills_said: "mode (as_found: off)",
            stable_up: self.stable_up,
            commands: &self.commands,
        }
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}

pub(crate) fn take(state: &State, seen: &Seen) -> (State, Decision) {
    step(state.clone(), &minute_steps(), &seen.input())
}

/// A state in which everything runs the old revision.
pub(crate) fn stable() -> State {
    let settled = Seen::well().with(|seen| (seen.revision, seen.pods) = (OLD, serving([OLD; 3])));
    let (state, _) = take(&State::unknown(), &settled);
    assert_eq!((state.step(), state.stable()), (Step::Stable, OLD));
    state
}

/// The state of a rollout of the new revision in this step, right after it began.
pub(crate) fn in_step(wanted: Step) -> State {
    let mut state = match wanted {
        Step::Unknown => return State::unknown(),
        Step::Stable => return stable(),
        Step::DarkLaunch | Step::Shadow | Step::Canary(_) | Step::Promoting | Step::Soaking => {
            take(&stable(), &Seen::well()).0
        }
        Step::RolledBack => {
            let begun = take(&stable(), &Seen::well()).0;
            take(&begun, &Seen::well().with(|seen| seen.commands = vec![command("setup", Verb::Abort)])).0
        }
    };
    for n in 0..8 {
        if state.step() == wanted {
            return state;
        }
        let promoted = state.step() == Step::Promoting;
        state = take(
            &state,
            &Seen::well().with(|seen| match promoted {
                true => seen.pods = serving([NEW; 3]),
                false => seen.commands = vec![command(&format!("setup-{n}"), Verb::PromoteNext)],
            }),
        )
        .0;
    }
    panic!("{wanted:?} was not reached, only {:?}", state.step());
}

/// All steps of a ladder with two canary steps.
pub(crate) const STEPS: [Step; 9] = [
    Step::Unknown,
    Step::Stable,
    Step::DarkLaunch,
    Step::Shadow,
    Step::Canary(0),
    Step::Canary(1),
    Step::Promoting,
    Step::Soaking,
    Step::RolledBack,
];

/// Each verdict, with each reason for none.
pub(crate) const VERDICTS: [Verdict; 8] = [
    Verdict::Fail,
    Verdict::NoData(NoData::Stale),
    Verdict::NoData(NoData::StableBad),
    Verdict::NoData(NoData::Excluded),
    Verdict::NoData(NoData::ControlDiffers),
    Verdict::NoData(NoData::TooFew),
    Verdict::Pass,
    Verdict::Hold,
];
