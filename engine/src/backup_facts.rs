//! What a backup of this engine says of it: the digest of its projection, and its configuration.

use std::sync::Arc;

use engine_archive::{EngineFacts, ProjectionAt};
use engine_core::archive::manifest::ProjectionDigest;
use engine_core::configuration::{Resolved, ShownValue, shown};
use engine_core::digest::Hash;
use engine_core::fold::PROJECTION_VERSION;
use engine_projection::ProjectionShared;

/// Maximum size of a value of the configuration in a manifest, bytes. Longer ones are lists of exceptions.
const VALUE_BYTES_MAX: usize = 4 << 10;
/// What the origin of a value is called that nobody has set.
const DEFAULT: &str = "default";

/// A running engine.
#[derive(Debug)]
pub(crate) struct RunningEngine {
    projection: Arc<ProjectionShared>,
    configuration: String,
}

impl RunningEngine {
    pub(crate) fn new(projection: Arc<ProjectionShared>, configuration: String) -> RunningEngine {
        RunningEngine { projection, configuration }
    }
}

impl EngineFacts for RunningEngine {
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn projection(&self) -> Option<ProjectionAt> {
        let (seq, digest) = self.projection.digest().ok()?;
        let digest = ProjectionDigest { version: PROJECTION_VERSION, digest: Hash(digest.0) };
        Some(ProjectionAt { seq, digest })
    }

    fn configuration(&self) -> Option<String> {
        Some(self.configuration.clone())
    }
}

/// What was configured when the engine was started, a line for each key that somebody has set. Secrets are masked, and
/// the number of keys bounds the length.
pub(crate) fn described(resolved: &Resolved) -> String {
    let set = shown(resolved).into_iter().filter(|one| one.origin != DEFAULT);
    set.map(|ShownValue { key, value, .. }| {
        let text = value.to_string();
        match text.len() {
            0..=VALUE_BYTES_MAX => format!("{key} = {text}\n"),
            length => format!("{key} is left out: it has {length} bytes\n"),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use engine_core::configuration::{Author, resolve};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_backup_names_files_of_secrets_and_no_secret() {
        let exception = |number: usize| json!({"detector": "email", "value": format!("hunter2@example{number}.org"), "reason": "r", "reviewer": "w"});
        let exceptions: Vec<_> = (0..200).map(exception).collect();
        let file = json!({
            "backup": {"url": "file:///archive", "keyEncryptionKeyFile": "/run/key"},
            "rerank": {"url": "https://a/?key=hunter2", "model": "m", "apiKeyFile": "/run/other-key"},
            "policy": {"exceptions": exceptions},
        });
        let resolved = resolve(&file, &[], Author::Person).unwrap();
        let text = described(&resolved);
        assert!(text.contains("backup.keyEncryptionKeyFile = \"/run/key\""), "{text}");
        assert!(!text.contains("hunter2") && text.contains("policy.exceptions is left out"), "{text}");
        assert!(!text.contains("limits."), "keys that nobody has set are left out: {text}");
    }
}
