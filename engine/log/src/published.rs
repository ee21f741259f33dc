//! The published state of the log. It covers only durable events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::digest::Hash;
use engine_core::wire::{Anchor, IntegrityFault, IntegrityHealth};
use jiff::Timestamp;
use tokio::sync::watch;

use super::segment::{Form, Segment};
use crate::storage::Space;

/// The end of the durable log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Id of the log.
    pub log_id: String,
    /// Sequence number of the last durable event.
    pub seq: u64,
    /// Hash of the last durable event, or of the first header if the log has no events.
    pub hash: Hash,
    /// Hash of the last line. It is a header's hash when the last segment has no events.
    pub line: Hash,
    /// Durable bytes of the last segment.
    pub len: u64,
}

/// Whether the log accepts events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteState {
    /// The log has not been read yet.
    Opening,
    /// Accepts events.
    Writable,
    /// The volume is full. Writing resumes automatically when it has space again.
    Full,
    /// The volume failed. Writing resumes automatically when it works again.
    Failing,
    /// Read-only until an operator decides or repairs the log.
    Corrupt(IntegrityFault),
}

#[derive(Debug)]
struct State {
    head: Option<Head>,
    store: WriteState,
    space: Space,
    torn_bytes: u64,
    segments: Arc<[Segment]>,
    verified_through: u64,
    verified_at: Option<Timestamp>,
    anchor: Option<Anchor>,
    /// The log does not verify. Permanent.
    corrupt: Option<IntegrityFault>,
    /// The log contradicts its anchor or its local checkpoint. Stays until an operator decides.
    contradicted: Option<IntegrityFault>,
    /// Number of the event from which on the log explains all payloads that are missing before it.
    explained_from: u64,
}

/// Published state. The writer and the keeper update it; all threads read it.
#[derive(Debug, Clone)]
pub struct Published {
    state: Arc<Mutex<State>>,
    /// Tells those who wait that the log has more lines.
    grown: Arc<watch::Sender<()>>,
}

impl Default for Published {
    fn default() -> Published {
        Published::new()
    }
}

impl Published {
    /// The state of a log that is not open yet.
    pub fn new() -> Published {
        let state = State {
            head: None,
            store: WriteState::Opening,
            space: Space::default(),
            torn_bytes: 0,
            segments: Arc::new([]),
            verified_through: 0,
            verified_at: None,
            anchor: None,
            corrupt: None,
            contradicted: None,
            explained_from: 0,
        };
        Published { state: Arc::new(Mutex::new(state)), grown: Arc::new(watch::Sender::new(())) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies whenever the log has more lines.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// Whether every payload that is missing must be explained by an event of the log. In a copy of another log it is
    /// not, until the copy has the events that were in that log when it gave the lines.
    pub(super) fn is_explained(&self) -> bool {
        let state = self.state();
        state.head.as_ref().is_some_and(|head| head.seq >= state.explained_from)
    }

    /// Records that the event which explains a missing payload may have any number up to `seq`.
    pub(super) fn set_explained_from(&self, seq: u64) {
        self.state().explained_from = seq;
    }

    /// The durable end. `None` until the log has been opened.
    pub fn head(&self) -> Option<Head> {
        self.state().head.clone()
    }

    /// Number of the last readable event: the durable end, or the last event before an integrity fault.
    pub fn head_seq(&self) -> u64 {
        let state = self.state();
        state.head.as_ref().map_or(0, |head| head.seq).min(state.readable_through())
    }

    /// A consistent snapshot of the durable end and the segments.
    pub fn extent(&self) -> Option<(Head, Arc<[Segment]>)> {
        let state = self.state();
        state.head.clone().map(|head| (head, Arc::clone(&state.segments)))
    }

    /// Whether the log accepts events. An integrity fault takes precedence over every other state.
    pub fn store(&self) -> WriteState {
        let state = self.state();
        state.fault().map_or_else(|| state.store.clone(), WriteState::Corrupt)
    }

    /// The integrity fault that blocks writes, if any.
    pub fn fault(&self) -> Option<IntegrityFault> {
        self.state().fault()
    }

    /// Number of the last event that may be read: `u64::MAX`, or the last event before an integrity fault.
    pub fn readable_through(&self) -> u64 {
        self.state().readable_through()
    }

    /// Integrity state for the health report.
    pub fn integrity(&self) -> IntegrityHealth {
        let state = self.state();
        IntegrityHealth {
            verified_through: state.verified_through,
            verified_at: state.verified_at,
            anchor: state.anchor.clone(),
            fault: state.fault(),
        }
    }

    /// Size of the volume at the last check.
    pub fn space(&self) -> Space {
        self.state().space
    }

    /// Bytes of unfinished writes that were cut off.
    pub fn torn_bytes(&self) -> u64 {
        self.state().torn_bytes
    }

    pub(super) fn set_store(&self, store: WriteState) {
        self.state().store = store;
    }

    pub(super) fn set_space(&self, space: Space) {
        self.state().space = space;
    }

    pub(super) fn add_torn(&self, bytes: u64) {
        self.state().torn_bytes += bytes;
    }

    /// Records that a log was opened, completely or up to its readable part.
    pub(super) fn opened(&self, head: Head, segments: Vec<Segment>) {
        let mut state = self.state();
        state.head = Some(head);
        state.segments = segments.into();
        drop(state);
        self.grown.send_replace(());
    }

    /// Records that events became durable.
    pub(super) fn advance(&self, seq: u64, hash: Hash, len: u64) {
        if let Some(head) = &mut self.state().head {
            (head.seq, head.hash, head.line, head.len) = (seq, hash, hash, len);
        }
        self.grown.send_replace(());
    }

    /// Records that the log continues in a new segment.
    pub(super) fn rotated(&self, segment: Segment, line: Hash, len: u64) {
        let mut state = self.state();
        state.segments = state.segments.iter().copied().chain([segment]).collect();
        if let Some(head) = &mut state.head {
            (head.line, head.len) = (line, len);
        }
        drop(state);
        self.grown.send_replace(());
    }

    /// Records that a sealed segment is now compressed.
    pub(super) fn compressed(&self, first_seq: u64) {
        let mut state = self.state();
        let form = |segment: &Segment| match segment.first_seq == first_seq {
            true => Segment { form: Form::Compressed, ..*segment },
            false => *segment,
        };
        state.segments = state.segments.iter().map(form).collect();
    }

    /// Records that all events up to number `through` were read back and verify. `complete_at` is the time of a
    /// completed full verification.
    pub(super) fn verified(&self, through: u64, complete_at: Option<Timestamp>) {
        let mut state = self.state();
        state.verified_through = state.verified_through.max(through);
        state.verified_at = complete_at.or(state.verified_at);
    }

    /// Records that the log does not verify. Of several faults, keeps the one nearest to the start of the log.
    pub(super) fn set_corrupt(&self, fault: IntegrityFault) {
        let mut state = self.state();
        state.verified_through = state.verified_through.min(fault.seq.saturating_sub(1));
        if state.corrupt.as_ref().is_none_or(|known| fault.seq < known.seq) {
            state.corrupt = Some(fault);
        }
    }

    /// Records the result of verifying the log against its anchor: the accepted anchor and the contradiction, if any.
    pub(super) fn judged(&self, anchor: Option<Anchor>, fault: Option<IntegrityFault>) {
        let mut state = self.state();
        state.anchor = anchor;
        state.contradicted = fault;
    }
}

impl State {
    fn readable_through(&self) -> u64 {
        self.corrupt.as_ref().map_or(u64::MAX, |fault| fault.seq.saturating_sub(1))
    }

    fn fault(&self) -> Option<IntegrityFault> {
        self.corrupt.clone().or_else(|| self.contradicted.clone())
    }
}
