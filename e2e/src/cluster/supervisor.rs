//! Starts the components in dependency order, notices when one ends, and records it in the report.
//!
//! A component that ends is not restarted: a self-healing cluster would hide failures from the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::components::{self, Component, OBJECTS};
use super::layout::Layout;
use super::report::{ComponentState, Report};
use super::{objects, probes};

/// Longest time from the start of a component until it is ready, on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Longest time from the request to end until the process is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// State of the supervisor, shared by its tasks.
pub(super) struct Supervisor {
    layout: Layout,
    components: Vec<Component>,
    api: kube::Client,
    report: Mutex<Report>,
    /// Names of the components and steps that are ready.
    ready: watch::Sender<BTreeSet<&'static str>>,
    /// Process ids of the running components.
    running: watch::Sender<BTreeMap<&'static str, u32>>,
}

impl Supervisor {
    pub(super) async fn new(layout: Layout) -> Result<Self> {
        let components = components::all(&layout)?;
        let api = objects::client(&layout.at("config/admin.kubeconfig")).await?;
        let report = Report::new(components.iter().map(|component| component.name), Timestamp::now());
        report.write(&layout)?;
        Ok(Self {
            layout,
            components,
            api,
            report: Mutex::new(report),
            ready: watch::Sender::default(),
            running: watch::Sender::default(),
        })
    }

    /// Starts everything concurrently; each component waits for its dependencies.
    pub(super) async fn start_all(self: Arc<Self>) -> Result<()> {
        let starts = self.components.iter().map(|component| self.start_in_turn(component));
        let steps = async {
            self.wait_for(&["kube-apiserver"]).await?;
            objects::apply_base(&self.api).await.context("applying the base objects")?;
            self.done(OBJECTS, "storage classes and roles applied");
            anyhow::Ok(())
        };
        let (started, stepped) = futures::join!(join_all(starts), steps);
        started.into_iter().collect::<Result<Vec<()>>>()?;
        stepped?;
        objects::wait_usable(&self.api, READY_LIMIT).await?;
        self.milestone("node Ready, volumes and DNS available");
        Ok(())
    }

    async fn start_in_turn(self: &Arc<Self>, component: &Component) -> Result<()> {
        self.wait_for(component.after)
            .await
            .with_context(|| format!("{} was not started", component.name))?;
        self.start(component).await
    }

    async fn start(self: &Arc<Self>, component: &Component) -> Result<()> {
        let name = component.name;
        let child = self.spawn(component)?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        self.set(name, ComponentState::Started { pid });
        self.running.send_modify(|running| {
            running.insert(name, pid);
        });
        tokio::spawn(Arc::clone(self).watch_end(name, child));
        tokio::select! {
            () = probes::wait(&component.ready, &self.api) => {}
            () = self.gone(name) => bail!("{name} ended during its start"),
            () = tokio::time::sleep(READY_LIMIT) => bail!("{name} was not ready after {} s", READY_LIMIT.as_secs()),
        }
        self.set(name, ComponentState::Ready { pid });
        self.done(name, &format!("{name} ready"));
        Ok(())
    }

    fn spawn(&self, component: &Component) -> Result<Child> {
        let log =
            File::options().create(true).append(true).open(self.layout.component_log(component.name))?;
        let mut command = Command::new(&component.program);
        command.args(&component.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("{} cannot be started", component.program.display()))
    }

    async fn watch_end(self: Arc<Self>, name: &'static str, mut child: Child) {
        let status = child.wait().await.map_or_else(|error| error.to_string(), told);
        eprintln!("{} {name} ended: {status}", Timestamp::now());
        self.set(name, ComponentState::Ended { status });
        self.ready.send_modify(|ready| {
            ready.remove(name);
        });
        self.running.send_modify(|running| {
            running.remove(name);
        });
    }

    /// Restarts a component. Returns when it is ready.
    pub(super) async fn restart(self: &Arc<Self>, name: &str) -> Result<()> {
        let component = self.components.iter().find(|component| component.name == name);
        let component = component.with_context(|| {
            let names: Vec<_> = self.components.iter().map(|component| component.name).collect();
            format!("no component {name:?}; there are {}", names.join(", "))
        })?;
        self.stop(component.name).await?;
        self.start(component).await
    }

    async fn stop(&self, name: &'static str) -> Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        for signal in [Signal::TERM, Signal::KILL] {
            let Some(pid) = self.running.borrow().get(name).copied() else { return Ok(()) };
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("process id")?;
            // The process may already have ended, which is the goal.
            let _ = kill_process(pid, signal);
            if tokio::time::timeout(STOP_LIMIT, self.gone(name)).await.is_ok() {
                return Ok(());
            }
        }
        bail!("{name} does not end")
    }

    async fn gone(&self, name: &'static str) {
        // The sender is a field of self, so the channel cannot be closed.
        let _ = self.running.subscribe().wait_for(|running| !running.contains_key(name)).await;
    }

    async fn wait_for(&self, needs: &[&'static str]) -> Result<()> {
        let mut ready = self.ready.subscribe();
        let all = ready.wait_for(|ready| needs.iter().all(|need| ready.contains(need)));
        if let Ok(met) = tokio::time::timeout(READY_LIMIT, all).await {
            return met.map(drop).context("the supervisor is stopping");
        }
        let ready = self.ready.borrow();
        let missing: Vec<_> = needs.iter().filter(|need| !ready.contains(*need)).copied().collect();
        bail!("{} not ready after {} s", missing.join(", "), READY_LIMIT.as_secs())
    }

    fn done(&self, name: &'static str, milestone: &str) {
        self.ready.send_modify(|ready| {
            ready.insert(name);
        });
        self.milestone(milestone);
    }

    fn milestone(&self, text: &str) {
        self.change(|report| report.milestones.push(text.to_owned()));
    }

    fn set(&self, name: &str, state: ComponentState) {
        self.change(|report| report.set(name, state, Timestamp::now()));
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Report)) {
        let mut report = self.report();
        change(&mut report);
        if let Err(error) = report.write(&self.layout) {
            eprintln!("{error:#}");
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        // A panic while the lock is held leaves a consistent report: every change is one assignment or push.
        self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }
}

fn told(status: ExitStatus) -> String {
    status.to_string()
}
