//! Starts the engine process on free loopback ports, reads its output and kills it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::Connection;
use super::ledger::Found;

/// Longest start: under strace on a busy machine a start takes seconds. A hang must still end.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Maximum number of events per page.
const PAGE: u64 = 1000;

/// How to start an engine: the program, its data, and a wrapper before it on the command line.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) data: PathBuf,
    /// Configuration file.
    pub(super) config: Option<PathBuf>,
    /// Further arguments for `serve`.
    pub(super) arguments: Vec<String>,
    /// A program that runs the engine, such as strace, with its arguments.
    pub(super) wrapper: Vec<String>,
    /// Environment variables, such as one for a preloaded library.
    pub(super) environment: Vec<(String, String)>,
}

impl Launch {
    pub(super) fn new(program: &Path, data: &Path) -> Launch {
        Launch {
            program: program.to_owned(),
            data: data.to_owned(),
            config: None,
            arguments: Vec::new(),
            wrapper: Vec::new(),
            environment: Vec::new(),
        }
    }

    fn command(&self, verb: &str) -> Command {
        let words = self.wrapper.iter().map(OsStr::new);
        let mut words = words.chain([self.program.as_os_str(), OsStr::new(verb), OsStr::new("--data")]);
        let mut command = Command::new(words.next().expect("the program is always there"));
        command.args(words).arg(&self.data).stdin(Stdio::null());
        command
    }

    /// Runs `verify` on the data, without wrapper and environment; returns whether it succeeded, and its report.
    pub(super) fn verify(&self) -> Result<(bool, String)> {
        let plain = Launch { wrapper: Vec::new(), ..self.clone() };
        let output = plain.command("verify").output().context("`memory-engine verify` cannot be started")?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }
}

/// Why an engine does not serve.
#[derive(Debug)]
pub(super) struct Ended {
    /// Exit status if the process ended on its own; `None` if it had to be killed.
    pub(super) status: Option<ExitStatus>,
    /// Output of the process.
    pub(super) said: String,
}

/// A running engine; killed when dropped.
#[derive(Debug)]
pub(super) struct Engine {
    child: Child,
    said: Arc<Mutex<String>>,
    pub(super) api: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Engine {
    /// Starts an engine and waits until its ports are known.
    ///
    /// # Errors
    /// The outer error: the process cannot be started. The inner error: the process ended, or does not serve in time.
    pub(super) fn spawn(launch: &Launch) -> Result<std::result::Result<Engine, Ended>> {
        let mut command = launch.command("serve");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(&launch.arguments);
        if let Some(config) = &launch.config {
            command.arg("--config").arg(config);
        }
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let (said, serving) = listen(child.stderr.take().context("standard error is not piped")?);
        match serving.recv_timeout(START_LIMIT) {
            Ok((api, admin)) => Ok(Ok(Engine { child, said, api, admin })),
            Err(why) => {
                let status = match why {
                    // The engine closed its standard error: the process is ending.
                    RecvTimeoutError::Disconnected => wait(&mut child, Duration::from_secs(5)),
                    RecvTimeoutError::Timeout => None,
                };
                end(&mut child);
                let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(Err(Ended { status, said }))
            }
        }
    }

    /// Starts an engine and waits until it accepts writes.
    ///
    /// # Errors
    /// The engine does not accept writes within the limit; the message carries its output.
    pub(super) fn start(launch: &Launch) -> Result<Engine> {
        let mut engine = match Engine::spawn(launch)? {
            Ok(engine) => engine,
            Err(Ended { status, said }) => bail!("the engine does not serve ({status:?}):\n{said}"),
        };
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let health = engine.health();
            if health.as_ref().is_ok_and(|health| health["status"] == "ok") {
                return Ok(engine);
            }
            if Instant::now() > deadline || !engine.is_alive() {
                bail!("the engine is not healthy: {health:?}\n{}", engine.said());
            }
            sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the engine is ready, at most for `limit`.
    pub(super) fn settle(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let ready = || Connection::open(self.admin).and_then(|mut admin| admin.get("/readyz"));
        while Instant::now() < deadline && !ready().is_ok_and(|answer| answer.status == 200) {
            sleep(Duration::from_millis(5));
        }
    }

    /// Kills the tracer, which injects the failures; the engine continues without them. Does nothing without a tracer.
    pub(super) fn lift(&self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok());
        if let Some(tracer) = tracer.and_then(Pid::from_raw) {
            // An error means that the process is gone already.
            let _gone = kill_process(tracer, Signal::KILL);
        }
    }

    /// Output of the engine so far.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn health(&self) -> Result<Value> {
        Connection::open(self.admin)?.get("/health")?.json()
    }

    /// Memory of the process that is no file, KiB.
    pub(super) fn memory_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
        line.trim().trim_end_matches(" kB").parse().context("RssAnon is no number")
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns all events after sequence number `after`, in order.
    pub(super) fn events(&self, mut after: u64) -> Result<Vec<Found>> {
        let mut connection = Connection::open(self.api)?;
        let mut found = Vec::new();
        loop {
            let page = connection.get(&format!("/v1/events?after={after}&limit={PAGE}"))?.json()?;
            let events = page["events"].as_array().context("a page without events")?;
            for event in events {
                found.push(Found::read(event)?);
            }
            match found.last() {
                Some(last) if !events.is_empty() => after = last.seq,
                _ => return Ok(found),
            }
        }
    }

    /// Sends SIGKILL to the engine and waits until it ends; returns the engine's output.
    pub(super) fn kill(mut self) -> String {
        end(&mut self.child);
        self.said()
    }

    /// Sends SIGINT to the engine itself: a stop without the delay in which a cluster learns of it.
    pub(super) fn terminate(&self) {
        signal(&self.child, Signal::INT);
    }

    /// Waits at most `limit` until the engine ends; returns its exit status.
    pub(super) fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait(&mut self.child, limit)
    }

    /// Sends SIGKILL without waiting.
    pub(super) fn strike(&self) {
        signal(&self.child, Signal::KILL);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

type Serving = (SocketAddr, SocketAddr);

/// Reads the engine's output until the engine ends. Otherwise the pipe would fill up and block the engine.
fn listen(stderr: ChildStderr) -> (Arc<Mutex<String>>, Receiver<Serving>) {
    let said = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&said);
    let (tell, serving) = mpsc::channel();
    thread::spawn(move || {
        let mut tell = Some(tell);
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(addresses) = addresses(&line)
                && let Some(tell) = tell.take()
            {
                // The receiver is gone when the start took too long.
                let _late = tell.send(addresses);
            }
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            *heard += &line;
            heard.push('\n');
        }
    });
    (said, serving)
}

fn addresses(line: &str) -> Option<Serving> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |field: &str| line[field].as_str()?.parse().ok();
    (line["message"] == "serving").then(|| Some((address("listen")?, address("admin_listen")?)))?
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => sleep(Duration::from_millis(2)),
            _ => return None,
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // An error means that the process is gone already.
        let _gone = kill_process(pid, signal);
    }
}

fn end(child: &mut Child) {
    // An error means that the process is gone already.
    let _gone = child.kill();
    let _reaped = child.wait();
}

/// How a process ended, as readable text: `exit 2`, `signal 9`.
pub(super) fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_are_in_the_first_lines() {
        let line = r#"{"message":"serving","listen":"127.0.0.1:1","admin_listen":"127.0.0.1:2"}"#;
        let (api, admin) = addresses(line).unwrap();
        assert_eq!((api.port(), admin.port()), (1, 2));
        assert_eq!(addresses(r#"{"message":"log open"}"#), None);
        assert_eq!(addresses("thread 'main' panicked"), None);
    }
}
