//! Validates `spec.backup` and `spec.bootstrap`.

use crds::{Backup, BackupDestination, DeletionPolicy, FromBackup, MemoryEngineSpec, RestoreUntil};
use engine_core::configuration::{self, Author};
use engine_core::digest::Hash;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::fault::Fault;
use crate::{
    build::store_section,
    names,
    schedule::{Schedule, ScheduleFault},
    settings::Settings,
};

/// Bounds of the age at which a verdict no longer counts, hours.
const MAX_AGE_HOURS: (i64, i64) = (1, 8_760);
/// Bounds of the seconds after which a comparison of the standby no longer counts.
const STANDBY_SECONDS: (i64, i64) = (60, 86_400);
/// Digits of the hash of an archive.
const ARCHIVE_DIGITS: usize = 16;
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
    /// Which archive it is: a hash of the destination and of the name of the key-encryption key.
    pub archive: String,
    /// Age at which a comparison of the standby no longer counts; `None` without a standby.
    pub standby: Option<SignedDuration>,
}

/// Checks both sections.
pub(super) fn check(
    name: &str,
    spec: &MemoryEngineSpec,
    settings: &Settings,
    faults: &mut Vec<Fault>,
) -> (Option<ValidBackup>, Option<FromBackup>) {
    let backup = check_backup(spec, settings, faults);
    check_claims(name, spec, faults);
    if spec.deletion_policy != DeletionPolicy::Retain {
        faults.extend(
            spec.backup.is_none().then_some(Fault::LastBackup("needs spec.backup: add it, or write Retain")),
        );
        faults.extend(settings.is_namespaced.then_some(Fault::LastBackup(
            "needs an operator that watches the whole cluster: with its namespace this one would lose the permission \
             to let the resource go. Write Retain",
        )));
    }
    let from = spec.bootstrap.as_ref().map(|bootstrap| &bootstrap.from_backup);
    if let Some(from) = from {
        check_source(from, faults);
    }
    (backup, from.cloned())
}

/// A backup in another archive, or under another key, proves nothing about this one.
fn archive(backup: &Backup) -> String {
    let Backup { destination, key_encryption_key_secret_ref: key, .. } = backup;
    let BackupDestination { url, volume, keys_url, endpoint, region, path_style, .. } = destination;
    let volume = volume.as_ref().map(|volume| &volume.claim_name);
    let key = key.as_ref().map(|key| (&key.name, &key.key));
    let parts = json!(["archive/1", url, volume, keys_url, endpoint, region, path_style, key]);
    Hash::of(parts.to_string().as_bytes()).to_string()[..ARCHIVE_DIGITS].to_owned()
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
    if let Some(standby) = &backup.standby {
        let seconds = standby.max_age_seconds.into();
        super::check_range("spec.backup.standby.maxAgeSeconds", seconds, STANDBY_SECONDS, faults);
    }
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

/// The volume of an archive must not be that of the log, with which it would be lost.
fn check_claims(name: &str, spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    let own = names::claim(name);
    let stores = [
        (DESTINATION, spec.backup.as_ref().map(|backup| &backup.destination)),
        (SOURCE, spec.bootstrap.as_ref().map(|bootstrap| &bootstrap.from_backup.source)),
    ];
    for (field, store) in stores {
        let volume = store.and_then(|store| store.volume.as_ref());
        if volume.is_some_and(|volume| volume.claim_name == own) {
            faults
                .push(Fault::Store(field, format!("{own} is the volume of the engine: name another claim")));
        }
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
        archive: archive(backup),
        standby: backup.standby.as_ref().map(|standby| {
            let seconds = i64::from(standby.max_age_seconds);
            SignedDuration::from_secs(seconds.clamp(STANDBY_SECONDS.0, STANDBY_SECONDS.1))
        }),
    })
}
