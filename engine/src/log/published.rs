//! What the rest of the engine may know about the log: only what is durable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::digest::Hash;
use engine_core::recovery::Breach;

use crate::storage::Space;

/// Every how many events a reader can start: 16 bytes of memory for each.
const INDEX_EVERY: u64 = 64;

/// End of the durable log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) log_id: String,
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    /// Durable bytes of the segment.
    pub(crate) len: u64,
}

/// Whether the log takes events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Store {
    /// Not read yet.
    Opening,
    /// Yes.
    Writable,
    /// No space; resumes by itself.
    Full,
    /// The volume failed; resumes by itself.
    Failing,
    /// Never again without repair.
    Corrupt(Breach),
}

#[derive(Debug)]
struct State {
    head: Option<Head>,
    store: Store,
    space: Space,
    torn_bytes: u64,
    index: Vec<(u64, u64)>,
}

/// Shared between the writer, who sets it, and everybody who reads.
#[derive(Debug, Clone)]
pub(crate) struct Published(Arc<Mutex<State>>);

impl Published {
    pub(crate) fn new() -> Published {
        let state = State {
            head: None,
            store: Store::Opening,
            space: Space::default(),
            torn_bytes: 0,
            index: Vec::new(),
        };
        Published(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The durable end; absent until the log has been opened.
    pub(crate) fn head(&self) -> Option<Head> {
        self.state().head.clone()
    }

    pub(crate) fn head_seq(&self) -> u64 {
        self.state().head.as_ref().map_or(0, |head| head.seq)
    }

    pub(crate) fn store(&self) -> Store {
        self.state().store.clone()
    }

    pub(crate) fn space(&self) -> Space {
        self.state().space
    }

    pub(crate) fn torn_bytes(&self) -> u64 {
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

    /// A log was opened: `index` holds (sequence number, offset) of some events, in order.
    pub(super) fn opened(&self, head: Head, index: Vec<(u64, u64)>) {
        let mut state = self.state();
        state.head = Some(head);
        state.index = index;
    }

    /// Events became durable; `lines` are their (sequence number, offset).
    pub(super) fn advance(&self, head: Head, lines: &[(u64, u64)]) {
        let mut state = self.state();
        state.head = Some(head);
        state.index.extend(lines.iter().filter(|(seq, _)| is_indexed(*seq)));
    }

    /// Where to start reading for the event with this number: a line at or before it.
    pub(super) fn start_for(&self, seq: u64) -> Option<(u64, u64)> {
        let state = self.state();
        let after = state.index.partition_point(|(indexed, _)| *indexed <= seq);
        state.index.get(after.checked_sub(1)?).copied()
    }
}

/// Whether a reader can start at this event. The first one always.
pub(super) fn is_indexed(seq: u64) -> bool {
    seq % INDEX_EVERY == 1
}
