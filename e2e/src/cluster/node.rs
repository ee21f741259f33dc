//! The first process inside the node's namespaces. It prepares the namespaces, starts the supervisor and reaps orphans.
//!
//! It ends when the supervisor ends. The kernel then ends every process of the node and removes their mounts and loop
//! devices. Nothing of the node survives when the supervisor or this process is killed.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};

use super::cgroups;
use super::layout::{Layout, NODE_NAME};
use crate::tools;

/// Fixed paths that components write to regardless of their configuration. They are covered by a mount so that the
/// machine's own files stay unchanged.
const COVERED: [&str; 4] = ["/run", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"];

/// Runs as process 1 of the node until the supervisor ends.
///
/// # Errors
/// The namespaces cannot be prepared, or the supervisor cannot be started.
pub(super) fn init(layout: &Layout) -> Result<()> {
    prepare(layout)?;
    let supervisor = start_supervisor(layout)?;
    loop {
        // Blocks until a child ends. Shims and other orphans become children of process 1.
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, _))) if pid.as_raw_nonzero().get().unsigned_abs() == supervisor => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for processes"),
        }
    }
}

fn prepare(layout: &Layout) -> Result<()> {
    mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
        .context("mounting /proc")?;
    for place in COVERED {
        cover(Path::new(place))?;
    }
    fs::create_dir_all("/run/netns")?;
    fs::write("/proc/sys/kernel/hostname", NODE_NAME).context("setting the node's host name")?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("enabling forwarding between pods")?;
    // Service addresses of pods on the same bridge work only with this setting. The file is missing when the kernel was
    // built without it as a module; the bridge's hairpin mode is then enough.
    let _ = fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1");
    cgroups::create(&layout.name)
}

fn cover(place: &Path) -> Result<()> {
    fs::create_dir_all(place)?;
    mount("tmpfs", place, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=755"))
        .with_context(|| format!("covering {}", place.display()))
}

fn start_supervisor(layout: &Layout) -> Result<u32> {
    let log = File::options().create(true).append(true).open(layout.component_log("supervisor"))?;
    let shims = tools::program("containerd-shim-runc-v2")?;
    let shims = shims.parent().unwrap_or(Path::new("/")).display().to_string();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["cluster", "supervise"]).env("PATH", format!("{shims}:/usr/sbin:/usr/bin:/sbin:/bin"));
    // containerd refuses a TMPDIR that does not exist in its mount namespace. HOME stays set for tools that require it.
    command.env_remove("KUBECONFIG").env_remove("TMPDIR");
    command.stdin(Stdio::inherit()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn().context("starting the supervisor")?.id())
}
