//! Clients that write until the engine is gone, and record which writes it acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::dice::Dice;
use super::engine::Engine;
use super::http::{Answer, Connection};
use super::ledger::{Promise, Request};

/// Size of the payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Up to four events of a few hundred bytes.
    Small,
    /// Up to four events of up to 192 KiB each: the clients fill a segment of one mebibyte within one round.
    Large,
}

impl Load {
    fn padding(self, dice: &mut Dice) -> String {
        let bytes = match self {
            Load::Small => dice.below(300),
            Load::Large => dice.below(192 << 10),
        };
        let letter = char::from(b'a' + u8::try_from(dice.below(26)).expect("a letter"));
        letter.to_string().repeat(usize::try_from(bytes).expect("a small number"))
    }
}

/// Result of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Promised,
    /// The engine responded with a 503, or with something unexpected, which is recorded.
    Refused,
    /// The connection ended without a response.
    Nothing,
}

/// A promise, and when it was given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) request: Request,
    pub(super) promise: Promise,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
}

/// One client. It repeats a request that got no response under the same key, also after a cut.
#[derive(Debug)]
pub(super) struct Writer {
    client: u32,
    dice: Dice,
    load: Load,
    next: u64,
    /// The request that is not acknowledged yet.
    body: Option<Vec<u8>>,
    pub(super) promises: Vec<Given>,
    pub(super) refusals: u64,
    /// The last refusal.
    pub(super) refusal: String,
    /// An unexpected response.
    pub(super) surprise: Option<String>,
}

impl Writer {
    pub(super) fn new(client: u32, dice: &Dice, load: Load) -> Writer {
        let dice = dice.fork(u64::from(client) + 1);
        let (promises, refusal, surprise) = (Vec::new(), String::new(), None);
        Writer { client, dice, load, next: 0, body: None, promises, refusals: 0, refusal, surprise }
    }

    /// Writes until `stop` is set or the engine is gone.
    pub(super) fn write(&mut self, engine: &Engine, stop: &AtomicBool) {
        let Ok(mut connection) = Connection::open(engine.api) else { return };
        while !stop.load(Ordering::Acquire) && self.write_one(&mut connection) != Reply::Nothing {}
    }

    /// Sends one request: the pending one in `body` if there is one, else the next.
    pub(super) fn write_one(&mut self, connection: &mut Connection) -> Reply {
        let key = format!("{}/{}", self.client, self.next);
        let body = self.body.take().unwrap_or_else(|| self.request());
        let sent = Instant::now();
        let answer = connection.post("/v1/events", Some(&key), &body);
        let answered = Instant::now();
        self.body = Some(body);
        let Ok(answer) = answer else { return Reply::Nothing };
        match (answer.status, promise(&answer)) {
            (200 | 201, Ok(promise)) => {
                let request = (self.client, self.next);
                self.promises.push(Given { request, promise, sent, answered });
                self.next += 1;
                self.body = None;
                Reply::Promised
            }
            (503, _) => {
                self.refusals += 1;
                self.refusal = String::from_utf8_lossy(&answer.body).into_owned();
                sleep(Duration::from_millis(2));
                Reply::Refused
            }
            (status, _) => {
                self.surprise = Some(format!("{status} {}", String::from_utf8_lossy(&answer.body)));
                Reply::Refused
            }
        }
    }

    fn request(&mut self) -> Vec<u8> {
        let of = 1 + self.dice.below(4);
        let (client, request) = (self.client, self.next);
        let event = |place: u64| {
            let padding = self.load.padding(&mut self.dice);
            json!({"type": "fault.written", "project": "faults",
                "payload": {"client": client, "request": request, "place": place, "of": of, "padding": padding}})
        };
        let events: Vec<Value> = (0..of).map(event).collect();
        json!({ "events": events }).to_string().into_bytes()
    }
}

fn promise(answer: &Answer) -> Result<Promise> {
    let made = answer.json()?;
    let number = |name: &str| made[name].as_u64().context("an acknowledgement without sequence numbers");
    let hash = made["hash"].as_str().context("an acknowledgement without a hash")?.to_owned();
    Ok(Promise { first_seq: number("first_seq")?, last_seq: number("last_seq")?, hash, certain: true })
}
