//! The objects of a scheduled rotation of the operator's token.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::{ScheduledJob, owned};
use crate::{
    names::{self, ChildKey},
    rotation::{DONE_ENTRY, Phase},
    validate::Valid,
};

/// Longest time that a Job waits for the end of a rotation. A kubelet delivers a changed Secret within a minute and a
/// half; an operator that restarts needs half a minute.
const WAIT_SECONDS: i64 = 300;
/// Seconds after which Kubernetes ends a Job: the image has to be pulled too, and a pod that failed is started again.
const DEADLINE_SECONDS: i64 = 900;

/// The objects of a rotation, in the order of the writes.
pub(crate) fn rotation(valid: &Valid, phase: Phase, done: Option<&str>) -> Vec<(ChildKey, Value)> {
    let Some(rotation) = &valid.rotation else { return Vec::new() };
    let job = ScheduledJob::asking(
        "rotate",
        names::rotation(&valid.name),
        &rotation.image,
        (&rotation.schedule, &rotation.time_zone),
        (WAIT_SECONDS, DEADLINE_SECONDS),
    );
    let job = ScheduledJob { is_suspended: rotation.suspend, ..job };
    job.asking_objects(valid, &request(valid, phase, done))
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
