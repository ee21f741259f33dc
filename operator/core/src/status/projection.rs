//! The parts of the status about the projection: how far it is behind the log, and whether searches work.

use crds::{LogStatus, ProjectionRebuild, ProjectionStatus};
use engine_core::wire::{Health, ProjectionHealth, ProjectionState};
use jiff::{SignedDuration, Timestamp};

use super::{
    facts::Facts,
    integrity::{time, whole},
    lookup::{HEAD_REFRESH_SECONDS, health},
};
use crate::{
    conditions::{Reason, Truth, Verdict},
    observed::Observed,
};

/// The verdict from the engine's report: whether searches work, and with which projection.
pub(super) fn reported(facts: &Facts<'_>) -> Option<Verdict> {
    let projection = &facts.health()?.projection;
    Some(match (projection.state, &projection.rebuild) {
        (ProjectionState::Ready, None) => {
            Verdict::new(Truth::True, Reason::ProjectionServing, "searches are answered")
        }
        (ProjectionState::Ready, Some(rebuild)) => Verdict::new(
            Truth::True,
            Reason::ProjectionRebuilding,
            format!(
                "searches are answered from the old projection while a new one is built: {}",
                rebuild.reason
            ),
        ),
        (ProjectionState::Rebuilding, _) => Verdict::new(
            Truth::False,
            Reason::ProjectionRebuilding,
            "searches wait for the projection, which is being built from the log; writes go on",
        ),
        (ProjectionState::Failed, _) => Verdict::new(
            Truth::False,
            Reason::ProjectionFailed,
            "searches fail: the projection cannot be built; read the engine's log. Writes go on",
        ),
    })
}

/// The verdict of Ready if searches fail: the engine does not serve reads.
pub(super) fn is_failed(facts: &Facts<'_>) -> Option<Verdict> {
    let failed = facts.health()?.projection.state == ProjectionState::Failed;
    failed.then(|| {
        Verdict::new(
            Truth::False,
            Reason::EngineDegraded,
            "searches fail: the projection cannot be built; read the engine's log",
        )
    })
}

/// The numbers of the projection for the status. Every saved memory changes them, so they are updated together with the
/// log's position, and otherwise at most once in [`HEAD_REFRESH_SECONDS`].
pub(super) fn projection_status(observed: &Observed, log: Option<&LogStatus>) -> Option<ProjectionStatus> {
    let status = observed.engine.status.as_ref();
    let before = status.and_then(|status| status.projection.clone());
    let Some(Health { projection, .. }) = health(observed) else { return before };
    let fresh = fresh(projection, observed.now);
    let Some(before) = before else { return Some(fresh) };
    // A new `checked_at` alone does not cause a write of the status: it is written with the next change of another
    // value.
    let (observed_at, checked_at) = (fresh.observed_at.clone(), fresh.checked_at.clone());
    let same = ProjectionStatus { observed_at, checked_at, ..before.clone() } == fresh;
    let with_the_log = status.and_then(|status| status.log.as_ref()) != log;
    let begun_or_ended = before.rebuild.is_some() != fresh.rebuild.is_some();
    if same || (is_recent(&before, observed.now) && !with_the_log && !begun_or_ended) {
        return Some(before);
    }
    Some(fresh)
}

fn fresh(projection: &ProjectionHealth, now: Timestamp) -> ProjectionStatus {
    ProjectionStatus {
        applied_seq: whole(projection.applied_seq),
        lag: whole(projection.lag),
        checked_at: projection.checked_at.map(time),
        rebuild: projection.rebuild.as_ref().map(|rebuild| ProjectionRebuild {
            applied_seq: whole(rebuild.applied_seq),
            head_seq: whole(rebuild.head_seq),
            reason: rebuild.reason.clone(),
        }),
        observed_at: time(now),
    }
}

fn is_recent(before: &ProjectionStatus, now: Timestamp) -> bool {
    let age = before.observed_at.parse::<Timestamp>().map(|then| now.duration_since(then));
    age.is_ok_and(|age| age >= SignedDuration::ZERO && age < SignedDuration::from_secs(HEAD_REFRESH_SECONDS))
}
