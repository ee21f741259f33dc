use std::collections::BTreeMap;

use engine_core::wire::GivenAnchor;
use k8s_openapi::api::core::v1::ConfigMap;

use super::owned;
use crate::{
    names::{self, ANCHOR_FILE},
    validate::Valid,
};

/// The ConfigMap with the history that the log must extend. The engine reads this file before its first write. The pod
/// template contains no hash of it: the file changes with every anchor, and a running engine receives each new anchor
/// directly.
#[must_use]
pub fn anchor_config_map(valid: &Valid, text: &str) -> ConfigMap {
    ConfigMap {
        metadata: owned(valid, names::anchor_config_map(&valid.name)),
        data: Some(BTreeMap::from([(ANCHOR_FILE.to_owned(), text.to_owned())])),
        ..ConfigMap::default()
    }
}

/// The content of the anchor file.
#[must_use]
pub fn anchor_text(given: &GivenAnchor) -> String {
    serde_json::to_string(given).expect("plain values are JSON")
}
