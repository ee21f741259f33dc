use std::collections::BTreeMap;

use engine_core::wire::GivenAnchor;
use k8s_openapi::api::core::v1::ConfigMap;

use super::owned;
use crate::{
    names::{self, ANCHOR_FILE},
    validate::Valid,
};

/// What the log must extend, as a file that the engine reads before its first write. No hash of it stands anywhere: it
/// changes with every anchor, and a running engine is told.
#[must_use]
pub fn anchor_config_map(valid: &Valid, text: &str) -> ConfigMap {
    ConfigMap {
        metadata: owned(valid, names::anchor_config_map(&valid.name)),
        data: Some(BTreeMap::from([(ANCHOR_FILE.to_owned(), text.to_owned())])),
        ..ConfigMap::default()
    }
}

/// The text of the file.
#[must_use]
pub fn anchor_text(given: &GivenAnchor) -> String {
    serde_json::to_string(given).expect("plain values are JSON")
}
