//! Verifies the engine's report and checkpoints against the recorded history. The result is a proof that the log
//! extends the history, a finding, or neither.

use crds::{ACCEPTED_ROLLBACKS_MAX, AcceptRollback, AcceptedRollback};
use engine_core::{
    checkpoint::{Checkpoint, origin},
    digest::Hash,
    merkle::{EMPTY_ROOT, verify_consistency},
    note::VerifierKey,
    wire::{CheckpointAnswer, CheckpointView, Health, IntegrityFaultKind, StorageReason},
};

use super::{expected::ExpectedHistory, record::Record};
use crate::{conditions::Reason, observed::CheckpointReport};

/// Result of verifying the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing contradicts the record, and there is no new proof.
    Nothing,
    /// The log provably extends everything that was recorded. The record describes the log's present position.
    Proved(Record),
    /// The log does not match the record.
    Fault(Finding),
}

/// How a log fails to match the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One of the reasons of the condition `LogIntegrity`.
    pub reason: Reason,
    /// Description of the fault.
    pub message: String,
}

fn finding(reason: Reason, message: impl Into<String>) -> Finding {
    Finding { reason, message: message.into() }
}

/// Verifies the engine's report `health` and its responses `answers` to the checkpoint query against the recorded
/// history.
#[must_use]
pub fn judge(expected: &ExpectedHistory, health: &Health, answers: &CheckpointReport) -> Judgement {
    let found = reported(health)
        .or_else(|| contradiction(expected))
        .or_else(|| report_contradiction(expected, health));
    if let Some(found) = found {
        return Judgement::Fault(found);
    }
    let CheckpointReport::Answered(answers) = answers else { return Judgement::Nothing };
    match expected {
        ExpectedHistory::Contradiction { .. } => Judgement::Nothing,
        ExpectedHistory::New | ExpectedHistory::Missing => match answers.first() {
            Some((_, answer)) => first_anchor(health, &answer.checkpoint),
            None => Judgement::Nothing,
        },
        ExpectedHistory::Extend { newest, older } => extended(newest, older.as_deref(), answers),
    }
}

/// Faults that the engine itself reports.
fn reported(health: &Health) -> Option<Finding> {
    let Some(fault) = health.log.integrity.fault.as_ref() else {
        // An engine that is older than this operator reports all of these faults with one reason, `LogCorrupt`.
        let corrupt = health.storage.reason == Some(StorageReason::LogCorrupt);
        return corrupt.then(|| finding(Reason::LogCorrupt, "the log does not verify"));
    };
    let reason = match fault.kind {
        IntegrityFaultKind::Truncated => Reason::LogTruncated,
        IntegrityFaultKind::Forked => Reason::LogForked,
        IntegrityFaultKind::ForeignLog => Reason::ForeignLog,
        IntegrityFaultKind::Rewritten => Reason::LogRewritten,
        IntegrityFaultKind::Corrupt => Reason::LogCorrupt,
        IntegrityFaultKind::AnchorMissing => Reason::AnchorMissing,
    };
    Some(finding(reason, fault.message.clone()))
}

fn contradiction(expected: &ExpectedHistory) -> Option<Finding> {
    let ExpectedHistory::Contradiction { status, claim } = expected else { return None };
    let one = |record: &Record| {
        format!(
            "{} events of {} with root {}, {} rollbacks accepted",
            record.size,
            record.origin,
            record.root,
            record.rollbacks()
        )
    };
    Some(finding(
        Reason::AnchorInconsistent,
        format!(
            "status.log has {}; the claim's annotation has {}: neither extends the other",
            one(status),
            one(claim)
        ),
    ))
}

/// Finds contradictions between the recorded history and the report that need no proof from the engine.
fn report_contradiction(expected: &ExpectedHistory, health: &Health) -> Option<Finding> {
    let record = expected.newest()?;
    let (found, size) = (origin(&health.log.id), health.log.seq);
    if found != record.origin {
        let message = format!("the volume holds the log {found}; this engine's is {}", record.origin);
        return Some(finding(Reason::ForeignLog, message));
    }
    if size < record.size {
        let message = format!("the log has {size} events, but {} were anchored", record.size);
        return Some(finding(Reason::LogTruncated, message));
    }
    let view = health.log.checkpoint.as_ref()?;
    (view.size == record.size && view.root != record.root).then(|| another_history(record, view))
}

/// The finding for a tree root that does not match the record. If the key of the record signed it, the log was forked;
/// otherwise, someone rewrote the log.
fn another_history(record: &Record, view: &CheckpointView) -> Finding {
    let by_pinned_key = verified_checkpoint(view, std::slice::from_ref(&record.key)).is_ok();
    let (reason, how) = if by_pinned_key {
        (Reason::LogForked, "its own key signed both: an older copy of the volume was written to")
    } else {
        (Reason::LogRewritten, "the key that signed the anchor did not sign this")
    };
    finding(reason, format!("the log is not the one whose first {} events were anchored; {how}", record.size))
}

/// Judges a log that has no anchor yet. The key that signed it is trusted on first use; the checkpoint must match the
/// report.
fn first_anchor(health: &Health, view: &CheckpointView) -> Judgement {
    if view.origin != origin(&health.log.id) {
        let message = format!("the checkpoint is of {}, the log is {}", view.origin, health.log.id);
        return Judgement::Fault(finding(Reason::ForeignLog, message));
    }
    match verified_checkpoint(view, std::slice::from_ref(&view.key)) {
        Ok(checkpoint) if checkpoint.size == 0 => Judgement::Nothing,
        Ok(_) => Judgement::Proved(record_of(view, Vec::new())),
        Err(problem) => Judgement::Fault(finding(Reason::CheckpointInvalid, problem)),
    }
}

fn record_of(view: &CheckpointView, accepted_rollbacks: Vec<AcceptedRollback>) -> Record {
    Record {
        origin: view.origin.clone(),
        size: view.size,
        root: view.root.clone(),
        key: view.key.clone(),
        accepted_rollbacks,
    }
}

fn extended(
    newest: &Record,
    older: Option<&Record>,
    answers: &[(Option<u64>, CheckpointAnswer)],
) -> Judgement {
    let mut proved = None;
    for record in [Some(newest), older].into_iter().flatten() {
        let Some((_, answer)) = answers.iter().find(|(size, _)| *size == Some(record.size)) else {
            return Judgement::Nothing;
        };
        if let Err(found) = extends(record, answer) {
            return Judgement::Fault(found);
        }
        proved = proved.or(Some(record_of(&answer.checkpoint, record.accepted_rollbacks.clone())));
    }
    proved.map_or(Judgement::Nothing, Judgement::Proved)
}

/// Verifies that the checkpoint in `answer` extends `record`, and that its note is signed by the key of `record` or by
/// a later key that this key signed.
fn extends(record: &Record, answer: &CheckpointAnswer) -> Result<(), Finding> {
    let view = &answer.checkpoint;
    if view.origin != record.origin {
        let message = format!("the checkpoint is of {}, this engine's log is {}", view.origin, record.origin);
        return Err(finding(Reason::ForeignLog, message));
    }
    if view.size < record.size {
        let message =
            format!("the checkpoint covers {} events, but {} were anchored", view.size, record.size);
        return Err(finding(Reason::LogTruncated, message));
    }
    verified_checkpoint(view, std::slice::from_ref(&view.key))
        .map_err(|problem| finding(Reason::CheckpointInvalid, problem))?;
    if !is_consistent(record, answer) {
        return Err(another_history(record, view));
    }
    verified_checkpoint(view, std::slice::from_ref(&record.key)).map(|_| ()).map_err(|problem| {
        let message =
            format!("the checkpoint is signed by {}, the anchor by {}: {problem}", view.key, record.key);
        finding(Reason::KeyChanged, message)
    })
}

fn is_consistent(record: &Record, answer: &CheckpointAnswer) -> bool {
    let view = &answer.checkpoint;
    let hash = |text: &str| Hash::from_hex(text.as_bytes());
    let proof: Option<Vec<Hash>> =
        answer.consistency.as_deref().unwrap_or_default().iter().map(|text| hash(text)).collect();
    let (Some(old), Some(new), Some(proof)) = (hash(&record.root), hash(&view.root), proof) else {
        return false;
    };
    verify_consistency(record.size, &old, view.size, &new, &proof).is_ok()
}

/// Returns the checkpoint if its note is signed by one of `keys` and matches the engine's report.
fn verified_checkpoint(view: &CheckpointView, keys: &[String]) -> Result<Checkpoint, String> {
    let keys: Result<Vec<VerifierKey>, _> = keys.iter().map(|key| VerifierKey::parse(key)).collect();
    let keys = keys.map_err(|fault| format!("the key cannot be read: {fault}"))?;
    let (checkpoint, _) = Checkpoint::open(view.note.as_bytes(), &keys)
        .map_err(|fault| format!("the note is refused: {fault}"))?;
    let said = (&view.origin, view.size, view.root.as_str());
    if (&checkpoint.origin, checkpoint.size, checkpoint.root.to_string().as_str()) == said {
        Ok(checkpoint)
    } else {
        Err("the note does not match the report about it".to_owned())
    }
}

/// Result of carrying out `spec.integrity.acceptRollback`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The rollback was accepted. The record is the new anchor.
    Done(Record),
    /// The rollback was refused. The text says why, and what to write instead.
    Refused(String),
}

/// Whether a user can accept a log with this finding. A log that does not verify, or the log of another engine, cannot
/// be accepted: an anchor always belongs to the same log.
#[must_use]
pub fn is_acceptable(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::LogTruncated
            | Reason::LogForked
            | Reason::LogRewritten
            | Reason::AnchorMissing
            | Reason::KeyChanged
    )
}

/// Accepts a rollback if `accept` names the present head of the log. `at` is stored as the time of the acceptance.
#[must_use]
pub fn accept(
    accept: &AcceptRollback,
    expected: &ExpectedHistory,
    view: &CheckpointView,
    at: &str,
) -> Acceptance {
    let refused =
        |why: String| Acceptance::Refused(format!("spec.integrity.acceptRollback is refused: {why}"));
    if let Err(problem) = verified_checkpoint(view, std::slice::from_ref(&view.key)) {
        return refused(problem);
    }
    if (i64::try_from(view.size), &view.root) != (Ok(accept.size), &accept.root) {
        return refused(format!(
            "it names {} events with root {}, and the log has {} events with root {}",
            accept.size, accept.root, view.size, view.root
        ));
    }
    let before = expected.newest();
    let mut accepted = before.map(|record| record.accepted_rollbacks.clone()).unwrap_or_default();
    if accepted.len() >= ACCEPTED_ROLLBACKS_MAX {
        return refused(format!("{ACCEPTED_ROLLBACKS_MAX} rollbacks of this log were accepted already"));
    }
    if before.is_some_and(|record| record.origin != view.origin) {
        return refused(format!("the volume holds another log, {}", view.origin));
    }
    accepted.push(AcceptedRollback {
        number: accepted.len() as i64 + 1,
        from_size: before.map_or(0, |record| i64::try_from(record.size).unwrap_or(i64::MAX)),
        from_root: before.map_or_else(|| EMPTY_ROOT.to_string(), |record| record.root.clone()),
        to_size: accept.size,
        to_root: accept.root.clone(),
        reason: accept.reason.clone(),
        at: at.to_owned(),
    });
    Acceptance::Done(record_of(view, accepted))
}
