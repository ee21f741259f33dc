//! The list of the projects searched last. It is kept across restarts, so that the catalogs of these projects are built
//! before the first search. It is only an optimisation: a missing or invalid file counts as an empty list.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Maximum number of projects that are listed, and loaded at start.
pub(super) const PROJECTS_MAX: usize = 16;
/// Maximum size of the file, bytes. Names are short.
const FILE_BYTES_MAX: u64 = 64 << 10;
const FILE: &str = "searched.json";

/// Path of the file that holds the list.
#[derive(Debug)]
pub(super) struct RecentProjects(PathBuf);

impl RecentProjects {
    pub(super) fn below(data: &Path) -> RecentProjects {
        RecentProjects(data.join(FILE))
    }

    /// The projects, most recently searched first.
    pub(super) fn read(&self) -> Vec<String> {
        let is_small = fs::metadata(&self.0).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
        let text = if is_small { fs::read(&self.0).unwrap_or_default() } else { Vec::new() };
        let mut projects: Vec<String> = serde_json::from_slice(&text).unwrap_or_default();
        projects.truncate(PROJECTS_MAX);
        projects
    }

    /// Puts `searched` before the projects in the list, and removes the projects `empty`, which have no memories. Their
    /// names were only queried, or their memories were forgotten, and must not stay on the volume.
    pub(super) fn put_first(&self, searched: Vec<String>, empty: &[String]) -> io::Result<()> {
        let before = self.read();
        let mut projects = searched;
        for project in &before {
            if !projects.contains(project) {
                projects.push(project.clone());
            }
        }
        projects.retain(|project| !empty.contains(project));
        projects.truncate(PROJECTS_MAX);
        if projects == before {
            return Ok(());
        }
        let unfinished = self.0.with_extension("json.tmp");
        fs::write(&unfinished, serde_json::to_vec(&projects)?)?;
        fs::rename(&unfinished, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_was_searched_last_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let recent = RecentProjects::below(directory.path());
        assert_eq!(recent.read(), names(&[]));
        recent.put_first(names(&["a", "b"]), &[]).unwrap();
        recent.put_first(names(&["c", "b"]), &[]).unwrap();
        assert_eq!(recent.read(), names(&["c", "b", "a"]));
        // If no project was searched, the list stays unchanged.
        recent.put_first(Vec::new(), &[]).unwrap();
        assert_eq!(recent.read(), names(&["c", "b", "a"]));
        let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        recent.put_first(many.clone(), &[]).unwrap();
        assert_eq!(recent.read(), many[..PROJECTS_MAX]);
    }

    #[test]
    fn a_project_without_memories_is_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let recent = RecentProjects::below(directory.path());
        recent.put_first(names(&["+14155550132"]), &names(&["+14155550132"])).unwrap();
        assert!(!directory.path().join(FILE).exists());
        recent.put_first(names(&["a", "b"]), &[]).unwrap();
        recent.put_first(Vec::new(), &names(&["a"])).unwrap();
        assert_eq!(recent.read(), names(&["b"]), "forgotten since");
        recent.put_first(Vec::new(), &names(&["b"])).unwrap();
        assert_eq!(recent.read(), names(&[]));
    }

    #[test]
    fn what_is_no_list_is_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let recent = RecentProjects::below(directory.path());
        for text in ["", "{}", "[1]", "[\"a\""] {
            fs::write(directory.path().join(FILE), text).unwrap();
            assert_eq!(recent.read(), names(&[]), "{text}");
        }
        fs::write(directory.path().join(FILE), format!("[\"{}\"]", "a".repeat(70_000))).unwrap();
        assert_eq!(recent.read(), names(&[]));
    }
}
