//! Idempotency keys the projection may not know yet.

use std::collections::{BTreeMap, VecDeque};

use engine_core::fold::Request;

/// Keys of events that are being written, or durable and not yet applied. Together with the projection they are all
/// keys there ever were, as long as the projection has applied everything up to [`RecentKeys::floor`].
#[derive(Debug)]
pub(super) struct RecentKeys {
    by_key: BTreeMap<String, Request>,
    in_order: VecDeque<(u64, String)>,
    floor: u64,
}

/// More than this are not kept while the projection stands still: keyed writes are refused instead.
const RECENT_MAX: usize = 100_000;

impl RecentKeys {
    /// Knows nothing about events up to `head_seq`: the projection must.
    pub(super) fn new(head_seq: u64) -> RecentKeys {
        RecentKeys { by_key: BTreeMap::new(), in_order: VecDeque::new(), floor: head_seq }
    }

    /// The projection must have applied this much to complete what is known here.
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

    /// The projection knows these now.
    pub(super) fn forget_through(&mut self, applied_seq: u64) {
        while let Some((last_seq, key)) = self.in_order.pop_front_if(|(last_seq, _)| *last_seq <= applied_seq)
        {
            self.by_key.remove(&key);
            self.floor = self.floor.max(last_seq);
        }
    }

    /// These never became durable.
    pub(super) fn forget_after(&mut self, durable_seq: u64) {
        while let Some((_, key)) = self.in_order.pop_back_if(|(last_seq, _)| *last_seq > durable_seq) {
            self.by_key.remove(&key);
        }
    }
}
