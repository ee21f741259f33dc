//! State files that the supervisor and `up` write for other processes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::layout::Layout;

/// The record that `up` writes when it starts the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// Host process id of the process that holds the node's namespaces.
    pub(crate) pid: i32,
    /// Port of 127.0.0.1 that is forwarded to the API server.
    pub(crate) port: u16,
    pub(crate) at: Timestamp,
}

/// The report that the supervisor rewrites at every change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) phase: Phase,
    pub(crate) components: Vec<ComponentReport>,
    /// Completed steps, in order.
    pub(crate) milestones: Vec<String>,
}

/// Progress of the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Starting,
    Ready,
    /// The start failed, with the reason.
    Failed(String),
}

/// State of one component.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ComponentReport {
    pub(crate) name: String,
    pub(crate) state: ComponentState,
    /// Start of the current state.
    pub(crate) since: Timestamp,
    /// Ends and restarts so far, newest last; limited to [`HISTORY_MAX`].
    pub(crate) history: Vec<String>,
}

/// Keeps the report small when a test restarts a component in a loop.
pub(crate) const HISTORY_MAX: usize = 20;

/// State of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ComponentState {
    /// A dependency is not ready.
    Waiting,
    /// Started, but the probe has not succeeded yet. The process id is the one inside the node.
    Started {
        pid: u32,
    },
    Ready {
        pid: u32,
    },
    /// It ended without a request: exit status or signal.
    Ended {
        status: String,
    },
}

impl Report {
    pub(crate) fn new(names: impl Iterator<Item = &'static str>, now: Timestamp) -> Self {
        let waiting = |name: &str| ComponentReport {
            name: name.to_owned(),
            state: ComponentState::Waiting,
            since: now,
            history: Vec::new(),
        };
        Self { phase: Phase::Starting, components: names.map(waiting).collect(), milestones: Vec::new() }
    }

    pub(crate) fn set(&mut self, name: &str, state: ComponentState, now: Timestamp) {
        let Some(component) = self.components.iter_mut().find(|component| component.name == name) else {
            return;
        };
        if let ComponentState::Ended { status } = &state {
            component.history.push(format!("{now:.0} ended: {status}"));
            let surplus = component.history.len().saturating_sub(HISTORY_MAX);
            component.history.drain(..surplus);
        }
        component.state = state;
        component.since = now;
    }

    /// The components that are not healthy once the start is over.
    pub(crate) fn unwell(&self) -> Vec<&ComponentReport> {
        let well = |component: &&ComponentReport| !matches!(component.state, ComponentState::Ready { .. });
        self.components.iter().filter(well).collect()
    }

    pub(crate) fn read(layout: &Layout) -> Option<Self> {
        read(&layout.report())
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        write(&layout.report(), self)
    }
}

impl Launch {
    pub(crate) fn read(layout: &Layout) -> Option<Self> {
        read(&layout.launch())
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        write(&layout.launch(), self)
    }
}

/// Reads a state file. Returns `None` if the file is missing or torn: the process that it described is gone.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a state file by rename, so that a reader sees either the old or the new text, never a mix.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec_pretty(value)?)
        .with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_component_is_unwell_and_remembered() {
        let mut report = Report::new(["etcd", "kubelet"].into_iter(), Timestamp::UNIX_EPOCH);
        report.set("etcd", ComponentState::Ready { pid: 2 }, Timestamp::UNIX_EPOCH);
        report.set("kubelet", ComponentState::Ready { pid: 3 }, Timestamp::UNIX_EPOCH);
        assert!(report.unwell().is_empty());
        for _ in 0..2 * HISTORY_MAX {
            report.set("kubelet", ComponentState::Ended { status: "signal 9".into() }, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(report.unwell()[0].name, "kubelet");
        assert_eq!(report.components[1].history.len(), HISTORY_MAX);
    }
}
