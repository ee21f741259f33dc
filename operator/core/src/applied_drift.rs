//! Drift of a live object from what was last applied to it.

use jiff::SignedDuration;
use kube_core::DynamicObject;
use serde_json::Value;

use crate::{
    applied::{Applied, intent},
    build,
    drift::differences,
    names::{APPLIED_HASH_ANNOTATION, ChildKey},
    observed::Observed,
};

/// How long a change by admission is accepted without applying the object again. Applying again has no effect while the
/// policy exists, and repairs the object when the policy is gone.
pub const ACCEPTED_MAX: SignedDuration = SignedDuration::from_hours(1);

/// The last write of a live object, if it is still the same object.
#[must_use]
pub fn last_write<'a>(observed: &'a Observed, key: &ChildKey, live: &DynamicObject) -> Option<&'a Applied> {
    observed.applied.get(key).filter(|applied| applied.is_of(live))
}

/// The path of the first field in which a live object differs from the wanted one, apart from what admission changed
/// when it was last applied.
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

/// Whether admission removes an annotation from an object, according to the last write.
#[must_use]
pub fn admission_strips(observed: &Observed, key: &ChildKey, live: &DynamicObject, annotation: &str) -> bool {
    let all = ".metadata.annotations";
    let one = format!("{all}.{annotation}");
    last_write(observed, key, live)
        .filter(|applied| observed.now.duration_since(applied.at) < ACCEPTED_MAX)
        .is_some_and(|applied| applied.altered.iter().any(|found| found.path == all || found.path == one))
}

/// Whether the wanted object is the one that was written last. If so, someone else caused the difference.
#[must_use]
pub fn is_repair(observed: &Observed, key: &ChildKey, wanted: &Value, live: &DynamicObject) -> bool {
    if let Some(applied) = last_write(observed, key, live) {
        return applied.intent == intent(wanted);
    }
    let annotations = live.metadata.annotations.as_ref();
    let there = annotations.and_then(|map| map.get(APPLIED_HASH_ANNOTATION)).map(String::as_str);
    there == wanted["metadata"]["annotations"][APPLIED_HASH_ANNOTATION].as_str()
}

/// Objects that admission changes, each with the first field that comes back changed.
#[must_use]
pub fn altered(observed: &Observed) -> Vec<String> {
    let altered = |(key, live): (&ChildKey, _)| {
        let first = last_write(observed, key, live)?.altered.first()?;
        Some(format!("{key} at {}", first.path))
    };
    observed.children.iter().map(|(key, live)| (key, live.as_ref())).filter_map(altered).collect()
}
