use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::{engine_config, owned};
use crate::{names, validate::Valid};

/// The ConfigMap with the engine's configuration, which the pod mounts as a file.
#[must_use]
pub fn config_map(valid: &Valid) -> ConfigMap {
    ConfigMap {
        metadata: owned(valid, names::config_map(&valid.name)),
        data: Some(BTreeMap::from([("config.yaml".to_owned(), engine_config(valid))])),
        ..ConfigMap::default()
    }
}
