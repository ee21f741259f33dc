//! The operator's last write of each object and its result. With them, the operator distinguishes drift from changes by
//! admission and from changes of the spec.

use jiff::Timestamp;
use kube_core::DynamicObject;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    build,
    drift::{Difference, differences},
    names::{ANCHOR_ANNOTATION, ANCHOR_FILE, APPLIED_HASH_ANNOTATION},
    plan::Write,
};

/// The last write of one object. It is only in memory: after a restart of the operator, an object that admission
/// changes is applied once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// UID of the object.
    pub uid: String,
    /// Hash of the wanted object. It does not cover the anchor, which changes regularly.
    pub intent: String,
    /// When the object was written.
    pub at: Timestamp,
    /// Fields that the API server returned with other values than the applied ones.
    pub altered: Vec<Difference>,
}

impl Applied {
    /// Describes a write and the object `after` it; `None` for a write that applies no fields, such as a deletion.
    #[must_use]
    pub fn of(write: &Write, after: &DynamicObject, now: Timestamp) -> Option<Self> {
        let (object, again) = match write {
            Write::Create { object, .. } => (object, false),
            Write::Update { object, .. } | Write::Repair { object, .. } | Write::Record { object, .. } => {
                (object, true)
            }
            Write::Release { .. } | Write::Prune { .. } | Write::Delete { .. } => return None,
        };
        // An admission policy may apply to creations only. Therefore its changes are accepted only when an update shows
        // them too. A restarted operator then reaches the same result.
        let altered = if again { differences(object, &build::value(after)) } else { Vec::new() };
        Some(Self {
            uid: after.metadata.uid.clone().unwrap_or_default(),
            intent: intent(object),
            at: now,
            altered,
        })
    }

    pub(crate) fn is_of(&self, live: &DynamicObject) -> bool {
        live.metadata.uid.as_deref() == Some(self.uid.as_str())
    }
}

pub(crate) fn intent(wanted: &Value) -> String {
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
