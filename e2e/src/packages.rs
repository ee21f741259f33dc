//! The Debian packages that a cluster, its images and the fault campaigns need.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::command;
use crate::steps::Steps;

/// A Debian package, and files that show that its program is installed, also from another source. One of the files is
/// enough.
pub(crate) type Package = (&'static str, &'static [&'static str]);

/// Packages for the cluster and its images.
pub(crate) const CLUSTER: [Package; 8] = [
    ("runc", &["/usr/sbin/runc", "/usr/bin/runc"]),
    ("containernetworking-plugins", &["/usr/lib/cni/bridge"]),
    ("nftables", &["/usr/sbin/nft"]),
    ("iproute2", &["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"]),
    ("xfsprogs", &["/usr/sbin/mkfs.xfs", "/sbin/mkfs.xfs"]),
    ("e2fsprogs", &["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]),
    ("buildah", &["/usr/bin/buildah"]),
    ("mmdebstrap", &["/usr/bin/mmdebstrap"]),
];

/// Longest run of apt-get. Package lists from a slow mirror take a long time; a hang must still end.
const APT_LIMIT: Duration = Duration::from_secs(600);

/// Installs the packages that are missing.
///
/// # Errors
/// A package is missing and there is no `apt-get`, or `apt-get` fails.
pub(crate) async fn ensure(packages: &[Package], steps: &Steps) -> Result<()> {
    let missing = missing(packages, |path| Path::new(path).exists());
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("these programs are missing and there is no apt-get to install them: {list}");
    }
    steps.say(&format!("installing Debian packages: {list} (about 1 min)"));
    apt_get(&["update", "-q"]).await?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(&missing);
    apt_get(&arguments).await.with_context(|| format!("install by hand and try again: {list}"))
}

fn missing(packages: &[Package], exists: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let absent = packages.iter().filter(|(_, files)| !files.iter().any(|file| exists(file)));
    absent.map(|(package, _)| *package).collect()
}

async fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command::output(command, APT_LIMIT).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_packages_files_is_enough() {
        assert_eq!(missing(&CLUSTER, |_| true), Vec::<&str>::new());
        assert_eq!(missing(&CLUSTER, |file| file != "/usr/bin/buildah"), ["buildah"]);
        assert_eq!(missing(&CLUSTER, |file| file != "/usr/sbin/runc"), Vec::<&str>::new());
        assert_eq!(missing(&CLUSTER, |_| false).len(), CLUSTER.len());
    }
}
