//! One run of an engine under a fault, from start to stop, and a check of its log once the fault is gone.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::dice::Dice;
use super::engine::{Ended, Engine, Launch, told};
use super::http::Connection;
use super::ledger::Ledger;
use super::writers::{Load, Reply, Writer};

/// Number of requests in a session.
const REQUESTS: usize = 6;
/// Longest wait for the engine to become ready. It refuses writes while it opens its log, and for longer when it cannot
/// open it.
const SETTLING: Duration = Duration::from_secs(1);
/// A fault is removed when writes have been refused for this long. The engine retries every second.
const CAUSE_STAYS: Duration = Duration::from_millis(2500);
/// Limit for recovery after the fault is removed.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// How the writes of a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// No client noticed a failure.
    Acknowledged,
    /// The engine refused writes for a while, then acknowledged them again.
    Recovered,
    /// The engine refused writes with a 503 until the fault was removed, then acknowledged them again.
    Lifted,
    /// The engine refused writes until the end.
    Refused,
    /// The process reported the cause and exited; it needs a restart.
    Exited,
}

impl Ending {
    pub(super) const ALL: [Ending; 5] =
        [Ending::Acknowledged, Ending::Recovered, Ending::Lifted, Ending::Refused, Ending::Exited];
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Acknowledged => "acknowledged",
            Ending::Recovered => "recovered",
            Ending::Lifted => "after lifting",
            Ending::Refused => "refused",
            Ending::Exited => "exited",
        })
    }
}

/// Parameters of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Script {
    /// Number of the client: each writer to the same log needs a different one.
    pub(super) client: u32,
    /// Whether the session rotates the log in the middle.
    pub(super) rotates: bool,
}

/// Results of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) ending: Ending,
    /// Time from the first refusal, or from the removal of the fault, to the next acknowledgement.
    pub(super) recovery: Duration,
    /// Observed violations.
    pub(super) faults: Vec<String>,
    ledger: Ledger,
    writer: Writer,
}

impl Session {
    /// Starts the engine, writes, reads and stops it; then starts it again without the fault and compares.
    ///
    /// # Errors
    /// A process cannot be started at all.
    pub(super) fn run(launch: &Launch, script: Script) -> Result<Session> {
        let mut session = Session {
            ending: Ending::Exited,
            recovery: Duration::ZERO,
            faults: Vec::new(),
            ledger: Ledger::default(),
            writer: Writer::new(script.client, &Dice::new(1), Load::Small),
        };
        match Engine::spawn(launch)? {
            Err(Ended { status: Some(status), said }) if status.code().is_some_and(|code| code != 0) => {
                session.hear(&said);
            }
            Err(Ended { status, said }) => {
                session
                    .faults
                    .push(format!("does not serve: {}\n{said}", status.map_or("hangs".into(), told)));
            }
            Ok(engine) => session.use_engine(engine, script),
        }
        let plain = Launch { wrapper: Vec::new(), environment: Vec::new(), ..launch.clone() };
        session.look(&plain);
        Ok(session)
    }

    /// Returns true if no failure was observed.
    pub(super) fn is_clean(&self) -> bool {
        self.ending == Ending::Acknowledged && self.faults.is_empty()
    }

    fn use_engine(&mut self, mut engine: Engine, script: Script) {
        engine.settle(SETTLING);
        self.write(&engine, script);
        // Reads may be refused; they must not end the process.
        for path in ["/v1/events?limit=1000", "/v1/search?q=a&limit=5", "/v1/log/head", "/v1/log/checkpoint"]
        {
            let _refused = Connection::open(engine.api).and_then(|mut connection| connection.get(path));
        }
        if engine.is_alive() {
            engine.terminate();
        }
        match engine.ended(STOP_LIMIT) {
            Some(status) if status.code().is_none() => {
                self.faults.push(format!("ended with {}", told(status)));
            }
            Some(_) => {}
            None => self.faults.push(format!("has not stopped after {STOP_LIMIT:?}")),
        }
        self.hear(&engine.kill());
    }

    /// Sends six requests, then continues until one is acknowledged. When refusals persist, the cause is permanent;
    /// this function then removes the cause.
    fn write(&mut self, engine: &Engine, script: Script) {
        let mut refused_at: Option<Instant> = None;
        let (mut done, mut is_lifted) = (0, false);
        self.ending = Ending::Acknowledged;
        let mut connection = Connection::open(engine.api);
        while let Ok(open) = &mut connection {
            match self.writer.write_one(open) {
                Reply::Promised => {
                    done += 1;
                    if let Some(since) = refused_at.take() {
                        self.ending = if is_lifted { Ending::Lifted } else { Ending::Recovered };
                        self.recovery = since.elapsed();
                    }
                    if script.rotates && done == REQUESTS / 2 {
                        // A failing engine refuses the rotation, so the response is not checked. The log is checked
                        // later in any case.
                        let rotated = Connection::open(engine.admin);
                        let _refused = rotated.and_then(|mut admin| admin.post("/rotate", None, b"{}"));
                    }
                }
                Reply::Refused => {
                    let since = *refused_at.get_or_insert_with(Instant::now);
                    if !is_lifted && since.elapsed() > CAUSE_STAYS {
                        engine.lift();
                        (is_lifted, refused_at) = (true, Some(Instant::now()));
                    } else if is_lifted && since.elapsed() > RECOVERY_LIMIT {
                        self.ending = Ending::Refused;
                        let refusal = self.refusal(&engine.said());
                        self.faults
                            .push(format!("refuses {RECOVERY_LIMIT:?} after the cause is gone: {refusal}"));
                        break;
                    }
                    sleep(Duration::from_millis(20));
                }
                Reply::Nothing => {
                    self.ending = Ending::Exited;
                    return;
                }
            }
            if done >= REQUESTS && refused_at.is_none() {
                break;
            }
        }
    }

    /// Returns the last refusal, and what the engine printed about it.
    fn refusal(&self, said: &str) -> String {
        let complaints: Vec<&str> = said.lines().filter(|line| !line.contains(r#""INFO""#)).collect();
        format!("{}\n{}", self.writer.refusal, complaints.join("\n"))
    }

    fn hear(&mut self, said: &str) {
        if let Some(panic) = said.lines().find(|line| line.contains("panicked")) {
            self.faults.push(format!("panic: {panic}"));
        }
    }

    /// Checks the log after the fault is gone: everything acknowledged must be present, and writes must succeed.
    fn look(&mut self, launch: &Launch) {
        self.faults.extend(self.writer.surprise.take().map(|answer| format!("unexpected answer: {answer}")));
        for given in self.writer.promises.drain(..) {
            self.ledger.promised(given.request, given.promise);
        }
        let engine = Engine::start(launch);
        let read = engine.and_then(|engine| engine.events(0).map(|found| (engine, found)));
        match read {
            Ok((engine, found)) => {
                self.faults.extend(self.ledger.look(&found).iter().map(ToString::to_string));
                let mut connection = Connection::open(engine.api);
                let written = connection.as_mut().map(|connection| self.writer.write_one(connection));
                if !matches!(written, Ok(Reply::Promised)) {
                    self.faults.push(format!("refuses after a start without the fault: {}", engine.kill()));
                }
            }
            Err(fault) => self.faults.push(format!("after a start without the fault: {fault:#}")),
        }
        match launch.verify() {
            Ok((true, _)) => {}
            Ok((false, report)) => self.faults.push(format!("verify: {}", report.trim())),
            Err(fault) => self.faults.push(format!("verify: {fault:#}")),
        }
    }
}
