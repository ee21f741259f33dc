//! The objects of a task that is done on a schedule: a Job that asks for it, and what the Job may do.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::{ScheduledJob, owned};
use crate::{
    backup::RESULT_ENTRY,
    names::{self, ChildKey},
    rotation::{DONE_ENTRY, FAILED_ENTRY},
    upkeep::{Answered, scheduled},
    validate::{Valid, ValidUpkeep},
};

/// The objects of a task, in the order of the writes.
pub(crate) fn upkeep(
    valid: &Valid,
    wanted: &ValidUpkeep,
    answered: Option<&Answered>,
) -> Vec<(ChildKey, Value)> {
    let row = scheduled(wanted.task);
    let job = ScheduledJob::asking(
        row.word,
        names::upkeep(&valid.name, row.word),
        &wanted.image,
        (&wanted.schedule, &wanted.time_zone),
        (row.wait_seconds, row.deadline_seconds),
    );
    let job = ScheduledJob { is_suspended: wanted.suspend || valid.is_stopped, ..job };
    job.asking_objects(valid, &request(valid, &job.name, answered))
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
