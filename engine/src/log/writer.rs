//! The one thread that writes the log: takes what is waiting, writes it as one group, syncs once, acknowledges.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use engine_core::digest::{Hash, Salt, time_ordered_id};
use engine_core::event::{Draft, Idempotency};
use engine_core::fold::Request;
use engine_core::format::Unsealed;
use engine_core::limits::CONTENT_BYTES_MAX;
use engine_core::recovery::Link;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::oneshot;

use super::keys::RecentKeys;
use super::open::{self, Durable, Opened, Unopened};
use super::published::{Head, Published, Store};
use crate::metrics::Metrics;
use crate::random;
use crate::storage::{Storage, is_full};

/// How often a failed volume is tried again, and free space looked at: well within the five seconds after which
/// writes have to work again.
const RETRY: Duration = Duration::from_secs(1);
/// A group larger than this makes the first of its clients wait for bytes of others.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Same, for the projection's transaction.
const GROUP_EVENTS_MAX: usize = 4096;

/// A request to make events durable, all or none.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) key: Option<Key>,
    pub(crate) reply: Reply,
}

pub(crate) type Reply = oneshot::Sender<Result<Receipt, CommitError>>;

/// An idempotency key and the request it is bound to, in a form in which equal requests are equal bytes.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) key: String,
    pub(crate) request: Vec<u8>,
}

/// The events are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Id of the last event.
    pub(crate) id: String,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Hash of the last event.
    pub(crate) hash: Hash,
    /// They were already, under the same idempotency key.
    pub(crate) replayed: bool,
}

impl Receipt {
    fn of(request: &Request, replayed: bool) -> Receipt {
        let Request { id, first_seq, last_seq, hash, .. } = request.clone();
        Receipt { id, first_seq, last_seq, hash, replayed }
    }
}

/// Why events are not durable, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum CommitError {
    #[error("too many requests are waiting to be written")]
    Overloaded,
    #[error("the volume is full")]
    Full,
    #[error("the volume failed")]
    Failing,
    #[error("the log does not verify")]
    Corrupt,
    #[error("the idempotency key was used with another request")]
    Conflict,
    #[error("idempotency keys cannot be looked up now")]
    KeysUnknown,
    #[error("the engine is stopping")]
    Stopping,
}

/// A durable group on its way to the projection. Whoever holds it owes the answers.
#[derive(Debug)]
pub(crate) struct Applying {
    pub(crate) lines: Vec<u8>,
    pub(crate) first_seq: u64,
    pub(crate) acks: Vec<(Reply, Receipt)>,
}

impl Applying {
    /// Tells every client that its events are durable.
    pub(crate) fn acknowledge(self) {
        for (reply, receipt) in self.acks {
            // A client that went away does not need the answer; its events stay.
            let _gone = reply.send(Ok(receipt));
        }
    }
}

/// Keys of everything the projection has applied.
pub(crate) trait AppliedKeys: Send {
    /// Up to which event all keys are known.
    fn applied_seq(&self) -> u64;
    /// Looks a key up; `None` when the projection cannot answer, else how far it had applied and what it has.
    fn find(&self, key: &str) -> Option<(u64, Option<Request>)>;
}

/// Owns the log. See [`Writer::run`].
pub(crate) struct Writer<S> {
    storage: S,
    published: Published,
    applied: Box<dyn AppliedKeys>,
    applying: SyncSender<Applying>,
    metrics: Arc<Metrics>,
    mode: Mode,
    /// What this process has acknowledged; absent until the log was opened once.
    durable: Option<(String, Durable)>,
    keys: RecentKeys,
    /// Bytes of the last group there was no space for.
    wanted: u64,
    retry: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Open,
    /// Until the log could be opened again.
    Closed {
        retry_at: Instant,
        answer: CommitError,
    },
    /// For good.
    Corrupt,
}

impl<S: Storage> Writer<S> {
    pub(crate) fn new(
        storage: S,
        published: Published,
        applied: Box<dyn AppliedKeys>,
        applying: SyncSender<Applying>,
        metrics: Arc<Metrics>,
    ) -> Writer<S> {
        let mode = Mode::Closed { retry_at: Instant::now(), answer: CommitError::Failing };
        let keys = RecentKeys::new(0);
        let (durable, wanted, retry) = (None, 0, RETRY);
        Writer { storage, published, applied, applying, metrics, mode, durable, keys, wanted, retry }
    }

    /// The same, with another patience.
    #[cfg(test)]
    pub(super) fn retrying_every(self, retry: Duration) -> Writer<S> {
        Writer { retry, ..self }
    }

    /// Serves the queue until its last sender is gone and it is empty.
    pub(crate) fn run(mut self, queue: &Receiver<Commit>) {
        loop {
            self.look_at_storage();
            match queue.recv_timeout(self.retry) {
                Ok(first) => self.serve(first, queue),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Opens a closed log when it is time, and keeps what is known about space fresh.
    fn look_at_storage(&mut self) {
        if let Mode::Closed { retry_at, .. } = self.mode
            && Instant::now() >= retry_at
        {
            self.reopen();
        }
        let Ok(space) = self.storage.space() else { return };
        self.published.set_space(space);
        if self.mode == Mode::Open {
            let admits = space.admits(self.wanted);
            self.published.set_store(if admits { Store::Writable } else { Store::Full });
            self.wanted = if admits { 0 } else { self.wanted };
        }
    }

    fn reopen(&mut self) {
        let durable = self.durable.as_ref().map(|(_, durable)| *durable);
        match open::open(&mut self.storage, durable) {
            Ok(opened) => self.opened(opened),
            Err(Unopened::Io(fault)) => self.close("open", &fault),
            Err(Unopened::Corrupt(breach)) => self.give_up(breach),
            Err(fault @ Unopened::Changed { .. }) => {
                tracing::error!(%fault, "the log is not what was acknowledged");
                let seq = durable.map_or(0, |durable| durable.link.seq);
                let reason = engine_core::recovery::Fault::Sequence(self.published.head_seq());
                self.give_up(engine_core::recovery::Breach { line: 0, byte: 0, seq, reason });
            }
        }
    }

    fn opened(&mut self, opened: Opened) {
        let Opened { log_id, link, len, torn_bytes, index } = opened;
        if torn_bytes > 0 {
            tracing::warn!(torn_bytes, seq = link.seq, "a write had not finished: its bytes were set aside");
            self.published.add_torn(torn_bytes);
        }
        if self.durable.is_none() {
            self.keys = RecentKeys::new(link.seq);
        }
        tracing::info!(log_id, seq = link.seq, hash = %link.hash, "log open");
        let head = Head { log_id: log_id.clone(), seq: link.seq, hash: link.hash, len };
        self.published.opened(head, index);
        self.durable = Some((log_id, Durable { link, len }));
        self.mode = Mode::Open;
    }

    fn give_up(&mut self, breach: engine_core::recovery::Breach) {
        tracing::error!(%breach, "the log does not verify: nothing is written any more");
        self.published.set_store(Store::Corrupt(breach));
        self.mode = Mode::Corrupt;
    }

    fn close(&mut self, step: &'static str, fault: &std::io::Error) {
        let (store, answer) = match is_full(fault) {
            true => (Store::Full, CommitError::Full),
            false => (Store::Failing, CommitError::Failing),
        };
        tracing::error!(step, %fault, "the volume failed: no acknowledgement until the log is open again");
        self.metrics.storage_failures.with_label_values(&[step]).inc();
        self.published.set_store(store);
        self.mode = Mode::Closed { retry_at: Instant::now() + self.retry, answer };
    }

    fn serve(&mut self, first: Commit, queue: &Receiver<Commit>) {
        let (log_id, durable) = match (&self.mode, &self.durable) {
            (Mode::Open, Some(durable)) => durable.clone(),
            (Mode::Closed { answer, .. }, _) => return refuse(first, *answer),
            _ => return refuse(first, CommitError::Corrupt),
        };
        self.keys.forget_through(self.applied.applied_seq());
        let mut group = Group::after(durable);
        self.add(first, &mut group);
        while group.has_room() {
            let Ok(next) = queue.try_recv() else { break };
            self.add(next, &mut group);
        }
        self.commit(log_id, group);
    }

    /// Gives a request its place in the group, or its answer.
    fn add(&mut self, commit: Commit, group: &mut Group) {
        let Commit { drafts, key, reply } = commit;
        match key.as_ref().map_or(Ok(None), |key| self.done_before(key)) {
            Err(refusal) => drop(reply.send(Err(refusal))),
            // Known is not durable: the first request with this key may be in this very group.
            Ok(Some(receipt)) => group.acks.push((reply, receipt)),
            Ok(None) => {
                let (receipt, request) = group.push(&drafts, key);
                group.acks.push((reply, receipt));
                if let Some(request) = request {
                    self.keys.insert(request);
                }
            }
        }
    }

    fn done_before(&self, key: &Key) -> Result<Option<Receipt>, CommitError> {
        let known = match self.keys.get(&key.key) {
            Some(request) => Some(request.clone()),
            None if self.keys.is_full() => return Err(CommitError::KeysUnknown),
            None => match self.applied.find(&key.key) {
                Some((applied_seq, found)) if applied_seq >= self.keys.floor() => found,
                _ => return Err(CommitError::KeysUnknown),
            },
        };
        match known {
            Some(request) if request.is_for(&key.request) => Ok(Some(Receipt::of(&request, true))),
            Some(_) => Err(CommitError::Conflict),
            None => Ok(None),
        }
    }

    fn commit(&mut self, log_id: String, group: Group) {
        let Group { lines, places, acks, start, link } = group;
        if lines.is_empty() {
            return Applying { lines, first_seq: link.seq + 1, acks }.acknowledge();
        }
        let space = self.storage.space().unwrap_or_default();
        if !space.admits(lines.len() as u64) {
            self.published.set_space(space);
            self.published.set_store(Store::Full);
            // Small events may still fit; the volume counts as full until an ordinary large one would.
            self.wanted = (lines.len() as u64).min(CONTENT_BYTES_MAX as u64);
            return self.abandon(acks, start.link.seq, CommitError::Full);
        }
        if let Err(fault) = self.make_durable(start.len, &lines) {
            self.close("append", &fault);
            let answer = if is_full(&fault) { CommitError::Full } else { CommitError::Failing };
            return self.abandon(acks, start.link.seq, answer);
        }
        let len = start.len + lines.len() as u64;
        self.published.advance(Head { log_id: log_id.clone(), seq: link.seq, hash: link.hash, len }, &places);
        self.metrics.appends.inc_by(places.len() as u64);
        self.durable = Some((log_id, Durable { link, len }));
        let group = Applying { lines, first_seq: start.link.seq + 1, acks };
        if let Err(unsent) = self.applying.send(group) {
            // The projection's thread is gone; the events are durable all the same.
            unsent.0.acknowledge();
        }
    }

    fn make_durable(&mut self, offset: u64, lines: &[u8]) -> std::io::Result<()> {
        self.storage.append(offset, lines)?;
        let started = Instant::now();
        self.storage.sync()?; // COMMIT POINT: before this line nothing happened, after it everything did.
        self.metrics.sync_seconds.observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn abandon(&mut self, acks: Vec<(Reply, Receipt)>, durable_seq: u64, answer: CommitError) {
        self.keys.forget_after(durable_seq);
        for (reply, receipt) in acks {
            // What was durable before this group stays true.
            let old = receipt.replayed && receipt.last_seq <= durable_seq;
            drop(reply.send(if old { Ok(receipt) } else { Err(answer) }));
        }
    }
}

fn refuse(commit: Commit, answer: CommitError) {
    drop(commit.reply.send(Err(answer)));
}

/// Lines that will become durable together.
struct Group {
    start: Durable,
    link: Link,
    lines: Vec<u8>,
    places: Vec<(u64, u64)>,
    acks: Vec<(Reply, Receipt)>,
}

impl Group {
    fn after(start: Durable) -> Group {
        Group { start, link: start.link, lines: Vec::new(), places: Vec::new(), acks: Vec::new() }
    }

    fn has_room(&self) -> bool {
        self.lines.len() < GROUP_BYTES_MAX && self.places.len() < GROUP_EVENTS_MAX
    }

    /// Appends one batch; answers its receipt, and what to remember under its key.
    fn push(&mut self, drafts: &[Draft], mut key: Option<Key>) -> (Receipt, Option<Request>) {
        let count = u32::try_from(drafts.len()).expect("a batch is checked to be small");
        let first_seq = self.link.seq + 1;
        let mut receipt =
            Receipt { id: String::new(), first_seq, last_seq: 0, hash: Hash::ZERO, replayed: false };
        let mut request = None;
        for (place, draft) in (1..).zip(drafts) {
            let time = Timestamp::now();
            let unix_ms = time.as_millisecond().unsigned_abs();
            let id = time_ordered_id(unix_ms, random::bytes());
            let salt = Salt(random::bytes());
            let bound = if place == count { key.take() } else { None };
            let idempotency = bound.map(|key| Idempotency::new(key.key, salt, &key.request));
            receipt.id.clone_from(&id);
            let unsealed =
                Unsealed { draft, id, time, salt, batch: [place, count], idempotency: idempotency.clone() };
            self.seal(unsealed);
            receipt.last_seq = self.link.seq;
            receipt.hash = self.link.hash;
            request = idempotency.map(|idempotency| (idempotency, salt));
        }
        let request = request.map(|(idempotency, salt)| {
            let Receipt { id, first_seq, last_seq, hash, .. } = receipt.clone();
            Request { idempotency, salt, id, first_seq, last_seq, hash }
        });
        (receipt, request)
    }

    fn seal(&mut self, unsealed: Unsealed<'_>) {
        let seq = self.link.seq + 1;
        self.places.push((seq, self.start.len + self.lines.len() as u64));
        self.link = unsealed.seal_after(&self.link, self.start.link.seq, &mut self.lines);
    }
}
