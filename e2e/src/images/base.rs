//! Root file systems built from Debian packages, for machines that cannot pull images.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::archive::images_dir;
use crate::command;
use crate::steps::Steps;

const SUITE: &str = "bookworm";
/// Longest download: about twenty megabytes from a mirror.
const LIMIT: Duration = Duration::from_secs(300);
/// Replaces the maintainer script of the package `ca-certificates`: no script runs inside the new root.
const TRUST_HOOK: &str = "--extract-hook=mkdir -p \"$1/etc/ssl/certs\" && \
     cat \"$1\"/usr/share/ca-certificates/mozilla/*.crt > \"$1/etc/ssl/certs/ca-certificates.crt\"";

/// A root file system, defined by its packages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    packages: &'static str,
}

/// Packages of a distroless base for Rust programs.
pub(super) const PRODUCT: Base =
    Base { packages: "base-files,ca-certificates,libc6,libgcc-s1,netbase,tzdata" };
/// Base of the image that tests send requests from.
pub(super) const TOOLS: Base = Base { packages: "base-files,busybox,ca-certificates,curl,netbase" };

impl Base {
    pub(super) fn key(self) -> String {
        super::archive::key(&[SUITE.as_bytes(), self.packages.as_bytes(), TRUST_HOOK.as_bytes()])
    }

    /// Returns the archive, and builds it if it does not exist.
    pub(super) async fn ensure(self, steps: &Steps) -> Result<PathBuf> {
        let archive = images_dir().join(format!("base-{}.tar", self.key()));
        if archive.exists() {
            return Ok(archive);
        }
        steps.say(&format!("fetching Debian packages for images: {} (about 30 s)", self.packages));
        let unfinished = images_dir().join(format!(".base-{}.tar", self.key()));
        let include = format!("--include={}", self.packages);
        let target = unfinished.display().to_string();
        // extract: unpack the packages, run none of their scripts.
        let arguments = ["--quiet", "--variant=extract", "--mode=root", &include, TRUST_HOOK, SUITE, &target];
        command::run("mmdebstrap", &arguments, LIMIT).await.context("creating a root file system")?;
        fs::rename(&unfinished, &archive)?;
        Ok(archive)
    }
}
