//! Runs the engine as a separate process, from the same executable as this program.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hyper::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::connection::Connection;

/// Timeout for starting, stopping and becoming idle. Each of these takes less time.
const PATIENCE: Duration = Duration::from_secs(600);

/// Maximum processor time that an idle engine uses in one second, in hundredths of a second.
const IDLE_TICKS_MAX: u64 = 5;

/// A running engine. [`Serving::stop`] shuts it down; dropping the value kills the process.
#[derive(Debug)]
pub(super) struct Serving {
    child: Child,
    pub(super) api: SocketAddr,
    pub(super) admin: SocketAddr,
    started: Instant,
}

/// Returns a command that runs this program.
fn program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("this program's file cannot be found")?))
}

impl Serving {
    pub(super) fn start(data: &Path) -> anyhow::Result<Serving> {
        Serving::start_with(data, None)
    }

    /// Starts the engine with an optional configuration file.
    pub(super) fn start_with(data: &Path, config: Option<&Path>) -> anyhow::Result<Serving> {
        let started = Instant::now();
        let mut command = program()?;
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"])
            .arg(data);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the engine cannot be started")?;
        let mut lines = BufReader::new(child.stderr.take().context("its log is not piped")?).lines();
        let serving = lines.by_ref().map_while(Result::ok).find_map(|line| {
            serde_json::from_str::<Value>(&line).ok().filter(|line| line["message"] == "serving")
        });
        let serving = serving.context("the engine exited before it was serving")?;
        let address = |field: &str| -> anyhow::Result<SocketAddr> {
            Ok(serving[field].as_str().context("no address in its log")?.parse()?)
        };
        let (api, admin) = (address("listen")?, address("admin_listen")?);
        // The thread keeps reading, because the engine would block if the pipe filled up. It ends when the engine ends.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Serving { child, api, admin, started })
    }

    /// Waits until the engine is ready. Returns the time since its start.
    pub(super) async fn ready(&self) -> anyhow::Result<Duration> {
        let mut connection = Connection::open(self.admin).await?;
        loop {
            let (status, _) = connection.ask(Method::GET, "/readyz", String::new()).await?;
            let elapsed = self.started.elapsed();
            if status == StatusCode::OK {
                return Ok(elapsed);
            }
            if elapsed > PATIENCE {
                bail!("the engine was not ready after {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Resident memory of the engine, in mebibytes.
    pub(super) fn resident_mib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }

    /// Processor time that the engine has used so far, in hundredths of a second.
    fn ticks(&self) -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The process name before the last parenthesis may contain any character.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
        field(11).zip(field(12)).map(|(user, system)| user + system).context("no processor time")
    }

    /// Waits until the engine does no work in the background.
    pub(super) async fn idle(&self) -> anyhow::Result<()> {
        let asked = Instant::now();
        loop {
            let before = self.ticks()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.ticks()? - before <= IDLE_TICKS_MAX {
                return Ok(());
            }
            if asked.elapsed() > PATIENCE {
                bail!("the engine was not idle after {PATIENCE:?}");
            }
        }
    }

    /// Shuts the engine down with SIGINT, which has no delay for a Service, and waits until the process has exited.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                bail!("the engine had not exited after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // The process has exited already, or is no longer needed.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs a command of this program that prints JSON. Returns the JSON and the duration.
pub(super) fn run(arguments: &[&str], data: Option<&Path>) -> anyhow::Result<(Value, Duration)> {
    let started = Instant::now();
    let mut command = program()?;
    command.args(arguments);
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    let output = command.stdin(Stdio::null()).output()?;
    let elapsed = started.elapsed();
    if !output.status.success() {
        bail!("{arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok((serde_json::from_slice(&output.stdout)?, elapsed))
}
