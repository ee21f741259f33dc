//! The records of backups, and what becomes of them.

use crds::{BackupPhase, MemoryBackup, MemoryBackupSpec, MemoryBackupStatus};
use engine_core::{digest::Hash, wire::BackupTaken};
use jiff::{SignedDuration, Timestamp};

use super::{
    drill::{Drill, Finding},
    view::{BackupView, phase, taken_at},
};
use crate::names;

/// Number of records that are kept for each engine: a backup for every day of a month, and what people ask for.
pub const RECORDS_MAX: usize = 48;
/// How long before a verification a backup must have been taken to be missed: clocks differ, and a list of objects may
/// be a moment old.
const MISSING_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// Digits of a hash in the name of a record.
const HASH_DIGITS: usize = 8;

/// A write of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordBackup {
    /// A new record.
    Make(Box<MemoryBackup>),
    /// What is known about the backup has changed.
    Judge {
        /// Name of the record.
        name: String,
        /// Its new status.
        status: Box<MemoryBackupStatus>,
    },
    /// There are too many.
    Forget {
        /// Name of the record.
        name: String,
        /// Its uid.
        uid: String,
    },
}

impl RecordBackup {
    /// Name of the record.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Make(record) => record.metadata.name.as_deref().unwrap_or_default(),
            Self::Judge { name, .. } | Self::Forget { name, .. } => name,
        }
    }
}

/// Name of the record of a backup. The same backup always has the same one.
#[must_use]
pub fn record_name(engine: &str, taken: &BackupTaken) -> String {
    let hash = Hash::of(taken.name.as_bytes()).to_string();
    format!("{engine}-{}-{}", taken.size, &hash[..HASH_DIGITS])
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The record of a backup. It has no owner: it stays when the engine is deleted.
#[must_use]
pub fn new_record(engine: &str, namespace: &str, archive: &str, taken: &BackupTaken) -> MemoryBackup {
    let spec = MemoryBackupSpec {
        engine: engine.to_owned(),
        backup: taken.name.clone(),
        log_id: taken.log_id.clone(),
        archive: archive.to_owned(),
        size: whole(taken.size),
        root: taken.root.clone(),
        bytes: whole(taken.bytes),
        stored_bytes: whole(taken.stored_bytes),
        taken_at: taken.created.to_string(),
        expires_at: taken.expires.map(|at| at.to_string()),
        duration_millis: whole(taken.elapsed_ms),
        request: taken.request.clone(),
    };
    let mut record = MemoryBackup::new(&record_name(engine, taken), spec);
    record.metadata.namespace = Some(namespace.to_owned());
    record.metadata.labels = Some(names::labels(engine));
    record.status =
        Some(MemoryBackupStatus { phase: Some(BackupPhase::Taken), ..MemoryBackupStatus::default() });
    record
}

/// The status of a record after a verification; `None` if the verification says nothing about it, or nothing new.
#[must_use]
pub fn verdict_on(record: &MemoryBackup, drill: &Drill) -> Option<MemoryBackupStatus> {
    let before = record.status.clone().unwrap_or_default();
    let last: Option<Timestamp> = before.tried_at.as_ref().and_then(|text| text.parse().ok());
    if last.is_some_and(|last| last >= drill.finished_at) {
        return None;
    }
    let spec = &record.spec;
    let at = Some(drill.finished_at.to_string());
    let tried = MemoryBackupStatus {
        observed_generation: record.metadata.generation,
        tried_at: at.clone(),
        tried_by: Some(drill.pod.clone()),
        ..before
    };
    let failed = |why: String| MemoryBackupStatus {
        phase: Some(BackupPhase::Failed),
        verified_at: None,
        restore_millis: None,
        message: Some(why),
        ..tried.clone()
    };
    match &drill.finding {
        Finding::Restored { backup, log_id, events, root, millis, .. } if *backup == spec.backup => {
            let is_same = *log_id == spec.log_id && whole(*events) == spec.size && *root == spec.root;
            if !is_same {
                return Some(failed(format!(
                    "the restored log is another one than that which was backed up: {events} events with the root \
                     {root}, instead of {} with the root {}",
                    spec.size, spec.root
                )));
            }
            Some(MemoryBackupStatus {
                phase: Some(BackupPhase::Verified),
                verified_at: at,
                restore_millis: Some(whole(*millis)),
                message: Some(format!("{events} events were restored in {millis} ms")),
                ..tried
            })
        }
        Finding::Broken { backup, why } if *backup == spec.backup => Some(failed(why.clone())),
        // The archive should have this backup, and the newest one that it has is older.
        Finding::Restored { backup, log_id, created: Some(created), .. }
            if *log_id == spec.log_id && is_missing(record, *created, drill) =>
        {
            Some(failed(format!("the archive does not have it: the newest backup that it has is {backup}")))
        }
        Finding::Restored { .. } | Finding::Broken { .. } | Finding::Undecided { .. } => None,
    }
}

/// Whether a verification should have found this backup, and has found an older one instead.
fn is_missing(record: &MemoryBackup, found: Timestamp, drill: &Drill) -> bool {
    let Some((taken, started)) = taken_at(record).zip(drill.started_at) else { return false };
    taken > found && started.duration_since(taken) > MISSING_AFTER
}

impl BackupView {
    /// The records that are too many: the oldest ones, and never the newest one that was verified, nor the one that the
    /// engine reports: it would be made again.
    #[must_use]
    pub fn surplus(&self, reported: Option<&str>) -> Vec<&MemoryBackup> {
        let kept = self.last_verified().and_then(|(record, _)| record.metadata.name.clone());
        let mut all: Vec<_> = self.records.iter().collect();
        all.sort_by_key(|record| std::cmp::Reverse(taken_at(record)));
        let surplus = all.into_iter().skip(RECORDS_MAX);
        let is_reported = |record: &MemoryBackup| Some(record.spec.backup.as_str()) == reported;
        surplus.filter(|record| record.metadata.name != kept && !is_reported(record)).collect()
    }

    /// The verification of the newest backup that ended last without a verdict, if it is newer than what the record
    /// says.
    #[must_use]
    pub fn undecided(&self) -> Option<(&Drill, &str)> {
        let last = self.drills.iter().max_by_key(|drill| drill.finished_at)?;
        match &last.finding {
            Finding::Undecided { why } => Some((last, why)),
            Finding::Restored { .. } | Finding::Broken { .. } => None,
        }
    }

    /// The newest record whose backup does not restore.
    #[must_use]
    pub fn failed(&self) -> Option<&MemoryBackup> {
        let failed = self.records.iter().filter(|record| phase(record) == BackupPhase::Failed);
        failed.max_by_key(|record| taken_at(record))
    }
}
