//! Validates the schedules of upkeep: `spec.rotation`, `spec.integrity.scrub` and `spec.retention`.

use crds::{MemoryEngineSpec, RetentionApply, UpkeepTask};
use jiff::SignedDuration;

use super::{check_range, fault::Fault};
use crate::{
    schedule::{Schedule, ScheduleFault},
    settings::Settings,
};

/// Time zone of a schedule that names none.
const UTC: &str = "Etc/UTC";
/// Share of all memories that `Auto` removes at once, if the spec does not say another one, percent.
const AUTO_MAX_PERCENT: u8 = 5;
/// Bounds of that share, percent.
const PERCENT: (i64, i64) = (1, 100);
/// Bounds of the age of a verified backup, hours.
const BACKUP_AGE_HOURS: (i64, i64) = (1, 8_760);

/// A task with a valid schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidUpkeep {
    /// The task.
    pub task: UpkeepTask,
    /// The schedule, as Kubernetes reads it.
    pub schedule: String,
    /// Its time zone.
    pub time_zone: String,
    /// Whether it is suspended.
    pub suspend: bool,
    /// The image of the Job: that of the operator.
    pub image: String,
}

/// When a task is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpkeepTimes {
    /// The task.
    pub task: UpkeepTask,
    /// The schedule; `None` while it is suspended, or if it is not valid.
    pub schedule: Option<Schedule>,
}

/// What has to be fulfilled before a retention plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionTerms {
    /// Whether nothing is removed for the time being.
    pub is_suspended: bool,
    /// Whether somebody has to approve it.
    pub apply: RetentionApply,
    /// Share of all memories that `Auto` removes at once at most, percent.
    pub auto_max_percent: u8,
    /// Longest time since a backup was verified; `None` for no such rule.
    pub verified_backup_max_age: Option<SignedDuration>,
}

/// A schedule as the spec has it.
struct Wanted<'a> {
    task: UpkeepTask,
    schedule: &'a str,
    time_zone: &'a str,
    suspend: bool,
    /// The fields of the schedule, of its time zone, and of the section.
    fields: [&'static str; 3],
}

/// The schedules of a spec, in the order of the table of tasks.
fn wanted(spec: &MemoryEngineSpec) -> Vec<Wanted<'_>> {
    let rotation = spec.rotation.schedule.as_deref().map(|schedule| Wanted {
        task: UpkeepTask::RotateLog,
        schedule,
        time_zone: spec.rotation.time_zone.as_deref().unwrap_or(UTC),
        suspend: spec.rotation.suspend,
        fields: ["spec.rotation.schedule", "spec.rotation.timeZone", "spec.rotation.schedule"],
    });
    let scrub = spec.integrity.scrub.as_ref().map(|scrub| Wanted {
        task: UpkeepTask::Scrub,
        schedule: &scrub.schedule,
        time_zone: scrub.time_zone.as_deref().unwrap_or(UTC),
        suspend: scrub.suspend,
        fields: ["spec.integrity.scrub.schedule", "spec.integrity.scrub.timeZone", "spec.integrity.scrub"],
    });
    let retention = spec.retention.as_ref().and_then(|retention| {
        Some(Wanted {
            task: UpkeepTask::PlanRetention,
            schedule: retention.schedule.as_deref()?,
            time_zone: retention.time_zone.as_deref().unwrap_or(UTC),
            suspend: retention.suspend,
            fields: ["spec.retention.schedule", "spec.retention.timeZone", "spec.retention.schedule"],
        })
    });
    rotation.into_iter().chain(scrub).chain(retention).collect()
}

/// Checks the schedules, and the terms of retention.
pub(super) fn check(
    spec: &MemoryEngineSpec,
    settings: &Settings,
    faults: &mut Vec<Fault>,
) -> Vec<ValidUpkeep> {
    check_terms(spec, faults);
    let valid = wanted(spec).into_iter().filter_map(|one| {
        let [schedule, time_zone, section] = one.fields;
        match Schedule::parse(one.schedule, one.time_zone) {
            Ok(_) => {}
            Err(ScheduleFault::TimeZone) => {
                faults.push(Fault::Schedule(time_zone, ScheduleFault::TimeZone));
            }
            Err(fault) => faults.push(Fault::Schedule(schedule, fault)),
        }
        let image = settings.operator_image.clone();
        if image.is_none() {
            faults.push(Fault::NoOperatorImage(section));
        }
        Some(ValidUpkeep {
            task: one.task,
            schedule: one.schedule.to_owned(),
            time_zone: one.time_zone.to_owned(),
            suspend: one.suspend,
            image: image?,
        })
    });
    valid.collect()
}

fn check_terms(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    if spec.rotation.schedule.is_none() && spec.rotation.time_zone.is_some() {
        faults.push(Fault::Needs { field: "spec.rotation.timeZone", needed: "spec.rotation.schedule" });
    }
    let Some(retention) = &spec.retention else { return };
    if let Some(percent) = retention.auto_max_percent {
        check_range("spec.retention.autoMaxPercent", percent.into(), PERCENT, faults);
    }
    if let Some(hours) = retention.verified_backup_max_age_hours {
        let field = "spec.retention.verifiedBackupMaxAgeHours";
        check_range(field, hours.into(), BACKUP_AGE_HOURS, faults);
        if spec.backup.is_none() {
            faults.push(Fault::Needs { field, needed: "spec.backup" });
        }
    }
    let needs_schedule = [
        ("spec.retention.timeZone", retention.time_zone.is_some()),
        ("spec.retention.apply", retention.apply.is_some()),
        ("spec.retention.autoMaxPercent", retention.auto_max_percent.is_some()),
        ("spec.retention.verifiedBackupMaxAgeHours", retention.verified_backup_max_age_hours.is_some()),
    ];
    if retention.schedule.is_none() {
        let alone = needs_schedule.into_iter().filter(|(_, is_there)| *is_there);
        faults.extend(alone.map(|(field, _)| Fault::Needs { field, needed: "spec.retention.schedule" }));
    } else if retention.max_age_days.is_none() && retention.max_entries_per_project.is_none() {
        let needed = "spec.retention.maxAgeDays or spec.retention.maxEntriesPerProject";
        faults.push(Fault::Needs { field: "spec.retention.schedule", needed });
    }
}

/// When tasks are done, also if another part of the spec is not valid.
pub(super) fn times(spec: &MemoryEngineSpec) -> Vec<UpkeepTimes> {
    let times = wanted(spec).into_iter().map(|one| {
        let schedule = Schedule::parse(one.schedule, one.time_zone).ok();
        UpkeepTimes { task: one.task, schedule: schedule.filter(|_| !one.suspend) }
    });
    times.collect()
}

/// The terms of retention by schedule; `None` without a schedule.
pub(super) fn terms(spec: &MemoryEngineSpec) -> Option<RetentionTerms> {
    let retention = spec.retention.as_ref().filter(|retention| retention.schedule.is_some())?;
    let percent = retention.auto_max_percent.and_then(|percent| u8::try_from(percent).ok());
    let hours = retention.verified_backup_max_age_hours.map(i64::from);
    let bounded = |hours: i64| hours.clamp(BACKUP_AGE_HOURS.0, BACKUP_AGE_HOURS.1);
    Some(RetentionTerms {
        is_suspended: retention.suspend,
        apply: retention.apply.unwrap_or_default(),
        auto_max_percent: percent.unwrap_or(AUTO_MAX_PERCENT).min(100),
        verified_backup_max_age: hours.map(|hours| SignedDuration::from_hours(bounded(hours))),
    })
}
