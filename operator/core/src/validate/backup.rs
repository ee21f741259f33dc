//! Validates `spec.backup` and `spec.bootstrap`.

use crds::{Backup, BackupDestination, FromBackup, MemoryEngineSpec, RestoreUntil};
use engine_core::configuration::{self, Author};
use engine_core::digest::Hash;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::fault::Fault;
use crate::{
    build::store_section,
    schedule::{Schedule, ScheduleFault},
    settings::Settings,
};

/// Bounds of the age at which a verdict no longer counts, hours.
const MAX_AGE_HOURS: (i64, i64) = (1, 8_760);
/// Fields of the stores.
const DESTINATION: &str = "spec.backup.destination";
const SOURCE: &str = "spec.bootstrap.fromBackup.source";

/// A valid `spec.backup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidBackup {
    /// The section of the spec.
    pub spec: Backup,
    /// The image of the Job that asks for backups: that of the operator.
    pub image: String,
}

/// When backups are taken and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupTimes {
    /// When a backup is taken; `None` while the schedules are suspended, or if this one is not valid.
    pub schedule: Option<Schedule>,
    /// When the newest backup is verified; `None` likewise.
    pub verification: Option<Schedule>,
    /// Age at which a verdict no longer counts.
    pub max_age: SignedDuration,
}

/// Checks both sections.
pub(super) fn check(
    spec: &MemoryEngineSpec,
    settings: &Settings,
    faults: &mut Vec<Fault>,
) -> (Option<ValidBackup>, Option<FromBackup>) {
    let backup = check_backup(spec, settings, faults);
    let from = spec.bootstrap.as_ref().map(|bootstrap| &bootstrap.from_backup);
    if let Some(from) = from {
        check_source(from, faults);
    }
    (backup, from.cloned())
}

fn check_backup(
    spec: &MemoryEngineSpec,
    settings: &Settings,
    faults: &mut Vec<Fault>,
) -> Option<ValidBackup> {
    let backup = spec.backup.as_ref()?;
    let before = faults.len();
    for (field, schedule) in
        [("spec.backup.schedule", &backup.schedule), ("spec.backup.verify.schedule", &backup.verify.schedule)]
    {
        match Schedule::parse(schedule, &backup.time_zone) {
            Ok(_) => {}
            Err(ScheduleFault::TimeZone) => {
                faults.push(Fault::Schedule("spec.backup.timeZone", ScheduleFault::TimeZone));
                break;
            }
            Err(fault) => faults.push(Fault::Schedule(field, fault)),
        }
    }
    let hours = i64::from(backup.verify.max_age_hours);
    super::check_range("spec.backup.verify.maxAgeHours", hours, MAX_AGE_HOURS, faults);
    check_store(DESTINATION, &backup.destination, faults);
    let image = settings.operator_image.clone();
    if image.is_none() {
        faults.push(Fault::NoOperatorImage("spec.backup"));
    }
    (faults.len() == before).then_some(())?;
    Some(ValidBackup { spec: backup.clone(), image: image? })
}

fn check_source(from: &FromBackup, faults: &mut Vec<Fault>) {
    check_store(SOURCE, &from.source, faults);
    let at_least = from.at_least.as_ref();
    let until = from.until.as_ref().and_then(|until| until.seq);
    if from.until.as_ref().is_some_and(|until| !is_end(until)) {
        let problem = "write exactly one of seq, 1 or more, and time, such as 2026-01-31T12:00:00Z";
        faults.push(Fault::Store("spec.bootstrap.fromBackup.until", problem.to_owned()));
    }
    if at_least.is_some_and(|least| least.size < 1 || Hash::from_hex(least.root.as_bytes()).is_none()) {
        let problem = "size must be 1 or more, and root 64 lower-case hexadecimal digits";
        faults.push(Fault::Store("spec.bootstrap.fromBackup.atLeast", problem.to_owned()));
    }
    if at_least.zip(until).is_some_and(|(least, until)| least.size > until) {
        let (field, bound) =
            ("spec.bootstrap.fromBackup.atLeast.size", "spec.bootstrap.fromBackup.until.seq");
        faults.push(Fault::AtMost { field, bound });
    }
    if from.reason.as_ref().is_some_and(|reason| reason.chars().any(char::is_control)) {
        let problem = "remove the control characters".to_owned();
        faults.push(Fault::Store("spec.bootstrap.fromBackup.reason", problem));
    }
}

fn is_end(until: &RestoreUntil) -> bool {
    match (until.seq, &until.time) {
        (Some(seq), None) => seq >= 1,
        (None, Some(time)) => time.parse::<Timestamp>().is_ok(),
        _ => false,
    }
}

/// Checks a store as the engine does.
fn check_store(field: &'static str, store: &BackupDestination, faults: &mut Vec<Fault>) {
    if store.url.is_some() == store.volume.is_some() {
        faults.push(Fault::Store(field, "write exactly one of url and volume".to_owned()));
        return;
    }
    let of_bucket = store.keys_url.is_some()
        || store.endpoint.is_some()
        || store.region.is_some()
        || store.path_style.is_some()
        || store.credentials_secret_ref.is_some()
        || store.ca_config_map_ref.is_some();
    if store.volume.is_some() && of_bucket {
        faults.push(Fault::Store(field, "a volume needs nothing beside its claimName".to_owned()));
        return;
    }
    let section = json!({"backup": store_section("check", store, false)});
    let found = configuration::read(&section, Author::Person).err().unwrap_or_default();
    faults.extend(found.into_iter().map(|fault| Fault::Store(field, fault)));
}

/// When backups are taken and verified, also if another part of the spec is not valid.
pub(super) fn times(spec: &MemoryEngineSpec) -> Option<BackupTimes> {
    let backup = spec.backup.as_ref()?;
    let schedule = |text: &str| {
        let schedule = Schedule::parse(text, &backup.time_zone).ok();
        schedule.filter(|_| !backup.suspend)
    };
    let hours = i64::from(backup.verify.max_age_hours).clamp(MAX_AGE_HOURS.0, MAX_AGE_HOURS.1);
    Some(BackupTimes {
        schedule: schedule(&backup.schedule),
        verification: schedule(&backup.verify.schedule),
        max_age: SignedDuration::from_hours(hours),
    })
}
