//! The operator's last writes and their results. They distinguish drift from changes by admission and from changes of
//! the spec.

use jiff::{SignedDuration, Timestamp};
use kube_core::DynamicObject;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    build,
    drift::{Difference, differences},
    names::{ANCHOR_ANNOTATION, ANCHOR_FILE, APPLIED_HASH_ANNOTATION, ChildKey},
    observed::Observed,
    plan::Write,
};

/// How long a change by admission is accepted without applying the object again. Applying again has no effect while the
/// policy exists, and repairs the object when the policy is gone.
pub const ACCEPTED_MAX: SignedDuration = SignedDuration::from_hours(1);

/// One write of an object. It is kept in memory: after a restart, an object that admission changes is applied once
/// more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// UID of the object.
    pub uid: String,
    /// Hash of the wanted object, without the anchor, which changes regularly.
    pub intent: String,
    /// When it was written.
    pub at: Timestamp,
    /// Fields that came back with other values than those applied.
    pub altered: Vec<Difference>,
}

impl Applied {
    /// Records a write and the object that it left; returns nothing for a deletion.
    #[must_use]
    pub fn of(write: &Write, after: &DynamicObject, now: Timestamp) -> Option<Self> {
        let (object, again) = match write {
            Write::Create { object, .. } => (object, false),
            Write::Update { object, .. } | Write::Repair { object, .. } | Write::Record { object, .. } => {
                (object, true)
            }
            Write::Release { .. } | Write::Delete { .. } => return None,
        };
        // A policy may apply to creations only. Its changes are accepted only once an update shows them too, so that a
        // restarted operator reaches the same result.
        let altered = if again { differences(object, &build::value(after)) } else { Vec::new() };
        Some(Self {
            uid: after.metadata.uid.clone().unwrap_or_default(),
            intent: intent(object),
            at: now,
            altered,
        })
    }

    fn is_of(&self, live: &DynamicObject) -> bool {
        live.metadata.uid.as_deref() == Some(self.uid.as_str())
    }
}

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
pub fn is_kept_off(observed: &Observed, key: &ChildKey, live: &DynamicObject, annotation: &str) -> bool {
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

fn intent(wanted: &Value) -> String {
    let mut wanted = wanted.clone();
    for (map, keys) in [
        ("/metadata/annotations", &[ANCHOR_ANNOTATION, APPLIED_HASH_ANNOTATION][..]),
        ("/data", &[ANCHOR_FILE][..]),
    ] {
        let Some(Value::Object(fields)) = wanted.pointer_mut(map) else { continue };
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    if let Some(Value::Object(metadata)) = wanted.get_mut("metadata") {
        metadata.retain(|key, value| key != "annotations" || value != &Value::Object(serde_json::Map::new()));
    }
    build::hex(&Sha256::digest(wanted.to_string()))
}
