//! Where a rollout is.

use std::collections::BTreeSet;

use engine_core::{digest::Hash, rollout::metric::Metric};
use serde::{Deserialize, Serialize};

use super::{
    decision::{Cause, Refusal},
    evidence::{Absorbed, Evidence, Reading, STALE_S_MAX},
    gate::{Judgement, Verdicts},
    input::{Command, Verb},
    ladder::Step,
    record::{RECORDS_MAX, Record},
    settings::Settings,
};

/// Failed revisions that are remembered. An older one could be tried again.
pub const FAILED_MAX: usize = 8;

/// How often drills may fail in one step. More would fill the log with what they leave there.
pub const DRILLS_FAILED_MAX: u32 = 3;

/// Hexadecimal digits that tell drills apart.
const DRILLS_DIGITS: usize = 12;

/// Commands that are remembered, so that none is carried out twice. Several can be asked for at once, one of each verb.
const COMMANDS_MAX: usize = 2 * Verb::ALL.len();

/// A revision that is judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The share of the sessions that the canary answers, percent.
    pub(super) weight: u8,
    /// How long the step was watched without a breach, seconds.
    pub(super) soaked_s: u64,
    /// How long the canary was seen not to be ready, without a break, seconds.
    #[serde(default)]
    pub(super) away_s: u64,
    /// When the last step was taken, seconds since the epoch.
    pub(super) seen_at_s: i64,
    /// Number of the drills that are next, or run.
    #[serde(default)]
    pub(super) drills: u32,
    /// How often drills have failed since the step began, or since somebody asked to retry.
    #[serde(default)]
    pub(super) failed_drills: u32,
    /// All evidence.
    pub(super) evidence: Evidence,
}

/// A person wants the step to stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Since when, seconds since the epoch.
    pub since_s: i64,
    /// What was asked, by whom and why.
    pub cause: Cause,
}

/// Where a rollout is. `Status` is the same as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(super) step: Step,
    /// The revision that is trusted; empty if the state is missing.
    pub(super) stable: String,
    /// There is one exactly in the steps of a trial.
    pub(super) trial: Option<Trial>,
    /// Revisions that failed, the newest last.
    pub(super) failed: Vec<String>,
    pub(super) hold: Option<Hold>,
    /// The commands that were carried out last, the newest last.
    pub(super) done_commands: Vec<String>,
    pub(super) records: Vec<Record>,
}

/// The state as a part of the status of the resource: integers and texts, bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The step.
    pub step: Step,
    /// The revision that is trusted.
    pub stable_revision: String,
    /// The revision that is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Revisions that failed, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_revisions: Vec<String>,
    /// Who wants the step to stay, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The commands that were carried out last, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done_commands: Vec<String>,
    /// The last decisions with their evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Record>,
}

impl State {
    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            step: Step::Unknown,
            stable: String::new(),
            trial: None,
            failed: Vec::new(),
            hold: None,
            done_commands: Vec::new(),
            records: Vec::new(),
        }
    }

    /// The state that a status has. A status that is missing, or that no state has, gives `Unknown`.
    #[must_use]
    pub fn restore(status: Option<&Status>) -> Self {
        let Some(status) = status.filter(|status| status.is_possible()) else { return Self::unknown() };
        Self {
            step: status.step,
            stable: status.stable_revision.clone(),
            trial: status.trial.clone(),
            failed: status.failed_revisions.clone(),
            hold: status.hold.clone(),
            done_commands: status.done_commands.clone(),
            records: status.decisions.clone(),
        }
    }

    /// The status that this state is stored as.
    #[must_use]
    pub fn save(&self) -> Status {
        Status {
            step: self.step,
            stable_revision: self.stable.clone(),
            trial: self.trial.clone(),
            failed_revisions: self.failed.clone(),
            hold: self.hold.clone(),
            done_commands: self.done_commands.clone(),
            decisions: self.records.clone(),
        }
    }

    /// The step.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The revision that is trusted.
    #[must_use]
    pub fn stable(&self) -> &str {
        &self.stable
    }

    /// The revision that is judged.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.evidence().map(Evidence::revision)
    }

    /// The evidence about the revision that is judged.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        self.trial.as_ref().map(|trial| &trial.evidence)
    }

    /// Revisions that failed, the newest last.
    #[must_use]
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// The last decisions, the newest last.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Adds a reading to the evidence.
    pub fn absorb(&mut self, reading: &Reading, now_s: i64) -> Absorbed {
        match &mut self.trial {
            Some(trial) => trial.evidence.absorb(reading, now_s),
            None => Absorbed::OtherRevision,
        }
    }

    /// Counts a check that the operator itself makes, of a gate that one event fails.
    pub fn note(&mut self, metric: Metric, is_bad: bool, now_s: i64) {
        if let Some(trial) = &mut self.trial {
            trial.evidence.note(metric, is_bad, now_s);
        }
    }

    /// Forgets the last readings of pods other than these.
    pub fn keep_pods(&mut self, uids: &BTreeSet<String>) {
        if let Some(trial) = &mut self.trial {
            trial.evidence.keep_pods(uids);
        }
    }

    /// Forgets which commands were carried out. Nobody asks for anything now.
    pub fn forget_requests(&mut self) {
        self.done_commands.clear();
    }

    /// When the last step was taken, seconds since the epoch.
    #[must_use]
    pub fn seen_at_s(&self) -> Option<i64> {
        self.trial.as_ref().map(|trial| trial.seen_at_s)
    }

    /// Whether both are at the same step and remember the same: what differs is what time and pods have added.
    #[must_use]
    pub fn is_same_but_for_time(&self, other: &Self) -> bool {
        let known = |state: &Self| (state.stable.clone(), state.hold.clone(), state.done_commands.clone());
        self.step == other.step
            && known(self) == known(other)
            && (&self.failed, &self.records) == (&other.failed, &other.records)
            && self.revision() == other.revision()
    }

    /// How long the step still has to be watched, seconds.
    #[must_use]
    pub fn missing_soak_s(&self, settings: &Settings) -> u64 {
        let needed = match self.step {
            Step::DarkLaunch => settings.dark_launch_s,
            Step::Shadow => settings.shadow_s,
            Step::Canary(number) => settings.canary_step(number).map_or(0, |step| step.soak_s),
            Step::Soaking => settings.soaking_s,
            Step::Unknown | Step::Stable | Step::Promoting | Step::RolledBack => 0,
        };
        needed.saturating_sub(self.trial.as_ref().map_or(0, |trial| trial.soaked_s))
    }

    /// How long the canary was not ready.
    pub(super) fn away_s(&self) -> u64 {
        self.trial.as_ref().map_or(0, |trial| trial.away_s)
    }

    /// The canary is ready, or nothing is known of it.
    pub(super) fn is_back(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.away_s = 0;
        }
    }

    /// Counts the time since the last step as watched. What is longer than a reading stays fresh was not watched, so
    /// that neither a clock that jumps nor an operator that was away ends a soak.
    pub(super) fn pass_time(&mut self, now_s: i64) {
        if let Some(trial) = &mut self.trial {
            let watched = now_s.saturating_sub(trial.seen_at_s).clamp(0, STALE_S_MAX);
            let watched = watched.try_into().unwrap_or_default();
            trial.soaked_s = trial.soaked_s.saturating_add(watched);
            trial.away_s = trial.away_s.saturating_add(watched);
            trial.seen_at_s = now_s;
        }
    }

    /// The soak of the step begins anew.
    pub(super) fn restart_soak(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.soaked_s = 0;
        }
    }

    /// Drills have failed: the soak of the step begins anew, and other drills end it.
    pub(super) fn fail_drills(&mut self, what: &str, now_s: i64) {
        self.restart_soak();
        if let Some(trial) = &mut self.trial {
            trial.drills = trial.drills.saturating_add(1);
            trial.failed_drills = trial.failed_drills.saturating_add(1);
        }
        self.record(self.step, now_s, &Cause::drills(what), Vec::new());
    }

    /// Whether drills have failed so often that somebody has to look.
    pub(super) fn has_failed_drills(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.failed_drills >= DRILLS_FAILED_MAX)
    }

    /// Drills may run again. Returns whether they might not.
    pub(super) fn allow_drills(&mut self) -> bool {
        let had_failed = self.has_failed_drills();
        if let Some(trial) = &mut self.trial {
            trial.failed_drills = 0;
        }
        had_failed
    }

    /// What tells the drills that are next, or run, from all others; `None` without a trial.
    #[must_use]
    pub fn drills_id(&self) -> Option<String> {
        let trial = self.trial.as_ref()?;
        let text =
            format!("{} {} {}", trial.evidence.revision(), trial.evidence.step_began_s(), trial.drills);
        Some(Hash::of(text.as_bytes()).to_string().chars().take(DRILLS_DIGITS).collect())
    }

    /// How long the pods have been changed, seconds; 0 outside of a trial.
    pub(super) fn watched_s(&self) -> u64 {
        self.trial.as_ref().map_or(0, |trial| trial.soaked_s)
    }

    /// Enters a step with the same trial, and records it.
    pub(super) fn enter(
        &mut self,
        to: Step,
        settings: &Settings,
        now_s: i64,
        cause: &Cause,
        why: Vec<Judgement>,
    ) {
        self.record(to, now_s, cause, why);
        self.step = to;
        self.hold = None;
        if let Some(trial) = &mut self.trial {
            trial.soaked_s = 0;
            trial.away_s = 0;
            trial.drills = trial.drills.saturating_add(1);
            trial.failed_drills = 0;
            trial.evidence.begin_step(now_s);
            if let Step::Canary(number) = to {
                trial.weight = settings.canary_step(number).map_or(0, |step| step.weight.min(100));
            }
        }
    }

    /// Begins the trial of another revision, with no evidence.
    pub(super) fn begin(&mut self, revision: &str, now_s: i64, cause: &Cause) {
        self.trial = Some(Trial {
            weight: 0,
            soaked_s: 0,
            away_s: 0,
            seen_at_s: now_s,
            drills: 0,
            failed_drills: 0,
            evidence: Evidence::new(revision, now_s),
        });
        self.record(Step::DarkLaunch, now_s, cause, Vec::new());
        (self.step, self.hold) = (Step::DarkLaunch, None);
    }

    /// Ends the trial. The stable revision stays the one it is.
    pub(super) fn end(&mut self, to: Step, now_s: i64, cause: &Cause, why: Vec<Judgement>) {
        self.record(to, now_s, cause, why);
        (self.step, self.trial, self.hold) = (to, None, None);
    }

    /// Remembers a revision as failed.
    pub(super) fn remember_failed(&mut self, revision: &str) {
        self.failed.retain(|failed| failed != revision);
        self.failed.push(revision.to_owned());
        let more = self.failed.len().saturating_sub(FAILED_MAX);
        self.failed.drain(..more);
    }

    /// Remembers a command as carried out.
    pub(super) fn remember_done(&mut self, command: &Command) {
        self.done_commands.push(command.id.clone());
        let more = self.done_commands.len().saturating_sub(COMMANDS_MAX);
        self.done_commands.drain(..more);
    }

    /// Whether a command was carried out.
    pub(super) fn has_done(&self, command: &Command) -> bool {
        self.done_commands.contains(&command.id)
    }

    /// Records that a command was not carried out: whoever asked may look later.
    pub(super) fn record_refusal(&mut self, command: &Command, why: Refusal, now_s: i64) {
        self.record(self.step, now_s, &Cause::refused(command, why), Vec::new());
    }

    fn record(&mut self, to: Step, now_s: i64, cause: &Cause, evidence: Vec<Judgement>) {
        let revision = self.revision().unwrap_or(&self.stable).to_owned();
        self.records.push(Record {
            at_s: now_s,
            revision,
            from: self.step,
            to,
            cause: cause.clone(),
            evidence,
        });
        let more = self.records.len().saturating_sub(RECORDS_MAX);
        self.records.drain(..more);
    }

    /// Whether verdicts are about the revision that is judged.
    pub(super) fn is_about(&self, verdicts: &Verdicts) -> bool {
        self.revision() == Some(&verdicts.revision)
    }
}

impl Status {
    /// Whether a state has this status.
    fn is_possible(&self) -> bool {
        let trial = self.trial.as_ref();
        self.step != Step::Unknown
            && !self.stable_revision.is_empty()
            && self.step.is_trial() == trial.is_some()
            && trial
                .is_none_or(|trial| !self.failed_revisions.iter().any(|one| one == trial.evidence.revision()))
            && self.is_bounded()
    }

    fn is_bounded(&self) -> bool {
        self.failed_revisions.len() <= FAILED_MAX
            && self.decisions.len() <= RECORDS_MAX
            && self.done_commands.len() <= COMMANDS_MAX
    }
}
