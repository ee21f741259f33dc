//! The writer thread of the log. It takes commits from the queue, writes them as one group, syncs once and acknowledges
//! them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use engine_core::limits::CONTENT_BYTES_MAX;
use engine_core::wire::{GivenAnchor, IntegrityHealth};
use jiff::Timestamp;

use super::active_segment::{Active, Durable};
use super::commit::{
    AppliedKeys, Commit, CommitError, DurableGroup, Erase, FollowError, Key, Receipt, Received, Reply,
    Rotated, WriterCommand,
};
use super::group::Group;
use super::handles::LogHandles;
use super::log_scan::header_after;
use super::open;
use super::open_outcome::{DamagedLog, OpenFailure, Opened, Readable};
use super::published::{Head, WriteState};
use super::recent_keys::RecentKeys;
use super::segment::Segment;
use crate::storage::{FailPoint, is_full};

/// Interval for retrying a failed volume and for checking free space. Writes have to work again within five seconds.
const RETRY: Duration = Duration::from_secs(1);

/// Owns the log for writing. See [`Writer::run`].
pub struct Writer {
    pub(super) handles: LogHandles,
    applied: Arc<dyn AppliedKeys>,
    applying: SyncSender<DurableGroup>,
    pub(super) mode: Mode,
    /// The active segment, while the log is open.
    pub(super) active: Option<Active>,
    /// The durable end of the log, up to which this process has acknowledged events. `None` until the log was opened
    /// once.
    durable: Option<Durable>,
    /// The epoch that this process writes into segment headers.
    epoch: u64,
    keys: RecentKeys,
    /// Commands that were taken from the queue and are not served yet.
    waiting: VecDeque<WriterCommand>,
    /// Bytes that the volume must admit before the log accepts events again. 0 if the last group fitted.
    wanted: u64,
    retry: Duration,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("epoch", &self.epoch)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Open,
    /// Closed until it can be reopened.
    Closed {
        retry_at: Instant,
        answer: CommitError,
    },
    /// Permanently read-only.
    Corrupt,
}

impl Writer {
    /// Creates the writer of a log that is not open yet.
    pub fn new(
        handles: LogHandles,
        applied: Arc<dyn AppliedKeys>,
        applying: SyncSender<DurableGroup>,
        anchor: Option<GivenAnchor>,
    ) -> Writer {
        handles.attestation.give(anchor);
        Writer {
            handles,
            applied,
            applying,
            mode: Mode::Closed { retry_at: Instant::now(), answer: CommitError::Failing },
            active: None,
            durable: None,
            epoch: 0,
            keys: RecentKeys::new(0),
            waiting: VecDeque::new(),
            wanted: 0,
            retry: RETRY,
        }
    }

    /// Changes the retry interval.
    #[cfg(test)]
    pub(super) fn retrying_every(self, retry: Duration) -> Writer {
        Writer { retry, ..self }
    }

    /// Serves the queue until it is empty and its last sender is dropped.
    pub fn run(mut self, queue: &Receiver<WriterCommand>) {
        loop {
            self.poll_storage();
            match queue.recv_timeout(self.retry) {
                Ok(order) => self.serve(order, queue),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reopens a closed log when a retry is due, and does other scheduled work.
    pub(super) fn poll_storage(&mut self) {
        if let Mode::Closed { retry_at, .. } = self.mode
            && Instant::now() >= retry_at
        {
            self.reopen();
        }
        if let Some(fault) = self.handles.context.tree.failed().filter(|_| self.mode == Mode::Open) {
            self.close("tree", &fault);
        }
        self.rotate_if_old();
        self.resume_pending_work();
        let Ok(space) = self.handles.context.storage.space() else { return };
        self.handles.context.published.set_space(space);
        if self.mode == Mode::Open {
            let admits = space.admits(self.wanted);
            self.handles.context.published.set_store(if admits {
                WriteState::Writable
            } else {
                WriteState::Full
            });
            self.wanted = if admits { 0 } else { self.wanted };
        }
    }

    fn reopen(&mut self) {
        match open::open(&self.handles, self.durable, self.epoch) {
            Ok(opened) => self.opened(opened),
            Err(OpenFailure::Io(fault)) => self.close("open", &fault),
            Err(OpenFailure::Corrupt(damage)) => {
                let DamagedLog { fault, readable } = *damage;
                tracing::error!(?fault, "the log does not verify: writes are disabled");
                if let Some(Readable { head, segments }) = readable.filter(|_| self.durable.is_none()) {
                    self.handles.context.published.opened(head, segments);
                }
                self.handles.context.metrics.integrity_faults.inc();
                self.handles.context.published.set_corrupt(fault);
                self.mode = Mode::Corrupt;
            }
        }
    }

    fn opened(&mut self, opened: Opened) {
        let Opened { active, head_hash, segments, torn_bytes, epoch, verified_through } = opened;
        let (log_id, seq) = (active.header.log_id.clone(), active.link.seq);
        if torn_bytes > 0 {
            tracing::warn!(torn_bytes, seq, "an unfinished write was cut off: its bytes were set aside");
            self.handles.context.published.add_torn(torn_bytes);
        }
        if self.durable.is_none() {
            self.keys = RecentKeys::new(seq);
        }
        let segment = active.header.segment;
        tracing::info!(log_id, seq, hash = %head_hash, segment, epoch, "log open");
        let head = Head { log_id, seq, hash: head_hash, line: active.link.hash, len: active.len };
        self.handles.context.published.opened(head, segments);
        self.handles.context.published.verified(verified_through, None);
        self.epoch = epoch;
        self.durable = Some(active.durable());
        self.active = Some(active);
        self.mode = Mode::Open;
        self.judge();
        self.seal_for_pending_erasures();
    }

    /// Verifies the log against its anchor and its local checkpoint. If the verification cannot run, the log is closed.
    fn judge(&mut self) {
        if let Err(fault) = self.handles.attestation.judge(&self.handles.context) {
            self.close("judge", &fault);
        }
    }

    pub(super) fn close(&mut self, step: &'static str, fault: &std::io::Error) {
        let (store, answer) = match is_full(fault) {
            true => (WriteState::Full, CommitError::Full),
            false => (WriteState::Failing, CommitError::Failing),
        };
        tracing::error!(step, %fault, "the volume failed: nothing is acknowledged until the log is reopened");
        self.handles.context.metrics.storage_failures.with_label_values(&[step]).inc();
        self.handles.context.published.set_store(store);
        self.active = None;
        self.mode = Mode::Closed { retry_at: Instant::now() + self.retry, answer };
    }

    /// Serves the command `first`, together with the commits that wait in `queue`.
    pub(super) fn serve(&mut self, first: WriterCommand, queue: &Receiver<WriterCommand>) {
        self.waiting.push_back(first);
        while let Some(order) = self.waiting.pop_front() {
            // A group is written in the span of its first request. The others log their own outcome.
            let span = order.span().clone();
            let _entered = span.enter();
            match order {
                WriterCommand::Commit(commit) => self.serve_commits(commit, queue),
                WriterCommand::Rotate(reply) => reply.send(self.rotate_on_command()),
                WriterCommand::RotateKey(reply) => reply.send(self.rotate_key()),
                WriterCommand::Erase(Erase { drafts, through, key, reply }) => {
                    reply.send(self.begin_erasure(drafts, through, key));
                }
                WriterCommand::Anchor(given, reply) => reply.send(self.verify_against_anchor(given)),
                // Lines of another engine would be a second writer.
                WriterCommand::Follow(Received { reply, .. }) => {
                    reply.send(Err(FollowError::Unwritable(CommitError::Failing)));
                }
            }
        }
    }

    /// The reason why nothing can be written now. `None` if writes are possible.
    pub(super) fn refusal(&self) -> Option<CommitError> {
        match (self.mode, self.handles.context.published.fault()) {
            (Mode::Closed { answer, .. }, None) => Some(answer),
            (Mode::Open, None) => None,
            _ => Some(CommitError::Corrupt),
        }
    }

    fn serve_commits(&mut self, first: Commit, queue: &Receiver<WriterCommand>) {
        let durable = match (self.refusal(), &self.active) {
            (None, Some(active)) => active.link,
            (refusal, _) => return refuse(first, refusal.unwrap_or(CommitError::Failing)),
        };
        self.keys.forget_through(self.applied.applied_seq());
        let mut group = Group::after(durable);
        self.add(first, &mut group);
        while group.has_room() {
            match queue.try_recv() {
                Ok(WriterCommand::Commit(next)) => self.add(next, &mut group),
                Ok(other) => {
                    self.waiting.push_back(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(durable.seq, group);
    }

    /// Adds a request to the group, or answers it.
    fn add(&mut self, commit: Commit, group: &mut Group) {
        let Commit { drafts, key, reply } = commit;
        match key.as_ref().map_or(Ok(None), |key| self.done_before(key)) {
            Err(refusal) => reply.send(Err(refusal)),
            // A known idempotency key does not mean that the events are durable: the first request with the key may be
            // in this group.
            Ok(Some(receipt)) => group.acks.push((reply, receipt)),
            Ok(None) => {
                let (receipt, request) = group.push(&drafts, key, &self.handles.context.clock);
                group.acks.push((reply, receipt));
                if let Some(request) = request {
                    self.keys.insert(request);
                }
            }
        }
    }

    pub(super) fn done_before(&self, key: &Key) -> Result<Option<Receipt>, CommitError> {
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

    fn commit(&mut self, durable_seq: u64, group: Group) {
        if group.lines.is_empty() {
            return acknowledge(group.acks);
        }
        let space = self.handles.context.storage.space().unwrap_or_default();
        let bytes = group.lines.len() as u64;
        if !space.admits(bytes) {
            self.handles.context.published.set_space(space);
            self.handles.context.published.set_store(WriteState::Full);
            // Smaller events may still fit. The volume counts as full until an ordinary large event would fit.
            self.wanted = bytes.min(CONTENT_BYTES_MAX as u64);
            return self.abandon(group.acks, durable_seq, CommitError::Full);
        }
        if let Err(fault) = self.make_durable(&group) {
            self.close("append", &fault);
            let answer = if is_full(&fault) { CommitError::Full } else { CommitError::Failing };
            return self.abandon(group.acks, durable_seq, answer);
        }
        self.acknowledge_group(group, durable_seq);
        self.rotate_if_large();
    }

    fn make_durable(&mut self, group: &Group) -> std::io::Result<()> {
        let Some(active) = &mut self.active else { return Err(std::io::Error::other("the log is not open")) };
        let started = Instant::now();
        active.append(&*self.handles.context.storage, &group.lines, group.link)?;
        self.handles.context.metrics.sync_seconds.observe(started.elapsed().as_secs_f64());
        self.durable = Some(active.durable());
        Ok(())
    }

    /// Acknowledges a durable group to its clients, then sends it to the projection.
    fn acknowledge_group(&mut self, group: Group, durable_seq: u64) {
        let Group { link, lines, hashes, acks, .. } = group;
        let len = self.active.as_ref().map_or(0, |active| active.len);
        self.handles.context.metrics.appends.inc_by(hashes.len() as u64);
        // Extend the tree before acknowledging: a client may request the proof of its event immediately.
        self.handles.context.tree.extend(hashes);
        // Update the tail before publishing the head: readers of the new head take its events from the tail until the
        // projection has applied them.
        self.handles.context.tail.push(durable_seq + 1, link.seq, &lines, self.applied.applied_seq());
        self.handles.context.published.advance(link.seq, link.hash, len);
        acknowledge(acks);
        // Blocks while the projection is far behind, so that its lag stays bounded. If the projection's thread has
        // ended, the events are durable nevertheless.
        drop(self.applying.send(DurableGroup { lines, first_seq: durable_seq + 1 }));
    }

    fn abandon(&mut self, acks: Vec<(Reply, Receipt)>, durable_seq: u64, answer: CommitError) {
        self.keys.forget_after(durable_seq);
        for (reply, receipt) in acks {
            // Receipts of events that were durable before this group remain valid.
            let old = receipt.replayed && receipt.last_seq <= durable_seq;
            reply
                .span()
                .in_scope(|| tracing::debug!(%answer, old, "a request of a failed group is answered"));
            reply.send(if old { Ok(receipt) } else { Err(answer) });
        }
    }

    /// Commits the engine's own events without the queue.
    pub(super) fn commit_own(&mut self, commit: Commit) {
        let Some(active) = self.active.as_ref().filter(|_| self.refusal().is_none()) else {
            return refuse(commit, self.refusal().unwrap_or(CommitError::Failing));
        };
        let durable = active.link;
        let mut group = Group::after(durable);
        self.add(commit, &mut group);
        self.commit(durable.seq, group);
    }

    fn verify_against_anchor(&mut self, given: GivenAnchor) -> IntegrityHealth {
        self.handles.attestation.give(Some(given));
        if self.active.is_some() {
            self.judge();
            self.resume_pending_work();
        }
        self.handles.context.published.integrity()
    }

    pub(super) fn rotate_on_command(&mut self) -> Result<Rotated, CommitError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        self.rotate();
        match &self.active {
            Some(active) => Ok(Rotated { segment: active.header.segment, first_seq: active.first_seq() }),
            None => Err(self.refusal().unwrap_or(CommitError::Failing)),
        }
    }

    fn rotate_if_large(&mut self) {
        let max = self.handles.context.rotation.segment_bytes_max;
        if self.active.as_ref().is_some_and(|active| active.len >= max) {
            self.rotate();
        }
    }

    fn rotate_if_old(&mut self) {
        let is_old = |active: &&Active| {
            let age = self.handles.context.clock.now().duration_since(active.header.created);
            age.unsigned_abs() >= self.handles.context.rotation.segment_age_max && !age.is_negative()
        };
        if self.refusal().is_none() && self.active.as_ref().filter(is_old).is_some() {
            self.rotate();
        }
    }

    /// Seals the segment and continues in a new one. Does nothing if the segment has no events.
    pub(super) fn rotate(&mut self) {
        let Some(active) = self.active.take() else { return };
        if !active.has_events() {
            self.active = Some(active);
            return;
        }
        match self.next_segment(active) {
            Ok(next) => {
                tracing::info!(segment = next.header.segment, first_seq = next.first_seq(), "segment begun");
                let segment = Segment::raw(next.first_seq());
                self.handles.context.published.rotated(segment, next.link.hash, next.len);
                self.durable = Some(next.durable());
                self.active = Some(next);
            }
            Err(fault) => self.close("rotate", &fault),
        }
    }

    fn next_segment(&mut self, mut active: Active) -> std::io::Result<Active> {
        let (storage, now): (_, Timestamp) =
            (&*self.handles.context.storage, self.handles.context.clock.now());
        let (size, root) = self.handles.context.tree.head();
        if size != active.link.seq {
            return Err(std::io::Error::other("the tree is behind the log"));
        }
        let end = active.seal(root, now)?;
        // From now on, a recovery must keep the seal, because the header of the next segment refers to it.
        self.durable = Some(active.durable());
        storage.reached(FailPoint::SegmentSealed)?;
        Active::create(storage, header_after(&end, self.epoch, now))
    }
}

pub(super) fn refuse(commit: Commit, answer: CommitError) {
    commit.reply.send(Err(answer));
}

fn acknowledge(acks: Vec<(Reply, Receipt)>) {
    for (reply, receipt) in acks {
        // The client may have disconnected. Its events remain in the log.
        reply.send(Ok(receipt));
    }
}
