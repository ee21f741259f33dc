//! Decides what the engine is queried for: its newest checkpoint, and proofs that this checkpoint extends the recorded
//! history.

use std::time::Duration;

use engine_core::{checkpoint::origin, wire::Health};
use jiff::{SignedDuration, Timestamp};

use super::{
    expected::{ExpectedHistory, in_status},
    record::Record,
};
use crate::{
    conditions::ConditionType,
    observed::{CheckpointReport, Observed},
    validate::Essentials,
};

/// A query for the engine's newest checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointQuery {
    /// Sizes of the recorded trees for which the engine must prove that its checkpoint extends them. If the list is
    /// empty, only the checkpoint is requested.
    pub extends: Vec<u64>,
    /// Whether a valid response leads to writing an anchor. If so, the budget must allow the query first.
    pub records: bool,
}

/// Returns the query to send now, computed from the engine's report and the recorded history; `None` if no query is
/// needed. The function does not read `observed.checkpoints`.
#[must_use]
pub fn checkpoint_query(
    observed: &Observed,
    essentials: &Essentials,
    expected: &ExpectedHistory,
) -> Option<CheckpointQuery> {
    let health = observed.report_on_log()?;
    health.log.checkpoint.as_ref()?;
    if acceptance_pending(essentials, expected) && in_trouble(observed, health) {
        return Some(CheckpointQuery { extends: Vec::new(), records: false });
    }
    if health.log.integrity.fault.is_some() {
        return None;
    }
    match expected {
        ExpectedHistory::Contradiction { .. } => None,
        ExpectedHistory::New | ExpectedHistory::Missing => {
            (health.log.seq > 0).then(|| CheckpointQuery { extends: Vec::new(), records: true })
        }
        ExpectedHistory::Extend { newest, older } => {
            let possible = origin(&health.log.id) == newest.origin && health.log.seq >= newest.size;
            let extends = || [Some(newest), older.as_ref()].into_iter().flatten().map(|r| r.size).collect();
            let query = |records| Some(CheckpointQuery { extends: extends(), records });
            match () {
                () if !possible => None,
                () if integrity_was_false(observed) => query(false),
                () if older.is_some() || in_status(observed).is_none() => query(true),
                () if health.log.seq > newest.size && until_due(observed, essentials).is_zero() => {
                    query(true)
                }
                () => None,
            }
        }
    }
}

fn in_trouble(observed: &Observed, health: &Health) -> bool {
    health.log.integrity.fault.is_some() || integrity_was_false(observed)
}

/// Whether the last reconcile found that the log does not match the record.
#[must_use]
pub fn integrity_was_false(observed: &Observed) -> bool {
    let conditions = observed.engine.status.iter().flat_map(|status| &status.conditions);
    let mut integrity = conditions.filter(|c| c.type_ == ConditionType::LogIntegrity.as_str());
    integrity.any(|condition| condition.status == "False")
}

/// Whether the spec accepts a rollback that is not yet among the accepted rollbacks of the record.
#[must_use]
pub fn acceptance_pending(essentials: &Essentials, expected: &ExpectedHistory) -> bool {
    let Some(accept) = &essentials.accept_rollback else { return false };
    let before = expected.newest().map(|record| record.accepted_rollbacks.as_slice()).unwrap_or_default();
    !before.iter().any(|done| {
        (done.to_size, &done.to_root, &done.reason) == (accept.size, &accept.root, &accept.reason)
    })
}

/// Time until the next anchor is due, provided that the log has grown; zero if it is due now. It is also due now if the
/// time of the last anchor is missing, invalid or in the future.
fn until_due(observed: &Observed, essentials: &Essentials) -> SignedDuration {
    let interval = essentials.anchor_interval;
    let log = observed.engine.status.as_ref().and_then(|status| status.log.as_ref());
    let anchored_at = log.and_then(|log| log.anchored_at.as_deref()?.parse::<Timestamp>().ok());
    let age = anchored_at.map(|then| observed.now.duration_since(then));
    match age.filter(|age| !age.is_negative()) {
        Some(age) if age < interval => interval - age,
        _ => SignedDuration::ZERO,
    }
}

/// Minimum wait before a reconcile that is scheduled for an anchor.
const RECONCILE_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Time until the next reconcile that anchors need; `None` if the engine has reported no checkpoint.
#[must_use]
pub fn next_anchor_reconcile(observed: &Observed, essentials: &Essentials) -> Option<Duration> {
    let health = observed.report_on_log()?;
    health.log.checkpoint.as_ref()?;
    let wait = match &observed.checkpoints {
        CheckpointReport::Delayed(wait) => *wait,
        CheckpointReport::NotQueried if has_unanchored_events(observed, health) => {
            until_due(observed, essentials)
        }
        _ => essentials.anchor_interval,
    };
    Some(wait.unsigned_abs().max(RECONCILE_INTERVAL_MIN))
}

/// Whether the log has events after the anchor.
#[must_use]
pub fn has_unanchored_events(observed: &Observed, health: &Health) -> bool {
    in_status(observed).is_some_and(|record: Record| health.log.seq > record.size)
}
