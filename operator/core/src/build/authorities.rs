use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::owned;
use crate::{names, validate::Valid};

/// Key of the certificates, as gateways and clients expect it.
const AUTHORITIES_KEY: &str = "ca.crt";

/// The ConfigMap with the certificates that clients verify the engine with. It has no key, so that clients need no
/// permission on Secrets.
#[must_use]
pub fn authorities_config_map(valid: &Valid, certificates: &str) -> ConfigMap {
    ConfigMap {
        metadata: owned(valid, names::authorities_config_map(&valid.name).name),
        data: Some(BTreeMap::from([(AUTHORITIES_KEY.to_owned(), certificates.to_owned())])),
        ..ConfigMap::default()
    }
}
