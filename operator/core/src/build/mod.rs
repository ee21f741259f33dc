//! The objects of one engine, one builder per object; [`crate::children`] has the table of them. Each is everything
//! that server-side apply is told: a field not named here is not ours.

mod anchor_config_map;
mod claim;
mod config_map;
mod disruption_budget;
mod engine_config;
mod headless_service;
mod network_policy;
mod pod_settings;
mod service;
mod service_account;
mod stateful_set;

pub use anchor_config_map::{anchor_config_map, anchor_text};
pub use claim::claim;
pub use config_map::config_map;
pub use disruption_budget::disruption_budget;
pub use engine_config::engine_config;
pub use headless_service::headless_service;
pub use network_policy::network_policy;
pub use service::service;
pub use service_account::service_account;
pub use stateful_set::stateful_set;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    names::{self, APPLIED_HASH_ANNOTATION},
    validate::Valid,
};

/// Marks an object with the hash of all that is applied. A field that is wanted no more shows in no comparison with
/// the live object, where it may be somebody else's: it shows here, and applying again takes it away.
pub(crate) fn stamp(object: &mut Value) {
    let hash = hex(&Sha256::digest(object.to_string()));
    object["metadata"]["annotations"][APPLIED_HASH_ANNOTATION] = hash.into();
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serialises an API object, without its kind: objects out of a list come without one, and the key says it already.
pub(crate) fn value<T: serde::Serialize>(object: &T) -> Value {
    let mut value = serde_json::to_value(object).expect("API objects serialise to JSON");
    if let Value::Object(fields) = &mut value {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    value
}

/// Metadata of an object that goes when the engine goes.
pub(crate) fn owned(valid: &Valid, name: String) -> ObjectMeta {
    ObjectMeta { owner_references: Some(vec![owner(valid)]), ..kept(valid, name) }
}

/// Metadata of an object that outlives the engine.
pub(crate) fn kept(valid: &Valid, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(valid.namespace.clone()),
        labels: Some(names::labels(&valid.name)),
        ..ObjectMeta::default()
    }
}

/// `blockOwnerDeletion` stays out: setting it needs rights on the owner's finalizers in clusters that check.
fn owner(valid: &Valid) -> OwnerReference {
    OwnerReference {
        api_version: crds::API_VERSION.to_owned(),
        kind: "MemoryEngine".to_owned(),
        name: valid.name.clone(),
        uid: valid.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
