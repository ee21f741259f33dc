//! The last event that changed each project, to decide whether a cached answer is still current.

use std::collections::HashMap;

use engine_core::event::LOG_PROJECT;

/// Maximum number of projects that are tracked individually. When there are more, all are dropped, and the latest of
/// their changes counts as a change in every project.
const PROJECTS_MAX: usize = 10_000;

/// The projects that a group of events changed. Cached answers of these projects are no longer current.
#[derive(Debug, Default)]
pub(super) struct ChangeSet {
    projects: HashMap<String, u64>,
    everything: Option<u64>,
    altered: Option<u64>,
}

impl ChangeSet {
    /// Adds event `seq` of a project. `alters` is the result of `EventChanges::alters` for the event.
    pub(super) fn add(&mut self, project: &str, seq: u64, alters: bool) {
        // The engine's own events (new ranking weights, forgotten memories) may concern every project.
        if project == LOG_PROJECT {
            self.everything = Some(seq);
        }
        if alters {
            self.altered = Some(seq);
        }
        match self.projects.get_mut(project) {
            Some(last) => *last = seq,
            None => drop(self.projects.insert(project.to_owned(), seq)),
        }
    }
}

/// The last event that changed each project.
#[derive(Debug, Default)]
pub(super) struct ProjectVersions {
    projects: HashMap<String, u64>,
    /// Number of the last event that changed all projects. Also used for projects that are not tracked.
    everything: u64,
    altered: u64,
}

impl ProjectVersions {
    pub(super) fn touch(&mut self, touched: ChangeSet) {
        let ChangeSet { projects, everything, altered } = touched;
        self.everything = self.everything.max(everything.unwrap_or(0));
        self.altered = self.altered.max(altered.unwrap_or(0));
        self.projects.extend(projects);
        if self.projects.len() > PROJECTS_MAX {
            let last = self.projects.drain().map(|(_, seq)| seq).max();
            self.everything = self.everything.max(last.unwrap_or(0));
        }
    }

    /// Sets event `seq` as the last change of every project.
    pub(super) fn begin_at(&mut self, seq: u64) {
        *self = ProjectVersions { projects: HashMap::new(), everything: seq, altered: seq };
    }

    pub(super) fn of(&self, project: &str) -> u64 {
        self.projects.get(project).copied().unwrap_or(0).max(self.everything)
    }

    /// Number of the last event that was added with `alters`.
    pub(super) fn altered(&self) -> u64 {
        self.altered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(events: &[(&str, u64, bool)]) -> ChangeSet {
        let mut touched = ChangeSet::default();
        events.iter().for_each(|(project, seq, alters)| touched.add(project, *seq, *alters));
        touched
    }

    #[test]
    fn a_write_concerns_its_own_project() {
        let mut versions = ProjectVersions::default();
        versions.begin_at(5);
        versions.touch(touched(&[("a", 6, false), ("b", 7, true), ("a", 8, false)]));
        assert_eq!((versions.of("a"), versions.of("b"), versions.of("c"), versions.altered()), (8, 7, 5, 7));
        versions.touch(touched(&[(LOG_PROJECT, 9, false)]));
        assert_eq!((versions.of("a"), versions.of("c"), versions.altered()), (9, 9, 7));
    }

    #[test]
    fn too_many_projects_are_taken_together() {
        let mut versions = ProjectVersions::default();
        for seq in 1..=PROJECTS_MAX as u64 + 1 {
            versions.touch(touched(&[(&format!("p{seq}"), seq, false)]));
        }
        assert!(versions.projects.len() <= PROJECTS_MAX);
        assert_eq!(versions.of("p1"), PROJECTS_MAX as u64 + 1);
    }
}
