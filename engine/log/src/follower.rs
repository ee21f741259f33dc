//! The log thread of an engine that follows another one. It continues a copy of that engine's log with the lines that
//! are handed to it, and writes no line of its own.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use engine_core::digest::Hash;
use engine_core::following::{Answer, Decision, End, Events, Step, decide};
use engine_core::format::Header;

use super::active_segment::Active;
use super::commit::{
    AppliedKeys, Commit, CommitError, DurableGroup, Erase, FollowError, Followed, Received, WriterCommand,
};
use super::copy_open;
use super::erasure_marker;
use super::handles::LogHandles;
use super::keyring::Keyring;
use super::log_scan::OpenedCopy;
use super::open_outcome::{DamagedLog, OpenFailure};
use super::published::{Head, WriteState};
use super::segment::Segment;
use crate::storage::is_full;

/// Interval for retrying a failed volume and for checking free space.
const RETRY: Duration = Duration::from_secs(1);

/// Continues a copy. See [`Follower::run`].
pub struct Follower {
    handles: LogHandles,
    applied: Arc<dyn AppliedKeys>,
    applying: SyncSender<DurableGroup>,
    copy: Copy,
    /// Number of the last event that this process had in its copy.
    durable_seq: u64,
    retry: Duration,
}

/// State of the copy.
enum Copy {
    Open(Option<Box<Last>>),
    /// Closed until it can be reopened.
    Closed {
        retry_at: Instant,
        answer: CommitError,
    },
    /// It does not verify. Permanent.
    Damaged,
}

/// The last segment of the copy.
struct Last {
    active: Active,
    header_hash: Hash,
}

impl Last {
    fn end(&self) -> End {
        let Active { header, link, len, .. } = &self.active;
        End { header: header.clone(), header_hash: self.header_hash, link: *link, len: *len }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("durable_seq", &self.durable_seq).finish_non_exhaustive()
    }
}

impl Follower {
    /// Creates the follower of a copy that is not open yet.
    pub fn new(
        handles: LogHandles,
        applied: Arc<dyn AppliedKeys>,
        applying: SyncSender<DurableGroup>,
    ) -> Follower {
        // Until the log that is followed answers, nobody knows which events explain what is missing in the copy.
        handles.context.published.set_explained_from(u64::MAX);
        let copy = Copy::Closed { retry_at: Instant::now(), answer: CommitError::Failing };
        Follower { handles, applied, applying, copy, durable_seq: 0, retry: RETRY }
    }

    /// Changes the retry interval.
    #[cfg(test)]
    pub(super) fn retrying_every(self, retry: Duration) -> Follower {
        Follower { retry, ..self }
    }

    /// Serves the queue until it is empty and its last sender is dropped.
    pub fn run(mut self, queue: &Receiver<WriterCommand>) {
        loop {
            self.poll_storage();
            match queue.recv_timeout(self.retry) {
                Ok(command) => self.serve(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reopens a closed copy when a retry is due, and checks the volume.
    pub(super) fn poll_storage(&mut self) {
        if let Copy::Closed { retry_at, .. } = self.copy
            && Instant::now() >= retry_at
        {
            self.reopen();
        }
        if let (Copy::Open(_), Some(fault)) = (&self.copy, self.handles.context.tree.failed()) {
            self.close("tree", &fault);
        }
        let Ok(space) = self.handles.context.storage.space() else { return };
        self.handles.context.published.set_space(space);
        if matches!(self.copy, Copy::Open(_)) {
            let state = if space.admits(0) { WriteState::Writable } else { WriteState::Full };
            self.handles.context.published.set_store(state);
        }
    }

    fn reopen(&mut self) {
        match copy_open::open(&self.handles) {
            Ok(None) if self.durable_seq == 0 => {
                tracing::info!("the copy of the log is empty: it is made from the first line");
                self.copy = Copy::Open(None);
            }
            Ok(Some(opened)) if opened.active.link.seq >= self.durable_seq => self.opened(opened),
            Ok(_) => {
                tracing::error!(seq = self.durable_seq, "the copy of the log has lost events");
                self.copy = Copy::Damaged;
            }
            Err(OpenFailure::Io(fault)) => {
                self.close("open", &fault);
            }
            Err(OpenFailure::Corrupt(damage)) => {
                let DamagedLog { fault, .. } = *damage;
                tracing::error!(?fault, "the copy of the log does not verify: nothing is read from it");
                self.handles.context.metrics.integrity_faults.inc();
                self.handles.context.published.set_corrupt(fault);
                self.copy = Copy::Damaged;
            }
        }
    }

    fn opened(&mut self, opened: OpenedCopy) {
        let OpenedCopy { active, header_hash, head_hash, segments, torn_bytes, verified_through } = opened;
        let context = &self.handles.context;
        if torn_bytes > 0 {
            tracing::warn!(torn_bytes, "an unfinished write was cut off: its lines are asked for again");
            context.published.add_torn(torn_bytes);
        }
        let (log_id, seq) = (active.header.log_id.clone(), active.link.seq);
        tracing::info!(log_id, seq, hash = %head_hash, "copy of the log open");
        let head = Head { log_id, seq, hash: head_hash, line: active.link.hash, len: active.len };
        context.published.opened(head, segments);
        context.published.verified(verified_through, None);
        self.durable_seq = seq;
        self.copy = Copy::Open(Some(Box::new(Last { active, header_hash })));
        if let Err(fault) = self.handles.attestation.judge(&self.handles.context) {
            self.close("judge", &fault);
        }
        self.handles.erasures.ask();
    }

    fn close(&mut self, step: &'static str, fault: &io::Error) -> CommitError {
        let (store, answer) = match is_full(fault) {
            true => (WriteState::Full, CommitError::Full),
            false => (WriteState::Failing, CommitError::Failing),
        };
        tracing::error!(step, %fault, "the volume failed: the copy of the log is reopened");
        self.handles.context.metrics.storage_failures.with_label_values(&[step]).inc();
        self.handles.context.published.set_store(store);
        self.copy = Copy::Closed { retry_at: Instant::now() + self.retry, answer };
        answer
    }

    /// Serves one command. Those that would write an event are refused.
    pub(super) fn serve(&mut self, command: WriterCommand) {
        let span = command.span().clone();
        let _entered = span.enter();
        match command {
            WriterCommand::Commit(Commit { reply, .. }) | WriterCommand::Erase(Erase { reply, .. }) => {
                reply.send(Err(CommitError::Following));
            }
            WriterCommand::Rotate(reply) => reply.send(Err(CommitError::Following)),
            WriterCommand::RotateKey(reply) => reply.send(Err(CommitError::Following)),
            WriterCommand::Anchor(_, reply) => reply.send(self.handles.context.published.integrity()),
            WriterCommand::Follow(Received { log_id, head_seq, has_end, lines, reply }) => {
                let answer = Answer { log_id: &log_id, head_seq, has_end, lines: &lines };
                reply.send(self.follow(&answer));
            }
        }
    }

    /// Continues the copy with an answer of the log that is followed.
    fn follow(&mut self, answer: &Answer<'_>) -> Result<Followed, FollowError> {
        let last = match &self.copy {
            Copy::Open(last) => last,
            Copy::Closed { answer, .. } => return Err(FollowError::Unwritable(*answer)),
            Copy::Damaged => return Err(FollowError::Damaged),
        };
        let (end, tree) = (last.as_ref().map(|last| last.end()), self.handles.context.tree.frontier());
        if tree.size() != end.as_ref().map_or(0, |end| end.link.seq) {
            let fault = io::Error::other("the tree is behind the copy of the log");
            return Err(FollowError::Unwritable(self.close("tree", &fault)));
        }
        let steps = match decide(end.as_ref(), &tree, answer)? {
            Decision::Append(steps) => steps,
            decision => {
                self.handles.context.published.set_explained_from(answer.head_seq);
                return Ok(Followed { is_cut: decision == Decision::AskAgain, ..Followed::default() });
            }
        };
        let space = self.handles.context.storage.space().unwrap_or_default();
        if !space.admits(answer.lines.len() as u64) {
            self.handles.context.published.set_space(space);
            self.handles.context.published.set_store(WriteState::Full);
            return Err(FollowError::Unwritable(CommitError::Full));
        }
        self.handles.context.published.set_explained_from(answer.head_seq);
        self.carry_out(steps).map_err(|fault| FollowError::Unwritable(self.close("append", &fault)))
    }

    fn carry_out(&mut self, steps: Vec<Step<'_>>) -> io::Result<Followed> {
        let mut followed = Followed::default();
        for step in steps {
            match step {
                Step::Begin { header, hash, line } => self.begin(header, hash, line)?,
                Step::Seal { line } => self.last()?.active.append_seal(line)?,
                Step::Events(events) => {
                    followed.lines += events.hashes.len() as u64 - 1;
                    self.append(events, &mut followed)?;
                }
            }
            followed.lines += 1;
        }
        Ok(followed)
    }

    fn last(&mut self) -> io::Result<&mut Last> {
        match &mut self.copy {
            Copy::Open(Some(last)) => Ok(last),
            _ => Err(io::Error::other("the copy has no segment")),
        }
    }

    /// Begins the first or the next segment.
    fn begin(&mut self, header: Header, hash: Hash, line: &[u8]) -> io::Result<()> {
        let context = &self.handles.context;
        let active = Active::begin(&*context.storage, header, line, hash)?;
        let segment = Segment::raw(active.first_seq());
        if context.published.head().is_some() {
            context.published.rotated(segment, active.link.hash, active.len);
        } else {
            let log_id = active.header.log_id.clone();
            // The keys sign only the local checkpoint, at which the next start begins to read.
            let keyring = Keyring::load(&*context.storage)?;
            self.handles.attestation.keys_of(context, keyring, &log_id)?;
            tracing::info!(log_id, "the copy of the log begins");
            let head = Head { log_id, seq: active.link.seq, hash, line: hash, len: active.len };
            context.published.opened(head, vec![segment]);
        }
        self.copy = Copy::Open(Some(Box::new(Last { active, header_hash: hash })));
        // An erasure waits until the segments that have its payloads are sealed.
        self.handles.erasures.ask();
        Ok(())
    }

    /// Makes events durable, then publishes them as [`super::writer::Writer`] does.
    fn append(&mut self, events: Events<'_>, followed: &mut Followed) -> io::Result<()> {
        let Events { lines, hashes, end, erasures } = events;
        let storage = Arc::clone(&self.handles.context.storage);
        for erasure in &erasures {
            // Before the events, so that a crash between the two leaves no erasure that nobody continues.
            erasure_marker::create(&*storage, erasure.after)?;
        }
        let last = self.last()?;
        let first_seq = last.active.link.seq + 1;
        let started = Instant::now();
        last.active.append(&*storage, lines, end)?;
        let len = last.active.len;
        let context = &self.handles.context;
        context.metrics.sync_seconds.observe(started.elapsed().as_secs_f64());
        context.metrics.appends.inc_by(hashes.len() as u64);
        context.tree.extend(hashes);
        context.tail.push(first_seq, end.seq, lines, self.applied.applied_seq());
        context.published.advance(end.seq, end.hash, len);
        self.durable_seq = end.seq;
        if !erasures.is_empty() {
            let ids = erasures.into_iter().flat_map(|erasure| erasure.targets);
            let (_, mut known) = followed.forgotten.take().unwrap_or_default();
            known.extend(ids);
            followed.forgotten = Some((end.seq, known));
            self.handles.erasures.ask();
        }
        // Blocks while the projection is far behind, so that its lag stays bounded.
        drop(self.applying.send(DurableGroup { lines: lines.to_vec(), first_seq }));
        Ok(())
    }
}
