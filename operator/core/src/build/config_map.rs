use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::owned;
use crate::{names, validate::Valid};

/// The engine's configuration, as a file the pod mounts.
#[must_use]
pub fn config_map(valid: &Valid) -> ConfigMap {
    ConfigMap {
        metadata: owned(valid, names::config_map(&valid.name)),
        data: Some(BTreeMap::from([("config.yaml".to_owned(), engine_config(valid))])),
        ..ConfigMap::default()
    }
}

/// The text of `config.yaml`. The pod template carries its hash, so that a change makes a new pod.
#[must_use]
pub fn engine_config(valid: &Valid) -> String {
    let config = json!({
        "engine": {"namespace": valid.namespace, "name": valid.name},
        "log": {"level": valid.log_level.as_str()},
        "shutdown": {"drainSeconds": valid.drain_seconds},
        "rotation": {
            "maxSegmentBytes": valid.max_segment_bytes,
            "maxSegmentAgeSeconds": valid.max_segment_age_seconds,
        },
        "integrity": {"verifyIntervalSeconds": valid.verify_interval_seconds},
    });
    serde_yaml::to_string(&config).expect("plain values are YAML")
}
