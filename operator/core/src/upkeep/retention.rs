//! Whether a retention plan is carried out. Every doubt holds it back.

use crds::{AppliedRetention, RetentionApply, RetentionCounts, RetentionPlan, UpkeepTask};
use engine_core::wire::{
    self, ApprovedPlan, ErrorCode, RetentionSummary, StartUpkeep, UpkeepResult, UpkeepState,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    approval::{Approval, approval},
    requests::last_run,
    table::scheduled,
};
use crate::{
    conditions::ConditionType,
    names::{APPROVE_RETENTION_ANNOTATION, FIELD_MANAGER},
    observed::Observed,
    report::quoted,
    validate::RetentionTerms,
};

/// Longest description of why a plan is stale, or held back, characters: the bound of the CRD.
const TEXT_CHARS_MAX: usize = 512;
/// How far the clock of an engine may be ahead.
const CLOCK_AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Shortest time between two removals without an approval.
const AUTO_INTERVAL_MIN: SignedDuration = SignedDuration::from_hours(20);
/// Longest text of the reason for a run, characters: the bound of the CRD.
const BECAUSE_CHARS_MAX: usize = 250;
/// Seconds after which a run that failed is tried again. An engine answers the same request with the same failure.
const RETRY_SECONDS: i64 = 300;
/// Digits of a hash in the id of a request.
const HASH_DIGITS: usize = 32;

/// Why a plan is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldKind {
    /// It is not known that the log is as it was recorded.
    IntegrityInDoubt,
    /// The engine has other rules than those of the spec.
    RulesNotInForce,
    /// The plan was made by a clock that is ahead.
    PlanFromFuture,
    /// No backup was verified recently enough.
    BackupTooOld,
    /// The spec suspends retention.
    Suspended,
    /// The spike guard holds it.
    SpikeGuard,
    /// Nobody has approved it.
    Approval,
}

/// A reason for which a plan is not carried out, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which.
    pub kind: HoldKind,
    /// What it is, and what to do.
    pub text: String,
}

/// Where retention stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No plan was made yet.
    NoPlan,
    /// The engine could not make the last plan, for this reason.
    PlanFailed(String),
    /// The plan removes nothing.
    Nothing,
    /// The plan was carried out.
    Applied(AppliedRetention),
    /// The plan can no longer be carried out, for this reason.
    Stale(String),
    /// The plan is held back, for these reasons in order of precedence.
    Held(Vec<Hold>),
    /// The plan is carried out now.
    Due {
        /// Why.
        because: String,
        /// Its number of memories, if the spike guard would hold it.
        override_spike_guard: Option<u64>,
        /// Why the engine has not done so in this reconcile.
        failure: Option<String>,
    },
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A plan, as the status has it.
fn shown(plan: &RetentionSummary) -> RetentionPlan {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    RetentionPlan {
        hash: plan.plan_hash.clone(),
        made: plan.as_of.to_string(),
        applied_seq: whole(plan.applied_seq),
        entries: whole(plan.memories),
        total: whole(plan.total),
        more: plan.more,
        bytes: whole(plan.bytes),
        counts: RetentionCounts {
            age: whole(plan.by_rule.age),
            entries: whole(plan.by_rule.entries),
            both: whole(plan.by_rule.both),
        },
        oldest: text(plan.oldest),
        newest: text(plan.newest),
        spikes: plan.spikes.iter().map(|spike| quoted(spike, TEXT_CHARS_MAX)).collect(),
        stale: None,
    }
}

/// The run that carries out a plan, as the engine answered in this reconcile.
fn applying(observed: &Observed) -> Option<&wire::UpkeepRun> {
    observed.upkeep.as_ref()?.run(wire::UpkeepTask::ApplyRetention)
}

/// The last plan: that of this reconcile, or that of the status.
#[must_use]
pub fn last_plan(observed: &Observed) -> Option<RetentionPlan> {
    let view = observed.upkeep.as_ref();
    let fresh = view.and_then(|view| view.run(wire::UpkeepTask::PlanRetention)?.result.as_ref());
    if let Some(UpkeepResult::Planned(plan)) = fresh {
        return Some(shown(plan));
    }
    let mut plan = observed.engine.status.as_ref()?.retention.as_ref()?.plan.clone()?;
    let refused = applying(observed).filter(|run| run.code == Some(ErrorCode::PlanChanged));
    if let Some(why) = refused.and_then(|run| run.error.as_ref()) {
        plan.stale = Some(quoted(why, TEXT_CHARS_MAX));
    }
    Some(plan)
}

/// The last plan that was carried out.
#[must_use]
pub fn applied(observed: &Observed, terms: &RetentionTerms) -> Option<AppliedRetention> {
    let before =
        observed.engine.status.as_ref().and_then(|status| status.retention.as_ref()?.applied.clone());
    let Some(run) = applying(observed).filter(|run| run.state == UpkeepState::Done) else { return before };
    let Some(UpkeepResult::Applied { plan_hash, memories, seq }) = &run.result else { return before };
    let because = match last_plan(observed).map(|plan| permission(observed, terms, &plan)) {
        Some(Ok(permission)) => permission.because,
        Some(Err(_)) | None => "approved".to_owned(),
    };
    Some(AppliedRetention {
        hash: plan_hash.clone(),
        at: run.finished.unwrap_or(observed.now).to_string(),
        entries: whole(*memories),
        event_seq: whole(*seq),
        because,
    })
}

/// Where retention stands.
#[must_use]
pub fn standing(observed: &Observed, terms: &RetentionTerms) -> Standing {
    let planning = last_run(observed, scheduled(UpkeepTask::PlanRetention));
    let plan = last_plan(observed);
    let made = plan.as_ref().and_then(|plan| plan.made.parse::<Timestamp>().ok());
    let failed = planning.filter(|run| {
        let at = run.finished_at.parse::<Timestamp>().ok();
        !run.succeeded && (made.is_none() || at > made)
    });
    if let Some(failed) = failed {
        return Standing::PlanFailed(failed.result);
    }
    let Some(plan) = plan else { return Standing::NoPlan };
    match applied(observed, terms) {
        Some(applied) if applied.hash == plan.hash => return Standing::Applied(applied),
        Some(_) | None => {}
    }
    if let Some(why) = plan.stale {
        return Standing::Stale(why);
    }
    if plan.entries == 0 {
        return Standing::Nothing;
    }
    let holds = [
        doubt(observed),
        outdated(observed),
        clock_ahead(observed, made),
        old_backup(observed, terms),
        paused(terms),
    ];
    let mut holds: Vec<Hold> = holds.into_iter().flatten().collect();
    match permission(observed, terms, &plan) {
        Ok(Permission { because, override_spike_guard }) if holds.is_empty() => {
            Standing::Due { because, override_spike_guard, failure: failure(observed) }
        }
        Ok(_) => Standing::Held(holds),
        Err(hold) => {
            holds.push(hold);
            Standing::Held(holds)
        }
    }
}

/// The request to the engine that carries out the plan; `None` while it is held back.
#[must_use]
pub fn to_apply(observed: &Observed, terms: &RetentionTerms) -> Option<StartUpkeep> {
    let Standing::Due { because, override_spike_guard, .. } = standing(observed, terms) else { return None };
    observed.report_on_log()?;
    let plan = last_plan(observed)?;
    let digits: String = plan.hash.chars().take(HASH_DIGITS).collect();
    let attempt = observed.now.as_second() / RETRY_SECONDS;
    Some(StartUpkeep {
        task: wire::UpkeepTask::ApplyRetention,
        request: format!("{digits}-{attempt}"),
        plan: Some(ApprovedPlan {
            as_of: plan.made.parse().ok()?,
            applied_seq: u64::try_from(plan.applied_seq).ok()?,
            plan_hash: plan.hash,
            override_spike_guard,
            reason: because,
            by: FIELD_MANAGER.to_owned(),
        }),
    })
}

/// Why the engine has not carried out the plan that it was asked for in this reconcile.
fn failure(observed: &Observed) -> Option<String> {
    let refused = observed.upkeep.as_ref()?.refusal(wire::UpkeepTask::ApplyRetention);
    let failed = || applying(observed).filter(|run| run.state == UpkeepState::Failed)?.error.as_deref();
    refused.or_else(failed).map(|why| quoted(why, TEXT_CHARS_MAX))
}

/// The last verdict on a condition.
fn find(observed: &Observed, kind: ConditionType) -> Option<&Condition> {
    let conditions = &observed.engine.status.as_ref()?.conditions;
    conditions.iter().find(|one| one.type_ == kind.as_str())
}

/// Whether the engine plans by the rules of this spec. It plans by those of the file that it has, and a kubelet
/// delivers a changed file late.
fn outdated(observed: &Observed) -> Option<Hold> {
    let generation = observed.engine.metadata.generation;
    let last = find(observed, ConditionType::ConfigurationApplied);
    let is_in_force = last.is_some_and(|one| one.status == "True" && one.observed_generation == generation);
    (!is_in_force).then(|| Hold {
        kind: HoldKind::RulesNotInForce,
        text: "the engine does not run with the rules of this spec yet: see ConfigurationApplied".to_owned(),
    })
}

/// Whether it is known that the log is as it was recorded: by the last judgement of the operator, by the engine's
/// present report, and by the last scrub.
fn doubt(observed: &Observed) -> Option<Hold> {
    let hold = |text: String| Some(Hold { kind: HoldKind::IntegrityInDoubt, text });
    if find(observed, ConditionType::LogIntegrity).is_none_or(|one| one.status != "True") {
        return hold("LogIntegrity is not True: nothing is removed until it is".to_owned());
    }
    let Some(health) = observed.report_on_log() else {
        return hold("the engine does not report: nothing is removed until it does".to_owned());
    };
    if let Some(fault) = &health.log.integrity.fault {
        return hold(format!("the engine reports a fault of the log: {}", fault.message));
    }
    let scrub = last_run(observed, scheduled(UpkeepTask::Scrub)).filter(|run| !run.succeeded)?;
    hold(format!("the last scrub failed, so scrub again: {}", scrub.result))
}

/// Whether the plan was made by a clock that is ahead: its rules by age took what is too young.
fn clock_ahead(observed: &Observed, made: Option<Timestamp>) -> Option<Hold> {
    let ahead = made.is_none_or(|made| made.duration_since(observed.now) > CLOCK_AHEAD_MAX);
    ahead.then(|| Hold {
        kind: HoldKind::PlanFromFuture,
        text: "the plan is from the future: correct the clock of the engine's node, and make another plan"
            .to_owned(),
    })
}

/// Whether the spec suspends retention.
fn paused(terms: &RetentionTerms) -> Option<Hold> {
    terms.is_suspended.then(|| Hold {
        kind: HoldKind::Suspended,
        text: "spec.retention.suspend is set: nothing is removed".to_owned(),
    })
}

/// Whether a backup was verified recently enough, if the spec demands one.
fn old_backup(observed: &Observed, terms: &RetentionTerms) -> Option<Hold> {
    let max = terms.verified_backup_max_age?;
    let view = observed.backup.as_ref().filter(|view| view.unread.is_none());
    let verified = view.and_then(|view| view.last_verified()).map(|(_, at)| at);
    let hours = max.as_hours();
    let what = match verified {
        None => "no backup is verified".to_owned(),
        Some(at) if observed.now.duration_since(at) > max => format!("the last backup was verified at {at}"),
        Some(_) => return None,
    };
    let rule = "spec.retention.verifiedBackupMaxAgeHours";
    Some(Hold {
        kind: HoldKind::BackupTooOld,
        text: format!("{what}, and {rule} wants one that was verified within {hours} h: verify one"),
    })
}

/// Why a plan may be carried out.
struct Permission {
    because: String,
    override_spike_guard: Option<u64>,
}

/// Whether the plan is approved, or needs no approval.
fn permission(observed: &Observed, terms: &RetentionTerms, plan: &RetentionPlan) -> Result<Permission, Hold> {
    let approval = approval(&observed.engine);
    let given = approval.as_ref().filter(|given| given.hash == plan.hash);
    let entries = u64::try_from(plan.entries).unwrap_or_default();
    let refusal = refusal(approval.as_ref(), plan);
    if !plan.spikes.is_empty() {
        return match given {
            Some(given) if given.entries == Some(entries) => {
                Ok(Permission { because: because(given), override_spike_guard: given.entries })
            }
            Some(_) | None => Err(Hold {
                kind: HoldKind::SpikeGuard,
                text: format!(
                    "the spike guard holds the plan: {}. If this is intended, approve it with its number, \
                     {{\"hash\": \"{}\", \"entries\": {entries}}}{refusal}",
                    plan.spikes.join("; "),
                    plan.hash
                ),
            }),
        };
    }
    if let Some(given) = given {
        // The engine may find a spike that was none when the plan was made.
        let override_spike_guard = given.entries.filter(|given| *given == entries);
        return Ok(Permission { because: because(given), override_spike_guard });
    }
    let total = u64::try_from(plan.total).unwrap_or_default();
    let percent = terms.auto_max_percent;
    let is_small = u128::from(entries) * 100 <= u128::from(total) * u128::from(percent);
    let retention = observed.engine.status.as_ref().and_then(|status| status.retention.as_ref());
    let last = retention.and_then(|retention| retention.applied.as_ref()?.at.parse::<Timestamp>().ok());
    let is_early = last.is_some_and(|last| observed.now.duration_since(last) < AUTO_INTERVAL_MIN);
    let why = match terms.apply {
        RetentionApply::Auto if is_small && is_early => {
            "Auto removes at most once a day: otherwise its limit could be passed in slices".to_owned()
        }
        RetentionApply::Auto if is_small => {
            let because = "spec.retention.apply is Auto".to_owned();
            return Ok(Permission { because, override_spike_guard: None });
        }
        RetentionApply::Auto => {
            format!("{entries} of {total} memories are more than {percent} %, the limit of Auto")
        }
        RetentionApply::OnApproval => "it waits for an approval".to_owned(),
    };
    Err(Hold { kind: HoldKind::Approval, text: format!("{why}{refusal}") })
}

fn because(given: &Approval) -> String {
    quoted(&given.described(), BECAUSE_CHARS_MAX)
}

/// What is wrong with an approval that was given.
fn refusal(approval: Option<&Approval>, plan: &RetentionPlan) -> String {
    match approval.filter(|given| given.hash != plan.hash) {
        Some(given) => {
            format!(". {APPROVE_RETENTION_ANNOTATION} names {:?}, which is another plan or none", given.hash)
        }
        None => String::new(),
    }
}
