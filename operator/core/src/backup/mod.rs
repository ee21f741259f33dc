//! Backups: when one is asked for, which are recorded, and what verifications found.
//!
//! A Job asks for a backup in a ConfigMap, and the engine takes it. The operator records each backup that the engine
//! reports as a MemoryBackup, with the root of the log at that moment. A verification is a Job that restores the newest
//! backup; its pod ends with a verdict. A backup counts when a verdict has the number of events and the root of the
//! record, which is outside of the archive.

mod drill;
mod record;

use crds::{BackupPhase, MemoryBackup};
use engine_core::wire::BackupTaken;
use jiff::{SignedDuration, Timestamp};
use kube_core::DynamicObject;
use serde_json::Value;

pub use drill::{Drill, drill};
pub use record::{RECORDS_MAX, RecordBackup, new_record, record_name, verdict_on};

use crate::{
    names,
    observed::{EngineReport, Observed},
    rotation::{DONE_ENTRY, requested},
    tls::Unread,
    validate::Essentials,
};

/// Entry of the ConfigMap with the outcome of the last request.
pub const RESULT_ENTRY: &str = "result";
/// Shortest time between two backups that somebody asks for. Whoever may write the ConfigMap must not keep the engine
/// busy.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_secs(10);

/// What one reconcile found about backups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackupView {
    /// Why an object could not be read. Nothing is written then.
    pub unread: Option<Unread>,
    /// The records of this engine.
    pub records: Vec<MemoryBackup>,
    /// Verifications that have ended.
    pub drills: Vec<Drill>,
    /// Why the engine has not reported the backup that it was asked for in this reconcile.
    pub refusal: Option<String>,
}

impl BackupView {
    /// The record of a backup.
    #[must_use]
    pub fn record(&self, backup: &str) -> Option<&MemoryBackup> {
        self.records.iter().find(|record| record.spec.backup == backup)
    }

    /// The record of the newest backup.
    #[must_use]
    pub fn newest(&self) -> Option<&MemoryBackup> {
        self.records.iter().max_by_key(|record| taken_at(record))
    }

    /// The record of the newest backup that was verified, and when.
    #[must_use]
    pub fn last_verified(&self) -> Option<(&MemoryBackup, Timestamp)> {
        let verified = self.records.iter().filter(|record| phase(record) == BackupPhase::Verified);
        let timed = verified.filter_map(|record| Some((record, verified_at(record)?)));
        timed.max_by_key(|(record, at)| (taken_at(record), *at))
    }
}

/// Whether a record says that its backup was verified.
#[must_use]
pub fn phase(record: &MemoryBackup) -> BackupPhase {
    record.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

/// When a backup was taken.
#[must_use]
pub fn taken_at(record: &MemoryBackup) -> Option<Timestamp> {
    record.spec.taken_at.parse().ok()
}

/// When a backup was verified last.
#[must_use]
pub fn verified_at(record: &MemoryBackup) -> Option<Timestamp> {
    record.status.as_ref()?.verified_at.as_ref()?.parse().ok()
}

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
