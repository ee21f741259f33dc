//! The parent cgroup of all pods of the cluster, for cgroup v1 and v2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const ROOT: &str = "/sys/fs/cgroup";

/// Creates the cgroup in every hierarchy where the kubelet looks for it.
///
/// # Errors
/// A folder cannot be created or written.
pub(crate) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies(Path::new(ROOT)) {
        let cgroup = hierarchy.join(name);
        fs::create_dir_all(&cgroup).with_context(|| format!("making {}", cgroup.display()))?;
        // In cgroup v1, a cpuset without processors and memory nodes accepts no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if hierarchy.join(file).exists() {
                let inherited = fs::read_to_string(hierarchy.join(file))?;
                fs::write(cgroup.join(file), inherited.trim())?;
            }
        }
        if hierarchy.join("cgroup.controllers").exists() && hierarchy == Path::new(ROOT) {
            delegate(&hierarchy)?;
            delegate(&cgroup)?;
        }
    }
    Ok(())
}

/// Enables every controller of a cgroup (v2) for its children.
fn delegate(cgroup: &Path) -> Result<()> {
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers"))?;
    for controller in controllers.split_whitespace() {
        // One controller that cannot be enabled (for example because real-time processes use it) must not block the
        // others.
        let _ = fs::write(cgroup.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    Ok(())
}

/// Removes the cgroup from every hierarchy, deepest first. Returns the folders that remain because they hold processes.
pub(crate) fn remove(name: &str) -> Vec<PathBuf> {
    let mut left = Vec::new();
    for hierarchy in hierarchies(Path::new(ROOT)) {
        remove_tree(&hierarchy.join(name), &mut left);
    }
    left
}

fn remove_tree(cgroup: &Path, left: &mut Vec<PathBuf>) {
    for child in children(cgroup) {
        remove_tree(&child, left);
    }
    match fs::remove_dir(cgroup) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => left.push(cgroup.to_owned()),
        _ => {}
    }
}

/// Host process ids of one container of a pod (by container id), or of all its containers.
///
/// # Errors
/// The kubelet created no cgroup for this pod.
pub(crate) fn pod_pids(name: &str, pod_uid: &str, container_id: Option<&str>) -> Result<Vec<i32>> {
    let hierarchies = hierarchies(Path::new(ROOT));
    let pods = hierarchies.iter().map(|hierarchy| hierarchy.join(name).join("kubepods"));
    let wanted = format!("pod{pod_uid}");
    let pod = pods.into_iter().find_map(|root| descendant(&root, &wanted));
    let pod = pod.with_context(|| format!("no cgroup for pod {pod_uid}"))?;
    let cgroup = container_id.map_or_else(|| pod.clone(), |id| pod.join(id));
    let mut pids = Vec::new();
    collect_pids(&cgroup, &mut pids);
    Ok(pids)
}

fn collect_pids(cgroup: &Path, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for child in children(cgroup) {
        collect_pids(&child, pids);
    }
}

fn descendant(root: &Path, name: &str) -> Option<PathBuf> {
    children(root).into_iter().find_map(|child| {
        if child.file_name().is_some_and(|found| found == name) {
            Some(child)
        } else {
            descendant(&child, name)
        }
    })
}

fn children(cgroup: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(cgroup) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|e| e.path())
        .collect()
}

/// The root of each hierarchy. cgroup v2 has one tree; v1 has one per controller, some of them links to another.
fn hierarchies(root: &Path) -> Vec<PathBuf> {
    if root.join("cgroup.controllers").exists() { vec![root.to_owned()] } else { children(root) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old_hierarchy() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("pids/me/kubepods/burstable/pod1-2/abc")).unwrap();
        fs::create_dir_all(dir.path().join("memory/me")).unwrap();
        fs::write(dir.path().join("pids/me/kubepods/burstable/pod1-2/abc/cgroup.procs"), "12\n13\n").unwrap();
        dir
    }

    #[test]
    fn a_pod_is_found_at_any_quality_of_service() {
        let dir = old_hierarchy();
        let pod = descendant(&dir.path().join("pids/me/kubepods"), "pod1-2").unwrap();
        let mut pids = Vec::new();
        collect_pids(&pod, &mut pids);
        assert_eq!(pids, [12, 13]);
    }

    #[test]
    fn each_controller_is_a_hierarchy_of_the_old_kind() {
        let dir = old_hierarchy();
        assert_eq!(hierarchies(dir.path()).len(), 2);
        fs::write(dir.path().join("cgroup.controllers"), "cpu").unwrap();
        assert_eq!(hierarchies(dir.path()), [dir.path()]);
    }

    #[test]
    fn what_cannot_be_removed_is_told() {
        let dir = old_hierarchy();
        let mut left = Vec::new();
        remove_tree(&dir.path().join("memory/me"), &mut left);
        assert!(left.is_empty() && !dir.path().join("memory/me").exists());
        remove_tree(&dir.path().join("pids/me"), &mut left);
        assert!(left.iter().any(|path| path.ends_with("abc")));
    }
}
