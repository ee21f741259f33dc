//! Which request for a backup the engine carries out, and what is answered.

use engine_core::wire::BackupTaken;
use jiff::SignedDuration;
use kube_core::DynamicObject;
use serde_json::Value;

use super::view::BackupView;
use crate::{
    names,
    observed::{EngineReport, Observed},
    rotation::{DONE_ENTRY, requested},
    validate::Essentials,
};

/// Entry of the ConfigMap with the outcome of the last request.
pub const RESULT_ENTRY: &str = "result";
/// Shortest time between two backups that somebody asks for. Whoever may write the ConfigMap must not keep the engine
/// busy.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_secs(10);

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
    observed.children.get(&names::backup_request(name)).map(AsRef::as_ref)
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
    let asked = map.and_then(requested);
    if let Some(recorded) = recorded.filter(|recorded| asked.as_ref() == Some(&recorded.request)) {
        return Some(recorded);
    }
    let entry =
        |key: &str| map?.data.pointer(&format!("/data/{key}")).and_then(Value::as_str).map(str::to_owned);
    Some(Answered { request: entry(DONE_ENTRY)?, result: entry(RESULT_ENTRY)? })
}

/// The last backup that the engine reports.
#[must_use]
pub fn last_backup(observed: &Observed) -> Option<&BackupTaken> {
    observed.report_on_log()?.archive.as_ref()?.last_backup.as_ref()
}

/// Id of the request for which the engine has taken its last backup.
#[must_use]
pub fn taken_request(observed: &Observed) -> Option<String> {
    last_backup(observed)?.request.clone()
}

/// The request that nobody has answered; `None` if there is none.
#[must_use]
pub fn pending(observed: &Observed, view: &BackupView) -> Option<String> {
    let asked = requested(request_map(observed)?)?;
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
    view.unread.is_none() && (is_unrecorded || pending(observed, view).is_some())
}
