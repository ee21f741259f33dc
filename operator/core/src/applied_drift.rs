//! Differences between a live object and what the operator last applied to it.

use jiff::SignedDuration;
use kube_core::DynamicObject;
use serde_json::Value;

use crate::{
    applied::{Applied, intent},
    build,
    drift::differences,
    names::{APPLIED_HASH_ANNOTATION, ChildKey, RENDERED_ANNOTATION},
    observed::Observed,
};

/// How long a change by admission is accepted before the object is applied again. Applying again has no effect while
/// the admission policy exists, and repairs the object after the policy was removed.
pub const ACCEPTED_MAX: SignedDuration = SignedDuration::from_hours(1);

/// The last write of a live object; `None` if this process has not written it, or wrote an earlier object of the same
/// name.
#[must_use]
pub fn last_write<'a>(observed: &'a Observed, key: &ChildKey, live: &DynamicObject) -> Option<&'a Applied> {
    observed.applied.get(key).filter(|applied| applied.is_of(live))
}

/// The path of the first field in which the live object differs from the wanted one. Differences that admission made
/// when the object was last applied do not count.
#[must_use]
pub fn drift(observed: &Observed, key: &ChildKey, wanted: &Value, live: &DynamicObject) -> Option<String> {
    let found = differences(wanted, &build::value(live));
    if found.is_empty() {
        return None;
    }
    let fresh = |applied: &&Applied| observed.now.duration_since(applied.at) < ACCEPTED_MAX;
    let accepted = last_write(observed, key, live)
        .filter(fresh)
        .map(|applied| applied.altered.as_slice())
        .unwrap_or_default();
    found.into_iter().find(|difference| !accepted.contains(difference)).map(|difference| difference.path)
}

/// Whether admission removed `annotation` when the object was last written.
#[must_use]
pub fn admission_strips(observed: &Observed, key: &ChildKey, live: &DynamicObject, annotation: &str) -> bool {
    let all = ".metadata.annotations";
    let one = format!("{all}.{annotation}");
    last_write(observed, key, live)
        .filter(|applied| observed.now.duration_since(applied.at) < ACCEPTED_MAX)
        .is_some_and(|applied| applied.altered.iter().any(|found| found.path == all || found.path == one))
}

/// Whether the wanted object is the same as in the last write. If so, someone else has changed the live object since.
#[must_use]
pub fn is_repair(observed: &Observed, key: &ChildKey, wanted: &Value, live: &DynamicObject) -> bool {
    if let Some(applied) = last_write(observed, key, live) {
        return applied.intent == intent(wanted);
    }
    let annotations = live.metadata.annotations.as_ref();
    let is_new = wanted["metadata"]["annotations"][RENDERED_ANNOTATION].is_string();
    if is_new && !annotations.is_some_and(|map| map.contains_key(RENDERED_ANNOTATION)) {
        // An operator of before has applied it.
        return false;
    }
    let there = annotations.and_then(|map| map.get(APPLIED_HASH_ANNOTATION)).map(String::as_str);
    there == wanted["metadata"]["annotations"][APPLIED_HASH_ANNOTATION].as_str()
}

/// Describes the objects that admission changes, each with the first changed field.
#[must_use]
pub fn altered(observed: &Observed) -> Vec<String> {
    let altered = |(key, live): (&ChildKey, _)| {
        let first = last_write(observed, key, live)?.altered.first()?;
        Some(format!("{key} at {}", first.path))
    };
    observed.children.iter().map(|(key, live)| (key, live.as_ref())).filter_map(altered).collect()
}
