//! The objects of a scheduled rotation of the operator's token.

use k8s_openapi::api::{core::v1::ConfigMap, rbac::v1::PolicyRule};
use serde_json::Value;

use super::{ScheduledJob, owned, stamp, value};
use crate::{
    names::{self, ChildKey, ChildKind},
    rotation::{DONE_ENTRY, Phase},
    validate::{Valid, ValidRotation},
};

/// Longest time that a Job waits for the end of a rotation. A kubelet delivers a changed Secret within a minute and a
/// half; an operator that restarts needs half a minute.
const WAIT_SECONDS: i64 = 300;
/// Seconds after which Kubernetes ends a Job: the image has to be pulled too, and a pod that failed is started again.
const DEADLINE_SECONDS: i64 = 900;

fn job<'a>(valid: &Valid, rotation: &'a ValidRotation) -> ScheduledJob<'a> {
    let name = names::rotation(&valid.name);
    ScheduledJob {
        task: "rotate",
        schedule: &rotation.schedule,
        time_zone: &rotation.time_zone,
        is_suspended: rotation.suspend,
        image: &rotation.image,
        args: vec!["ask".to_owned(), format!("--request={name}"), format!("--wait-seconds={WAIT_SECONDS}")],
        deadline_seconds: DEADLINE_SECONDS,
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

/// The objects of a rotation, in the order of the writes.
pub(crate) fn rotation(valid: &Valid, phase: Phase, done: Option<&str>) -> Vec<(ChildKey, Value)> {
    let Some(rotation) = &valid.rotation else { return Vec::new() };
    let job = job(valid, rotation);
    let objects = [
        (ChildKind::ConfigMap, value(&request(valid, phase, done))),
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

/// The ConfigMap in which a Job asks for a rotation, and in which the operator answers. It has no secret.
fn request(valid: &Valid, phase: Phase, done: Option<&str>) -> ConfigMap {
    let mut data = vec![("phase".to_owned(), phase.word().to_owned())];
    data.extend(done.map(|done| (DONE_ENTRY.to_owned(), done.to_owned())));
    ConfigMap {
        metadata: owned(valid, names::rotation(&valid.name)),
        data: Some(data.into_iter().collect()),
        ..ConfigMap::default()
    }
}
