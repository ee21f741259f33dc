//! The evidence of a log whose writes are stopped. It is recorded once the engine reports that it accepts no writes and
//! an anchor covers everything before: the root in it was proved, and stands outside of the volume.

use crds::{Fence, FenceStatus, LogStatus};
use engine_core::wire::Health;
use jiff::Timestamp;

use crate::{
    mode::is_taken_over,
    observed::{CheckpointReport, Observed},
    validate::Essentials,
};

/// Whether the engine accepts writes, as far as it has reported; `None` if it has not, or is too old to have modes.
#[must_use]
pub fn accepts_writes(observed: &Observed) -> Option<bool> {
    Some(observed.report_on_log()?.mode.as_ref()?.effective.writes())
}

/// The part of the status about the fence. `told_now` says whether the engine was told its mode in this reconcile: its
/// report is then older than the end of its writes.
#[must_use]
pub fn status(
    observed: &Observed,
    essentials: &Essentials,
    log: Option<&LogStatus>,
    told_now: bool,
) -> Option<FenceStatus> {
    let before = observed.engine.status.as_ref().and_then(|status| status.fence.clone());
    let Some(fence) = &essentials.fence else {
        return before.map(|before| FenceStatus {
            lifted_at: before.lifted_at.clone().or_else(|| Some(time(observed.now))),
            ..before
        });
    };
    if before.as_ref().is_some_and(|before| stands(before, fence)) || told_now {
        return before;
    }
    let health = observed.report_on_log();
    let fresh = health.zip(log).and_then(|(health, log)| evidence(observed, essentials, fence, health, log));
    fresh.or(before)
}

/// Whether this is the evidence of this fence.
#[must_use]
pub fn stands(evidence: &FenceStatus, fence: &Fence) -> bool {
    evidence.lifted_at.is_none() && (&evidence.reason, &evidence.by) == (&fence.reason, &fence.by)
}

fn evidence(
    observed: &Observed,
    essentials: &Essentials,
    fence: &Fence,
    health: &Health,
    log: &LogStatus,
) -> Option<FenceStatus> {
    let mode = health.mode.as_ref()?;
    let is_stopped = is_taken_over(mode, &observed.engine, essentials.mode) && !mode.effective.writes();
    let head = i64::try_from(health.log.seq).ok()?;
    let is_anchored = head == 0 || log.size == Some(head);
    if !is_stopped || !is_anchored || health.log.integrity.fault.is_some() {
        return None;
    }
    let proved = log.clone();
    let (root, origin, key) =
        if head == 0 { Default::default() } else { (proved.root, proved.origin, proved.key) };
    Some(FenceStatus {
        reason: fence.reason.clone(),
        by: fence.by.clone(),
        at: time(observed.now),
        generation: observed.engine.metadata.generation.unwrap_or_default(),
        head_seq: head,
        head_hash: health.log.hash.clone(),
        checkpoint: root.as_deref().and_then(|root| note(observed, health, root)),
        root,
        origin,
        key,
        epoch: i64::try_from(log.accepted_rollbacks.len()).unwrap_or(i64::MAX),
        lifted_at: None,
    })
}

/// Longest signed checkpoint that the schema of the status accepts, bytes.
const NOTE_BYTES_MAX: usize = 2048;

/// The signed checkpoint with this root.
fn note(observed: &Observed, health: &Health, root: &str) -> Option<String> {
    let answered = match &observed.checkpoints {
        CheckpointReport::Answered(answers) => answers.iter().map(|(_, answer)| &answer.checkpoint).collect(),
        _ => Vec::new(),
    };
    let views = answered.into_iter().chain(&health.log.checkpoint);
    let mut notes = views.filter(|view| view.root == root).map(|view| view.note.clone());
    notes.find(|note| note.len() <= NOTE_BYTES_MAX)
}

fn time(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
