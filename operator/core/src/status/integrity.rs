//! The parts of the status about the log: its position, its anchor, and the condition `LogIntegrity`.

use crds::{AcceptRollback, LogStatus};
use engine_core::wire::{CheckpointView, Health};
use jiff::{SignedDuration, Timestamp};

use super::log_finding::Integrity;
use super::{
    facts::Facts,
    lookup::{HEAD_REFRESH_SECONDS, before, name},
};
use crate::{
    anchor::{
        checkpoint_query::{acceptance_pending, has_unanchored_events, integrity_was_false},
        expected::{ExpectedHistory, in_status},
        judge::{Acceptance, Finding, Judgement, accept, is_acceptable, judge},
        record::Record,
    },
    conditions::{ConditionType, Reason, Truth, Verdict},
    names::{self, ANCHOR_ANNOTATION},
    observed::{CheckpointReport, Observed},
    validate::Essentials,
};

/// The verdict on the log, as a rule of the table of conditions.
pub(super) fn judged(facts: &Facts<'_>) -> Option<Verdict> {
    Some(facts.integrity.verdict.clone())
}

/// Verifies the log. Returns the verdict, and the new anchor if one must be written.
pub(super) fn integrity(
    observed: &Observed,
    essentials: &Essentials,
    expected: &ExpectedHistory,
) -> Integrity {
    let Some(health) = observed.report_on_log() else {
        return Integrity { verdict: last_verdict(observed), new_anchor: None };
    };
    match judge(expected, health, &observed.checkpoints) {
        Judgement::Fault(found) => fault(observed, essentials, expected, health, &found),
        Judgement::Proved(record) => Integrity {
            verdict: with_unanswered(anchored(&record, Some(observed.now), observed), observed),
            new_anchor: new_anchor(observed, record),
        },
        Judgement::Nothing => Integrity { verdict: no_contradiction(observed, expected), new_anchor: None },
    }
}

/// Adds to a verdict what the engine did not answer, so that an anchor that does not move on has a visible reason.
fn with_unanswered(mut verdict: Verdict, observed: &Observed) -> Verdict {
    let checkpoint = match &observed.checkpoints {
        CheckpointReport::NoAnswer(why) => Some(("gives no checkpoint", why)),
        _ => None,
    };
    let anchor = observed.anchor_refusal.as_ref().map(|why| ("has not taken over the anchor", why));
    for (what, why) in checkpoint.into_iter().chain(anchor) {
        verdict.message += &format!("; the engine {what}: {why}");
    }
    verdict
}

/// The verdict while the engine cannot be queried: the last one, or `NotYetAnchored` if there is none.
fn last_verdict(observed: &Observed) -> Verdict {
    let last = before(observed, ConditionType::LogIntegrity);
    last.and_then(Verdict::of).unwrap_or_else(not_yet)
}

fn not_yet() -> Verdict {
    Verdict::new(
        Truth::Unknown,
        Reason::NotYetAnchored,
        "nothing of the log has been recorded outside of its volume yet: the first event causes the first anchor",
    )
}

/// The verdict if nothing contradicts the record and there is no new proof. A fault that was found earlier stays until
/// a proof clears it.
fn no_contradiction(observed: &Observed, expected: &ExpectedHistory) -> Verdict {
    match in_status(observed) {
        _ if expected.newest().is_some() && integrity_was_false(observed) => last_verdict(observed),
        Some(record) => with_unanswered(anchored(&record, None, observed), observed),
        None => with_unanswered(not_yet(), observed),
    }
}

fn anchored(record: &Record, now: Option<Timestamp>, observed: &Observed) -> Verdict {
    let log = observed.engine.status.as_ref().and_then(|status| status.log.as_ref());
    let stored = log.and_then(|log| log.anchored_at.clone()).unwrap_or_default();
    let same = in_status(observed).as_ref() == Some(record);
    let since = now.filter(|_| !same).map_or(stored, time);
    let (size, plural) = (record.size, if record.size == 1 { "event is" } else { "events are" });
    Verdict::new(Truth::True, Reason::Anchored, format!("the first {size} {plural} anchored since {since}"))
}

/// Returns `record` if it differs from the record in the stored status.
fn new_anchor(observed: &Observed, record: Record) -> Option<Record> {
    (in_status(observed).as_ref() != Some(&record)).then_some(record)
}

fn fault(
    observed: &Observed,
    essentials: &Essentials,
    expected: &ExpectedHistory,
    health: &Health,
    found: &Finding,
) -> Integrity {
    let known = health.log.integrity.anchor.as_ref().map_or(0, |anchor| anchor.rollbacks);
    let passing_on = health.log.integrity.fault.is_some()
        && expected.newest().is_some_and(|newest| newest.rollbacks() > known)
        && !observed.anchor_acknowledged;
    if passing_on && is_acceptable(found.reason) {
        return Integrity { verdict: passing(), new_anchor: None };
    }
    let view = newest_view(observed, health);
    let mut advice = remedy(found, expected, view, name(observed));
    if let Some(wanted) = essentials.accept_rollback.as_ref()
        && is_acceptable(found.reason)
    {
        match acceptance(observed, essentials, expected, wanted, view) {
            Acceptance::Done(record) => return Integrity { verdict: passing(), new_anchor: Some(record) },
            Acceptance::Refused(why) => advice = format!("{why}. {advice}"),
        }
    }
    let message =
        format!("{}. Writes are refused; events that verify are still read. {advice}", found.message);
    let verdict = Verdict::new(Truth::False, found.reason, message);
    // The user has accepted a rollback, but the engine has not responded since: the finding still belongs to the
    // earlier spec.
    let unheard = acceptance_pending(essentials, expected)
        && !matches!(observed.checkpoints, CheckpointReport::Answered(_));
    let last = before(observed, ConditionType::LogIntegrity).filter(|last| unheard && last.status == "False");
    let verdict = Verdict { seen_under: last.and_then(|last| last.observed_generation), ..verdict };
    Integrity { verdict, new_anchor: None }
}

fn passing() -> Verdict {
    Verdict::new(
        Truth::Unknown,
        Reason::RollbackAccepted,
        "a rollback was accepted and recorded; the engine is being notified",
    )
}

fn acceptance(
    observed: &Observed,
    essentials: &Essentials,
    expected: &ExpectedHistory,
    wanted: &AcceptRollback,
    view: Option<&CheckpointView>,
) -> Acceptance {
    let refused = |why: &str| Acceptance::Refused(format!("spec.integrity.acceptRollback {why}"));
    if !acceptance_pending(essentials, expected) {
        return refused(
            "was carried out before and has no further effect: to accept the same head again, give another reason",
        );
    }
    match (&observed.checkpoints, view) {
        (CheckpointReport::Answered(_), Some(view)) => accept(wanted, expected, view, &time(observed.now)),
        _ => refused("waits for the engine to report its log"),
    }
}

/// The newest known checkpoint: from the response to the query if there is one, otherwise from the report, which may be
/// older.
fn newest_view<'a>(observed: &'a Observed, health: &'a Health) -> Option<&'a CheckpointView> {
    match &observed.checkpoints {
        CheckpointReport::Answered(answers) => answers.first().map(|(_, answer)| &answer.checkpoint),
        _ => health.log.checkpoint.as_ref(),
    }
}

/// Describes what the user can do about the fault.
fn remedy(found: &Finding, expected: &ExpectedHistory, view: Option<&CheckpointView>, name: &str) -> String {
    match found.reason {
        Reason::LogCorrupt => {
            "Bring back a volume from before the damage; `memory-engine log verify --data /data` names every line".into()
        }
        Reason::ForeignLog => {
            "Bring back the volume of this engine; another log needs a MemoryEngine of its own".into()
        }
        Reason::AnchorInconsistent => format!(
            "If the claim's is wrong, remove it and the status counts: `kubectl annotate pvc {} {ANCHOR_ANNOTATION}-`",
            names::claim(name)
        ),
        Reason::CheckpointInvalid => "Check the engine's image, and whether something else answers at its address".into(),
        _ => {
            let anchor = expected.newest().map_or_else(
                || "Bring back the volume of this engine".to_owned(),
                |record| format!("Bring back the volume that has all {} events", record.size),
            );
            let head = view.map_or_else(String::new, |view| {
                format!(
                    ", or continue with the {size} events it has: spec.integrity.acceptRollback: {{size: {size}, root: {root}, reason: …}}",
                    size = view.size,
                    root = view.root
                )
            });
            format!("{anchor}{head}")
        }
    }
}

/// The position of the log for the status. Every saved memory changes the head, so the status is not written for each
/// change: the position is updated together with the anchor or, for a log without an anchor, at most once in
/// [`HEAD_REFRESH_SECONDS`].
pub(super) fn log_status(observed: &Observed, integrity: &Integrity) -> Option<LogStatus> {
    let before = observed.engine.status.as_ref().and_then(|status| status.log.clone());
    let Some(health) = observed.report_on_log() else { return before };
    let mut log = match before {
        Some(before) if integrity.new_anchor.is_none() && !is_refreshed(observed, health, &before) => before,
        before => fresh(before.unwrap_or_default(), health, observed.now),
    };
    if let Some(record) = &integrity.new_anchor {
        log.origin = Some(record.origin.clone());
        log.size = Some(whole(record.size));
        log.root = Some(record.root.clone());
        log.key = Some(record.key.clone());
        log.anchored_at = Some(time(observed.now));
        log.accepted_rollbacks = record.accepted_rollbacks.clone();
    }
    Some(log)
}

fn fresh(before: LogStatus, health: &Health, now: Timestamp) -> LogStatus {
    let verified = health.log.integrity.verified_through;
    LogStatus {
        log_id: health.log.id.clone(),
        head_seq: whole(health.log.seq),
        head_hash: health.log.hash.clone(),
        observed_at: time(now),
        verified_through: (verified > 0).then(|| whole(verified)).or(before.verified_through),
        ..before
    }
}

fn is_refreshed(observed: &Observed, health: &Health, before: &LogStatus) -> bool {
    let verified = whole(health.log.integrity.verified_through) > before.verified_through.unwrap_or_default();
    let same = before.log_id == health.log.id && before.head_hash == health.log.hash;
    let age = before.observed_at.parse::<Timestamp>().map(|then| observed.now.duration_since(then));
    let recent = age.is_ok_and(|age| {
        age >= SignedDuration::ZERO && age < SignedDuration::from_secs(HEAD_REFRESH_SECONDS)
    });
    let with_the_anchor = health.log.checkpoint.is_some()
        && health.log.integrity.fault.is_none()
        && match observed.checkpoints {
            CheckpointReport::Delayed(_) => true,
            CheckpointReport::NotQueried => has_unanchored_events(observed, health),
            CheckpointReport::NoAnswer(_) | CheckpointReport::Answered(_) => false,
        };
    (!same || verified) && !recent && !with_the_anchor
}

pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Formats a time in whole seconds, which is the precision that the API server stores.
pub(super) fn time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
