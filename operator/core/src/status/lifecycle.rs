//! `Suspended`, `Fenced` and `UpdatePending`, what a hibernation does to the other conditions, and the parts of the
//! status about them.

use crds::{AppliedUpdate, DeletionStatus, FenceStatus, PendingUpdate, UpdateStatus};

use super::{
    facts::Facts,
    integrity::{log_status, time},
    lookup::name,
    outcome::Outcome,
};
use crate::{
    children::CHILDREN,
    conditions::{ConditionType, Reason, Truth, Verdict},
    deletion::{self, Farewell},
    fence,
    hibernation::{self, Sleep},
    names::APPROVE_UPDATE_ANNOTATION,
    observed::Observed,
    update::{Held, Update},
};

fn verdict(truth: Truth, reason: Reason, message: impl Into<String>) -> Option<Verdict> {
    Some(Verdict::new(truth, reason, message))
}

/// What would be changed if the spec did not suspend the engine; `None` if it does not.
fn suspended_changes<'a>(facts: &Facts<'a>) -> Option<&'a [String]> {
    match facts.outcome {
        Outcome::Applied { plan, .. } => plan.suspended.as_deref(),
        Outcome::Invalid { .. } => facts.outcome.essentials().suspend.then_some(&[]),
    }
}

pub(super) fn suspended(facts: &Facts<'_>) -> Option<Verdict> {
    let message = match suspended_changes(facts)? {
        [] => "spec.suspend is set: the operator changes nothing, and nothing waits".to_owned(),
        changes => format!("spec.suspend is set; without it, the operator would: {}", changes.join("; ")),
    };
    verdict(Truth::True, Reason::SuspendedBySpec, message)
}

pub(super) fn not_suspended(_: &Facts<'_>) -> Option<Verdict> {
    verdict(Truth::False, Reason::NotSuspended, "the operator makes everything as the spec requires")
}

/// The verdict on changes that nobody carries out until the engine is no longer suspended.
pub(super) fn change_suspended(facts: &Facts<'_>) -> Option<Verdict> {
    let changes = suspended_changes(facts).filter(|changes| !changes.is_empty())?;
    let message = format!(
        "{} change(s) wait, because spec.suspend is set: remove it. The condition Suspended lists them",
        changes.len()
    );
    verdict(Truth::True, Reason::ChangeSuspended, message)
}

/// How the last backup before the deletion has ended. Once it is said, it stays.
pub(super) fn deletion_status(observed: &Observed, outcome: &Outcome<'_>) -> Option<DeletionStatus> {
    let said = observed.engine.status.as_ref().and_then(|status| status.deletion.clone());
    let is_valid = matches!(outcome, Outcome::Applied { .. });
    said.or_else(|| match deletion::decide(observed, outcome.essentials(), is_valid)? {
        Farewell::Say(status) => Some(status),
        _ => None,
    })
}

/// The evidence of the fence for the status.
pub(super) fn fence_status(facts: &Facts<'_>) -> Option<FenceStatus> {
    let told_now = match facts.outcome {
        Outcome::Applied { plan, .. } => plan.tells_mode(),
        // It is not known what was sent.
        Outcome::Invalid { .. } => true,
    };
    let log = log_status(facts.observed, facts.integrity);
    fence::status(facts.observed, facts.outcome.essentials(), log.as_ref(), told_now)
}

pub(super) fn not_fenced(facts: &Facts<'_>) -> Option<Verdict> {
    if facts.outcome.essentials().fence.is_some() {
        return None;
    }
    match fence_status(facts) {
        Some(last) => verdict(
            Truth::False,
            Reason::FenceLifted,
            format!(
                "the fence of {} at event {} was lifted at {}",
                last.at,
                last.head_seq,
                last.lifted_at.unwrap_or_default()
            ),
        ),
        None => verdict(Truth::False, Reason::NotFenced, "spec.fence is not set"),
    }
}

pub(super) fn fence_pending(facts: &Facts<'_>) -> Option<Verdict> {
    let fence = facts.outcome.essentials().fence.as_ref()?;
    let pending = |what: &str| verdict(Truth::False, Reason::FencePending, what);
    if fence::accepts_writes(facts.observed) == Some(true) {
        let why = facts.observed.mode_refusal.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        return pending(&format!("the engine has not stopped its writes yet{why}"));
    }
    if facts.health().is_some_and(|health| health.mode.is_none()) {
        return pending(
            "the engine is too old to stop its writes: set spec.image to a version that has modes",
        );
    }
    let stands = fence_status(facts).is_some_and(|evidence| fence::stands(&evidence, fence));
    if stands {
        None
    } else {
        pending("the evidence waits for the report of the engine, and for the last anchor")
    }
}

pub(super) fn fenced(facts: &Facts<'_>) -> Option<Verdict> {
    let FenceStatus { by, reason, at, head_seq, root, epoch, .. } = fence_status(facts)?;
    let root = root.unwrap_or_else(|| "none".to_owned());
    verdict(
        Truth::True,
        Reason::WritesFenced,
        format!(
            "{by} stopped writes at event {head_seq}, root {root}, epoch {epoch}, recorded at {at}: {reason}"
        ),
    )
}

/// The update that waits.
fn held<'a>(facts: &Facts<'a>) -> Option<&'a Held> {
    match facts.outcome {
        Outcome::Applied { plan, .. } => plan.held_update(),
        Outcome::Invalid { .. } => None,
    }
}

/// The verdict on an invalid spec, under which nothing is compared: the last one.
pub(super) fn update_undecided(facts: &Facts<'_>) -> Option<Verdict> {
    let Outcome::Invalid { .. } = facts.outcome else { return None };
    let last = facts.before(ConditionType::UpdatePending).and_then(Verdict::of);
    let unknown = || Verdict::new(Truth::Unknown, Reason::InvalidSpec, "the spec is not valid");
    Some(last.unwrap_or_else(unknown))
}

pub(super) fn update_waits(facts: &Facts<'_>) -> Option<Verdict> {
    let Held { hash, changes, next_window, refusal, .. } = held(facts)?;
    let refusal = refusal.as_ref().map(|why| format!(". {why}")).unwrap_or_default();
    let approve = format!(
        "`kubectl annotate memoryengine {} {APPROVE_UPDATE_ANNOTATION}={hash} --overwrite`",
        name(facts.observed)
    );
    let changes = changes.join("; ");
    match next_window {
        Some(window) => verdict(
            Truth::True,
            Reason::UpdateAwaitsWindow,
            format!(
                "update {hash} of the operator restarts the pod at {window}, or at once after {approve}{refusal}. It \
                 changes {changes}"
            ),
        ),
        None => verdict(
            Truth::True,
            Reason::UpdateAwaitsApproval,
            format!(
                "update {hash} of the operator restarts the pod. Approve it with {approve}{refusal}. It changes {changes}"
            ),
        ),
    }
}

pub(super) fn up_to_date(facts: &Facts<'_>) -> Option<Verdict> {
    match update_status(facts).and_then(|update| update.applied) {
        Some(AppliedUpdate { hash, at, because }) => verdict(
            Truth::False,
            Reason::UpdateApplied,
            format!("no update waits; {hash} was applied at {at}: {because}"),
        ),
        None => verdict(Truth::False, Reason::UpToDate, "the pod is as this operator makes it"),
    }
}

/// The part of the status about updates.
pub(super) fn update_status(facts: &Facts<'_>) -> Option<UpdateStatus> {
    let before = facts.observed.engine.status.as_ref().and_then(|status| status.update.clone());
    let Outcome::Applied { plan, done, .. } = facts.outcome else { return before };
    let before = before.unwrap_or_default();
    let now = time(facts.observed.now);
    let after = match &plan.update {
        None => UpdateStatus { pending: None, ..before },
        Some(Update::Held(Held { hash, changes, next_window, .. })) => {
            let known = before.pending.filter(|pending| pending.hash == *hash);
            let pending = PendingUpdate {
                hash: hash.clone(),
                changes: changes.clone(),
                since: known.map_or(now, |known| known.since),
                next_window: next_window.map(time),
            };
            UpdateStatus { pending: Some(pending), ..before }
        }
        Some(Update::Applied { hash, because, is_own }) => {
            let key = CHILDREN.stateful_set.key(name(facts.observed));
            if !done.written.contains(&key) {
                return Some(before).filter(|before| *before != UpdateStatus::default());
            }
            let is_told = *is_own || before.pending.is_some();
            let applied =
                AppliedUpdate { hash: hash.clone(), at: now, because: because.chars().take(480).collect() };
            UpdateStatus { pending: None, applied: if is_told { Some(applied) } else { before.applied } }
        }
    };
    Some(after).filter(|after| *after != UpdateStatus::default())
}

/// How far the hibernation is; `None` if the spec wants none.
fn sleep(facts: &Facts<'_>) -> Option<Sleep> {
    let sleep = hibernation::decide(facts.observed, facts.outcome.essentials());
    (sleep != Sleep::Awake).then_some(sleep)
}

/// Whether the engine hibernates, and nothing of its pod is left.
fn is_asleep(facts: &Facts<'_>) -> bool {
    sleep(facts).is_some_and(|sleep| sleep.is_stopped())
        && facts.observed.writer().pod.is_none()
        && hibernation::is_stopped(facts.observed)
}

const ASLEEP: &str =
    "the engine hibernates: it has no pod, and every memory is kept. spec.hibernate: false starts it";

/// The verdict on what an engine reports, while it has no pod because it hibernates.
pub(super) fn unreported(facts: &Facts<'_>) -> Option<Verdict> {
    is_asleep(facts).then(|| Verdict::new(Truth::Unknown, Reason::Hibernated, ASLEEP))
}

/// The verdict on the exposure of an engine that hibernates.
pub(super) fn unexposed(facts: &Facts<'_>) -> Option<Verdict> {
    sleep(facts)?;
    let message =
        "not exposed: the engine hibernates. Its outside objects stay, so that it keeps its address";
    verdict(Truth::False, Reason::Hibernated, message)
}

pub(super) fn stopping(facts: &Facts<'_>) -> Option<Verdict> {
    let message = match sleep(facts)? {
        Sleep::Awake => return None,
        Sleep::Preparing(missing) => format!("the engine stops after {missing}"),
        Sleep::Stopped { .. } if is_asleep(facts) => {
            return verdict(
                Truth::False,
                Reason::Settled,
                "everything is as the spec requires: the engine hibernates",
            );
        }
        Sleep::Stopped { .. } => "the pod is stopping".to_owned(),
    };
    verdict(Truth::True, Reason::Hibernating, message)
}

pub(super) fn not_ready(facts: &Facts<'_>) -> Option<Verdict> {
    let Some(Sleep::Stopped { skipped }) = sleep(facts).filter(|_| is_asleep(facts)) else {
        sleep(facts)?;
        return verdict(Truth::False, Reason::Hibernating, "the engine stops, because spec.hibernate is set");
    };
    let skipped = skipped.map(|what| format!(". It was stopped without {what}")).unwrap_or_default();
    verdict(Truth::False, Reason::Hibernated, format!("{ASLEEP}{skipped}"))
}
