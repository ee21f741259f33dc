//! Starts the binary, sends HTTP requests to it, and stops it in different ways.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Time limit of waits. No operation takes this long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Header that the admin port requires of every request with a body.
pub(crate) const JSON: &str = "content-type: application/json\r\n";

/// A running engine. Dropping the value kills the process.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The port of the probes, if the engine was started with one.
    pub(crate) probes: Option<SocketAddr>,
    /// The port that answers only with a ticket, if it was asked for.
    pub(crate) public: Option<SocketAddr>,
}

/// A response of the engine.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }

    pub(crate) fn has_header(&self, line: &str) -> bool {
        self.head.to_ascii_lowercase().contains(line)
    }
}

pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_memory-engine"))
}

pub(crate) fn segment(data: &Path) -> PathBuf {
    data.join("log/00000000000000000001.jsonl")
}

pub(crate) fn verify(data: &Path) -> (Option<i32>, Value) {
    let Output { status, stdout, .. } = binary().arg("verify").arg("--data").arg(data).output().unwrap();
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_default())
}

impl Running {
    /// Starts an engine and waits until its ports are known.
    pub(crate) fn spawn(data: &Path) -> Running {
        Running::spawn_with(data, &[])
    }

    pub(crate) fn spawn_with(data: &Path, more: &[&OsStr]) -> Running {
        Running::spawn_on(data, "127.0.0.1:0", more)
    }

    /// Like [`Running::spawn_with`], with both ports on another address.
    pub(crate) fn spawn_on(data: &Path, address: &str, more: &[&OsStr]) -> Running {
        Running::spawn_in(data, address, more, &[])
    }

    /// Like [`Running::spawn_on`], with variables in the environment.
    pub(crate) fn spawn_in(
        data: &Path,
        address: &str,
        more: &[&OsStr],
        variables: &[(&str, &str)],
    ) -> Running {
        let mut child = binary()
            .args(["serve", "--listen", address, "--admin-listen", address, "--data"])
            .arg(data)
            .args(more)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Tasks that run before the engine serves may have said something already.
        let mut first = String::new();
        let serving = lines
            .by_ref()
            .map(|line| {
                let line = line.unwrap();
                first += &format!("{line}\n");
                serde_json::from_str::<Value>(&line).unwrap()
            })
            .find(|line| line["message"] == "serving")
            .expect("it serves");
        let said = Arc::new(Mutex::new(first));
        let heard = Arc::clone(&said);
        // The thread keeps reading, because the engine would block if the pipe filled up.
        thread::spawn(move || {
            lines.for_each(|line| *heard.lock().unwrap() += &format!("{}\n", line.unwrap_or_default()));
        });
        let address = |field: &str| serving[field].as_str().unwrap().parse().unwrap();
        let optional = |field: &str| serving[field].as_str().map(|address| address.parse().unwrap());
        let (probes, public) = (optional("probe_listen"), optional("public_listen"));
        Running { child, said, api: address("listen"), admin: address("admin_listen"), probes, public }
    }

    /// Starts an engine and waits until it is ready.
    pub(crate) fn start(data: &Path) -> Running {
        let running = Running::spawn(data);
        eventually("ready", || running.admin("/readyz").status == 200);
        running
    }

    /// Returns the log output so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.api).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.connect().request("GET", path, "", "").unwrap()
    }

    pub(crate) fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        self.connect().request("POST", path, headers, body).unwrap()
    }

    pub(crate) fn save(&self, content: &str) -> Answer {
        self.post("/v1/memories", "", &serde_json::json!({ "content": content }).to_string())
    }

    pub(crate) fn admin(&self, path: &str) -> Answer {
        Client::connect(self.admin).unwrap().request("GET", path, "", "").unwrap()
    }

    pub(crate) fn admin_post(&self, path: &str, body: &str) -> Answer {
        Client::connect(self.admin).unwrap().request("POST", path, JSON, body).unwrap()
    }

    pub(crate) fn health(&self) -> Value {
        self.admin("/health").json()
    }

    pub(crate) fn total(&self, query: &str) -> u64 {
        let answer = self.get(&format!("/v1/search?mode=lexical&limit=1&{query}"));
        answer.json()["total"].as_u64().unwrap_or_else(|| panic!("no total: {answer:?}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells the engine to stop, without the delay in which a Service notices.
    pub(crate) fn send_terminate(&self) {
        self.send(rustix::process::Signal::INT);
    }

    pub(crate) fn send(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the engine ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.send_terminate();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits for a condition, with a time limit.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// One keep-alive connection.
pub(crate) struct Client<S = TcpStream>(BufReader<S>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// Connects from another loopback address, as if from another machine.
    pub(crate) fn connect_from(local: [u8; 4], address: SocketAddr) -> io::Result<Client> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((local, 0).into())?;
            socket.connect(address).await?.into_std()
        })?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// Whether anything is received within a moment.
    pub(crate) fn is_answered_within(&self, limit: Duration) -> bool {
        self.0.get_ref().set_read_timeout(Some(limit)).unwrap();
        let found = self.0.get_ref().peek(&mut [0]).is_ok();
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        found
    }
}

impl<S: Read + Write> Client<S> {
    /// Uses an open connection.
    pub(crate) fn over(stream: S) -> Client<S> {
        Client(BufReader::new(stream))
    }

    /// Returns everything that is received until the connection is closed.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Sends a request. `headers` are complete lines, each ended by CRLF.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<Answer> {
        self.send(method, path, headers, body)?;
        self.answer()
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> io::Result<()> {
        let length =
            if method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{length}{headers}\r\n");
        self.raw(&[head.as_bytes(), body.as_bytes()].concat())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let field = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.map(|line| line[name.len()..].trim().to_owned())
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let length = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }
}
