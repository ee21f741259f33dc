//! A fake engine on a real socket, for tests. It answers like an engine, as far as the operator depends on it. At the
//! call that a test selects, it fails or lies.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use engine_core::{
    checkpoint::Checkpoint,
    digest::Hash,
    mode::Mode,
    note::SignerKey,
    wire::{
        BackupTaken, CheckpointAnswer, CheckpointView, DeclareHold, ErrorCode, GivenAnchor, Health, HoldView,
        ModeHealth, ModeReport, RetentionSummary, StartUpkeep, TakeBackup, UpkeepResult, UpkeepRun,
        UpkeepState, UpkeepTask, WantMode,
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Text in the answers of a failing engine, as a secret or a page of a proxy could be. It must not get into a status.
pub(crate) const MARKER: &str = "s3cret-of-the-engine";
/// Pause between two bytes of a slow answer. The answer would take minutes.
const DRIP: Duration = Duration::from_millis(200);
/// Longest time in which a port opens or closes. It needs a millisecond; a busy machine may need more.
const SWITCH_MAX: Duration = Duration::from_secs(5);
/// Larger than any answer that the operator reads.
const TOO_LARGE: usize = 70_000;

/// A call of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Health,
    Checkpoint,
    Anchor,
    Mode,
    Hold,
    Upkeep,
    Backup,
}

impl Call {
    /// Method and path of the request.
    pub(crate) fn request(self) -> &'static str {
        match self {
            Self::Health => "GET /health",
            Self::Checkpoint => "GET /checkpoint",
            Self::Anchor => "POST /anchor",
            Self::Mode => "PUT /mode/wanted",
            Self::Hold => "PUT /mode/declared",
            Self::Upkeep => "POST /upkeep",
            Self::Backup => "POST /backups",
        }
    }

    fn of(request: &str) -> Option<Self> {
        [Self::Health, Self::Checkpoint, Self::Anchor, Self::Mode, Self::Hold, Self::Backup, Self::Upkeep]
            .into_iter()
            .find(|call| request.split('?').next() == Some(call.request()))
    }
}

/// What is wrong with the answer to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nothing listens.
    Refused,
    /// The connection is reset after the request.
    Reset,
    /// The connection stays open, without an answer.
    Hang,
    /// The answer arrives byte by byte.
    Drip,
    /// The connection ends after half of the body.
    Half,
    /// Bytes that are not HTTP.
    Garbage,
    /// A body of bytes that are not text.
    Noise,
    /// JSON of another shape.
    Shape,
    /// No body.
    Empty,
    /// The right answer after many spaces.
    TooLarge,
    /// An error with this status.
    Status(u16),
    /// A redirect to another path of this engine.
    Redirect,
    /// The right answer as a page of HTML.
    ContentType,
    /// The answer, changed.
    Lie(fn(&mut Value)),
    /// The answer with status 409, changed.
    Conflict(fn(&mut Value)),
}

struct State {
    health: Health,
    plan: RetentionSummary,
    fault: Option<(Call, Fault)>,
    requests: Vec<String>,
}

/// A handle of the engine. It stops with the runtime of the test.
pub(crate) struct FakeEngine {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    listening: watch::Sender<bool>,
}

/// A checkpoint of the log `id` with `size` events, signed by the log's key.
pub(crate) fn checkpoint(id: &str, size: u64) -> CheckpointView {
    let origin = engine_core::checkpoint::origin(id);
    let key = SignerKey::from_seed(&origin, [7; 32]).expect("a name");
    let root = Hash::of(format!("{size} events of {id}").as_bytes());
    let checkpoint = Checkpoint { origin, size, root, extensions: Vec::new() };
    checkpoint.view(&checkpoint.sign(&[&key]).expect("a complete note"), key.verifier())
}

/// A healthy engine with five events, to which no mode and no anchor was sent.
fn healthy() -> Health {
    let at = "2026-01-02T03:04:05Z";
    let health = json!({
        "version": "1.2.3", "status": "ok", "started_at": at,
        "log": {"id": "log-1", "seq": 5, "hash": "cd".repeat(32), "recovered_torn_bytes": 0,
            "checkpoint": checkpoint("log-1", 5), "integrity": {"verified_through": 5}},
        "projection": {"applied_seq": 5, "lag": 0, "state": "ready"},
        "storage": {"capacity_bytes": 1, "available_bytes": 1, "writable": true},
        "mode": {"wanted": "write_only", "effective": "write_only", "since": at,
            "guard": {"state": "base", "since": at}},
    });
    serde_json::from_value(health).expect("a report")
}

/// A retention plan that removes 3 of 100 memories.
fn plan() -> RetentionSummary {
    let at = "2026-01-02T03:04:05.000006Z";
    let plan = json!({
        "plan_hash": "ab".repeat(32), "as_of": at, "applied_seq": 5, "memories": 3, "total": 100, "more": false,
        "bytes": 30, "by_rule": {"age": 1, "entries": 2, "both": 0}, "oldest": at, "newest": at,
    });
    serde_json::from_value(plan).expect("a plan")
}

/// Carries out upkeep at once.
fn upkeep(start: StartUpkeep, health: &Health, plan: RetentionSummary) -> UpkeepRun {
    let now = Timestamp::now();
    let (seq, plan_hash, memories) = (health.log.seq, plan.plan_hash.clone(), plan.memories);
    let result = match start.task {
        UpkeepTask::RotateLog => Some(UpkeepResult::Rotated { segment: 2, first_seq: seq + 1 }),
        UpkeepTask::Scrub => Some(UpkeepResult::Verified { events: seq, applied_seq: seq }),
        UpkeepTask::PlanRetention => Some(UpkeepResult::Planned(plan)),
        UpkeepTask::ApplyRetention => {
            let is_same = start.plan.is_some_and(|approved| approved.plan_hash == plan_hash);
            is_same.then_some(UpkeepResult::Applied { plan_hash, memories, seq: seq + 1 })
        }
    };
    let is_done = result.is_some();
    UpkeepRun {
        task: start.task,
        request: start.request,
        state: if is_done { UpkeepState::Done } else { UpkeepState::Failed },
        started: now,
        finished: Some(now),
        code: (!is_done).then_some(ErrorCode::PlanChanged),
        error: (!is_done).then(|| "the rules now give another plan".to_owned()),
        result,
    }
}

impl FakeEngine {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            address,
            state: Mutex::new(State { health: healthy(), plan: plan(), fault: None, requests: Vec::new() }),
            listening: watch::Sender::new(true),
        });
        tokio::spawn(serve(listener, shared.clone()));
        Self { port: address.port(), shared }
    }

    /// Selects the call that goes wrong; `None` for an engine that is well.
    pub(crate) async fn fail(&self, fault: Option<(Call, Fault)>) {
        self.shared.state().fault = fault;
        let refuses = matches!(fault, Some((Call::Health, Fault::Refused)));
        self.shared.listen(!refuses).await;
    }

    /// Changes the state of the engine.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.shared.state().health);
    }

    /// Changes the retention plan that the engine makes.
    pub(crate) fn change_plan(&self, change: impl FnOnce(&mut RetentionSummary)) {
        change(&mut self.shared.state().plan);
    }

    /// The requests since the last call of this function: method and path of each.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state().requests)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the lock")
    }

    /// Opens or closes the port, and waits until connections are accepted or refused.
    async fn listen(&self, listening: bool) {
        self.listening.send_replace(listening);
        let switched = async {
            while TcpStream::connect(self.address).await.is_ok() != listening {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SWITCH_MAX, switched).await.expect("the port opens or closes");
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut listening = shared.listening.subscribe();
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            listening.wait_for(|on| *on).await.expect("the engine exists");
            listener = TcpListener::bind(shared.address).await.ok();
            tokio::task::yield_now().await;
            continue;
        };
        tokio::select! {
            _ = listening.wait_for(|on| !*on) => listener = None,
            accepted = open.accept() => {
                let (stream, _) = accepted.expect("a connection");
                tokio::spawn(answer(stream, shared.clone()));
            }
        }
    }
}

/// Answers one request and closes the connection. A failed write is the client's decision to wait no longer.
async fn answer(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some((line, body)) = read(&mut stream).await else { return };
    shared.state().requests.push(line.clone());
    let call = Call::of(&line);
    let fault = shared.state().fault;
    if let (Some(Call::Health), Some((call, Fault::Refused))) = (call, fault)
        && call != Call::Health
    {
        // The next call is refused: the port closes before this call is answered.
        shared.listen(false).await;
    }
    let fault = fault.filter(|(failing, _)| Some(*failing) == call).map(|(_, fault)| fault);
    let Some(call) = call else {
        return send(&mut stream, &http(200, "application/json", &json!(healthy()).to_string())).await;
    };
    // A call that fails takes no effect, so that it is needed again.
    let (mut before, plan) = {
        let state = shared.state();
        (state.health.clone(), state.plan.clone())
    };
    let good = carry_out(call, &body, &mut before, plan);
    match fault {
        None => {
            shared.state().health = before;
            send(&mut stream, &http(200, "application/json", &good.to_string())).await;
        }
        Some(fault) => fail(stream, fault, good).await,
    }
}

/// Reads a request: its method and path, and its body. `None` if the client only opened a connection.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or_default();
            let start = head.len() + 4;
            if bytes.len() >= start + length {
                let line = String::from_utf8_lossy(&bytes[..head.len()]).into_owned();
                let line: Vec<&str> = line.split(' ').take(2).collect();
                return Some((line.join(" "), bytes.split_off(start)));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Carries out a call as an engine does. Returns the answer.
fn carry_out(call: Call, body: &[u8], health: &mut Health, plan: RetentionSummary) -> Value {
    match call {
        Call::Upkeep => json!(upkeep(serde_json::from_slice(body).expect("a request"), health, plan)),
        Call::Health => json!(health),
        Call::Checkpoint => {
            let checkpoint = health.log.checkpoint.clone().expect("the log is open");
            json!(CheckpointAnswer { checkpoint, consistency: Some(Vec::new()) })
        }
        Call::Anchor => {
            let given: GivenAnchor = serde_json::from_slice(body).expect("an anchor");
            if let GivenAnchor::Known { anchor, .. } = given {
                health.log.integrity.anchor = Some(anchor);
            }
            json!(health.log.integrity)
        }
        Call::Mode => {
            let WantMode { mode: wanted, told_by } = serde_json::from_slice(body).expect("a mode");
            let mode = health.mode.as_mut().expect("a mode");
            (mode.wanted, mode.told_by) = (wanted, Some(told_by));
            in_effect(mode)
        }
        Call::Backup => {
            let TakeBackup { request, .. } = serde_json::from_slice(body).expect("a request");
            let taken = taken(request.as_deref());
            health.archive.get_or_insert_default().last_backup = Some(taken.clone());
            json!(taken)
        }
        Call::Hold => {
            let DeclareHold { hold } = serde_json::from_slice(body).expect("a hold");
            let mode = health.mode.as_mut().expect("a mode");
            let since = mode.since;
            mode.declared = hold.map(|hold| HoldView {
                mode: hold.mode,
                reason: hold.reason,
                by: hold.by,
                redacted: false,
                since,
                until: hold.until,
            });
            in_effect(mode)
        }
    }
}

/// The backup of an engine with five events.
pub(crate) fn taken(request: Option<&str>) -> BackupTaken {
    let name = format!("manifests/{:020}-{:010}-{}", 5, 1, "ab".repeat(32));
    let taken = json!({
        "log_id": "log-1", "name": name, "size": 5, "root": "cd".repeat(32), "created": Timestamp::now(), "pieces": 1,
        "bytes": 100, "stored_bytes": 10, "elapsed_ms": 5, "request": request,
    });
    serde_json::from_value(taken).expect("a backup")
}

fn in_effect(mode: &mut ModeHealth) -> Value {
    let held = mode.declared.as_ref().map_or(Mode::ReadWrite, |hold| hold.mode);
    mode.effective = mode.wanted.intersect(held);
    let (consecutive_failures, transitions) = (BTreeMap::new(), Vec::new());
    json!(ModeReport { mode: mode.clone(), consecutive_failures, transitions })
}

fn http(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Made-up\r\ncontent-type: {kind}\r\ncontent-length: {length}");
    format!("{head}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

async fn send(stream: &mut TcpStream, answer: &[u8]) {
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

async fn fail(mut stream: TcpStream, fault: Fault, mut good: Value) {
    let json = "application/json";
    let said = format!("\u{1b}[31m{MARKER}\r\n");
    let answer = match fault {
        // The port was closed in time, so that no request arrives.
        Fault::Refused => return,
        Fault::Reset => return stream.set_zero_linger().expect("an open socket"),
        Fault::Hang => {
            let _ = stream.read_u8().await;
            return;
        }
        Fault::Drip => {
            for byte in http(200, json, &good.to_string()) {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(DRIP).await;
            }
            return;
        }
        Fault::Half => {
            let mut whole = http(200, json, &good.to_string());
            whole.truncate(whole.len() - good.to_string().len() / 2);
            whole
        }
        Fault::Garbage => [&[0x16, 0x03, 0x01, 0x00, 0xff], said.as_bytes()].concat(),
        Fault::Noise => {
            let mut noise = http(200, json, &said);
            let length = noise.len();
            noise[length - said.len()..].fill(0xff);
            noise
        }
        Fault::Shape => http(200, json, &json!([{"another": said}]).to_string()),
        Fault::Empty => http(200, json, ""),
        Fault::TooLarge => http(200, json, &format!("{}{good}", " ".repeat(TOO_LARGE))),
        Fault::Status(code) => http(code, json, &json!({"error": {"message": said}}).to_string()),
        Fault::Redirect => {
            let to = format!(
                "content-length: 0\r\nlocation: http://{}/elsewhere",
                stream.local_addr().expect("one")
            );
            format!("HTTP/1.1 307 Made-up\r\n{to}\r\nconnection: close\r\n\r\n").into_bytes()
        }
        Fault::ContentType => http(200, "text/html", &good.to_string()),
        Fault::Lie(change) => {
            change(&mut good);
            http(200, json, &good.to_string())
        }
        Fault::Conflict(change) => {
            change(&mut good);
            http(409, json, &good.to_string())
        }
    };
    send(&mut stream, &answer).await;
}
