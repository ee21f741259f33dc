//! Idempotency keys that the projection may not have applied yet.

use std::collections::{BTreeMap, VecDeque};

use engine_core::fold::Request;

/// Idempotency keys of events that are being written, or that are durable but not yet applied by the projection. If the
/// projection has applied all events up to [`RecentKeys::floor`], every key is either here or in the projection.
#[derive(Debug)]
pub(super) struct RecentKeys {
    by_key: BTreeMap<String, Request>,
    in_order: VecDeque<(u64, String)>,
    floor: u64,
}

/// Maximum number of keys kept while the projection is stalled. When this number is reached, writes with a key are
/// refused.
const RECENT_MAX: usize = 100_000;

impl RecentKeys {
    /// Starts without keys. The projection must have the keys of all events up to `head_seq`.
    pub(super) fn new(head_seq: u64) -> RecentKeys {
        RecentKeys { by_key: BTreeMap::new(), in_order: VecDeque::new(), floor: head_seq }
    }

    /// Number of the event up to which the projection must have applied the log. Otherwise a key may be missing from
    /// both places.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_key.len() >= RECENT_MAX
    }

    pub(super) fn get(&self, key: &str) -> Option<&Request> {
        self.by_key.get(key)
    }

    pub(super) fn insert(&mut self, request: Request) {
        let key = request.idempotency.key.clone();
        self.in_order.push_back((request.last_seq, key.clone()));
        self.by_key.insert(key, request);
    }

    /// Drops keys that the projection has applied.
    pub(super) fn forget_through(&mut self, applied_seq: u64) {
        while let Some((last_seq, key)) = self.in_order.pop_front_if(|(last_seq, _)| *last_seq <= applied_seq)
        {
            self.by_key.remove(&key);
            self.floor = self.floor.max(last_seq);
        }
    }

    /// Drops keys of events that never became durable.
    pub(super) fn forget_after(&mut self, durable_seq: u64) {
        while let Some((_, key)) = self.in_order.pop_back_if(|(last_seq, _)| *last_seq > durable_seq) {
            self.by_key.remove(&key);
        }
    }
}
