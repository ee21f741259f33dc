//! Stops a cluster, or cleans up what is left of one: processes, mounts, loop devices, network namespace, cgroups,
//! data.
//!
//! It does not depend on the cluster's own processes or on files they wrote. The same steps remove a cluster whose
//! supervisor was killed, whose state folder is missing, or that never came up.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::layout::Layout;
use super::report::Launch;
use super::{cgroups, network};
use crate::command;

/// Longest time for one step of the removal. Ending a few hundred processes and their mounts takes a second or two.
const LIMIT: Duration = Duration::from_secs(30);
const PERIOD: Duration = Duration::from_millis(50);

/// Removes everything that belongs to the cluster, except its logs. Returns true when there was something to remove.
///
/// # Errors
/// Something cannot be removed; the message names it.
pub(super) async fn remove(layout: &Layout) -> Result<bool> {
    let there = layout.network_namespace().exists() || layout.launch().exists();
    end_processes(layout).await?;
    network::remove(layout).await?;
    remove_cgroups(&layout.name).await?;
    free_loop_devices(layout).await?;
    for folder in ["config", "containerd", "etcd", "kubelet", "pki", "run", "volumes"] {
        remove_folder(&layout.at(folder))?;
    }
    remove_file(&layout.kubeconfig())?;
    Ok(there)
}

/// Removes the logs of the previous run as well.
pub(super) fn remove_logs(layout: &Layout) -> Result<()> {
    remove_folder(&layout.at("log"))
}

async fn end_processes(layout: &Layout) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let pids = processes(layout);
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes {pids:?} are still running after {LIMIT:?}");
        }
        // One of these processes is process 1 of the node. When it is killed, the kernel also kills the processes of
        // the pods.
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Returns the host process ids of every process in the node's network namespace, and of the process that `up` started.
pub(super) fn processes(layout: &Layout) -> Vec<i32> {
    let namespace = fs::metadata(layout.network_namespace()).ok();
    let launched = Launch::read(layout).map(|launch| launch.pid);
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let belongs = |pid: &i32| {
        let in_namespace = || {
            let (Some(node), Ok(its)) = (&namespace, fs::metadata(format!("/proc/{pid}/ns/net"))) else {
                return false;
            };
            (node.dev(), node.ino()) == (its.dev(), its.ino())
        };
        *pid != own && (in_namespace() || (Some(*pid) == launched && is_node(*pid)))
    };
    pids.filter(belongs).collect()
}

/// Process ids are reused: accept a recorded id only if the process runs the node's init command.
fn is_node(pid: i32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"node-init")
}

async fn remove_cgroups(name: &str) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = cgroups::remove(name);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("cgroups still in use: {left:?}");
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// The kernel frees a loop device with its last mount, shortly after the node's mounts are gone. A device that was
/// attached but never mounted is not freed; this function detaches it.
async fn free_loop_devices(layout: &Layout) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let volumes = layout.at("volumes");
    loop {
        let devices = loop_devices(&volumes);
        if devices.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("loop devices still in use: {}", devices.join(", "));
        }
        tokio::time::sleep(PERIOD).await;
        for device in loop_devices(&volumes) {
            let _ = command::run("losetup", &["-d", &device], LIMIT).await;
        }
    }
}

/// Returns the loop devices that are backed by a file in `volumes`.
fn loop_devices(volumes: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/block") else { return Vec::new() };
    let over_volume = |name: &String| {
        let file = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
        Path::new(&file).starts_with(volumes)
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(over_volume).map(|name| format!("/dev/{name}")).collect()
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .with_context(|| format!("removing {}", path.display()))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .with_context(|| format!("removing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unrelated_process_is_not_the_node() {
        assert!(!is_node(1));
        assert!(!is_node(i32::try_from(std::process::id()).unwrap()));
    }

    #[test]
    fn a_cluster_that_never_was_has_no_processes() {
        assert_eq!(processes(&Layout::named("never-started").unwrap()), Vec::<i32>::new());
    }

    #[test]
    fn removing_what_is_not_there_succeeds() {
        remove_folder(Path::new("/nonexistent/folder")).unwrap();
        remove_file(Path::new("/nonexistent/file")).unwrap();
    }
}
