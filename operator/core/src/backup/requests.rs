//! Which request for a backup the engine carries out, and what is answered.

use engine_core::wire::{ArchiveState, BackupTaken, TakeBackup};
use jiff::SignedDuration;
use kube_core::DynamicObject;
use serde_json::Value;

use super::view::BackupView;
use crate::{
    names,
    observed::{EngineReport, Observed},
    ownership::is_ours,
    rotation::{DONE_ENTRY, requested},
    validate::Essentials,
};

/// Entry of the ConfigMap with the outcome of the last request.
pub const RESULT_ENTRY: &str = "result";
/// Begin of the ids of requests for a last backup before a deletion. Only the operator asks for these.
pub const LAST_BACKUP_PREFIX: &str = "final-";
/// Shortest time between two backups that somebody asks for. Whoever may write the ConfigMap must not keep the engine
/// busy, nor replace all records within minutes.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_secs(60);
/// How far the clock of an engine may be ahead.
const CLOCK_AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The answer to a request, as the ConfigMap has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Id of the request.
    pub request: String,
    /// Name of the record.
    pub result: String,
}

fn request_map(observed: &Observed) -> Option<&DynamicObject> {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let key = names::backup_request(name);
    observed.children.get(&key).filter(|live| is_ours(observed, &key, live)).map(AsRef::as_ref)
}

/// The newest request in the ConfigMap.
fn asked(map: &DynamicObject) -> Option<String> {
    requested(map).filter(|id| !id.starts_with(LAST_BACKUP_PREFIX))
}

/// The answer that the ConfigMap should have: to the newest request, if its backup is recorded, otherwise the one that
/// it has.
#[must_use]
pub fn answered(observed: &Observed, view: &BackupView) -> Option<Answered> {
    let map = request_map(observed);
    let last = last_backup(observed);
    let recorded = last.and_then(|taken| {
        let record = view.record(&taken.name)?;
        Some(Answered { request: taken.request.clone()?, result: record.metadata.name.clone()? })
    });
    let asked = map.and_then(asked);
    if let Some(recorded) = recorded.filter(|recorded| asked.as_ref() == Some(&recorded.request)) {
        return Some(recorded);
    }
    let entry =
        |key: &str| map?.data.pointer(&format!("/data/{key}")).and_then(Value::as_str).map(str::to_owned);
    Some(Answered { request: entry(DONE_ENTRY)?, result: entry(RESULT_ENTRY)? })
}

/// The last backup that the engine reports, if it can be one of its log.
#[must_use]
pub fn last_backup(observed: &Observed) -> Option<&BackupTaken> {
    let health = observed.report_on_log()?;
    let taken = health.archive.as_ref()?.last_backup.as_ref()?;
    let is_of_log = taken.log_id == health.log.id && taken.size <= health.log.seq;
    let is_past = taken.created.duration_since(observed.now) <= CLOCK_AHEAD_MAX;
    (is_of_log && is_past).then_some(taken)
}

/// Id of the request for which the engine has taken its last backup.
#[must_use]
pub fn taken_request(observed: &Observed) -> Option<String> {
    last_backup(observed)?.request.clone()
}

/// The request that nobody has answered; `None` if there is none.
#[must_use]
pub fn pending(observed: &Observed, view: &BackupView) -> Option<String> {
    let asked = asked(request_map(observed)?)?;
    (answered(observed, view).is_none_or(|answered| answered.request != asked)).then_some(asked)
}

/// The request for which the engine is to take a backup now.
#[must_use]
pub fn to_take(observed: &Observed, view: &BackupView) -> Option<String> {
    let asked = pending(observed, view)?;
    observed.report_on_log()?.archive.as_ref()?;
    let last = last_backup(observed);
    let is_taken = last.is_some_and(|taken| taken.request.as_ref() == Some(&asked));
    let is_recent = |taken: &BackupTaken| observed.now.duration_since(taken.created).abs() < INTERVAL_MIN;
    let is_early = last.is_some_and(|taken| taken.request.is_some() && is_recent(taken));
    (!is_taken && !is_early).then_some(asked)
}

/// Takes over the engine's answer to a request for a backup, as if its report had it.
pub fn acknowledge_backup(observed: &mut Observed, taken: BackupTaken) {
    if let EngineReport::Answered(health) = &mut observed.writer_mut().report
        && let Some(archive) = &mut health.archive
    {
        archive.last_backup = Some(taken);
    }
}

/// Whether a backup has to be taken or recorded, so that the next reconcile should be soon.
#[must_use]
pub fn is_unfinished(observed: &Observed, essentials: &Essentials) -> bool {
    let Some(view) = observed.backup.as_ref().filter(|_| essentials.backup.is_some()) else { return false };
    let is_unrecorded = last_backup(observed).is_some_and(|taken| view.record(&taken.name).is_none());
    // A request that the engine cannot carry out now is looked at in the usual interval.
    let archive = observed.report_on_log().and_then(|health| health.archive.as_ref());
    let is_possible = archive.is_some_and(|archive| archive.state == ArchiveState::Archiving);
    let is_asked = is_possible && view.refusal.is_none() && pending(observed, view).is_some();
    view.unread.is_none() && (is_unrecorded || is_asked)
}

/// Leaves only the records of this archive and this log.
pub fn keep_relevant(observed: &mut Observed, essentials: &Essentials) {
    let log_id = log_id(observed);
    let archive = essentials.backup.as_ref().map(|times| times.archive.clone());
    if let (Some(view), Some(archive)) = (&mut observed.backup, archive) {
        view.keep_relevant(&archive, log_id.as_deref());
    }
}

/// Id of the log: as the engine reports it, or as it was recorded last.
#[must_use]
pub fn log_id(observed: &Observed) -> Option<String> {
    if let Some(health) = observed.report_on_log() {
        return Some(health.log.id.clone());
    }
    let origin = observed.engine.status.as_ref()?.log.as_ref()?.origin.as_ref()?;
    origin.rsplit_once('/').map(|(_, id)| id.to_owned())
}

/// The request that the engine gets. It removes old backups afterwards only while the newest verified one still counts,
/// and keeps that one, whatever its age is. After `max_age` nobody knows whether the archive restores at all.
#[must_use]
pub fn take_backup(observed: &Observed, request: String, max_age: SignedDuration) -> TakeBackup {
    let verified = observed.backup.as_ref().and_then(BackupView::last_verified);
    let counts = verified.filter(|(_, at)| observed.now.duration_since(*at) <= max_age);
    let keep = counts.map(|(record, _)| vec![record.spec.backup.clone()]);
    TakeBackup { request: Some(request), keep }
}
