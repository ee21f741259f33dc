//! The objects of a task that is done on a schedule: a Job that asks for it, and what the Job may do.

use k8s_openapi::api::{core::v1::ConfigMap, rbac::v1::PolicyRule};
use serde_json::Value;

use super::{ScheduledJob, owned, stamp, value};
use crate::{
    backup::RESULT_ENTRY,
    names::{self, ChildKey, ChildKind},
    rotation::{DONE_ENTRY, FAILED_ENTRY},
    upkeep::{Answered, Scheduled, scheduled},
    validate::{Valid, ValidUpkeep},
};

fn job<'a>(valid: &Valid, row: &Scheduled, wanted: &'a ValidUpkeep) -> ScheduledJob<'a> {
    let name = names::upkeep(&valid.name, row.word);
    ScheduledJob {
        task: row.word,
        schedule: &wanted.schedule,
        time_zone: &wanted.time_zone,
        is_suspended: wanted.suspend || valid.is_stopped,
        image: &wanted.image,
        args: vec![
            "ask".to_owned(),
            format!("--request={name}"),
            format!("--wait-seconds={}", row.wait_seconds),
        ],
        deadline_seconds: row.deadline_seconds,
        memory: "64Mi",
        cpu: "200m",
        volumes: Vec::new(),
        mounts: Vec::new(),
        // A patch that changes nothing also returns the object: one verb on one object is enough to ask and to wait.
        rules: vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["configmaps".to_owned()]),
            resource_names: Some(vec![name.clone()]),
            verbs: vec!["patch".to_owned()],
            non_resource_urls: None,
        }],
        name,
    }
}

/// The objects of a task, in the order of the writes.
pub(crate) fn upkeep(
    valid: &Valid,
    wanted: &ValidUpkeep,
    answered: Option<&Answered>,
) -> Vec<(ChildKey, Value)> {
    let row = scheduled(wanted.task);
    let job = job(valid, row, wanted);
    let objects = [
        (ChildKind::ConfigMap, value(&request(valid, &job.name, answered))),
        (ChildKind::ServiceAccount, value(&job.service_account(valid))),
        (ChildKind::Role, value(&job.role(valid))),
        (ChildKind::RoleBinding, value(&job.role_binding(valid))),
        (ChildKind::CronJob, value(&job.cron_job(valid))),
    ];
    let stamped = objects.map(|(kind, mut object)| {
        stamp(&mut object);
        (ChildKey { kind, name: job.name.clone() }, object)
    });
    stamped.into()
}

/// The ConfigMap in which a Job asks, and in which the operator answers.
fn request(valid: &Valid, name: &str, answered: Option<&Answered>) -> ConfigMap {
    let data = answered.map(|answered| {
        let done = (DONE_ENTRY.to_owned(), answered.request.clone());
        let result = (RESULT_ENTRY.to_owned(), answered.result.clone());
        let failed = answered.has_failed.then(|| (FAILED_ENTRY.to_owned(), answered.request.clone()));
        [done, result].into_iter().chain(failed).collect()
    });
    ConfigMap { metadata: owned(valid, name.to_owned()), data, ..ConfigMap::default() }
}
