//! `RetentionHealthy`, and the parts of the status about retention and scheduled tasks.

use crds::{RetentionPlan, RetentionStatus, UpkeepStatus};

use super::{
    facts::Facts,
    lookup::name,
    secrets::forbidden_message,
    upkeep_health::{in_force_before, schedule},
};
use crate::{
    children::upkeep_keys,
    conditions::{Reason, Truth, Verdict},
    names::APPROVE_RETENTION_ANNOTATION,
    observed::Observed,
    punctuality::in_force,
    report::quoted,
    upkeep::{Hold, HoldKind, SCHEDULED, Standing, applied, last_plan, last_run, problem, standing},
    validate::{Essentials, RetentionTerms},
};

/// Longest reason for which a plan is held back, characters: the bound of the CRD.
const HOLD_CHARS_MAX: usize = 512;

fn verdict(truth: Truth, reason: Reason, message: impl Into<String>) -> Option<Verdict> {
    Some(Verdict::new(truth, reason, message))
}

fn terms<'a>(facts: &Facts<'a>) -> Option<&'a RetentionTerms> {
    facts.outcome.essentials().retention.as_ref()
}

/// The verdict on an engine whose spec has no schedule for retention.
pub(super) fn disabled(facts: &Facts<'_>) -> Option<Verdict> {
    let message = "spec.retention.schedule is not set: only clients end what is kept";
    terms(facts).is_none().then(|| Verdict::new(Truth::True, Reason::RetentionDisabled, message))
}

/// The verdict on objects that the operator cannot read.
pub(super) fn unread(facts: &Facts<'_>) -> Option<Verdict> {
    let unread = facts.observed.upkeep.as_ref()?.unread.as_ref()?;
    match unread.is_forbidden {
        true => verdict(Truth::Unknown, Reason::SecretsForbidden, forbidden_message(facts.observed, unread)),
        false => verdict(
            Truth::Unknown,
            Reason::UpkeepUnreadable,
            format!("an object of a schedule could not be read: {}. The operator retries", unread.text),
        ),
    }
}

/// The command that has a plan made now.
fn plan_now(observed: &Observed) -> String {
    format!("kubectl create job --from=cronjob/{}-retention NAME", name(observed))
}

/// A plan in words.
fn described(plan: &RetentionPlan) -> String {
    let RetentionPlan { hash, made, entries, total, bytes, counts, oldest, newest, .. } = plan;
    let ends = oldest.as_ref().zip(newest.as_ref());
    let ends =
        ends.map(|(oldest, newest)| format!(", accepted from {oldest} to {newest}")).unwrap_or_default();
    format!(
        "plan {hash} of {made} removes {entries} of {total} memories, {bytes} bytes{ends} (too old {}, too many {}, both \
         {})",
        counts.age, counts.entries, counts.both
    )
}

/// The verdict on where retention stands.
pub(super) fn stands(facts: &Facts<'_>) -> Option<Verdict> {
    let observed = facts.observed;
    let plan = last_plan(observed).as_ref().map(described).unwrap_or_default();
    match standing(observed, terms(facts)?) {
        Standing::NoPlan => verdict(
            Truth::Unknown,
            Reason::NoPlan,
            format!("no retention plan was made yet. {} has one made", plan_now(observed)),
        ),
        Standing::PlanFailed(why) => verdict(
            Truth::False,
            Reason::PlanFailed,
            format!("the engine could not make a retention plan: {why}. {} tries again", plan_now(observed)),
        ),
        Standing::Nothing => {
            verdict(Truth::True, Reason::NothingToRemove, format!("no memory breaks a rule: {plan}"))
        }
        Standing::Applied(applied) => verdict(
            Truth::True,
            Reason::RetentionApplied,
            format!(
                "plan {} removed {} memories at {}, event {}: {}",
                applied.hash, applied.entries, applied.at, applied.event_seq, applied.because
            ),
        ),
        Standing::Stale(why) => verdict(
            Truth::False,
            Reason::PlanStale,
            format!(
                "{plan}. It can no longer be carried out: {why}. {} has a new one made",
                plan_now(observed)
            ),
        ),
        Standing::Held(holds) => held(facts, &plan, &holds),
        Standing::Due { because, failure: Some(why), .. } => verdict(
            Truth::False,
            Reason::ApplyFailed,
            format!(
                "{plan}. It may be carried out ({because}), and the engine has not: {why}. The operator retries"
            ),
        ),
        Standing::Due { because, failure: None, .. } => verdict(
            Truth::Unknown,
            Reason::ApplyPending,
            match facts.outcome.essentials().suspend {
                true => format!(
                    "{plan}. It may be carried out ({because}), and waits because spec.suspend is set"
                ),
                false => format!("{plan}. It is being carried out: {because}"),
            },
        ),
    }
}

/// The verdict on a plan that is held back. The first reason decides.
fn held(facts: &Facts<'_>, plan: &str, holds: &[Hold]) -> Option<Verdict> {
    let reason = match holds.first()?.kind {
        HoldKind::IntegrityInDoubt => Reason::IntegrityInDoubt,
        HoldKind::RulesNotInForce => Reason::ConfigurationOutdated,
        HoldKind::PlanFromFuture => Reason::PlanFromFuture,
        HoldKind::Suspended => Reason::RetentionSuspended,
        HoldKind::BackupTooOld => Reason::BackupTooOld,
        HoldKind::SpikeGuard => Reason::SpikeGuardHolds,
        HoldKind::Approval => Reason::PlanAwaitsApproval,
    };
    let texts: Vec<&str> = holds.iter().map(|hold| hold.text.as_str()).collect();
    let hash = last_plan(facts.observed).map(|plan| plan.hash).unwrap_or_default();
    let approve = match reason {
        Reason::PlanAwaitsApproval => format!(
            ". Approve it with `kubectl annotate memoryengine {} {APPROVE_RETENTION_ANNOTATION}={hash} --overwrite`",
            name(facts.observed)
        ),
        _ => String::new(),
    };
    verdict(Truth::False, reason, format!("{plan}. It is held back: {}{approve}", texts.join(". ")))
}

/// The part of the status about retention.
pub(super) fn retention_status(observed: &Observed, essentials: &Essentials) -> Option<RetentionStatus> {
    let terms = essentials.retention.as_ref()?;
    let holds = match standing(observed, terms) {
        Standing::Held(holds) => holds.into_iter().map(|hold| hold.text).collect(),
        Standing::Stale(why) => vec![why],
        Standing::Due { failure: Some(why), .. } => vec![why],
        Standing::NoPlan
        | Standing::PlanFailed(_)
        | Standing::Nothing
        | Standing::Applied(_)
        | Standing::Due { failure: None, .. } => Vec::new(),
    };
    Some(RetentionStatus {
        plan: last_plan(observed),
        holds: holds.iter().map(|text| quoted(text, HOLD_CHARS_MAX)).collect(),
        applied: applied(observed, terms),
    })
}

/// The tasks that are done on a schedule. While objects of one exist that the spec no longer wants, it stays, so that
/// the operator deletes them.
pub(super) fn upkeep_statuses(observed: &Observed, essentials: &Essentials) -> Vec<UpkeepStatus> {
    let Some(view) = &observed.upkeep else { return Vec::new() };
    let before = observed.engine.status.as_ref().map(|status| status.upkeep.as_slice()).unwrap_or_default();
    let rows = SCHEDULED.iter().filter_map(|row| {
        let times = essentials.upkeep.iter().find(|times| times.task == row.task);
        let was_there = before.iter().any(|one| one.task == row.task);
        let is_left =
            || upkeep_keys(name(observed), row.word).iter().any(|key| observed.children.contains_key(key));
        if times.is_none() && !is_left() && !(was_there && view.unread.is_some()) {
            return None;
        }
        let schedule = schedule(essentials, row.task);
        let next = schedule.and_then(|schedule| schedule.next(observed.now));
        Some(UpkeepStatus {
            task: row.task,
            schedule: in_force(in_force_before(observed, row), schedule, observed.now),
            next_run: next.map(|moment| moment.to_string()),
            last_run: last_run(observed, row),
            problem: problem(observed, row),
        })
    });
    rows.collect()
}
