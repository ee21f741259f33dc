//! The objects of backups: a Job that asks for one, and a Job that verifies the newest one by restoring it.

use k8s_openapi::{
    api::core::v1::{ConfigMap, EmptyDirVolumeSource, Volume, VolumeMount},
    apimachinery::pkg::api::resource::Quantity,
};
use serde_json::Value;

use super::{ScheduledJob, owned, scheduled_job::GRACE_SECONDS, store::StoreAccess, value};
use crate::{
    backup::Answered,
    names::{self, ChildKey, ChildKind, VERIFY_JOB},
    rotation::DONE_ENTRY,
    validate::{Valid, ValidBackup},
};

/// Word in the names of volumes and directories of the archive.
pub(super) const PART: &str = "backup";
/// Longest time that a Job waits for a backup. An engine takes one in seconds unless its archive is far behind.
const WAIT_SECONDS: i64 = 900;
/// Seconds after which Kubernetes ends a Job that asks for a backup: the image has to be pulled too, and a pod that
/// failed is started again.
const BACKUP_DEADLINE_SECONDS: i64 = 1_800;
/// Seconds after which Kubernetes ends a verification. A million events take about a minute; a slow store may need much
/// longer than a fast one.
const VERIFY_DEADLINE_SECONDS: i64 = 4 * 3_600;
/// Where a verification restores to.
const SCRATCH: &str = "scratch";
const SCRATCH_PATH: &str = "/scratch";
/// File in which Kubernetes expects the verdict.
const TERMINATION_LOG: &str = "/dev/termination-log";

fn taking<'a>(valid: &Valid, backup: &'a ValidBackup) -> ScheduledJob<'a> {
    let job = ScheduledJob::asking(
        "backup",
        names::backup(&valid.name),
        &backup.image,
        (&backup.spec.schedule, &backup.spec.time_zone),
        (WAIT_SECONDS, BACKUP_DEADLINE_SECONDS),
    );
    ScheduledJob { is_suspended: backup.spec.suspend || valid.is_stopped, ..job }
}

/// The archive as a pod uses it.
pub(super) fn access(backup: &ValidBackup) -> StoreAccess<'_> {
    StoreAccess {
        part: PART,
        store: &backup.spec.destination,
        encryption_key: backup.spec.key_encryption_key_secret_ref.as_ref(),
    }
}

/// `log_id` is the log of this engine: the archive may have others, for example of an engine of this name before.
fn verifying<'a>(valid: &'a Valid, backup: &'a ValidBackup, log_id: Option<&str>) -> ScheduledJob<'a> {
    let store = access(backup);
    let mut args = vec!["backup".to_owned(), "verify".to_owned()];
    args.extend(store.args());
    args.extend(log_id.map(|id| format!("--log={id}")));
    args.extend([format!("--scratch={SCRATCH_PATH}"), format!("--termination-log={TERMINATION_LOG}")]);
    // What is restored is never larger than the volume of the engine.
    let scratch = Volume {
        name: SCRATCH.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: None,
            size_limit: Some(Quantity(valid.essentials.size.0.clone())),
        }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: SCRATCH.to_owned(),
        mount_path: SCRATCH_PATH.to_owned(),
        ..VolumeMount::default()
    };
    ScheduledJob {
        name: names::verification(&valid.name),
        task: VERIFY_JOB,
        schedule: &backup.spec.verify.schedule,
        time_zone: &backup.spec.time_zone,
        is_suspended: backup.spec.suspend,
        image: &valid.image,
        args,
        deadline_seconds: VERIFY_DEADLINE_SECONDS,
        grace_seconds: GRACE_SECONDS,
        memory: "1Gi",
        cpu: "2",
        volumes: [scratch].into_iter().chain(store.volumes()).collect(),
        mounts: [mount].into_iter().chain(store.mounts()).collect(),
        rules: Vec::new(),
    }
}

/// The objects, in the order of the writes.
pub(crate) fn backup(
    valid: &Valid,
    answered: Option<&Answered>,
    log_id: Option<&str>,
) -> Vec<(ChildKey, Value)> {
    let Some(backup) = &valid.backup else { return Vec::new() };
    let (taking, verifying) = (taking(valid, backup), verifying(valid, backup, log_id));
    let mut objects = taking.asking_objects(valid, &request(valid, answered));
    objects.push(verifying.stamped(ChildKind::ServiceAccount, value(&verifying.service_account(valid))));
    objects.push(verifying.stamped(ChildKind::CronJob, value(&verifying.cron_job(valid))));
    objects
}

/// The Job that verifies the last backup before a deletion, the one with this name; `None` if there are no backups.
pub(crate) fn final_verification(valid: &Valid, log_id: Option<&str>, name: &str) -> Option<Value> {
    let mut job = verifying(valid, valid.backup.as_ref()?, log_id);
    job.args.push(format!("--backup={name}"));
    Some(value(&job.once(valid, names::final_verification(&valid.name, name).name)))
}

/// The ConfigMap in which a Job asks for a backup, and in which the operator answers.
fn request(valid: &Valid, answered: Option<&Answered>) -> ConfigMap {
    let data = answered.map(|answered| {
        let done = (DONE_ENTRY.to_owned(), answered.request.clone());
        [done, ("result".to_owned(), answered.result.clone())].into()
    });
    ConfigMap { metadata: owned(valid, names::backup(&valid.name)), data, ..ConfigMap::default() }
}
