//! buildah with a temporary storage: no layers accumulate, and the user's storage is not touched.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tokio::process::Command;

use crate::command;

/// Longest run of buildah. Nothing is downloaded; the longest step copies some hundred megabytes.
const LIMIT: Duration = Duration::from_secs(300);

/// A temporary storage, and the buildah program that works on it.
#[derive(Debug)]
pub(super) struct Buildah {
    storage: TempDir,
}

impl Buildah {
    pub(super) fn new(below: &Path) -> Result<Self> {
        Ok(Self { storage: tempfile::Builder::new().prefix(".buildah-").tempdir_in(below)? })
    }

    /// Creates an image from a root file system archive and returns the image's name.
    pub(super) async fn import(&self, archive: &Path) -> Result<&'static str> {
        const NAME: &str = "localhost/base:1";
        let container = self.run(&["from", "scratch"]).await?;
        let container = container.trim();
        self.run(&["add", "--quiet", container, &archive.display().to_string(), "/"]).await?;
        self.run(&["commit", "--quiet", "--rm", container, NAME]).await?;
        Ok(NAME)
    }

    pub(super) async fn build(&self, file: &Path, context: &Path, options: &[&str], tag: &str) -> Result<()> {
        let (file, context) = (file.display().to_string(), context.display().to_string());
        let mut arguments = vec!["build", "--quiet", "--pull-never", "--tag", tag, "--file", &file];
        arguments.extend(options);
        arguments.push(&context);
        self.run(&arguments).await.map(drop)
    }

    /// Runs a program that exits at once in the image. Fails when the image lacks a library that the program needs.
    pub(super) async fn try_out(&self, image: &str, program: &str) -> Result<()> {
        let container = self.run(&["from", "--pull-never", image]).await?;
        self.run(&["run", container.trim(), "--", program, "--version"]).await?;
        self.run(&["rm", container.trim()]).await.map(drop)
    }

    /// Writes the image as an OCI archive that carries its name.
    pub(super) async fn export(&self, image: &str, archive: &Path) -> Result<()> {
        let destination = format!("oci-archive:{}:{image}", archive.display());
        self.run(&["push", "--quiet", image, &destination]).await.map(drop)
    }

    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.storage.path().join("root"));
        command.arg("--runroot").arg(self.storage.path().join("run"));
        // These settings work in containers and virtual machines: no overlay on overlay, no user namespaces.
        command.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
        command.args(arguments);
        command::output(command, LIMIT).await
    }
}
