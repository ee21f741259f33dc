//! What the rest of the engine may know about the log: only what is durable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::digest::Hash;
use engine_core::wire::{Anchor, IntegrityFault, IntegrityHealth};
use jiff::Timestamp;

use super::segment::{Form, Segment};
use crate::storage::Space;

/// End of the durable log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub log_id: String,
    pub seq: u64,
    /// Hash of that event, or of the first header when there is none.
    pub hash: Hash,
    /// Hash of the last line, which is that of a header when the last segment has no events.
    pub line: Hash,
    /// Durable bytes of the last segment.
    pub len: u64,
}

/// Whether the log takes events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Not read yet.
    Opening,
    /// Yes.
    Writable,
    /// No space; resumes by itself.
    Full,
    /// The volume failed; resumes by itself.
    Failing,
    /// Never again without a decision or a repair.
    Corrupt(IntegrityFault),
}

#[derive(Debug)]
struct State {
    head: Option<Head>,
    store: Store,
    space: Space,
    torn_bytes: u64,
    segments: Arc<[Segment]>,
    verified_through: u64,
    verified_at: Option<Timestamp>,
    anchor: Option<Anchor>,
    /// The log does not verify in itself: for good.
    corrupt: Option<IntegrityFault>,
    /// It contradicts what was recorded elsewhere: until somebody decides.
    contradicted: Option<IntegrityFault>,
}

/// Shared between the writer, who sets it, and everybody who reads.
#[derive(Debug, Clone)]
pub struct Published(Arc<Mutex<State>>);

impl Published {
    pub fn new() -> Published {
        let state = State {
            head: None,
            store: Store::Opening,
            space: Space::default(),
            torn_bytes: 0,
            segments: Arc::new([]),
            verified_through: 0,
            verified_at: None,
            anchor: None,
            corrupt: None,
            contradicted: None,
        };
        Published(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The durable end; absent until the log has been opened.
    pub fn head(&self) -> Option<Head> {
        self.state().head.clone()
    }

    /// Number of the last event that can be read: of the durable end, or of what stands before the place that does not
    /// verify.
    pub fn head_seq(&self) -> u64 {
        let state = self.state();
        state.head.as_ref().map_or(0, |head| head.seq).min(state.readable_through())
    }

    /// The durable end and the files it is in, of one moment.
    pub fn extent(&self) -> Option<(Head, Arc<[Segment]>)> {
        let state = self.state();
        state.head.clone().map(|head| (head, Arc::clone(&state.segments)))
    }

    /// Whether the log takes events; a fault of its integrity comes before everything else.
    pub fn store(&self) -> Store {
        let state = self.state();
        state.fault().map_or_else(|| state.store.clone(), Store::Corrupt)
    }

    /// Why nothing is written.
    pub fn fault(&self) -> Option<IntegrityFault> {
        self.state().fault()
    }

    /// The last event that may be read: everything, or what is before the place that does not verify.
    pub fn readable_through(&self) -> u64 {
        self.state().readable_through()
    }

    pub fn integrity(&self) -> IntegrityHealth {
        let state = self.state();
        IntegrityHealth {
            verified_through: state.verified_through,
            verified_at: state.verified_at,
            anchor: state.anchor.clone(),
            fault: state.fault(),
        }
    }

    pub fn space(&self) -> Space {
        self.state().space
    }

    pub fn torn_bytes(&self) -> u64 {
        self.state().torn_bytes
    }

    pub(super) fn set_store(&self, store: Store) {
        self.state().store = store;
    }

    pub(super) fn set_space(&self, space: Space) {
        self.state().space = space;
    }

    pub(super) fn add_torn(&self, bytes: u64) {
        self.state().torn_bytes += bytes;
    }

    /// A log was opened, or what of it verifies.
    pub(super) fn opened(&self, head: Head, segments: Vec<Segment>) {
        let mut state = self.state();
        state.head = Some(head);
        state.segments = segments.into();
    }

    /// Events became durable.
    pub(super) fn advance(&self, seq: u64, hash: Hash, len: u64) {
        if let Some(head) = &mut self.state().head {
            (head.seq, head.hash, head.line, head.len) = (seq, hash, hash, len);
        }
    }

    /// The log goes on in a new segment.
    pub(super) fn rotated(&self, segment: Segment, line: Hash, len: u64) {
        let mut state = self.state();
        state.segments = state.segments.iter().copied().chain([segment]).collect();
        if let Some(head) = &mut state.head {
            (head.line, head.len) = (line, len);
        }
    }

    /// A sealed segment is stored in another way now.
    pub(super) fn compressed(&self, first_seq: u64) {
        let mut state = self.state();
        let form = |segment: &Segment| match segment.first_seq == first_seq {
            true => Segment { form: Form::Compressed, ..*segment },
            false => *segment,
        };
        state.segments = state.segments.iter().map(form).collect();
    }

    /// Everything up to this event was read back and verifies.
    pub(super) fn verified(&self, through: u64, complete_at: Option<Timestamp>) {
        let mut state = self.state();
        state.verified_through = state.verified_through.max(through);
        state.verified_at = complete_at.or(state.verified_at);
    }

    /// The log does not verify in itself. The first such finding stays, unless a later one is further ahead in the log.
    pub(super) fn set_corrupt(&self, fault: IntegrityFault) {
        let mut state = self.state();
        state.verified_through = state.verified_through.min(fault.seq.saturating_sub(1));
        if state.corrupt.as_ref().is_none_or(|known| fault.seq < known.seq) {
            state.corrupt = Some(fault);
        }
    }

    /// The log was held against an anchor.
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
