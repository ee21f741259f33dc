//! Starts a fresh cluster and prints its progress.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use tokio::net::UnixStream;

use super::layout::{API_PORT, Layout};
use super::report::{Launch, Phase, Report};
use super::{certificates, config, down, network, objects, probes, status};
use crate::images;
use crate::lock::Lock;
use crate::packages;
use crate::steps::Steps;
use crate::tools;

/// Longer than every limit of the supervisor's own start.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Another `up` may be building the tools.
const LOCK_LIMIT: Duration = Duration::from_secs(3600);

/// Starts the cluster unless it is up and healthy. Loads changed images in either case.
///
/// # Errors
/// This machine cannot run a cluster, a build fails, or a component does not start; the message says which.
pub(super) async fn up(layout: &Layout, steps: &Steps) -> Result<()> {
    let _lock = Lock::acquire(&layout.lock(), LOCK_LIMIT, "another `cluster up` or `down`").await?;
    if let Some(launch) = running_well(layout).await {
        images::load_built(layout, steps).await?;
        steps.say(&format!("cluster {} is up: https://127.0.0.1:{}", layout.name, launch.port));
        return Ok(());
    }
    packages::ensure(&packages::CLUSTER, steps).await?;
    tools::ensure(steps).await?;
    images::ensure_pause(steps).await?;
    if down::remove(layout).await.context("removing the remains of an earlier cluster")? {
        steps.say("removed the remains of an earlier cluster");
    }
    let port = start(layout, steps).await?;
    // Images are loaded while the API server starts.
    let loaded = async {
        containerd_listens(layout).await?;
        images::load_built(layout, steps).await
    };
    futures::try_join!(follow(layout, steps), loaded)?;
    reachable(layout).await?;
    steps.say(&format!("cluster {} is up: https://127.0.0.1:{port}", layout.name));
    Ok(())
}

/// Returns the launch record if the cluster is up and healthy.
pub(super) async fn running_well(layout: &Layout) -> Option<Launch> {
    let launch = Launch::read(layout)?;
    let report = Report::read(layout)?;
    let alive = !down::processes(layout).is_empty();
    let well = alive && report.phase == Phase::Ready && report.unwell().is_empty();
    (well && reachable(layout).await.is_ok()).then_some(launch)
}

async fn reachable(layout: &Layout) -> Result<()> {
    let client = objects::client(&layout.kubeconfig()).await?;
    let answered = tokio::time::timeout(Duration::from_secs(5), probes::api_ready(&client)).await;
    if answered != Ok(true) {
        bail!("the API server does not answer at the address in {}", layout.kubeconfig().display());
    }
    Ok(())
}

async fn start(layout: &Layout, steps: &Steps) -> Result<u16> {
    down::remove_logs(layout)?;
    for folder in ["config", "kubelet/plugins_registry", "log", "pki", "run", "volumes"] {
        fs::create_dir_all(layout.at(folder))?;
    }
    // The folder contains keys and volumes: only the owner may read it.
    fs::set_permissions(&layout.root, fs::Permissions::from_mode(0o700))?;
    let listener = listener()?;
    let port = listener.local_addr()?.port();
    certificates::write(layout).context("creating certificates")?;
    config::write(layout, port).context("writing configuration")?;
    network::create(layout).await?;
    launch(layout, listener, port)?;
    steps.say("created certificates, configuration and network; starting the components");
    Ok(port)
}

/// Listens on the usual port if it is free, else on any port.
fn listener() -> Result<TcpListener> {
    let usual = TcpListener::bind(("127.0.0.1", API_PORT));
    usual.or_else(|_| TcpListener::bind(("127.0.0.1", 0))).context("no port of 127.0.0.1 is free")
}

/// Starts the node's first process in new namespaces. `ip netns exec` is not used because it hides the cgroups.
fn launch(layout: &Layout, listener: TcpListener, port: u16) -> Result<()> {
    let log = File::create(layout.component_log("node"))?;
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", layout.network_namespace().display()));
    command.args(["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]);
    // Mounts made inside are not visible outside; mounts the machine makes later are visible inside.
    command.args(["--propagation", "slave", "--"]);
    command.arg(super::program::e2e_program()?).args(["cluster", "node-init"]);
    command.env("MEMORYENGINE_CLUSTER", &layout.name);
    command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(log.try_clone()?).stderr(log);
    // A separate process group: Ctrl-C at the terminal ends `up`, not the cluster.
    command.process_group(0);
    let child = command.spawn().context("`nsenter` cannot be started")?;
    let pid = i32::try_from(child.id()).context("invalid process id")?;
    Launch { pid, port, at: Timestamp::now() }.write(layout)
}

async fn containerd_listens(layout: &Layout) -> Result<()> {
    let socket = layout.containerd_socket();
    let listening = async {
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(START_LIMIT, listening).await.context("containerd does not listen")
}

/// Prints the milestones as the supervisor reaches them.
async fn follow(layout: &Layout, steps: &Steps) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    let mut said = 0;
    loop {
        if let Some(report) = Report::read(layout) {
            for milestone in &report.milestones[said.min(report.milestones.len())..] {
                steps.say(milestone);
            }
            said = report.milestones.len();
            match report.phase {
                Phase::Ready => return Ok(()),
                Phase::Failed(reason) => bail!("{reason}\n{}", status::unwell_text(layout)),
                Phase::Starting => {}
            }
        }
        if down::processes(layout).is_empty() {
            bail!("the node ended during its start\n{}", status::log_tail(layout, "node"));
        }
        if Instant::now() > deadline {
            bail!("not up after {} s\n{}", START_LIMIT.as_secs(), status::unwell_text(layout));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
