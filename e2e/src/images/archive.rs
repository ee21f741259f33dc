//! Names of the images, and the archives in which they are kept.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::paths;

/// Image of the container that holds the namespaces of each pod.
pub(crate) const PAUSE_IMAGE: &str = "localhost/pause:1";

pub(super) const ENGINE_IMAGE: &str = "localhost/memory-engine:dev";

/// Image of the operator, as tests and demo deploy it.
pub(crate) const OPERATOR_IMAGE: &str = "localhost/memory-operator:dev";

pub(super) const TOOLS_IMAGE: &str = "localhost/e2e-tools:dev";

/// Image of the object store.
pub(crate) const OBJECT_STORE_IMAGE: &str = "localhost/versitygw:dev";

/// The images that tests and demo need on any cluster.
pub const NAMES: [&str; 3] = [ENGINE_IMAGE, OPERATOR_IMAGE, TOOLS_IMAGE];

/// Returns the path of an image's archive; `image` is the image's name.
///
/// # Errors
/// There is no image of this name, or it is not built.
pub fn built(image: &str) -> Result<PathBuf> {
    let current = fs::read_to_string(current_file(image));
    let current =
        current.with_context(|| format!("{image} is no file and not built: `cargo run -p e2e -- images`"))?;
    let archive = images_dir().join(current.trim());
    if !archive.exists() {
        bail!("{} is gone: `cargo run -p e2e -- images`", archive.display());
    }
    Ok(archive)
}

pub(super) fn images_dir() -> PathBuf {
    paths::cache_dir().join("images")
}

/// `localhost/memory-engine:dev` → `memory-engine`.
pub(super) fn short(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split(':').next().unwrap_or(name)
}

pub(super) fn current_file(image: &str) -> PathBuf {
    images_dir().join(format!("{}.current", short(image)))
}

pub(super) fn key(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened() {
        assert_eq!(short(ENGINE_IMAGE), "memory-engine");
        assert_eq!(short(PAUSE_IMAGE), "pause");
    }

    #[test]
    fn the_key_does_not_confuse_parts() {
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
    }
}
