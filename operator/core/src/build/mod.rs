//! Builds the objects of one engine, with one function per object; [`crate::children`] lists the objects. Each object
//! contains exactly the fields that server-side apply sends, and the operator owns no other field.

mod access;
mod access_issuer;
mod anchor_config_map;
mod api_token;
mod authorities;
mod backup;
mod bootstrap;
mod certificate_order;
mod claim;
mod config_map;
mod disruption_budget;
mod drill;
mod engine_config;
mod external_service;
mod gateway;
mod headless_service;
mod ingress;
mod network_policy;
mod pod_settings;
mod public_service;
mod readers;
mod rotation;
mod scheduled_job;
mod service;
mod service_account;
mod stateful_set;
mod store;
mod upkeep;

pub(crate) use access_issuer::{access_certificate, access_issuer};
pub use anchor_config_map::{anchor_config_map, anchor_text};
pub use authorities::authorities_config_map;
pub(crate) use backup::{backup, final_verification};
pub use certificate_order::certificate_order;
pub use claim::claim;
pub use config_map::config_map;
pub use disruption_budget::disruption_budget;
pub(crate) use drill::{drill_run, drills};
pub use engine_config::engine_config;
pub(crate) use engine_config::guard;
pub use gateway::{backend_tls_policy, http_route};
pub use headless_service::headless_service;
pub use ingress::ingress;
pub use network_policy::network_policy;
pub use public_service::public_service;
pub use readers::{
    canary, canary_config, canary_policy, canary_service, readers, readers_config, readers_policy,
    readers_service, standby, standby_policy,
};
pub(crate) use rotation::rotation;
pub use scheduled_job::ScheduledJob;
pub use service::service;
pub use service_account::service_account;
pub use stateful_set::stateful_set;
pub(crate) use store::store_section;
pub(crate) use upkeep::upkeep;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    names::{self, APPLIED_HASH_ANNOTATION},
    validate::Valid,
};

/// Directory in the pod with the certificate of the ports.
pub(crate) const TLS_PATH: &str = "/etc/memory-engine/tls";

/// Directory in the pod with a given certificate of the memory API.
pub(crate) const API_TLS_PATH: &str = "/etc/memory-engine/api-tls";

/// Adds an annotation with the hash of everything that is applied. If a field is no longer wanted, comparing the wanted
/// object with the live one does not show this, because someone else may own the field. The changed hash shows it, and
/// applying again removes the field.
pub(crate) fn stamp(object: &mut Value) {
    let hash = hex(&Sha256::digest(object.to_string()));
    object["metadata"]["annotations"][APPLIED_HASH_ANNOTATION] = hash.into();
}

/// Formats bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serialises an API object without apiVersion and kind: objects in a list do not have these fields, and the key of the
/// child already contains the kind.
pub(crate) fn value<T: serde::Serialize>(object: &T) -> Value {
    let mut value = serde_json::to_value(object).expect("API objects serialise to JSON");
    if let Value::Object(fields) = &mut value {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    value
}

/// Metadata of an object that garbage collection deletes with the engine.
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

/// The owner reference to the engine. `blockOwnerDeletion` is not set: in clusters that check it, the operator would
/// need rights on the finalizers of the owner.
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
