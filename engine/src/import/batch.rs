//! Batches of events, and the idempotency keys that prevent them from being written twice.

use anyhow::{Context, bail};
use engine_core::digest::Hash;
use engine_core::limits::BATCH_EVENTS_MAX;
use engine_core::zaxy::{Memory, Translated};
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::target::{Target, Written};

/// A batch is full when it reaches this size, which is half of the largest request body.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Number of memories that are sent concurrently. The engine commits them as one group.
const AT_ONCE: usize = 32;

/// Consecutive events of one source log, with the memories derived from them.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    project: &'a str,
    chain: Hash,
    first_seq: u64,
    count: usize,
    events: Vec<u8>,
    memories: Vec<(String, Bytes)>,
    memories_bytes: usize,
}

/// Result of sending a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) events_new: u64,
    pub(super) events_before: u64,
    pub(super) memories: u64,
    /// Reasons for which the engine refused memories. The events of these memories are imported all the same.
    pub(super) memories_refused: Vec<String>,
    /// Whether another import wrote events from this position on; the state of the target must then be read again.
    pub(super) overtaken: bool,
}

#[derive(Serialize)]
struct EventBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    actor: &'a str,
    project: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    payload: &'a RawValue,
}

#[derive(Serialize)]
struct MemoryBody<'a> {
    project: &'a str,
    #[serde(flatten)]
    memory: &'a Memory,
}

impl<'a> Batch<'a> {
    pub(super) fn new(project: &'a str, chain: Hash) -> Batch<'a> {
        let (events, memories) = (Vec::new(), Vec::new());
        Batch { project, chain, first_seq: 0, count: 0, events, memories, memories_bytes: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= BATCH_EVENTS_MAX || self.events.len() + self.memories_bytes >= BATCH_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn push(&mut self, seq: u64, event: &Translated) -> anyhow::Result<()> {
        if self.is_empty() {
            self.first_seq = seq;
        }
        self.events.extend_from_slice(if self.is_empty() { br#"{"events":["# } else { b"," });
        let body = EventBody {
            kind: &event.kind,
            actor: &event.actor,
            project: self.project,
            session: event.session.as_deref(),
            payload: &event.payload,
        };
        serde_json::to_writer(&mut self.events, &body)?;
        self.count += 1;
        if let Some(memory) = &event.memory {
            let body = serde_json::to_vec(&MemoryBody { project: self.project, memory })?;
            self.memories_bytes += body.len();
            self.memories.push((self.key("memory", seq), body.into()));
        }
        Ok(())
    }

    /// Returns the idempotency key. It is derived from the project, the log and the position in the log, but not from
    /// the content. Two imports with batches of different sizes then conflict on the key instead of writing twice.
    fn key(&self, what: &str, seq: u64) -> String {
        let place = format!("{}\n{}\n{seq}", self.project, self.chain);
        format!("zaxy-{what}/{}", &Hash::of(place.as_bytes()).to_string()[..40])
    }

    /// Sends the batch. The memories are sent before the events, so if an event is in the target, its memory is too.
    pub(super) async fn send(&mut self, target: &Target) -> anyhow::Result<Sent> {
        let mut sent = Sent::default();
        let mut waiting = std::mem::take(&mut self.memories).into_iter();
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some((key, body)) = waiting.next()
            {
                let target = target.clone();
                under_way.spawn(async move { target.write("/v1/memories", &key, body).await });
            }
            let Some(done) = under_way.join_next().await else { break };
            match done.context("sending a memory failed")?? {
                // A conflict means that the memory exists, written by another version of this program.
                Written::New | Written::Before | Written::Conflict => sent.memories += 1,
                Written::Refused(code, _) => sent.memories_refused.push(code.as_str().to_owned()),
            }
        }
        self.events.extend_from_slice(b"]}");
        let key = self.key("events", self.first_seq);
        let events = std::mem::take(&mut self.events);
        let count = std::mem::take(&mut self.count) as u64;
        self.memories_bytes = 0;
        match target.write("/v1/events", &key, events.into()).await? {
            Written::New => sent.events_new = count,
            Written::Before => sent.events_before = count,
            Written::Conflict => sent.overtaken = true,
            Written::Refused(code, message) => {
                bail!(
                    "the engine refuses the events from {} on: {}: {message}",
                    self.first_seq,
                    code.as_str()
                )
            }
        }
        Ok(sent)
    }
}
